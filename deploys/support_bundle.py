"""
What a diagnosis needs of each cluster, in a folder without its secrets. Reads only; exit 3 where a
bundle is no use.

    pyinfra inventory/prod.py deploys/support_bundle.py --data pack=true
"""

from tasks import support_bundle

support_bundle.of_the_fleet()

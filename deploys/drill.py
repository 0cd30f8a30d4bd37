"""
Try the newest backup of other clusters on an empty one: restored, proven by requests, measured, and
taken away again. Exit 3 where something differs or did not answer.

    pyinfra inventory/prod.py deploys/drill.py --limit drill-1 -y
"""

from tasks import drill

drill.of_the_sources()

"""
Try the upgrade of other clusters on an empty one: their objects with the release that runs, the
upgrade with requests running, the way back, and what each changed. Exit 3 where something breaks.

    pyinfra inventory/prod.py deploys/rehearse.py --limit rehearsal-1 -y
"""

from tasks import rehearsal

rehearsal.of_the_sources()

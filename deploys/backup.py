"""
Keep what Envoy Gateway lives on, on every cluster, in one sealed archive a cluster. Reads the
clusters only; for a daily schedule.

    pyinfra inventory/prod.py deploys/backup.py -y
"""

from tasks import backup

backup.of_the_fleet()

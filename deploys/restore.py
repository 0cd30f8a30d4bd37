"""
Bring a cluster back from its backup: CRDs and controller from the lock, every object of the
archive, and requests that prove it. An empty cluster or a damaged one; the plan shows each object.

    pyinfra inventory/prod.py deploys/restore.py --limit weu-1 --dry --diff
"""

from tasks import restore
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    restore.from_backup()

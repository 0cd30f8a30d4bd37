"""
Gateways, routes, policies and what belongs to them on every cluster, as the inventory and its files
have them: checked before the first write, proven by requests. Or only what differs, exit 3.

    pyinfra inventory/prod.py deploys/gateways.py --data check=true
    pyinfra inventory/prod.py deploys/gateways.py --dry --diff
"""

from tasks import drift
from tasks.fleet.rings import rings

if drift.only_shown():
    drift.of_the_fleet()
else:
    for _ring in rings(max_failed=0):
        drift.put_right()

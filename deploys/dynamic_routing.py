"""
Requests of one client to the one server that a resolver names, on every cluster of an inventory;
with ``--data check=true`` only show what differs, exit 3 where something does.

    pyinfra inventory/prod.py deploys/dynamic_routing.py --dry --diff
"""

from tasks import drift, dynamic_routing
from tasks.fleet.rings import rings

if drift.only_shown():
    dynamic_routing.of_the_fleet()
else:
    for _ring in rings(max_failed=0):
        dynamic_routing.set_up()

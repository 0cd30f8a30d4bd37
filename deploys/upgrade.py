"""
Upgrade Envoy Gateway on every cluster of an inventory: all are looked at first, then changed ring
by ring, CRDs first; one that fails goes back to its last good state.

    pyinfra inventory/prod.py deploys/upgrade.py --dry --diff
"""

from tasks import envoy_gateway, preflight
from tasks.fleet.rings import rings

preflight.of_the_fleet()
for _ring in rings(max_failed=0):
    envoy_gateway.upgrade()

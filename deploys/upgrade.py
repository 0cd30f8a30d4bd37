"""
Upgrade Envoy Gateway on every cluster of an inventory, CRDs first, ring by ring.

    pyinfra inventory/prod.py deploys/upgrade.py --dry --diff
"""

from tasks import envoy_gateway
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    envoy_gateway.upgrade()

"""
Install Envoy Gateway on every cluster of an inventory: CRDs, controller, Gateways, and requests
that prove it.

    pyinfra inventory/prod.py deploys/install.py --dry --diff
"""

from tasks import envoy_gateway
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    envoy_gateway.install()

"""
Bring Envoy Gateway on every cluster of an inventory back to its last good state, newest ring first.

    pyinfra inventory/prod.py deploys/rollback.py --limit weu-1
"""

from tasks import envoy_gateway
from tasks.fleet.rings import rings

for _ring in rings(max_failed="100%", newest_first=True):
    envoy_gateway.roll_back()

"""
Bring the CRDs of the Gateway API and of Envoy Gateway ahead of an upgrade, and nothing else: only
forward, ring by ring.

    pyinfra inventory/prod.py deploys/crds.py --dry --diff
"""

from tasks import crds
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    crds.bring()

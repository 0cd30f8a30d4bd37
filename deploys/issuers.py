"""
Set cert-manager up on every cluster of an inventory: ACME ClusterIssuers, Certificates and
ReferenceGrants; done when each certificate is issued and served.

    pyinfra inventory/prod.py deploys/issuers.py --dry --diff
"""

from tasks import issuers
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    issuers.set_up()

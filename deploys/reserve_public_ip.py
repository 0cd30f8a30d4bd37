"""
Give the Gateways of an inventory public IPs that outlive their cluster: made and locked in Azure,
asked for by the Service, proven by requests. None is ever deleted.

    pyinfra inventory/prod.py deploys/reserve_public_ip.py --limit weu-2 --dry --diff
"""

from tasks import reservation
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    reservation.reserve()

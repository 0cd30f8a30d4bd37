"""
Renew the TLS Secrets of the inventory that are due, ring by ring: checked before they are written,
proven by a handshake with every proxy and address, or put back. Made to run every day.

    pyinfra inventory/prod.py deploys/rotate_certificates.py --dry --diff
"""

from tasks import rotation
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    rotation.rotate()

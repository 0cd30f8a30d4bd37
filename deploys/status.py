"""
One table of the fleet: releases with end of life and known CVEs, CRDs, Gateways, addresses. Reads
only, exit 3 on findings.

    pyinfra inventory/prod.py deploys/status.py
"""

from tasks import status

status.of_the_fleet()

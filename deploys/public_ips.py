"""
The chain behind every public IP of the fleet: inventory, Service, Azure's resource and who holds
it, load balancer, names, and what answers. Reads only, exit 3 on findings.

    pyinfra inventory/prod.py deploys/public_ips.py
"""

from tasks import public_ips

public_ips.of_the_fleet()

"""
Every certificate of the fleet: what listeners name, what Secrets hold, what each proxy Pod and each
address serves. Reads only, exit 3 on findings.

    pyinfra inventory/prod.py deploys/certificates.py
"""

from tasks import certificates

certificates.of_the_fleet()

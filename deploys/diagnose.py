"""
Why a request fails, or what is wrong on each cluster. Reads only, exit 3 on findings.

    pyinfra inventory/prod.py deploys/diagnose.py --data request='GET https://shop.example.com/cart'
"""

from tasks import diagnose

diagnose.of_the_fleet()

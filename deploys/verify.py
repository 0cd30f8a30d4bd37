"""
Open the newest backup of every cluster: digests, objects, and what a restore would need besides.
Reads the disk only, so the clusters need not be there.

    pyinfra inventory/prod.py deploys/verify.py
"""

from tasks import backup

backup.verify_the_fleet()

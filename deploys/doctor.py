"""
Whether a run could begin: helm, kubelogin, contexts, the lock, and the permissions on every
cluster. Reads only.

    pyinfra inventory/prod.py deploys/doctor.py
"""

from tasks import doctor

doctor.of_the_fleet()

"""
The last runs over the fleet: what, when, who, how it ended; and what changed on the clusters since
the last good one. Reads only, exit 3 on drift.

    pyinfra inventory/prod.py deploys/history.py
"""

from tasks import history

history.of_the_fleet()

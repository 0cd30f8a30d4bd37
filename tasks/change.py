"""
What stands around every change of a cluster: its Lease, its last good state, and its backup, taken
before the first write and by nobody else at the same time.
"""

from __future__ import annotations

from tasks.fleet.inventory import Cluster


def begin(data: Cluster) -> None:
    """
    Called by an operation before it writes, as often as it likes: the first call takes the Lease,
    writes down the last good state and makes the backup. Does nothing while a run is only planned.
    """


def held_by_another(data: Cluster) -> str | None:
    """
    Why this run may not change the cluster now, such as "held by run 20261121T140211Z-upgrade ...",
    or None. At most one request.
    """
    return None

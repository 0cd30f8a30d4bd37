"""The authorities that clients of a cluster trust, as its inventory names them."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api.exceptions import DeployError

from tasks.fleet.inventory import Cluster
from tasks.plans import roots


def trusted(data: Cluster) -> frozenset[str] | None:
    """
    What ``tasks.plans.roots.trusted`` takes, or None where the inventory names no file.

    Raises DeployError for a file that cannot be read, or has no certificate in it.
    """
    if data.trust is None:
        return None
    try:
        found = roots.roots(Path(data.trust).read_bytes())
    except OSError as error:
        raise DeployError(
            f"trust: {data.trust} cannot be read ({error.strerror}): name a PEM file"
        ) from error
    if not found:
        raise DeployError(
            f"trust: {data.trust} has no certificate in it that can be read: name a PEM file"
        )
    return found

"""What the identity of a run may not do on a cluster, in as few requests as there are."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.facts.permissions import MayDo, Rules
from tasks.fleet.guard import fact
from tasks.plans import permissions


def denied(rights: Sequence[permissions.Right], namespace: str) -> list[permissions.Right]:
    """
    Those of ``rights`` that this identity does not have. One request for somebody who may do
    everything, two for most, and one more for each right that the rules do not show: an authorizer
    outside of the cluster, such as Azure RBAC, may leave its own out.

    + namespace: where most of the namespaced ones are
    """
    cluster_wide = fact(Rules, namespace=permissions.NOWHERE)
    left = permissions.not_shown(rights, cluster_wide)
    if left:
        inside = fact(Rules, namespace=namespace)
        left = permissions.not_shown(left, cluster_wide, inside, namespace)
    if not left or fact(MayDo, right=permissions.ALL):
        return []
    return [it for it in left if not fact(MayDo, right=it)]

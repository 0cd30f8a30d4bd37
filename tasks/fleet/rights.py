"""What an inventory needs of rights, and what the identity of a run may not do on a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.facts.permissions import MayDo, Rules
from tasks.fleet.guard import fact
from tasks.fleet.inventory import Cluster
from tasks.plans import permissions
from tasks.plans.rights.places import Places


def places(data: Cluster, written: Sequence[tuple[str, str | None]] = ()) -> Places:
    """+ written: resources of the inventory's objects, with their namespace"""
    own = tuple(sorted({it.namespace for it in data.gateways}))
    beside = data.proxy_namespace is None
    secrets: dict[str, tuple[str, ...]] = {}
    for it in data.certificates:
        secrets[it.namespace] = (*secrets.get(it.namespace, ()), it.secret)
    return Places(
        data.namespace,
        data.release,
        proxies=own if beside else (data.namespace,),
        gateways=own,
        beside=beside,
        written=tuple(written),
        secrets=secrets,
        asked=tuple(it.namespace for it in data.certificates if it.source == "cert-manager"),
        granting=tuple(it.namespace for it in data.certificates if it.grants),
        monitoring=data.monitoring.namespace if data.monitoring else None,
    )


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

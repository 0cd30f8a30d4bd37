"""
What Azure has: lists of resources, read once a run however many clusters ask for them, and which
AKS cluster a host is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.plans import arm
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KINDS, RECORD_SETS, KindName, ResourceId
from tasks.plans.public_ips import Landscape

Object = Mapping[str, Any]
#: Lists that are asked for at the same time by one cluster.
AT_A_TIME = 16
#: How ids of nodes begin on AKS (cloud-provider-azure, Node.spec.providerID).
NODE = "azure://"


class ProviderId(FactBase[str | None]):
    """
    What the cloud calls one node of the cluster, such as ``"azure:///subscriptions/..."`` or
    ``"kind://..."``; None where nodes have no such name. One request.
    """

    @override
    def command(self) -> KubeCommand:
        return KubeCommand("GET", "/api/v1/nodes", query={"limit": "1"})

    @override
    def process(self, output: list[str]) -> str | None:
        nodes = json.loads("\n".join(output)).get("items") or [{}]
        found = (nodes[0].get("spec") or {}).get("providerID")
        return str(found) if found else None

    @override
    @staticmethod
    def default() -> None:
        return None


class ServiceEvents(FactBase[list[str]]):
    """
    What was said last of a Service by what gives it an address, newest first. One request.

    + namespace, service: its names
    """

    @override
    def command(self, namespace: str, service: str) -> KubeCommand:
        selector = f"involvedObject.kind=Service,involvedObject.name={service}"
        path = f"/api/v1/namespaces/{namespace}/events"
        return KubeCommand("GET", path, query={"fieldSelector": selector})

    @override
    def process(self, output: list[str]) -> list[str]:
        events = json.loads("\n".join(output)).get("items") or []
        newest = sorted(events, key=_last, reverse=True)
        return list(dict.fromkeys(" ".join(str(it.get("message", "")).split()) for it in newest))

    @override
    @staticmethod
    def default() -> list[str]:
        return []


def _last(event: Object) -> str:
    meta = event.get("metadata") or {}
    times = (event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp"))
    return str(next((it for it in times if it), ""))


def of_host(aks_id: str | None, provider_id: str | None = None) -> ManagedCluster | None:
    """
    The AKS cluster with this id, or the one whose node resource group has the node with this
    provider id; None where there is none, or where the clusters of its subscription could not be
    read, which ``landscape`` then says.
    """
    id_ = identity(aks_id, provider_id)
    if id_ is None:
        return None
    from tasks.connectors.aks_clusters import managed
    from tasks.connectors.arm import ArmError

    try:
        clusters = managed(id_.subscription)
    except ArmError:
        return None
    if aks_id:
        return next((it for it in clusters if it.key == id_.key), None)
    return next((it for it in clusters if arm.same(it.node_group, id_.group)), None)


def identity(aks_id: str | None, provider_id: str | None = None) -> ResourceId | None:
    """The id of the cluster or of its node, None where neither is one of Azure."""
    text = aks_id or (provider_id or "").partition(NODE)[2]
    try:
        return arm.parse(text)
    except ValueError:
        return None


def landscape(
    subscriptions: Iterable[str],
    kinds: Collection[KindName] = tuple(KINDS),
    names: Collection[str] = (),
) -> Landscape:
    """
    All that these subscriptions have of these kinds: one list a subscription and kind and run.
    Never raises ArmError: what cannot be read is in ``unread``, by subscription in lower case.

    + names: host names; the record sets are read of those zones alone that one of them lies in
    """
    from gevent.pool import Pool

    asked = [(it, kind) for it in sorted({one.lower() for one in subscriptions}) for kind in kinds]
    resources: dict[KindName, dict[str, Object]] = {kind: {} for kind in kinds}
    unread: dict[tuple[str, KindName], str] = {}
    for place, found in zip(asked, Pool(AT_A_TIME).map(_listed, asked), strict=True):
        if isinstance(found, str):
            unread[place] = found
        else:
            resources[place[1]] |= {str(it["id"]).lower(): it for it in found}
    zones = [
        it for it in resources.get("dnszones", {}) if any(_lies_in(name, it) for name in names)
    ]
    records: dict[str, list[Object]] = {}
    for zone, found in zip(zones, Pool(AT_A_TIME).map(_records, zones), strict=True):
        if isinstance(found, str):
            unread[arm.parse(zone).subscription, "dnszones"] = found
        else:
            records[zone] = found
    return Landscape(resources, records, unread)


def _listed(asked: tuple[str, KindName]) -> list[Object] | str:
    """Or why it could not be read."""
    from tasks.connectors.arm import ArmError, session

    try:
        return [*session().listed(*arm.list_of(*asked))]
    except ArmError as error:
        return str(error)


def _records(zone: str) -> list[Object] | str:
    from tasks.connectors.arm import ArmError, session

    try:
        return [*session().listed(f"{zone}/recordsets", RECORD_SETS.api_version)]
    except ArmError as error:
        return f"record sets of {arm.parse(zone).name}: {error}"


def _lies_in(name: str, zone: str) -> bool:
    """Whether a host name belongs to the zone with this id."""
    return f".{name.rstrip('.').lower()}".endswith(f".{arm.parse(zone).name.lower()}")

"""The routes of a Gateway as its proxies run them, asked at their admin port. Reads only."""

from __future__ import annotations

from pyinfra.api.exceptions import OperationError

from tasks.connectors.api import ApiError
from tasks.diagnosis import config
from tasks.facts.kube import KubeObjects
from tasks.fleet.guard import fact, session
from tasks.fleet.inventory import Cluster
from tasks.operations import admin
from tasks.plans import proxies
from tasks.plans.dynamic_routing import InForce

FILE = "config_dump.json"


def of(data: Cluster, gateway: str) -> list[InForce]:
    """
    Of the first ready proxy of a Gateway such as "edge/public"; [] where none is ready or it cannot
    be read yet. Two requests. Raises OperationError where it may not be read.
    """
    place = {"namespace": data.proxy_namespace, "labels": proxies.LABELS}
    owner = data.gateway_class if data.merge_gateways else gateway
    for pod in fact(KubeObjects, api_version="v1", kind="Pod", **place):
        meta = pod["metadata"]
        if proxies.owner(pod) != owner or meta.get("deletionTimestamp") or not _ready(pod):
            continue
        try:
            found = dict(admin.read(session(), meta["namespace"], meta["name"], [FILE]))
        except ApiError as error:
            if error.status == 403:
                raise OperationError(
                    "no right to pods/portforward, by which proxies are asked what they call the "
                    "resolver: give it to this identity, docs/dynamic_routing.md"
                ) from error
            continue
        dump = found.get(FILE)
        if isinstance(dump, bytes):
            return _routes(config.read(dump))
    return []


def _routes(running: config.Configuration) -> list[InForce]:
    found = []
    for it in running.routes:
        objects = frozenset(
            (str(one.get("kind")), str(one.get("namespace")), str(one.get("name")))
            for one in it.resources
        )
        # one that is still to come answers nothing
        known = tuple(name for name in it.clusters if _active(running, name))
        found.append(InForce(objects, known))
    return found


def _active(running: config.Configuration, name: str) -> bool:
    return name in running.clusters and running.clusters[name].state == "active"


def _ready(pod: config.Object) -> bool:
    said = {it["type"]: it["status"] for it in pod.get("status", {}).get("conditions") or ()}
    return said.get("Ready") == "True"

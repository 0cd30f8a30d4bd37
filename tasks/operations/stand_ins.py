"""An echo server behind every Service of an archive for which nothing answers here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks.connectors.api import Api, ApiError
from tasks.facts.kube import KubeObjects, apply_command
from tasks.fleet.guard import Steps, fact, session
from tasks.fleet.render import render
from tasks.operations.kube import apply_steps, wait_until
from tasks.plans import kinds, stand_ins
from tasks.plans.stand_ins import Service

NAMESPACE = "envoyfleet-drill"
DISCOVERY = "discovery.k8s.io/v1"
AT_ONCE = 8


def lacking(objects: Iterable[Mapping[str, Any]]) -> list[Service]:
    """The Services that routes of ``objects`` send to, and that have no ready endpoint here."""
    slices = fact(KubeObjects, api_version=DISCOVERY, kind="EndpointSlice")
    return stand_ins.without_pods(stand_ins.services(objects), slices)


def put(services: Sequence[Service], image: str, timeout: float) -> Steps:
    """The steps that put one echo server behind all of these Services, and wait until it runs."""
    yield from apply_steps(
        render("drill/stand-in.yaml.j2", host.name, namespace=NAMESPACE, image=image)
    )
    if not state.is_executing:
        return
    addresses: list[str] = []

    def missing() -> list[str]:
        pods = fact(KubeObjects, api_version="v1", kind="Pod", namespace=NAMESPACE)
        addresses[:] = [it["status"]["podIP"] for it in pods if _is_ready(it)]
        return [] if addresses else [f"Pod {NAMESPACE}/stand-in with {image} is not ready yet"]

    wait_until(missing, timeout)
    wanted = set(services)
    slices = [
        manifest
        for service in fact(KubeObjects, api_version="v1", kind="Service")
        if Service(service["metadata"]["namespace"], service["metadata"]["name"]) in wanted
        for manifest in _slice(service, addresses[0])
    ]
    from gevent.pool import Pool

    refused = [it for it in Pool(AT_ONCE).map(partial(_apply, session()), slices) if it]
    if refused:
        raise OperationError(refused[0])


def _slice(service: Mapping[str, Any], address: str) -> list[dict[str, Any]]:
    meta = service["metadata"]
    return render(
        "drill/endpointslice.yaml.j2",
        host.name,
        part=f"{meta['namespace']}-{meta['name']}",
        service=service,
        address=address,
        ports=[{"name": it.name, "number": it.number} for it in stand_ins.ports(service)],
    )


def _apply(api: Api, manifest: dict[str, Any]) -> str | None:
    """Why the API server refused it, or None."""
    try:
        api.text(apply_command(manifest, force=True).call)
    except ApiError as error:
        return f"{kinds.title(manifest)}: refused by the API server: {error}"
    return None


def _is_ready(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    conditions = {it["type"]: it["status"] for it in status.get("conditions") or ()}
    leaving = "deletionTimestamp" in pod["metadata"]
    return conditions.get("Ready") == "True" and bool(status.get("podIP")) and not leaving

"""
The certificates between the controller and its proxies, from one authority to the next while every
proxy keeps its configuration stream.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks import change, gateways
from tasks.connectors.api import ApiError
from tasks.connectors.command import KubeCommand
from tasks.facts.kube import KubeObject, KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.operations import authority, xds
from tasks.operations.kube import show, wait_until
from tasks.plans import control_plane as plan
from tasks.plans import kinds, proxies
from tasks.plans.control_plane import CONTROLLER, PROXY, Decision, Part, Stage, Unit
from tasks.plans.rings import seconds

Object = Mapping[str, Any]
CONTROLLERS = "control-plane=envoy-gateway,app.kubernetes.io/name=gateway-helm"
ADMISSION, WEBHOOKS = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
#: Pods that are asked at the same time.
AT_A_TIME = 8


@dataclass(frozen=True)
class Way:
    """From what this run found to what it leaves."""

    before: Unit
    after: Unit

    @property
    def back(self) -> Way:
        return Way(self.after, self.before)


#: By cluster, from the first write on.
_ways: dict[str, Way] = {}


def rotate() -> None:
    """Deploy code: a new authority and its three certificates, where they are due."""
    data = fleet_run.cluster()
    with attempt("Control plane") as it:
        fit(name="Preflight", data=data)
        gateways.watched(name="Watch traffic", data=data)
        begun(name="Lease", data=data)
        reached(name="Both authorities", data=data, number=1)
        reached(name="New certificates", data=data, number=2)
        reached(name="New authority alone", data=data, number=3)
    with it.rescue():
        restored(name="Back to the certificates before", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


@fleet_operation()
def fit(data: Cluster) -> Steps:
    """Say what is due; stop where it must not be done, or could not be proven. Reads only."""
    yield from ()
    found, decided = _read(data)
    if decided.act == "nothing":
        host.noop(decided.why)
        fleet_run.note(host, "control plane", decided.why)
        return
    problem = change.held_by_another(data) or _hindrance(data)
    if problem:
        raise DeployError(problem)
    show(f"Will {_TITLES[decided.act]}: {decided.why}", plan.lines(found))


_TITLES = {
    "rotate": "make a new authority and certificates for the control plane",
    "finish": "take the old authority away from the control plane",
}


@fleet_operation()
def begun(data: Cluster) -> Steps:
    """Where something is due: the Lease, then what is to be written, in memory alone."""
    yield from ()
    if not state.is_executing or _read(data)[1].act == "nothing":
        return
    change.begin(data, release=False)
    found, decided = _read(data)
    if decided.act == "nothing":
        return
    after = (
        plan.finished(found)
        if decided.act == "finish"
        else authority.renewed(found, fleet_run.now())
    )
    _ways[host.name] = Way(found, after)
    fleet_run.journal(
        "control plane",
        cluster=host.name,
        why=decided.why,
        was=_serials(found),
        becomes=_serials(after),
    )


@fleet_operation()
def reached(data: Cluster, number: int) -> Steps:
    """
    One of the stages: written, then waited for until every controller Pod serves and takes what
    belongs to it, and every proxy has loaded it with its stream unbroken.
    """
    way = _ways.get(host.name)
    if way is None or not state.is_executing:
        return
    stage = plan.stages(way.before, way.after)[number - 1]
    yield from _written(data, stage)
    wait_until(partial(_missing, data, stage, way), data.timeout)
    fleet_run.journal("control plane stage", cluster=host.name, stage=number, name=stage.name)
    if number == 3:
        _note(data, way)


@fleet_operation()
def restored(data: Cluster) -> Steps:
    """All three as they were, by the same stages, and proven in the same way."""
    way = _ways.get(host.name)
    if way is None or not state.is_executing:
        return
    now, _ = _read(data)
    for stage in plan.stages(now, way.before):
        yield from _written(data, stage)
        wait_until(partial(_missing, data, stage, way.back), data.timeout)
        fleet_run.journal("control plane back", cluster=host.name, stage=stage.number)
    serial = plan.authority_serial(way.before)
    fleet_run.current().rolled_back[host.name] = f"to authority {serial}, every proxy connected"


def _read(data: Cluster) -> tuple[dict[str, Part], Decision]:
    """Three requests. Raises DeployError where a Secret is missing or unreadable."""
    secrets = _secrets(data)
    try:
        found = plan.unit(secrets, data.namespace)
        before = timedelta(seconds=seconds(data.renew_before))
        return found, plan.decision(found, fleet_run.now(), before, data.renew_now)
    except plan.Unreadable as error:
        raise DeployError(str(error)) from error


def _secrets(data: Cluster) -> list[dict[str, Any]]:
    found = (
        fact(
            KubeObject,
            api_version="v1",
            kind="Secret",
            resource=name,
            namespace=data.namespace,
        )
        for name in plan.NAMES
    )
    return [it for it in found if it is not None]


def _hindrance(data: Cluster) -> str | None:
    """Why these three must not be rotated here, or None. Asks every proxy."""
    if data.deploy_type == "GatewayNamespace":
        return (
            "deploy_type GatewayNamespace: proxies there read the authority from a ConfigMap that "
            "the controller writes once, which cannot overlap: see docs/rotate_control_plane.md"
        )
    keeper = plan.kept_by(_secrets(data))
    if keeper:
        return (
            f"Secrets {', '.join(plan.NAMES)} in {data.namespace} are kept by {keeper}: renew "
            "them there"
        )
    for pod in _pods(data, proxies.LABELS):
        try:
            seen = xds.loaded(session(), data.namespace, pod, plan.READ_ONCE)
        except (ApiError, OSError, http.client.HTTPException) as error:
            return f"Pod {data.namespace}/{pod}: {_why(error)}: a rotation could not be proven"
        for it in sorted(seen.clusters):
            return (
                f"Pod {data.namespace}/{pod} uses {plan.READ_ONCE[it]}, for which it reads the "
                "authority once: see docs/rotate_control_plane.md"
            )
    return None


def _written(data: Cluster, stage: Stage) -> Iterator[KubeCommand]:
    """What differs from a stage: the three Secrets, and whom the API server trusts as webhook."""
    note = None
    if stage.number < 3:
        note = f"stage {stage.number} of 3, {stage.name}, run {fleet_run.current().id}"
    held = {it["metadata"]["name"]: it for it in _secrets(data)}
    now = plan.unit(held.values(), data.namespace)
    for name, part in stage.unit.items():
        marks = held[name]["metadata"].get("annotations") or {}
        if now[name] == part and marks.get(plan.ROTATION) == note:
            continue
        yield KubeCommand(
            "PATCH",
            kinds.path("v1", "Secret", data.namespace, name),
            body=plan.patch(part, held[name]["metadata"]["resourceVersion"], note),
            content_type="application/merge-patch+json",
        )
    webhook = _webhook(data)
    patch = plan.webhook_patch(webhook, stage.unit[CONTROLLER].bundle) if webhook else None
    if patch:
        yield KubeCommand(
            "PATCH",
            kinds.path(ADMISSION, WEBHOOKS, None, plan.webhook_name(data.namespace)),
            body=patch,
            content_type="application/json-patch+json",
        )


def _webhook(data: Cluster) -> dict[str, Any] | None:
    return fact(
        KubeObject,
        api_version=ADMISSION,
        kind=WEBHOOKS,
        resource=plan.webhook_name(data.namespace),
    )


def _missing(data: Cluster, stage: Stage, way: Way) -> list[str]:
    """What a stage still lacks, a line each: at every controller Pod and every proxy."""
    from gevent.pool import Pool

    api, namespace, webhook = session(), data.namespace, _webhook(data) is not None
    allowed = plan.let_in(stage, way.before, way.after, fleet_run.now())
    asks: list[tuple[str, Callable[[], list[str]]]] = [
        (pod, partial(_of_controller, api, namespace, pod, stage, allowed, webhook))
        for pod in _pods(data, CONTROLLERS)
    ]
    if not asks:
        return [f"no controller Pod runs in {namespace}"]
    asks += [
        (pod, partial(_of_proxy, api, namespace, pod, stage)) for pod in _pods(data, proxies.LABELS)
    ]
    found: list[str] = []

    def ask(one: tuple[str, Callable[[], list[str]]]) -> None:
        pod, look = one
        try:
            found.extend(f"Pod {namespace}/{pod} {line}" for line in look())
        except (ApiError, OSError, http.client.HTTPException) as error:
            found.append(f"Pod {namespace}/{pod}: {_why(error)}")

    Pool(AT_A_TIME).map(ask, asks)
    return sorted(found)


def _of_controller(
    api: Any,
    namespace: str,
    pod: str,
    stage: Stage,
    allowed: Sequence[tuple[Part, bool]],
    webhook: bool,
) -> list[str]:
    wanted = stage.unit[CONTROLLER].leaf
    lines = []
    for part, may in allowed:
        try:
            seen = xds.served(api, namespace, pod, xds.STREAM, part)
        except xds.Refused as error:
            if may:
                lines.append(f"does not let certificate {part.leaf.serial} in: {error}")
            continue
        if not may:
            lines.append(f"still lets certificate {part.leaf.serial} in")
        elif seen != wanted.fingerprint:
            lines.append(f"does not serve certificate {wanted.serial} yet")
    if webhook and xds.served(api, namespace, pod, xds.WEBHOOK) != wanted.fingerprint:
        lines.append(f"does not serve certificate {wanted.serial} to its webhook yet")
    return lines


def _of_proxy(api: Any, namespace: str, pod: str, stage: Stage) -> list[str]:
    part = stage.unit[PROXY]
    leaf, first = part.leaf, part.trusted[0]
    seen = xds.loaded(api, namespace, pod)
    lines = []
    if (int(first.serial, 16), int(leaf.serial, 16)) not in seen.pairs:
        lines.append(f"has not loaded certificate {leaf.serial} with authority {first.serial} yet")
    if not seen.connected:
        lines.append("has no configuration stream")
    return lines


def _pods(data: Cluster, labels: str) -> list[str]:
    """Names of those that run and are to stay. One request."""
    listed = fact(
        KubeObjects, api_version="v1", kind="Pod", namespace=data.namespace, labels=labels
    )
    return [
        it["metadata"]["name"]
        for it in listed
        if not it["metadata"].get("deletionTimestamp")
        and (it.get("status") or {}).get("phase") == "Running"
    ]


def _why(error: Exception) -> str:
    if isinstance(error, ApiError) and error.status == 403:
        return "no right to pods/portforward"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _serials(found: Unit) -> dict[str, str]:
    """{"authority": "31a9afce", "envoy": "304f345", ...}."""
    leaves = {name: it.leaf.serial for name, it in found.items()}
    return {"authority": plan.authority_serial(found), **leaves}


def _note(data: Cluster, way: Way) -> None:
    old, new = plan.authority_serial(way.before), plan.authority_serial(way.after)
    ends = min(it.leaf.not_after for it in way.after.values())
    text = f"authority {new}" if old == new else f"authority {old} → {new}"
    fleet_run.note(host, "control plane", f"{text}, until {ends:%Y-%m-%d}")
    for labels, name in ((CONTROLLERS, CONTROLLER), (proxies.LABELS, PROXY)):
        was, is_ = way.before[name].leaf.serial, way.after[name].leaf.serial
        for pod in _pods(data, labels):
            place = f"Pod {data.namespace}/{pod}"
            fleet_run.note_answer(host, place, f"certificate {was} → {is_}")

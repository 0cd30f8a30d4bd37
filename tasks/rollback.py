"""
Back to the last good state of a cluster: the recorded revision of Helm, our objects as they were,
and requests that prove it. CRDs stay: they only go forward.
"""

from __future__ import annotations

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import change, envoy_gateway, gateways
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster, Images
from tasks.operations import helm
from tasks.operations.kube import apply_steps, deleted_steps, narrated, show, wait_until
from tasks.plans import helm as releases
from tasks.plans import lease
from tasks.plans.lease import LastGood


def on_demand() -> None:
    """Deploy code: this cluster back to its last good state, or to ``rollback_to``."""
    data = fleet_run.cluster()
    with attempt("Roll back") as it:
        fit(name="Preflight", data=data)
        gateways.watched(name="Watch traffic", data=data)
        steps(data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def steps(data: Cluster) -> None:
    """Deploy code: the operations of a way back; nothing of them acts where nothing was begun."""
    controller(name="Controller", data=data)
    objects(name="Gateways", data=data)
    proven(name="Traffic", data=data)


@fleet_operation()
def fit(data: Cluster) -> Steps:
    """Say where the way back leads; stop where none is known, or another run is at work."""
    yield from ()
    problem = change.held_by_another(data)
    if problem:
        raise DeployError(problem)
    good = target(data)
    if good is None:
        raise DeployError(_unknown(data))
    now = envoy_gateway.newest_release(data)
    if now and _is_there(data, now, good):
        change_ = f"{good.version} (revision {good.revision}) is there already"
    else:
        change_ = f"{now.version if now else 'nothing'} → {good.version} (revision {good.revision})"
    fleet_run.note(host, "Envoy Gateway", change_)


@fleet_operation()
def controller(data: Cluster) -> Steps:
    """
    The recorded revision, with its own chart and values; then wait until that controller leads.
    """
    good = target(data)
    if good is None:
        return
    release = envoy_gateway.newest_release(data)
    old = at(data, good)
    if release is not None and _is_there(data, release, good):
        host.noop(f"{data.release} {good.version} is installed")
    else:
        change.begin(data, going_back=True)
        envoy_gateway.unstick(data)
        lines = helm.difference_to(good.revision, release) if release else []
        show(f"Will roll release {data.namespace}/{data.release} back to {good.revision}", lines)
        with narrated("helm rollback", lambda: envoy_gateway.pods_waiting(data)):
            yield from helm.rollback._inner(
                release=data.release,
                revision=good.revision,
                namespace=data.namespace,
                binary=data.helm,
                timeout=data.timeout,
            )
    if state.is_executing and change.begun():
        wait_until(lambda: envoy_gateway.controller_behind(old), data.timeout)


@fleet_operation()
def objects(data: Cluster) -> Steps:
    """Our objects as they were; those that the upgrade had made go."""
    if not change.begun():
        return
    before = change.objects_before(data)
    if before is None:
        host.noop("our objects were not changed since")
        return
    yield from apply_steps(before.applied)
    yield from deleted_steps(before.absent)


@fleet_operation()
def proven(data: Cluster) -> Steps:
    """The same proof as after an upgrade, for the version that is back."""
    good = target(data)
    if good is None or not state.is_executing:
        return
    old = at(data, good)
    yield from gateways.repaired._inner(data=old)
    yield from gateways.serving._inner(data=old)
    if change.begun():
        fleet_run.current().rolled_back[host.name] = (
            f"to {good.version} (revision {good.revision}), serving"
        )
    fleet_run.note(host, "CRDs", f"stay as they are: Envoy Gateway {good.version} works with them")


def target(data: Cluster) -> LastGood | None:
    """
    Where the way back leads: the revision that the inventory names, or the last good state that
    this run or the Lease knows. None where nothing is known.
    """
    if data.rollback_to is not None:
        return _of_revision(data, data.rollback_to)
    if change.begun():
        return change.last_good()
    return lease.last_good(change.read_lease(data))


def at(data: Cluster, good: LastGood) -> Cluster:
    """
    The inventory of this cluster as it is at another revision: with the version and the images of
    that one, which the inventory may not name any more.
    """
    images = _revision(data, good.revision).images
    return data.model_copy(
        update={
            "envoy_gateway_version": good.version,
            "images": Images(
                envoy_gateway=images.get("envoyGateway"),
                envoy=images.get("envoyProxy"),
                ratelimit=images.get("ratelimit"),
            ),
            "image_registry": images.get("registry"),
        }
    )


#: By cluster and revision. A revision that Helm finished does not change but for its status.
_kept: dict[tuple[str, int], releases.Release] = {}


def _revision(data: Cluster, revision: int) -> releases.Release:
    if (host.name, revision) not in _kept:
        record = f"sh.helm.release.v1.{data.release}.v{revision}"
        found = fact(HelmRelease, record=record, namespace=data.namespace)
        if found is None:
            raise OperationError(
                f"revision {revision} of Helm release {data.namespace}/{data.release} is gone "
                f"({_revisions(data)}): install what was there with deploys/install.py"
            )
        _kept[host.name, revision] = found
    return _kept[host.name, revision]


def _of_revision(data: Cluster, revision: int) -> LastGood:
    return LastGood(revision, _revision(data, revision).version, None, fleet_run.current().id)


def _is_there(data: Cluster, now: releases.Release, good: LastGood) -> bool:
    """Whether the newest revision is the good one, or a copy of it that Helm's rollback made."""
    if now.revision == good.revision:
        return now.status == "deployed"
    record = _revision(data, good.revision)
    return now.holds(record.chart_version, record.content, record.values)


def _unknown(data: Cluster) -> str:
    return (
        f"no last good state of {data.namespace}/{data.release} is known: name a revision with "
        f"--data rollback_to=N ({_revisions(data)})"
    )


def _revisions(data: Cluster) -> str:
    """Such as "revisions: 1 superseded, 2 deployed"."""
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    labels = sorted((it["metadata"]["labels"] for it in records), key=lambda it: int(it["version"]))
    listed = ", ".join(f"{it['version']} {it.get('status')}" for it in labels)
    return f"revisions: {listed or 'none'}"

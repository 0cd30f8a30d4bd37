"""
Back to the last good state of a cluster: the recorded revision of Helm, our objects as they were,
and requests that prove it. CRDs stay: they only go forward.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import change, gateways
from tasks import controller as controllers
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster, Images
from tasks.operations import helm
from tasks.operations.kube import apply_steps, deleted_steps, narrated, show, wait_until
from tasks.plans import helm as releases
from tasks.plans import lease
from tasks.plans.lease import LastGood


@dataclass(frozen=True)
class Target:
    """+ interrupted: the cluster was left half way, so something may be to do in any case"""

    good: LastGood
    interrupted: bool = False


#: By cluster: where a way back that was asked for leads, as it was before that began.
_targets: dict[str, Target | None] = {}


def steps(data: Cluster, asked: bool) -> None:
    """
    Deploy code: the operations of a way back.

    + asked: by the operator. Else it is the answer to a change that failed, and nothing is done
      where that change had not begun.
    """
    controller(name="Controller", data=data, asked=asked)
    objects(name="Gateways", data=data, asked=asked)
    proven(name="Traffic", data=data, asked=asked)


@fleet_operation()
def fit(data: Cluster) -> Steps:
    """Say where the way back leads; stop where none is known, or another run is at work."""
    yield from ()
    problem = change.held_by_another(data)
    if problem:
        raise DeployError(problem)
    found = target(data, asked=True)
    if found is None:
        raise DeployError(_unknown(data))
    good = found.good
    now = controllers.readable_release(data, anew=True)
    if now and _is_there(data, now, good):
        change_ = f"{good.version} (revision {good.revision}) is there already"
    elif now and now.version == good.version:
        change_ = f"to {good.version} (revision {good.revision}), which was not finished"
    else:
        change_ = f"{now.version if now else 'nothing'} → {good.version} (revision {good.revision})"
    fleet_run.note(host, "Envoy Gateway", change_)


@fleet_operation()
def controller(data: Cluster, asked: bool) -> Steps:
    """
    The recorded revision, with its own chart and values; then wait until that controller leads.
    """
    found = target(data, asked)
    if found is None:
        return
    good, release = found.good, controllers.readable_release(data, anew=True)
    old = at(data, good)
    if found.interrupted:
        change.begin(data, going_back=True)
        controllers.unstick(data)
    if release is not None and _is_there(data, release, good):
        host.noop(f"{data.release} {good.version} is installed")
    else:
        change.begin(data, going_back=True)
        controllers.unstick(data)
        lines = helm.difference_to(good.revision, release) if release else []
        show(f"Will roll release {data.namespace}/{data.release} back to {good.revision}", lines)
        with narrated("helm rollback", lambda: controllers.pods_waiting(data)):
            yield from helm.rollback._inner(
                release=data.release,
                revision=good.revision,
                namespace=data.namespace,
                binary=data.helm,
                timeout=data.timeout,
            )
    if state.is_executing and change.begun():
        change.note_values(_revision(data, good.revision).values)
        wait_until(lambda: controllers.behind(old), data.timeout)


@fleet_operation()
def objects(data: Cluster, asked: bool) -> Steps:
    """Our objects as they were; those that the upgrade had made go."""
    found = target(data, asked)
    if found is None or not change.begun():
        return
    before = change.objects_before(data, found.good)
    if before is None:
        host.noop("our objects were not changed since")
        return
    yield from gateways.with_numbers_held(apply_steps(before.applied), before.applied)
    yield from deleted_steps(before.absent)


@fleet_operation()
def proven(data: Cluster, asked: bool) -> Steps:
    """The same proof as after an upgrade, for the version that is back."""
    found = target(data, asked)
    if found is None or not state.is_executing:
        return
    good, old = found.good, at(data, found.good)
    yield from gateways.repaired._inner(data=old)
    yield from gateways.serving._inner(data=old)
    if not asked:
        fleet_run.current().rolled_back[host.name] = (
            f"to {good.version} (revision {good.revision}), serving"
        )
    fleet_run.note(host, "CRDs", f"stay as they are: Envoy Gateway {good.version} works with them")


def target(data: Cluster, asked: bool) -> Target | None:
    """
    Where the way back leads. After a change that failed: the state before it. Where it was asked
    for: the revision that the inventory names, or the state before the last change of the version,
    as the Lease knows it. None where there is none.
    """
    if not asked:
        good = change.last_good()
        return Target(good) if good else None
    if host.name not in _targets:
        lease_ = change.read_lease(data)
        interrupted = lease.state(lease_) in ("changing", "failed")
        good = lease.last_good(lease_)
        if not interrupted:
            good = lease.came_from(lease_) or good
        if data.rollback_to is not None:
            good = _of_revision(data, data.rollback_to)
        _targets[host.name] = Target(good, interrupted) if good else None
    return _targets[host.name]


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

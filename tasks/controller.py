"""
The controller of Envoy Gateway on one cluster: its Helm release, read from Helm's own records, and
the Deployment that leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra import host, state

from tasks import change
from tasks.connectors.command import Call
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.facts.kube import KubeObject, KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.charts import Chart
from tasks.fleet.guard import Steps, fact, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.operations import helm
from tasks.operations.kube import narrated, show, wait_until
from tasks.plans import conditions, health, images, kinds
from tasks.plans import helm as releases

#: The controller's leader election (Envoy Gateway 1.9 source,
#: internal/provider/kubernetes/kubernetes.go).
LEASE = "5b9825d2.gateway.envoyproxy.io"
DEPLOYMENT, RATE_LIMIT = "envoy-gateway", "envoy-ratelimit"
JSON = "application/json"

#: By cluster: the record that was read last, and what it says.
_read: dict[str, tuple[tuple[str, str], releases.Release | None]] = {}


def newest_release(data: Cluster) -> releases.Release | None:
    """
    The newest revision of the inventory's release, or None where it was never installed. One
    request, and one more (1 MB) where that revision was not read before in this run: a record
    changes under its resourceVersion alone.
    """
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    newest = releases.newest(records)
    if newest is None:
        return None
    name, stamp = newest["metadata"]["name"], newest["metadata"]["resourceVersion"]
    kept = _read.get(host.name)
    if kept is None or kept[0] != (name, stamp):
        release = fact(HelmRelease, record=name, namespace=data.namespace)
        kept = _read[host.name] = ((name, stamp), release)
    return kept[1]


def readable_release(data: Cluster, anew: bool) -> releases.Release | None:
    """
    ``newest_release``, or None where its record cannot be read.

    + anew: else what was read last counts, as long as this run leaves the cluster alone
    """
    if not anew and host.name in _read and not change.begun():
        return _read[host.name][1]
    try:
        return newest_release(data)
    except ValueError:
        return None


def version_that_runs(data: Cluster, release: releases.Release | None) -> str | None:
    """
    Such as "1.8.3": of the release where Helm finished it, else of the image of the controller,
    because a record that is lost, unreadable or of an attempt that was broken off is another's.
    """
    if release is not None and release.status == "deployed":
        return release.version
    return image_version(data) or (release.version if release else None)


def image_version(data: Cluster) -> str | None:
    """
    The version in the controller's image tag, such as "1.9.1", or None where there is no
    controller, or no tag. One request.
    """
    deployment = deployed(data)
    if deployment is None:
        return None
    image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return tag.lstrip("v") or None


def deployed(data: Cluster) -> dict[str, Any] | None:
    """The controller's Deployment, or None where there is none. One request."""
    return fact(
        KubeObject,
        api_version="apps/v1",
        kind="Deployment",
        resource=DEPLOYMENT,
        namespace=data.namespace,
    )


def of_somebody_else(data: Cluster) -> str | None:
    """
    A controller Deployment in our namespace that our release did not make would be fought over.
    """
    found = deployed(data)
    if found is None:
        return None
    labels = found["metadata"].get("labels") or {}
    other = labels.get("app.kubernetes.io/instance", "unknown")
    if other == data.release:  # its records are lost: Helm takes its objects up again
        return None
    return (
        f"Deployment {data.namespace}/{DEPLOYMENT} belongs to release {other}, not to "
        f"{data.release}: set release and namespace in the inventory to what is installed"
    )


@fleet_operation()
def installed(data: Cluster, chart: Chart, values: Mapping[str, Any]) -> Steps:
    """
    Bring the controller to ``chart`` and ``values`` with Helm, then wait until the wanted version
    not only runs but leads: the old leader keeps its Lease for 15 s, and proxies change only after
    that.
    """
    release = readable_release(data, anew=False)
    if release and release.holds(chart.version, chart.content, values):
        host.noop(f"{data.release} {chart.version} is installed")
    else:
        change.begin(data)
        unstick(data)
        done = "upgrade" if release else "install"
        lines = helm.difference(
            release.manifest if release else None,
            release=data.release,
            chart=chart,
            values=values,
            namespace=data.namespace,
            binary=data.helm,
        )
        show(f"Will {done} release {data.namespace}/{data.release} to {chart.version}", lines)
        with narrated(f"helm {done}", lambda: pods_waiting(data)):
            yield from helm.upgrade._inner(
                release=data.release,
                chart=chart,
                values=values,
                namespace=data.namespace,
                binary=data.helm,
                timeout=data.timeout,
            )
    if state.is_executing:
        # Also where nothing was to do: a helm that outlived its run may have done it.
        change.note_values(values)
        wait_until(lambda: behind(data), data.timeout)


def pods_waiting(data: Cluster) -> list[str]:
    listed = session().json("GET", kinds.path("v1", "Pod", data.namespace))
    return conditions.pods_waiting(listed["items"])


def behind(data: Cluster) -> list[str]:
    """
    What the controller still lacks: the wanted image everywhere, all Pods available, the Lease,
    held by one of them, and the rate limit service that it runs; where this run leaves the cluster
    alone, a Lease that is renewed will do.
    """
    deployment = deployed(data)
    if deployment is None:
        return [f"Deployment {data.namespace}/{DEPLOYMENT} does not exist"]
    lines = conditions.rolled_out(deployment, images.wanted(data).envoy_gateway, DEPLOYMENT)
    if lines:
        return lines
    lease = fact(
        KubeObject,
        api_version="coordination.k8s.io/v1",
        kind="Lease",
        resource=LEASE,
        namespace=data.namespace,
    )
    if not change.begun():
        name = f"{data.namespace}/{DEPLOYMENT}"
        lines = health.controller_problems(deployment, lease, name, fleet_run.now())
        return lines or _uncounted(data)
    pods = fact(
        KubeObjects,
        api_version="v1",
        kind="Pod",
        namespace=data.namespace,
        labels="control-plane=envoy-gateway,app.kubernetes.io/name=gateway-helm",
    )
    running = [it for it in pods if not it["metadata"].get("deletionTimestamp")]
    return conditions.leads(lease, running) or _uncounted(data)


def _uncounted(data: Cluster) -> list[str]:
    """Why proxies cannot count together, where they are to. One request there."""
    if data.rate_limit_redis is None:
        return []
    service = fact(
        KubeObject,
        api_version="apps/v1",
        kind="Deployment",
        resource=RATE_LIMIT,
        namespace=data.namespace,
    )
    name = f"{data.namespace}/{RATE_LIMIT}"
    return health.counting_problems(service, name, data.rate_limit_redis)


def unstick(data: Cluster) -> None:
    """
    Recover a release that a killed helm left behind, in the way in which helm itself leaves it on
    SIGTERM: its newest record is marked as failed, and the next helm goes on from there. A record
    that cannot be read is deleted; the backup has it. Called under the Lease.
    """
    if not state.is_executing:
        return
    alone = change.without_programs()
    secret = _newest_record(data)
    if secret is None:
        return
    try:
        release = releases.decode(secret)
        if not alone and releases.may_still_run(release, fleet_run.now(), data.timeout):
            wait_until(lambda: _may_still_run(data), data.timeout + 60)
            secret = _newest_record(data) or secret
            release = releases.decode(secret)
    except ValueError as error:
        _recover(data, secret, "DELETE", str(error))
        return
    why = releases.stuck(release)
    if why:
        _recover(data, secret, "PUT", why)


def _may_still_run(data: Cluster) -> list[str]:
    secret = _newest_record(data)
    if secret is None:
        return []
    why = releases.may_still_run(releases.decode(secret), fleet_run.now(), data.timeout)
    return [why] if why else []


def _newest_record(data: Cluster) -> dict[str, Any] | None:
    """The Secret of the newest revision, contents and all."""
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    newest = releases.newest(records)
    if newest is None:
        return None
    name = newest["metadata"]["name"]
    return fact(
        KubeObject, api_version="v1", kind="Secret", resource=name, namespace=data.namespace
    )


def _recover(data: Cluster, secret: Mapping[str, Any], method: str, why: str) -> None:
    name = secret["metadata"]["name"]
    body = releases.failed(secret) if method == "PUT" else None
    path = kinds.path("v1", "Secret", data.namespace, name)
    fleet_run.journal("release recovered", cluster=host.name, record=name, why=why)
    session().text(Call(method, path, {}, body, JSON, None, frozenset()))
    fleet_run.note(host, "recovered", why)
    host.log(f"recovered: {why}")

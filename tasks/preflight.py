"""
Whether each cluster may be changed at all: everything is looked at before the first write of a run.

Reads only. A cluster that the run leaves as it is costs four requests, one that it changes at most
thirty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import change, controller, desired, envoy_gateway, gateways, public_ips
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.facts.kube import KubeObject, KubeObjects, ServedVersions
from tasks.facts.tls import TlsSecrets
from tasks.fleet import refusals, rehearsed, rights
from tasks.fleet import run as fleet_run
from tasks.fleet.charts import Chart
from tasks.fleet.guard import (
    FactFailed,
    Steps,
    fact,
    fleet_operation,
    kubernetes_version,
    one_line,
)
from tasks.fleet.inventory import Cluster
from tasks.fleet.run import Verdict
from tasks.operations import wanted as reading
from tasks.plans import (
    behaviour,
    crds,
    disruption,
    expiry,
    hand_set,
    health,
    lease,
    memory,
    permissions,
    preflight,
    priorities,
    proof,
    schemas,
    way_back,
)
from tasks.plans import helm as releases
from tasks.plans.chains import Held
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS, title
from tasks.plans.preflight import Reason, warning
from tasks.plans.rehearsals import copies, outcome
from tasks.plans.rights import deploys
from tasks.plans.served import missing_served

Object = Mapping[str, Any]
CRD_API, CRD_KIND = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
WORKLOADS = "app.kubernetes.io/name in (envoy, gateway-helm)"
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Read before its CRD changes, but nothing in it that a schema could refuse.
UNCHECKED = ("ReferenceGrant",)


@dataclass(frozen=True)
class Installed:
    """
    + release: the newest revision, as far as it can be read
    + good: the newest one that Helm finished, which is what runs; None where there is none
    + said: what is wrong with the newest revision
    """

    release: releases.Release | None
    good: releases.Release | None
    said: Sequence[Reason] = ()


@dataclass(frozen=True)
class Seen:
    """
    One cluster, read.

    + crds: metadata alone; + changed: those of the chart that will be written, whole
    + served: versions by name of CRD; + objects: by kind
    + stored: CRDs whose storage version moves, whole; + lost: what could not be read and why
    """

    crds: list[dict[str, Any]]
    changed: Sequence[Object]
    served: Mapping[str, list[str]]
    objects: Mapping[str, list[dict[str, Any]]]
    deployments: list[dict[str, Any]]
    leader: dict[str, Any] | None
    stored: list[dict[str, Any]]
    secrets: list[Held]
    lost: Sequence[Reason] = field(default=())

    @property
    def used(self) -> dict[str, int]:
        """How many objects there are, by name of CRD."""
        return {
            f"{it.plural}.{group}": len(self.objects.get(kind, ()))
            for (group, kind), it in KINDS.items()
        }


def of_the_fleet(upgrading: bool = True) -> None:
    """
    Deploy code, before ``rings()``: look at every cluster, and stop those that must not be changed.
    """
    fleet_run.ready()
    wanted = envoy_gateway.wanted_of(host.name, fleet_run.cluster())
    look(name="Preflight", wanted=wanted, upgrading=upgrading)


@fleet_operation()
def look(wanted: envoy_gateway.Desired, upgrading: bool) -> Steps:
    """One verdict, for ``Run.verdicts``; stops are the cluster's failure. Changes nothing."""
    yield from ()
    run = fleet_run.current()
    try:
        verdict = judged(wanted, upgrading)
    except Exception as error:
        said = run.verdicts[host.name] = Verdict("not known", (one_line(error),))
        if not isinstance(error, FactFailed) or not error.forbidden:
            raise
        stops, _ = preflight.settled(_of_rights(wanted, []), ())
        verdict = Verdict(said.change, said.stops + stops)
    run.verdicts[host.name] = verdict
    fleet_run.note(host, "Envoy Gateway", verdict.change)
    if verdict.warnings:
        fleet_run.note(host, "warning", "; ".join(verdict.warnings))
    if verdict.stops:
        raise DeployError("; ".join(verdict.stops))


def judged(wanted: envoy_gateway.Desired, upgrading: bool) -> Verdict:
    """What preflight says of this cluster."""
    data, chart = wanted.data, wanted.chart
    if data.rehearsal_source:
        return Verdict(
            "nothing",
            (
                "upgrades of others are rehearsed here (rehearsal_source), and it is upgraded by "
                "no other run: leave it out with --limit",
            ),
        )
    now = _installed(data)
    found = change.read_lease(data)
    live = fact(KubeObjects, api_version=CRD_API, kind=CRD_KIND, metadata_only=True)
    held = change.refusal(found)
    reasons = [Reason(held)] if held else []
    interrupted = lease.state(found) == "changing"
    if interrupted:
        fleet_run.current().interrupted.add(host.name)
    version = _running(now, data)
    changed = preflight.written(chart.crds, live, chart.version)
    done = now.release and now.release.holds(chart.version, chart.content, wanted.values)
    if done and not interrupted and not changed:
        return Verdict(data.envoy_gateway_version, *preflight.settled(reasons, data.accept))
    reasons += _of_versions(data, version, upgrading)
    if not any(it.stops for it in reasons):
        reasons += _of_release(now, data, interrupted)
        seen = _seen(data, live, changed)
        reasons += _of_cluster(wanted, now, seen, interrupted, found)
    arrow = version in (None, data.envoy_gateway_version)
    named = data.envoy_gateway_version if arrow else f"{version} → {data.envoy_gateway_version}"
    return Verdict(named, *preflight.settled(reasons, data.accept))


def _installed(data: Cluster) -> Installed:
    """The release. Two requests, one more where its newest revision is not a finished one."""
    try:
        release = controller.newest_release(data)
    except ValueError as error:
        return Installed(None, _finished(data), [warning(f"{error}: this change deletes it")])
    if release is None or release.status in releases.FINISHED:
        return Installed(release, release)
    said = releases.stuck(release)
    why = said or (
        f"Helm release {release.namespace}/{release.name} revision {release.revision} is "
        f"{release.status}"
    )
    return Installed(release, _finished(data), [warning(f"{why}: this change goes on from there")])


def _running(now: Installed, data: Cluster) -> str | None:
    """The version that runs; where the newest record was lost, the image tells."""
    version = now.good.version if now.good else None
    if now.release is not None and now.release.status != "superseded":
        return version
    return controller.image_version(data) or version


def _finished(data: Cluster) -> releases.Release | None:
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    for name in releases.finished(records):
        try:
            return fact(HelmRelease, record=name, namespace=data.namespace)
        except ValueError:
            continue
    return None


def _of_release(now: Installed, data: Cluster, interrupted: bool) -> list[Reason]:
    """A release that somebody else's helm may still work on must wait; ours is gone on with."""
    busy = now.release and releases.may_still_run(now.release, fleet_run.now(), data.timeout)
    return [*now.said, *([Reason(busy, stops=not interrupted)] if busy else [])]


def _of_versions(data: Cluster, version: str | None, upgrading: bool) -> list[Reason]:
    wanted = data.envoy_gateway_version
    found = preflight.version_reasons(version, wanted, kubernetes_version(), upgrading)
    if data.proven_by is not None and version != wanted:
        run = fleet_run.current()
        problem = proof.problem(
            _report(data.proven_by.report),
            wanted,
            run.inventory,
            data.proven_by.days,
            fleet_run.now(),
        )
        if problem:
            found.append(
                Reason(
                    f"{data.proven_by.report} does not prove {wanted}: {problem}: upgrade the "
                    "inventory that goes first, and name its report in proven_by"
                )
            )
    return found


@cache
def _report(path: str) -> Mapping[str, Any] | None:
    """A report.json, read once a run."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _seen(data: Cluster, live: list[dict[str, Any]], changed: Sequence[Object]) -> Seen:
    """Everything else: one LIST a kind, and one GET for each CRD whose stored objects move."""
    served = fact(ServedVersions)
    objects = {kind: _listed(group, kind, served) for group, kind in _kinds()}
    moving = preflight.moving(changed, served)
    used = {it.plural + "." + group: kind for (group, kind), it in KINDS.items()}
    stored = [
        fact(KubeObject, api_version=CRD_API, kind=CRD_KIND, resource=name)
        for name in moving
        if objects.get(used.get(name, ""))
    ]
    secrets, lost = _certificates(data, objects["GatewayClass"], objects["Gateway"])
    return Seen(
        crds=live,
        changed=changed,
        served=served,
        objects=objects,
        deployments=fact(KubeObjects, api_version="apps/v1", kind="Deployment", labels=WORKLOADS),
        leader=fact(
            KubeObject,
            api_version=change.API,
            kind="Lease",
            resource=controller.LEASE,
            namespace=data.namespace,
        ),
        stored=[it for it in stored if it is not None],
        secrets=secrets,
        lost=lost,
    )


def _kinds() -> list[tuple[str, str]]:
    return [
        (group, kind)
        for group, kind in KINDS
        if group in (GATEWAY_API, ENVOY_GATEWAY) and kind not in UNCHECKED
    ]


def _listed(group: str, kind: str, served: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """All objects of a kind in the newest stable version that is served; no request where none."""
    versions = served.get(f"{KINDS[group, kind].plural}.{group}")
    if not versions:
        return []
    version = "v1" if "v1" in versions else max(versions)
    return fact(KubeObjects, api_version=f"{group}/{version}", kind=kind)


def _certificates(
    data: Cluster, classes: list[dict[str, Any]], every: list[dict[str, Any]]
) -> tuple[list[Held], list[Reason]]:
    """
    The TLS Secrets of our Gateways' namespaces, one request; keys never leave this process. An
    identity that may not read them costs the look at their ends and nothing else.
    """
    _, ours = gateways.of_our_controller(data, classes, every)
    places = {place for it in ours for place, _ in expiry.secrets_of(it)}
    if not places:
        return [], []
    try:
        return fact(TlsSecrets, namespace=places.pop() if len(places) == 1 else None), []
    except FactFailed as error:
        return [], [warning(f"the ends of certificates were not looked at: {error}")]


def _of_cluster(
    wanted: envoy_gateway.Desired,
    now: Installed,
    seen: Seen,
    interrupted: bool,
    found: Object | None,
) -> list[Reason]:
    data, chart = wanted.data, wanted.chart
    version = _running(now, data)
    changed = seen.changed
    after = preflight.served_after(seen.served, changed, seen.crds)
    moving = preflight.moving(changed, seen.served)
    classes, ours = gateways.of_our_controller(
        data, seen.objects["GatewayClass"], seen.objects["Gateway"]
    )
    gateways.remember_the_sick(data, ours)
    reasons = [
        *seen.lost,
        *_of_rights(wanted, [it for it in moving if seen.used.get(it)]),
        *preflight.installations(
            seen.deployments, data.release, data.namespace, now.release is not None
        ),
        *preflight.crd_reasons(
            changed, seen.crds, data.crd_managers, f"{chart.name} {chart.version}"
        ),
        *(preflight.bundle_reasons(seen.crds, chart.crds, version) if changed else ()),
        *preflight.stored_versions(seen.stored, changed),
        *preflight.unserved(chart.version, missing_served(chart.version, after), seen.used),
        *_of_schemas(chart, changed, seen.objects),
        *_of_addresses(data, seen),
        *disruption.unmeasured(reading.unmeasured(wanted.objects)),
        *_of_priorities(wanted),
    ]
    if version is None or now.good is None:
        return reasons
    if version != data.envoy_gateway_version:
        reasons += _of_rehearsal(data, version, seen)
        reasons += behaviour.met(version, chart.version, seen.objects, wanted.values)
        reasons += way_back.reasons(version, seen.served, after, seen.used)
    return [
        *reasons,
        *_of_values(wanted, now.good, found),
        *_of_health(data, seen, classes, ours, interrupted),
        *expiry.reasons(ours, expiry.ends_of(seen.secrets), fleet_run.now()),
    ]


def _of_rehearsal(data: Cluster, version: str, seen: Seen) -> list[Reason]:
    """What the newest rehearsal of this cluster says of this upgrade; none is no word."""
    try:
        found = rehearsed.newest(data.rehearsal.folder, host.name)
    except DeployError as error:
        return [warning(one_line(error))]
    wanted = data.envoy_gateway_version
    if found is None or (found.before, found.after) != (version, wanted):
        return []
    digests = copies.digests(it for them in seen.objects.values() for it in them)
    said = outcome.standing(found, digests, fleet_run.now(), data.rehearsal.days)
    fleet_run.note(host, "rehearsal", outcome.summary(found, said))
    return said


def _of_priorities(wanted: envoy_gateway.Desired) -> list[Reason]:
    of_controller = wanted.data.controller.priority_class
    missing = reading.missing_priorities(wanted.objects, of_controller)
    return priorities.reasons(wanted.objects, of_controller, missing)


def _of_rights(wanted: envoy_gateway.Desired, moving: Sequence[str]) -> list[Reason]:
    """+ moving: resources whose objects this change rewrites"""
    data = wanted.data
    at = rights.places(data, permissions.written_by(wanted.objects))
    needed, wished = deploys.before_writing(at, moving), deploys.to_ask_proxies(at)
    lacking = rights.denied([*needed, *wished], data.namespace)
    found = [
        Reason(f"this identity may not {it}: ask for a role that allows it")
        for it in permissions.grouped(it for it in lacking if it not in wished)
    ]
    found += [
        warning(f"this identity may not {it.text}: proxies are not probed one by one")
        for it in lacking
        if it in wished
    ]
    return found


def _of_schemas(
    chart: Chart, changed: Sequence[Object], objects: Mapping[str, Sequence[Object]]
) -> list[Reason]:
    """
    Objects that the new schemas refuse, or would cut, in the version that they will be stored in.
    """
    reasons = []
    for crd in changed:
        names, version = crd["spec"]["names"], crds.storage_version(crd)
        things = objects.get(names["kind"], ())
        if not things or crd["spec"]["group"] not in (GATEWAY_API, ENVOY_GATEWAY):
            continue
        schema = schemas.schema_of(crd, version) or {}
        wrong, cut = [], []
        for it in things:
            wrong += [f"{title(it)}: {line}" for line in refusals.of(chart, _name(crd), it)]
            cut += [f"{title(it)}: {path}" for path in schemas.pruned(schema, schemas.own(it))]
        reasons += schemas.reasons(names["plural"], chart.version, wrong, cut)
    return reasons


def _of_addresses(data: Cluster, seen: Seen) -> list[Reason]:
    """The chain behind public IPs, where the cluster is known to be one of AKS."""
    if not public_ips.known_to_be_of_azure():
        return []
    return public_ips.reasons(data, lambda _, kind: seen.objects.get(kind, []))


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _of_values(
    wanted: envoy_gateway.Desired, good: releases.Release, found: Object | None
) -> list[Reason]:
    ours = lease.applied_values(found) == memory.digest(good.values)
    rendered = [wanted.values, *_values_of(good.version, wanted.data)]
    lines = hand_set.differences(good.values, rendered, ours)
    return hand_set.reasons(f"{good.namespace}/{good.name}", lines)


def _values_of(version: str, data: Cluster) -> list[Mapping[str, Any]]:
    """
    What the inventory would render for the version that runs; nothing where its images are not
    known.
    """
    before = data.model_copy(update={"envoy_gateway_version": version})
    try:
        return [desired.values(host.name, before, part="before")]
    except ValueError:
        return []


def _of_health(
    data: Cluster,
    seen: Seen,
    classes: Iterable[Object],
    ours: Iterable[Object],
    interrupted: bool,
) -> list[Reason]:
    workload, proxies = health.split(seen.deployments, data.namespace, controller.DEPLOYMENT)
    own_gateways = {(it.namespace, it.name) for it in data.gateways}
    problems = health.controller_problems(
        workload,
        seen.leader,
        f"{data.namespace}/{controller.DEPLOYMENT}",
        fleet_run.now(),
    )
    return [
        *health.reasons(
            problems,
            classes,
            ours,
            [it for kind in ROUTES for it in seen.objects.get(kind, ())],
            proxies,
            own_gateways,
            {(it.kind, it.namespace, it.name) for it in data.routes},
            data.gateway_class,
            data.controller_name,
            interrupted,
        ),
        *disruption.reasons(
            proxies, seen.objects.get("EnvoyProxy", ()), own_gateways, data.gateway_class
        ),
    ]

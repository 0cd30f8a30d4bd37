"""
What was restored, proven: conditions that the controllers earned again, requests through every
listener and route, and the certificates that are served.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import OperationError

from tasks import gateways
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Cluster
from tasks.operations import objects, probe
from tasks.operations.kube import wait_until
from tasks.plans import conditions, images, moved_ips, probes, restore, stand_ins
from tasks.plans.kinds import GATEWAY_API, title
from tasks.plans.probes import Answer, Request
from tasks.plans.references import GROUPS, Reference, to
from tasks.plans.resources import Resource
from tasks.way_in import Archive, live

Object = Mapping[str, Any]
#: Seconds for which a condition that says no may stay before it is taken for the last word.
PATIENCE = 15.0
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True)
POLICIES = (
    "BackendTLSPolicy",
    "BackendTrafficPolicy",
    "ClientTrafficPolicy",
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "SecurityPolicy",
)


@dataclass(frozen=True)
class Proof:
    """
    One request that was sent in the end. + answer: None where there was none; + as_archived:
    whether the certificate that was served is the one of the archive, None without TLS or where
    the archive does not have it
    """

    request: Request
    answer: Answer | None
    as_archived: bool | None = None


@dataclass
class Traffic:
    """
    + unmet: conditions that say no, a line each; + unanswered: what does not serve, a line each
    + not_proven: by title, why; + without_pods: those of them that only lack an application
    """

    unmet: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    not_proven: dict[str, str] = field(default_factory=dict)
    without_pods: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Seen:
    """What of an archive is there now, and is of our controller."""

    classes: Sequence[Object]
    gateways: Sequence[Object]
    routes: Sequence[Object]
    policies: Sequence[Object]


def proven(data: Cluster, archive: Archive) -> Traffic:
    """
    Wait until what was restored works, as far as it ever will, and ask it. Raises OperationError
    where the controller does not answer for it, or a listener takes no connection.
    """
    found = Traffic()
    found.unmet, seen = settled(data, archive)
    if not data.probe.enabled:
        fleet_run.note(host, "traffic", "not probed: probe.enabled is false")
        return found
    selected = {title(it) for it in archive.objects}
    unprovable = stand_ins.not_provable(archive.all).items()
    found.not_proven = {name: why for name, why in unprovable if name in selected}
    _note_without_pods(found, seen)
    requests = [it for one in seen.gateways for it in probes.requests(one, seen.routes)]
    named = {f"HTTPRoute {it.route}": it for it in requests if it.route}
    served = _certificates(archive, seen)
    outcomes: dict[Request, Answer | str] = {}

    def unanswered() -> list[str]:
        outcomes.update(probe.send_all(requests))
        return _problems(outcomes, found.not_proven, served)

    try:
        wait_until(unanswered, data.probe.timeout)
    except OperationError:
        found.unanswered = unanswered()
    for it in seen.routes:
        if title(it) not in named and it["kind"] == "HTTPRoute":
            found.not_proven.setdefault(title(it), "no request of ours is sure to reach it")
    secrets = (it for it in archive.all if it["kind"] == "Secret")
    archived = {digest for it in secrets if (digest := restore.fingerprint(it))}
    found.proofs = [_proof(it, outcome, served, archived) for it, outcome in outcomes.items()]
    through = len({(it.gateway, it.listener) for it in requests})
    said = f"{len(requests)} requests answered through {through} listeners"
    fleet_run.note(host, "traffic", said if not found.unanswered else found.unanswered[0])
    for one in found.proofs:
        text = one.answer.text if one.answer else "no answer"
        fleet_run.note_answer(host, one.request.text, text)
    return found


def settled(data: Cluster, archive: Archive) -> tuple[list[str], Seen]:
    """
    What says no in the end, a line each, and what is there then. Raises OperationError where the
    controller does not answer for something.
    """
    seen = Seen((), (), (), ())

    def missing() -> list[str]:
        nonlocal seen
        seen = _seen(data, archive)
        return [*_missing(data, seen), *moved_ips.not_back(archive.addresses, seen.gateways)]

    return _last_word(missing, data.timeout), seen


def _seen(data: Cluster, archive: Archive) -> Seen:
    """What the archive has of the Gateway groups, as it is now."""
    wanted = {to(it) for it in archive.objects}
    mine = [it for it in archive.objects if it["apiVersion"].rpartition("/")[0] in GROUPS]
    there = [it for key, it in live(archive, mine).items() if key in wanted]
    classes, every = gateways.ours(data)
    keys = {it["metadata"]["name"] for it in classes}
    known = {(it["metadata"]["namespace"], it["metadata"]["name"]): it for it in every}
    routes = [it for it in there if it["kind"] in stand_ins.ROUTES and _of_ours(it, known)]
    named = {place for it in routes for place in _parents(it)}
    named |= {
        (it["metadata"]["namespace"], it["metadata"]["name"])
        for it in there
        if it["kind"] == "Gateway"
    }
    return Seen(
        [it for it in classes if it["metadata"]["name"] in keys],
        [it for place, it in known.items() if place in named],
        routes,
        [it for it in there if it["kind"] in POLICIES],
    )


def _parents(route: Object) -> list[tuple[str, str]]:
    """Namespace and name of the Gateways that a route names."""
    return [
        (it.get("namespace") or route["metadata"]["namespace"], it["name"])
        for it in route["spec"].get("parentRefs") or ()
        if it.get("kind", "Gateway") == "Gateway" and it.get("group", GATEWAY_API) == GATEWAY_API
    ]


def _of_ours(route: Object, known: Mapping[tuple[str, str], Object]) -> bool:
    """Whether our controller alone answers for a route."""
    parents = _parents(route)
    return bool(parents) and all(it in known for it in parents)


def _missing(data: Cluster, seen: Seen) -> list[str]:
    lines = [line for it in seen.classes for line in conditions.gateway_class(it)]
    lines += [line for it in seen.gateways for line in conditions.gateway(it)]
    for it in seen.routes:
        lines += conditions.route(it, data.controller_name)
    for it in seen.policies:
        lines += conditions.policy(it, data.controller_name)
    if seen.gateways:
        wanted = images.wanted(data)
        lines += gateways.proxies_behind(seen.gateways, seen.classes, data, wanted)
    return lines


def _last_word(missing: Callable[[], list[str]], timeout: float) -> list[str]:
    """
    What is left of ``missing`` in the end: nothing, or refusals that stayed for ``PATIENCE``
    seconds. Raises OperationError where the end of the time found anything else.
    """
    said: list[str] = []
    since = time.monotonic()

    def waited_for() -> list[str]:
        nonlocal said, since
        left = missing()
        if left != said:
            said, since = left, time.monotonic()
        final = all(restore.is_final(it) for it in left)
        return [] if final and time.monotonic() - since >= PATIENCE else left

    wait_until(waited_for, timeout)
    return said


def _note_without_pods(found: Traffic, seen: Seen) -> None:
    """Routes whose every Service has no ready Pod cannot answer: their application is not there."""
    wanted = stand_ins.services(seen.routes)
    places = [(SLICES, it) for it in sorted({it.namespace for it in wanted})]
    lacking = set(stand_ins.without_pods(wanted, objects.listed(places)))
    for it in seen.routes:
        behind = stand_ins.services([it])
        if behind and lacking.issuperset(behind) and title(it) not in found.not_proven:
            names = ", ".join(f"{one.namespace}/{one.name}" for one in behind[:3])
            found.not_proven[title(it)] = f"no Pod of Service {names} is ready"
            found.without_pods.add(title(it))


def _certificates(archive: Archive, seen: Seen) -> dict[tuple[str, str], set[str]]:
    """The fingerprints that each HTTPS listener may serve, by Gateway and listener."""
    secrets = [it for it in archive.all if it["kind"] == "Secret"]
    there = live(archive, secrets)
    found: dict[tuple[str, str], set[str]] = {}
    for gateway in seen.gateways:
        meta = gateway["metadata"]
        for listener in gateway["spec"].get("listeners") or ():
            for it in restore.certificates_of(gateway, listener):
                secret = there.get(Reference("", "Secret", *it))
                digest = restore.fingerprint(secret) if secret else None
                if digest:
                    key = f"{meta['namespace']}/{meta['name']}", listener["name"]
                    found.setdefault(key, set()).add(digest)
    return found


def _problems(
    outcomes: Mapping[Request, Answer | str],
    not_proven: Mapping[str, str],
    served: Mapping[tuple[str, str], set[str]],
) -> list[str]:
    """What does not serve as it should: of a route that cannot be proven, a listener suffices."""
    found = []
    for request, outcome in outcomes.items():
        name = f"HTTPRoute {request.route}"
        if isinstance(outcome, str):
            found.append(f"Gateway {request.gateway}: {request.text}: {outcome}")
            continue
        why = None if name in not_proven else probes.problem(request, outcome)
        if why:
            found.append(f"{name}: {why}")
        known = served.get((request.gateway, request.listener))
        if known and outcome.certificate and outcome.certificate not in known:
            found.append(
                f"Gateway {request.gateway}: {request.text}: serves certificate "
                f"{outcome.certificate[:8]}, which is in none of its Secrets"
            )
    return sorted(found)


def _proof(
    request: Request,
    outcome: Answer | str,
    served: Mapping[tuple[str, str], set[str]],
    archived: set[str],
) -> Proof:
    if isinstance(outcome, str):
        return Proof(request, None)
    known = served.get((request.gateway, request.listener))
    if outcome.certificate is None or not known:
        return Proof(request, outcome)
    return Proof(request, outcome, outcome.certificate in archived)

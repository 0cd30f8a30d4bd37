"""Steps about routes and what is behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.plans import conditions
from tasks.plans.kinds import title
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.gateway import drifted
from tasks.plans.runbooks.proxies import first
from tasks.plans.runbooks.source import Action, Object, Seen, Step, Verdict, fine, this, unknown

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def attached(seen: Seen) -> Verdict:
    """Whether each route is there, is taken by its Gateway, and finds what it names."""
    for name, manifest in seen.wanted.manifests.items():
        if manifest["kind"] in reading.ROUTES and _is_gone(seen, name, manifest):
            return this(f"{name} does not exist", action=actions.applied(manifest, None))
    verdicts = [
        it
        for route in reading.routes(seen)
        if not reading.is_proven(seen, route)
        if (it := _attached(seen, route)) is not None
    ]
    return first(verdicts, "") if verdicts else fine("every route that was looked at is attached")


def _is_gone(seen: Seen, name: str, manifest: Object) -> bool:
    kind, place = manifest["kind"], reading.place(manifest)
    mine = any(it in {reading.at(one) for one in seen.gateways} for it in reading.parents(manifest))
    mine = mine and reading.of_host(manifest, seen.host)
    return (
        mine and kind not in seen.unread | seen.unserved and reading.one(seen, kind, *place) is None
    )


def _attached(seen: Seen, route: Object) -> Verdict | None:
    lines = conditions.route(route, seen.wanted.controller_name)
    lines = [it for it in lines if "not taken up" not in it and "reported" not in it]
    action = drifted(seen, route)
    if lines:
        backend = "BackendNotFound" in lines[0] and action is None
        return None if backend else this(lines[0], action=action, cure=_cure(lines[0]))
    wrong = [it.problem for it in seen.asked if it.problem and it.route == _name(route)]
    if action is not None and wrong:
        what = f"{title(route)} is not as the inventory has it, and its requests fail"
        return this(what, *wrong[:3], action=action)
    return None


def _name(route: Object) -> str:
    return "/".join(reading.place(route))


def _cure(line: str) -> str:
    for word, cure in (
        ("NotAllowedByListeners", "allow its namespace in allowedRoutes of the listener"),
        ("NoMatchingListenerHostname", "give the route a hostname that a listener has"),
        ("NoMatchingParent", "correct sectionName or port of its parentRef"),
        ("RefNotPermitted", "a ReferenceGrant in the namespace of the backend"),
        ("BackendNotFound", "create the Service, or correct backendRefs"),
    ):
        if word in line:
            return cure
    return "correct the field that the condition names"


def backends(seen: Seen) -> Verdict:
    """Whether the Services behind the routes have endpoints that can answer."""
    verdicts = [
        _backend(seen, route, ref)
        for route in reading.routes(seen)
        if not reading.is_proven(seen, route)
        for ref in refs(route)
    ]
    if verdicts:
        return first(verdicts, "")
    proven = [it.text for it in seen.asked if it.problem is None and it.route]
    if proven:
        return fine("every route that was asked was answered by its backend", *proven[:3])
    return unknown("no route with a Service behind it was found")


def refs(route: Object) -> Iterator[Object]:
    """backendRefs to Services that get traffic."""
    for rule in route["spec"].get("rules") or ():
        for it in rule.get("backendRefs") or ():
            if it.get("kind", "Service") == "Service" and it.get("weight", 1) > 0:
                yield it


def _backend(seen: Seen, route: Object, ref: Object) -> Verdict:
    place = ref.get("namespace") or reading.place(route)[0], ref["name"]
    found = reading.one(seen, "Service", *place)
    named = f"Service {'/'.join(place)}"
    if found is None:
        return this(
            f"{named}, which {title(route)} sends to, does not exist",
            action=drifted(seen, route),
            cure="create it again, or correct backendRefs",
        )
    port = next(
        (it for it in found["spec"].get("ports") or () if it["port"] == ref.get("port")), None
    )
    if port is None:
        ports = ", ".join(str(it["port"]) for it in found["spec"].get("ports") or ())
        return this(
            f"{title(route)} sends to port {ref.get('port')} of {named}, which has: {ports}",
            action=drifted(seen, route),
            cure="correct port of the backendRef",
        )
    if found["spec"].get("type") == "ExternalName":
        return unknown(f"{named} is a name outside of the cluster")
    pods = _selected(seen, found)
    if _endpoints(seen, found) == 0:
        return _without_endpoints(seen, route, found, pods)
    return _target(seen, route, found, port, pods)


def _selected(seen: Seen, service: Object) -> list[Object]:
    selector = service["spec"].get("selector")
    if not selector:
        return []
    return [
        it
        for it in reading.every(seen, "Pod")
        if reading.place(it)[0] == reading.place(service)[0]
        and selector.items() <= (it["metadata"].get("labels") or {}).items()
        and not reading.leaving(it)
    ]


def _endpoints(seen: Seen, service: Object) -> int | None:
    """Endpoints of a Service that are ready, None where slices were not read."""
    if "EndpointSlice" in seen.unread:
        return None
    name = "kubernetes.io/service-name"
    return sum(
        (it.get("conditions") or {}).get("ready") is not False
        for slice_ in reading.every(seen, "EndpointSlice")
        if reading.place(slice_)[0] == reading.place(service)[0]
        and (slice_["metadata"].get("labels") or {}).get(name) == reading.place(service)[1]
        for it in slice_.get("endpoints") or ()
    )


def _without_endpoints(
    seen: Seen, route: Object, service: Object, pods: Sequence[Object]
) -> Verdict:
    what = f"{title(service)} behind {title(route)} has no ready endpoint"
    if pods:
        whys = tuple(reading.why_not_ready(it) for it in pods)
        mend = [it for it in pods if reading.mends_by_restart(it)]
        return this(
            what,
            *whys,
            action=actions.restarted(f"the Pods of {title(service)}", mend),
            cure="" if mend else "the application's own: its Pods do not become ready",
        )
    selector = service["spec"].get("selector") or {}
    evidence = f"{title(service)}: spec.selector: {dict(selector)} selects no Pod"
    owners = _owners(seen, service)
    empty = [it for it in owners if it["spec"].get("replicas", 1) == 0 and _fits(it, selector)]
    if empty:
        action = actions.scaled(empty[0], 1)
        return this(f"{what}: {title(empty[0])} is scaled to 0", evidence, action=action)
    if len(owners) == 1 and not _fits(owners[0], selector):
        return this(
            f"{what}: its selector fits no Pod, and {title(owners[0])} has other labels",
            evidence,
            f"{title(owners[0])}: labels of its Pods: {_labels(owners[0])}",
            action=_reselected(service, owners[0]),
        )
    return this(what, evidence, cure="correct spec.selector, or bring its Pods back")


def _labels(workload: Object) -> dict[str, str]:
    return dict(workload["spec"]["template"]["metadata"].get("labels") or {})


def _fits(workload: Object, selector: Any) -> bool:
    return bool(selector) and selector.items() <= _labels(workload).items()


def _owners(seen: Seen, service: Object) -> list[Object]:
    """Workloads that a Service is meant for: by selector, else the one of its name."""
    beside = [
        it
        for it in reading.every(seen, *WORKLOADS)
        if reading.place(it)[0] == reading.place(service)[0]
    ]
    selector = service["spec"].get("selector") or {}
    fitting = [it for it in beside if _fits(it, selector)]
    return fitting or [it for it in beside if reading.place(it) == reading.place(service)]


def _reselected(service: Object, workload: Object) -> Action:
    wanted = dict(workload["spec"]["selector"].get("matchLabels") or _labels(workload))
    old = dict.fromkeys(service["spec"].get("selector") or {})
    body = {"spec": {"selector": {**old, **wanted}}}
    return actions.patched(service, f"Let {title(service)} select {title(workload)}", body)


def _target(
    seen: Seen, route: Object, service: Object, port: Object, pods: Sequence[Object]
) -> Verdict:
    """Ready endpoints that nothing listens on: a targetPort that no container has."""
    wanted = port.get("targetPort", port["port"])
    numbers = sorted({it for pod in pods for it in _ports(pod, port)})
    good = not pods or not numbers or wanted in numbers or isinstance(wanted, str)
    wrong = [it.problem for it in seen.asked if it.problem and it.route == _name(route)]
    if good or not wrong:
        return fine(f"{title(service)} behind {title(route)} has ready endpoints")
    evidence = (
        f"{title(service)}: port {port['port']}: targetPort {wanted}",
        f"{title(pods[0])}: containerPorts {', '.join(map(str, numbers))}",
        *wrong[:2],
    )
    what = f"{title(service)} sends to port {wanted} of its Pods, which listen on another"
    action = _retargeted(service, port, numbers[0]) if len(numbers) == 1 else None
    return this(what, *evidence, action=action, cure="" if action else "correct targetPort")


def _ports(pod: Object, port: Object) -> list[int]:
    return [
        int(it["containerPort"])
        for container in pod["spec"].get("containers") or ()
        for it in container.get("ports") or ()
        if it.get("protocol", "TCP") == port.get("protocol", "TCP")
    ]


def _retargeted(service: Object, port: Object, number: int) -> Action:
    ports = [
        {**it, "targetPort": number} if it is port else dict(it) for it in service["spec"]["ports"]
    ]
    what = f"Let port {port['port']} of {title(service)} send to port {number}"
    return actions.patched(service, what, {"spec": {"ports": ports}})


ATTACHED = Step(
    "routes",
    "Are the routes there, attached and resolved?",
    attached,
    reading.ROUTES[:1],
    (
        "route_not_attached",
        "no_route_in_virtual_host",
        "no_virtual_host_match",
        "host_port_mismatch",
        "path_rewrite_mismatch",
        "redirect_loop",
        "invalid_backend_ref",
        "reference_not_permitted",
        "intended_direct_response",
        "misdirected_request_421",
        "h2_connection_reuse",
    ),
)
BACKENDS = Step(
    "backends",
    "Can the backends answer?",
    backends,
    ("Service", "Pod", "EndpointSlice"),
    (
        "service_without_endpoints",
        "no_ready_endpoints_direct_response",
        "zero_endpoints",
        "no_healthy_endpoints",
        "all_endpoints_ejected",
        "health_check_failing",
        "panic_routing",
        "upstream_connection_refused",
        "upstream_connect_timeout",
        "upstream_tls_failure",
        "cluster_not_found",
        "network_policy",
    ),
)

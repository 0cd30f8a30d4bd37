"""Gateways, their class and their routes: as the inventory has them, and proven by requests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError
from pyinfra.context import ctx_host

from tasks import change, desired
from tasks.connectors.command import KubeCommand
from tasks.facts.kube import KubeObject, KubeObjects, apply_command
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.operations import probe, prober, proxies
from tasks.operations.kube import POLL, apply_steps, wait_until
from tasks.plans import access_logs, asking, conditions, images, kinds, probes, replicas
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, title
from tasks.plans.probes import Answer, Request
from tasks.plans.references import to

Object = Mapping[str, Any]
#: By cluster: Gateways that did not serve before this run, and why.
_sick: dict[str, dict[tuple[str, str], str]] = {}
#: By cluster: what answered before this run changed anything, whatever the address.
_before: dict[str, dict[Request, Answer]] = {}
BASELINE = "answers before"
#: Seconds for which a proxy that leaves is waited for at most; long connections hold it longer.
LEAVING = 90.0
#: What Envoy Gateway makes of an EnvoyProxy: Deployments or DaemonSets.
PROXIES = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"


@fleet_operation()
def applied(manifests: Sequence[Object], data: Cluster) -> Steps:
    """
    Server-side apply of what ``objects`` rendered; a field that another manager owns stops the
    cluster.
    """
    keep_others_proxies(data)
    _find_collector(data)

    def before() -> None:
        change.begin(data)
        good = change.last_good()
        if good is not None:
            old = data.model_copy(update={"envoy_gateway_version": good.version})
            change.remember_objects(data, desired.objects(host.name, old), manifests)

    yield from with_numbers_held(apply_steps(manifests, before=before), manifests)


def with_numbers_held(steps: Steps, wanted: Sequence[Object]) -> Steps:
    """
    Before the first of these steps, keep the number of proxies that an autoscaler is going to have,
    until it has it; without a step nothing is read.
    """
    for number, step in enumerate(steps):
        if number == 0:
            yield from _numbers_held(wanted)
        yield step


def _numbers_held(wanted: Sequence[Object]) -> Steps:
    if all(replicas.autoscaler(it) is None for it in wanted):
        return
    decide: list[Object] = [*_listed(GATEWAY_API, "GatewayClass"), *_listed(GATEWAY_API, "Gateway")]
    decide += _listed(ENVOY_GATEWAY, "EnvoyProxy")
    decide += [it for it in wanted if "spec" in it]  # what a way back only names says nothing
    found = fact(KubeObjects, api_version="apps/v1", kind="Deployment", labels=PROXIES)
    for it in replicas.to_hold(found, {to(it): it for it in decide}.values()):
        yield apply_command(it, manager=replicas.MANAGER)


def _find_collector(data: Cluster) -> None:
    """Raises OperationError where logs are to go to a Service that is not there."""
    wanted = desired.logs(data)
    it = wanted.collector if wanted else None
    if it is None:
        return
    about = {"api_version": "v1", "kind": "Service"}
    found = fact(KubeObject, **about, resource=it.name, namespace=it.namespace)
    problem = access_logs.collector_problem(it, found)
    if problem:
        raise OperationError(problem)


def keep_others_proxies(data: Cluster) -> None:
    """
    Raises OperationError where a Gateway that is to get a public IP or its own proxies has settings
    of somebody else, which ours would replace.
    """
    asked = {(it.namespace, it.name): it for it in data.gateways if it.public_ip or it.proxy}
    if not asked or data.merge_gateways:
        return
    for gateway in _listed(GATEWAY_API, "Gateway"):
        ours, other = asked.get(_key(gateway)), asking.others_proxy(gateway)
        if ours is not None and other:
            notes = desired.address_notes(ours.public_ip)
            said = ", ".join(f"{key}: {value}" for key, value in notes.items())
            place = "into its provider.kubernetes.envoyService.annotations"
            do = f"put {said} {place}" if said else "say in it what proxy says"
            raise OperationError(
                f"{title(gateway)} has {other} of its own, which is kept: {do} and take "
                f"{'public_ip' if said else 'proxy'} out of the inventory, or take parametersRef "
                "off the Gateway"
            )


@fleet_operation()
def watched(data: Cluster) -> Steps:
    """
    Before the first write, ask every listener and every HTTPRoute of our Gateways, also those that
    the inventory does not know, what it answers; then go on asking while the cluster is changed,
    ``probe.rate`` times a second through each listener. ``judged`` ends it. Where nothing is
    written, nobody is asked.
    """
    yield from ()
    if state.is_executing and data.probe.enabled:
        fleet_run.current().at_first_write[host.name] = partial(_watch, data)


def _watch(data: Cluster) -> None:
    run = fleet_run.current()
    outcomes = probe.send_all(_requests(ours(data)[1], _listed(GATEWAY_API, "HTTPRoute")))
    good = {
        request: answer
        for request, answer in outcomes.items()
        if isinstance(answer, Answer) and not probes.problem(request, answer)
    }
    now = {probes.at(request): answer for request, answer in good.items()}
    fleet_run.journal(BASELINE, cluster=host.name, answers=probes.recorded(now))
    _before[host.name] = {**now, **probes.remembered(run.before, BASELINE, host.name)}
    if good and data.probe.rate:
        prober.start(host.name, list(good), data.probe.rate)
        run.watching[host.name] = partial(_note_traffic, ctx_host.get())


@fleet_operation()
def judged(data: Cluster) -> Steps:
    """
    End what ``watched`` began when the last proxy that leaves has gone, for that is the moment at
    which requests are lost, and say what it met. Lost requests do not fail the cluster: the last
    requests decide.
    """
    yield from ()
    run = fleet_run.current()
    if not state.is_executing or host.name not in run.watching:
        return
    until = time.monotonic() + LEAVING
    place = data.proxy_namespace
    while proxies.leaving(place) and time.monotonic() < until:
        time.sleep(POLL)
    run.watching.pop(host.name)(prober.TIMEOUT)


def _note_traffic(cluster: Any, timeout: float) -> None:
    run, seen = fleet_run.current(), prober.stop(cluster.name, timeout)
    if seen is not None:
        fleet_run.note(cluster, "traffic while changing", seen.text)
        run.traffic[cluster.name] = asdict(seen)


@fleet_operation()
def serving(data: Cluster, more: Sequence[Object] = ()) -> Steps:
    """
    Wait until every Gateway of our controller is Programmed for its newest generation, every proxy
    runs the wanted image with nothing older left, and every listener answers a real request; where
    this run changed the cluster, every listener of each proxy Pod too, and every route that
    answered before. Changes nothing.

    Helm reports success half a minute before the first proxy is replaced, with all conditions
    green.

    + more: objects whose ListenerSets and HTTPRoutes have to answer too
    """
    yield from ()
    if not state.is_executing:
        return
    mine = _own_routes(data, more)
    gateways, routes = _programmed(data, mine)
    sick, wanted = _sick.get(host.name, {}), images.wanted(data)
    if sick:
        fleet_run.note(host, "left as they were before", "; ".join(sick.values()))
    fleet_run.note(host, "Envoy", wanted.envoy.rpartition(":")[2])
    _note_addresses(gateways)
    if not data.probe.enabled:
        fleet_run.note(host, "traffic", "not probed: probe.enabled is false")
        return
    run, before = fleet_run.current(), _before.get(host.name, {})
    requests = _to_prove(mine, gateways, routes, more)
    outcomes: dict[Request, Answer | str] = {}

    def unanswered() -> list[str]:
        if outcomes:  # an address may be another one by now
            gateways[:] = _as_they_are(data, gateways)
            requests[:] = _to_prove(mine, gateways, routes, more)
            outcomes.clear()
        outcomes.update(probe.send_all(requests))
        return probes.problems(outcomes, before)

    wait_until(unanswered, data.probe.timeout)
    _note_addresses(gateways)
    through = len({(it.gateway, it.listener) for it in requests})
    said = f"{len(requests)} requests answered through {through} listeners"
    fleet_run.note(host, "traffic", said)
    for request, answer in sorted(outcomes.items(), key=lambda it: it[0].text):
        fleet_run.note_answer(host, request.text, getattr(answer, "text", ""))
    if _touched():
        _prove_each_proxy(data, gateways, requests)
    run.bakes[host.name] = lambda: probes.problems(probe.send_all(requests), before)


def _note_addresses(gateways: Iterable[Object]) -> None:
    found = [it["value"] for one in gateways for it in _addresses(one)]
    fleet_run.note(host, "addresses", ", ".join(dict.fromkeys(found)) or "none")


def _addresses(gateway: Object) -> Sequence[Object]:
    return gateway.get("status", {}).get("addresses") or ()


def _as_they_are(data: Cluster, gateways: Sequence[Object]) -> list[Any]:
    """The same Gateways, read again; one that has no address at the moment as it was."""
    now = {_key(it): it for it in ours(data)[1] if _addresses(it)}
    return [now.get(_key(it), it) for it in gateways]


def _own_routes(data: Cluster, more: Sequence[Object] = ()) -> set[tuple[str, str]]:
    """The HTTPRoutes of the inventory."""
    of_keys = {(it.namespace, it.name) for it in data.routes if it.kind == "HTTPRoute"}
    return of_keys | {_key(it) for it in more if it["kind"] == "HTTPRoute"}


def _to_prove(
    mine: set[tuple[str, str]],
    gateways: Sequence[Object],
    routes: Sequence[Object],
    more: Sequence[Object],
) -> list[Request]:
    """Every listener and every route of the inventory, and what answered before."""
    before = _before.get(host.name, {})
    sets = [probes.with_addresses(it, gateways) for it in more if it["kind"] == "ListenerSet"]
    gateways = [*gateways, *sets]
    found = _requests(gateways, (it for it in routes if _key(it) in mine))
    others = (it for it in _requests(gateways, routes) if it not in found)
    return [*found, *(it for it in others if probes.at(it) in before)]


def _programmed(
    data: Cluster, mine: set[tuple[str, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    Wait for conditions and proxies; then the Gateways that are to serve, and all HTTPRoutes of the
    cluster, which are read only where some have to answer.
    """
    wanted, sick = images.wanted(data), _sick.get(host.name, {})
    gateways: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []

    def missing() -> list[str]:
        classes, every = ours(data)
        gateways[:] = [it for it in every if _key(it) not in sick]
        routes[:] = _listed(GATEWAY_API, "HTTPRoute") if mine or host.name in _before else []
        lines = [line for it in classes for line in conditions.gateway_class(it)]
        lines += [line for it in gateways for line in conditions.gateway(it)]
        for route in routes:
            if _key(route) in mine:
                lines += conditions.route(route, data.controller_name)
        for gateway in gateways:
            named = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
            own = (it.listener for it in data.routes if it.gateway == named and it.listener)
            lines += conditions.unattached(gateway, own)
        return lines + proxies_behind(gateways, classes, data, wanted)

    wait_until(missing, data.timeout)
    return gateways, routes


def _requests(gateways: Iterable[Object], routes: Iterable[Object]) -> list[Request]:
    every = list(routes)
    return [it for gateway in gateways for it in probes.requests(gateway, every)]


def _touched() -> bool:
    """Whether every proxy has to prove itself: this run changed the cluster, or it goes back."""
    run = fleet_run.current()
    return host.name in run.changed or run.deploy == "rollback"


def _prove_each_proxy(
    data: Cluster, gateways: Sequence[Object], requests: Sequence[Request]
) -> None:
    asked, behind = proxies.Asked(), proxies.Behind(gateways, requests, data.proxy_namespace)

    def unproven() -> list[str]:
        nonlocal asked
        asked = proxies.look(behind)
        return [] if asked.denied else asked.problems + proxies.differing(asked, gateways)

    wait_until(unproven, data.probe.timeout)
    if asked.denied:
        fleet_run.note(host, "proxies", f"not probed one by one: {asked.denied}")
        return
    fleet_run.note(host, "proxies", asked.text)
    for (pod, request), answer in asked.answers.items():
        place = f"{pod.title}, {request.gateway}:{request.listener}"
        fleet_run.note_answer(host, place, f"{answer.text}, Envoy {pod.envoy}")


@fleet_operation()
def repaired(data: Cluster) -> Steps:
    """
    Restart, one by one, the proxies whose HTTPS listener completes no handshake although its Secret
    is good: controllers before 1.9 could leave proxies without their TLS Secrets after a restart
    (envoyproxy/gateway#9519). The next one goes when its predecessor's successor serves.
    """
    if not state.is_executing or not data.probe.enabled or not _touched():
        return
    gateways, routes = _programmed(data, _own_routes(data))
    behind = proxies.Behind(gateways, _requests(gateways, routes), data.proxy_namespace)
    broken = proxies.without_handshake(behind, fleet_run.now())
    if not broken:
        host.noop("every proxy completes handshakes")
    for pod in broken:
        change.begin(data, going_back=True)
        host.log(f"{pod.title} completes no handshake: restarts")
        there = behind.pods()
        path = kinds.path("v1", "Pod", pod.namespace, pod.name)
        yield KubeCommand("DELETE", path, ok=[404])
        wait_until(partial(proxies.unreplaced, there, behind), data.timeout)
    if broken:
        fleet_run.note(host, "proxies restarted", ", ".join(it.name for it in broken))


def remember_the_sick(data: Cluster, every: Sequence[Object] | None = None) -> None:
    """
    Gateways of others, not in the inventory, that do not serve before anything is changed: they are
    not waited for afterwards, and the report names them. The inventory's own must serve.

    + every: ``ours``, where it was read already
    """
    own = {(it.namespace, it.name) for it in data.gateways}
    _sick[host.name] = {
        _key(it): problems[0]
        for it in (ours(data)[1] if every is None else every)
        if _key(it) not in own and (problems := conditions.gateway(it))
    }


def _key(thing: Object) -> tuple[str, str]:
    return thing["metadata"]["namespace"], thing["metadata"]["name"]


def ours(data: Cluster) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    The GatewayClasses of our controller, and the Gateways of these classes; other controllers' are
    left alone.
    """
    return of_our_controller(
        data, _listed(GATEWAY_API, "GatewayClass"), _listed(GATEWAY_API, "Gateway")
    )


def of_our_controller(
    data: Cluster, every_class: Sequence[dict[str, Any]], every: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``ours``, out of all GatewayClasses and Gateways of a cluster."""
    classes = [it for it in every_class if it["spec"]["controllerName"] == data.controller_name]
    names = {it["metadata"]["name"] for it in classes}
    gateways = [
        it
        for it in every
        if it["spec"]["gatewayClassName"] in names
        and (not data.watch_namespaces or it["metadata"]["namespace"] in data.watch_namespaces)
    ]
    return classes, gateways


def proxies_behind(
    gateways: Sequence[Object], classes: Sequence[Object], data: Cluster, wanted: images.Images
) -> list[str]:
    """
    What the generated proxies still lack, found by labels: each Gateway's own (also in its own
    namespace, deploy type GatewayNamespace), or one of the class for merged Gateways (Envoy
    Gateway 1.9 source, infrastructure/kubernetes/proxy).
    """
    owned = {_key(it): it for it in gateways}
    names = {it["metadata"]["name"] for it in classes}
    lines: list[str] = []
    served: set[Any] = set()
    for kind in (
        "Deployment",
        "DaemonSet",
    ):  # the second only where the first leaves a Gateway without proxies
        if kind == "Deployment" or _unserved(owned, served):
            workloads = fact(KubeObjects, api_version="apps/v1", kind=kind, labels=PROXIES)
            lines += _behind(workloads, owned, names, served, data, wanted)
    lines += [f"{title(it)}: no proxies yet" for it in _unserved(owned, served)]
    return list(dict.fromkeys(lines))


def _unserved(owned: Mapping[tuple[str, str], Object], served: set[Any]) -> list[Object]:
    return [
        it
        for key, it in owned.items()
        if key not in served and it["spec"]["gatewayClassName"] not in served
    ]


def _behind(
    workloads: Sequence[Object],
    owned: Mapping[tuple[str, str], Object],
    names: set[str],
    served: set[Any],
    data: Cluster,
    wanted: images.Images,
) -> list[str]:
    """
    ``proxies_behind`` for some workloads; adds to ``served`` the Gateways and classes that they
    serve.
    """
    lines: list[str] = []
    for workload in workloads:
        label = workload["metadata"]["labels"].get
        key = (
            label("gateway.envoyproxy.io/owning-gateway-namespace"),
            label("gateway.envoyproxy.io/owning-gateway-name"),
        )
        merged = label("gateway.envoyproxy.io/owning-gatewayclass")
        if key not in owned and merged not in names:
            continue
        served.add(merged if merged in names else key)
        gateway_class = merged if merged in names else owned[key]["spec"]["gatewayClassName"]
        custom = key in owned and asking.others_proxy(owned[key])
        image = wanted.envoy if gateway_class == data.gateway_class and not custom else None
        lines += conditions.rolled_out(workload, image, "envoy")
        lines += conditions.rolled_out(workload, wanted.envoy_gateway, "shutdown-manager")
    return lines


def _listed(group: str, kind: str) -> list[dict[str, Any]]:
    version = "v1" if group == GATEWAY_API else "v1alpha1"
    return fact(KubeObjects, api_version=f"{group}/{version}", kind=kind)

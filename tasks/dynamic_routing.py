"""
Requests of one client to the one server that a resolver names: a route through which the proxies
know the resolver, a script that asks it by the name that the proxies have for it, and proof.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks import change, controller, gateways
from tasks.checks import dynamic_routing as checks
from tasks.checks.findings import Finding
from tasks.connectors import documents
from tasks.connectors.command import KubeCommand
from tasks.desired import dynamic_routing as objects
from tasks.facts.kube import KubeObject, KubeObjects
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster, DynamicRoute
from tasks.fleet.recorder import ClusterResult
from tasks.operations import probe, routes_in_force
from tasks.operations.kube import apply_steps, show, wait_until
from tasks.plans import conditions, kinds, probes
from tasks.plans import dynamic_routing as plans
from tasks.plans.backup import CONFIGURATION
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API
from tasks.plans.probes import Answer

Object = Mapping[str, Any]
SCHEMA = "envoyfleet.dynamic-routing/1"
COLUMNS = ("cluster", "ring", "route", "resolver in the proxies", "asked by the script")
EXTENSION = f"{ENVOY_GATEWAY}/v1alpha1"
ROUTE = f"{GATEWAY_API}/v1"
#: Seconds in which the controller has seen a new policy, before there is a route without it.
SEEN = 2.0
_rows: dict[str, dict[str, Any]] = {}


def set_up() -> None:
    """
    Deploy code: ways to resolvers, scripts and routes of this cluster. Raises Refused for what the
    inventory rules out, before any cluster is touched.
    """
    data = fleet_run.cluster()
    problems = plans.contradictions(
        [(it.title, it.path, it.resolver.path) for it in data.dynamic_routing],
        [f"{it.namespace}/{it.name}" for it in data.routes],
    )
    if problems:
        raise fleet_run.Refused("\n".join(f"{host.name}: {it}" for it in problems))
    with attempt("Dynamic routing") as it:
        fit(name="Preflight", data=data)
        gateways.watched(name="Watch traffic", data=data)
        reachable(name="Ways to the resolvers", data=data)
        pinned(name="Scripts and routes", data=data)
        removed(name="What is left over", data=data)
        proven(name="Requests", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def of_the_fleet() -> None:
    """Deploy code: what differs from the inventory, exit 3 where something does. Reads only."""
    run = fleet_run.audit()
    run.finish_audit = _print
    looked(name="Dynamic routing", data=fleet_run.cluster())


@fleet_operation()
def fit(data: Cluster) -> Steps:
    """Stop where requests could not be sent on. Reads only."""
    yield from ()
    found = _findings(data)
    problems = [it.text for it in found if it.severity == "error"]
    if problems:
        raise DeployError("; ".join(problems))
    fleet_run.current().findings += found


@fleet_operation()
def reachable(data: Cluster) -> Steps:
    """Server-side apply of the routes through which the proxies get to know the resolvers."""
    if not data.dynamic_routing:
        host.noop("the inventory has no dynamic_routing")
        return
    wanted = [thing for it in data.dynamic_routing for thing in objects.way(host.name, it)]
    yield from apply_steps(wanted, data.take_back, before=partial(_begin, data))


@fleet_operation()
def pinned(data: Cluster) -> Steps:
    """
    Ask the proxies what they call each resolver's cluster, and apply the script that asks it. A
    route without its script would send clients anywhere, so scripts come first.
    """
    wanted = data.dynamic_routing
    if not wanted:
        return
    names: dict[str, str | None] = {}

    def unknown() -> list[str]:
        names.update(_clusters(data))
        return [
            f"HTTPRoute {it.namespace}/{plans.resolver_route(it.name)}: the proxies of Gateway "
            f"{it.gateway} have no cluster for it yet"
            for it in wanted
            if names[it.title] is None
        ]

    if state.is_executing:
        wait_until(unknown, data.timeout)
    elif unknown():  # its route is among what this plan creates
        new = [it for it in wanted if names[it.title] is None]
        for it in new:
            show(f"Will create EnvoyExtensionPolicy {it.title} and HTTPRoute {it.title}", [])
        wanted = [it for it in wanted if it not in new]
    before, written = partial(_begin, data), False
    scripts = [
        thing for it in wanted for thing in objects.policies(host.name, it, str(names[it.title]))
    ]
    for step in apply_steps(scripts, data.take_back, before):
        written = True
        yield step
    if written and state.is_executing:
        time.sleep(SEEN)
    routes = [thing for it in wanted for thing in objects.join(host.name, it)]
    yield from apply_steps(routes, data.take_back, before)


def _begin(data: Cluster) -> None:
    change.begin(data, release=False)


@fleet_operation()
def removed(data: Cluster) -> Steps:
    """Delete what ``plans.left_over`` says, routes before what watches over them."""
    entries = [(it.namespace, it.name, it.resolver.open) for it in data.dynamic_routing]
    if not entries and not data.prune:
        return
    live = [thing for kind in plans.KINDS for thing in _listed(_api(kind), kind)]
    left = plans.left_over(live, entries, data.prune)
    if left:
        _begin(data)
    for it in left:
        show(f"Will delete {kinds.title(it)}", [])
        yield KubeCommand("DELETE", kinds.path_of(it), ok=[404])


def _api(kind: str) -> str:
    return ROUTE if kind == "HTTPRoute" else EXTENSION


@fleet_operation()
def proven(data: Cluster) -> Steps:
    """
    Wait until scripts and routes are in force, then ask: a request that names no client has to be
    refused by the script, and one of ``client`` to be answered by a server.
    """
    yield from ()
    if not state.is_executing or not data.dynamic_routing:
        return
    answers: dict[str, str] = {}
    wait_until(partial(_not_in_force, data), data.timeout)
    if data.probe.enabled:
        wait_until(partial(_unproven, data, answers), data.probe.timeout)
    for it in data.dynamic_routing:
        fleet_run.note(host, f"dynamic routing {it.title}", answers.get(it.title, "not probed"))


@fleet_operation()
def looked(data: Cluster) -> Steps:
    """One cluster's rows. Reads only."""
    yield from ()
    row: dict[str, Any] = {"ring": data.ring, "routes": []}
    _rows[host.name] = row
    if not data.dynamic_routing:
        return
    found, now = _findings(data), _clusters(data)
    for it in data.dynamic_routing:
        policy = fact(
            KubeObject,
            api_version=EXTENSION,
            kind="EnvoyExtensionPolicy",
            resource=it.name,
            namespace=it.namespace,
        )
        asks = plans.named(plans.script_of(policy))
        found += checks.renamed(_checked(it), asks, now[it.title])
        row["routes"].append({"name": it.title, "cluster": now[it.title], "asks": asks})
    fleet_run.current().findings += found


def _print(results: Sequence[ClusterResult]) -> None:
    audits.show_lines(results, _rows, SCHEMA, COLUMNS, _lines)


def _lines(name: str, row: audits.Row) -> list[list[str]]:
    ring = str(row["ring"])
    if "unreachable" in row:
        return [[name, ring, row["unreachable"], "", ""]]
    return [
        [name, ring, it["name"], it["cluster"] or "none", it["asks"] or "none"]
        for it in row["routes"]
    ] or [[name, ring, "none", "", ""]]


def _findings(data: Cluster) -> list[Finding]:
    """What is wrong before anything is written. Four requests, and three a namespace."""
    if not data.dynamic_routing:
        return []
    namespaces = {it.namespace for it in data.dynamic_routing}
    policies = [
        thing
        for kind in ("BackendTrafficPolicy", "EnvoyExtensionPolicy")
        for thing in _listed(EXTENSION, kind)
    ]
    own = gateways.ours(data)[1]
    release = controller.newest_release(data)
    about = (release.version if release else None, _configuration(data), own)
    seen = {
        it: checks.Seen(
            *about,
            _listed("v1", "Service", it),
            _listed("discovery.k8s.io/v1", "EndpointSlice", it),
            policies,
        )
        for it in namespaces
    }
    return [
        line
        for it in data.dynamic_routing
        for line in checks.findings(_checked(it), seen[it.namespace])
    ]


def _listed(api: str, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
    return fact(KubeObjects, api_version=api, kind=kind, namespace=namespace)


def _configuration(data: Cluster) -> Object | None:
    """What the chart wrote for the controller."""
    import yaml

    found = fact(
        KubeObject,
        api_version="v1",
        kind="ConfigMap",
        resource=CONFIGURATION,
        namespace=data.namespace,
    )
    try:
        read = documents.one(((found or {}).get("data") or {}).get("envoy-gateway.yaml", ""))
    except yaml.YAMLError:
        return None
    return read if isinstance(read, dict) else None


def _checked(it: DynamicRoute) -> checks.Wanted:
    return checks.Wanted(
        host.name,
        it.namespace,
        it.name,
        plans.resolver_route(it.name),
        it.gateway,
        {
            "resolver": (it.resolver.service, it.resolver.port),
            "servers": (it.servers.service, it.servers.port),
        },
        it.allowed.cidrs,
        it.allowed.ports,
    )


def _clusters(data: Cluster) -> dict[str, str | None]:
    """By entry, what the proxies of its Gateway call the resolver's cluster."""
    routes = {
        gateway: routes_in_force.of(data, gateway)
        for gateway in {it.gateway for it in data.dynamic_routing}
    }
    return {
        it.title: plans.cluster_of(routes[it.gateway], it.namespace, plans.resolver_route(it.name))
        for it in data.dynamic_routing
    }


def _not_in_force(data: Cluster) -> list[str]:
    mine = {(it.namespace, it.name) for it in data.dynamic_routing}
    lines = []
    for it in _listed(ROUTE, "HTTPRoute"):
        if (it["metadata"]["namespace"], it["metadata"]["name"]) in mine:
            lines += conditions.route(it, data.controller_name)
    for kind in ("EnvoyExtensionPolicy", "BackendTrafficPolicy"):
        for it in _listed(EXTENSION, kind):
            if (it["metadata"]["namespace"], it["metadata"]["name"]) in mine:
                lines += conditions.policy(it, data.controller_name)
    return lines


def _unproven(data: Cluster, answers: dict[str, str]) -> list[str]:
    """What the requests lack, a line each; ``answers`` gets what is told of each entry."""
    own = {"/".join(gateways._key(it)): it for it in gateways.ours(data)[1]}
    lines = []
    for it in data.dynamic_routing:
        requests = probes.requests(own[it.gateway], objects.join(host.name, it))
        asked = {replace(one, path=it.path): 400 for one in requests if one.route == it.title}
        if it.client:
            query = f"{it.path}?{it.parameter}={it.client}"
            asked |= {replace(one, path=query): 200 for one in asked}
        if not asked:
            lines.append(f"dynamic routing {it.title}: no listener of {it.gateway} takes its route")
        for request, answer in probe.send_all(list(asked)).items():
            lines += plans.unproven(request.text, asked[request], answer)
            if isinstance(answer, Answer) and asked[request] == 200:
                answers[it.title] = f"client {it.client}: {answer.text}"
        answers.setdefault(it.title, "a request without a client is refused")
    return lines

"""Gateways, their class and their routes: as the inventory has them, and proven by requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra import host, state

from tasks.facts.kube import KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.render import render
from tasks.operations import probe
from tasks.operations.kube import apply_steps, wait_until
from tasks.plans import conditions, images, probes
from tasks.plans.kinds import GATEWAY_API, title

Object = Mapping[str, Any]
#: By cluster: Gateways that did not serve before this run, and why.
_sick: dict[str, dict[tuple[str, str], str]] = {}
AZURE_IPV4 = "service.beta.kubernetes.io/azure-load-balancer-ipv4"


def objects(name: str, data: Cluster) -> list[dict[str, Any]]:
    """
    Everything the inventory wants of one cluster, rendered: namespaces, class, EnvoyProxy,
    Gateways, their policies and routes. Pure but for the copy in rendered/. Raises TemplateRefused.
    """
    about: dict[str, Any] = {
        "gateway_class": data.gateway_class,
        "controller_name": data.controller_name,
        "namespace": data.namespace,
    }
    found = render("gateway/gatewayclass.yaml.j2", name, **about)
    found += render(
        "gateway/envoyproxy.yaml.j2",
        name,
        **about,
        proxy=data.proxy,
        pull_secrets=data.image_pull_secrets,
        merge_gateways=data.merge_gateways,
    )
    for namespace in dict.fromkeys(it.namespace for it in data.gateways):
        found += render("gateway/namespace.yaml.j2", name, name=namespace, part=namespace)
    for gateway in data.gateways:
        fixed = {AZURE_IPV4: gateway.address} if gateway.address else {}
        part = f"{gateway.namespace}-{gateway.name}"
        found += render(
            "gateway/gateway.yaml.j2",
            name,
            **about,
            gateway=gateway,
            annotations={**gateway.annotations, **fixed},
            part=part,
        )
        found += render("gateway/clienttrafficpolicy.yaml.j2", name, gateway=gateway, part=part)
    for route in data.routes:
        namespace, _, parent = route.gateway.partition("/")
        found += render(
            f"gateway/{route.kind.lower()}.yaml.j2",
            name,
            route=route,
            parent_name=parent,
            parent_namespace=namespace,
            api=images.tcproute_api(data.envoy_gateway_version),
            part=f"{route.namespace}-{route.name}",
        )
    return found


@fleet_operation()
def applied(manifests: Sequence[Object]) -> Steps:
    """
    Server-side apply of what ``objects`` rendered; a field that another manager owns stops the
    cluster.
    """
    yield from apply_steps(manifests)


@fleet_operation()
def serving(data: Cluster) -> Steps:
    """
    Wait until every Gateway of our controller is Programmed for its newest generation, every proxy
    runs the wanted image with nothing older left, and every listener answers a real request.
    Changes nothing.

    Helm reports success half a minute before the first proxy is replaced, with all conditions
    green.
    """
    yield from ()
    if not state.is_executing:
        return
    wanted = images.wanted(data)
    seen: dict[str, list[dict[str, Any]]] = {}
    sick = _sick.get(host.name, {})
    mine = {(it.namespace, it.name) for it in data.routes if it.kind == "HTTPRoute"}

    def missing() -> list[str]:
        classes, every = ours(data)
        seen["Gateway"] = gateways = [it for it in every if _key(it) not in sick]
        routes = _listed(GATEWAY_API, "HTTPRoute") if mine else []
        seen["HTTPRoute"] = [it for it in routes if _key(it) in mine]
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
    gateways = seen["Gateway"]
    addresses = [
        it["value"] for gateway in gateways for it in gateway.get("status", {}).get("addresses", ())
    ]
    if sick:
        fleet_run.note(host, "left as they were before", "; ".join(sick.values()))
    fleet_run.note(host, "Envoy", wanted.envoy.rpartition(":")[2])
    fleet_run.note(host, "addresses", ", ".join(dict.fromkeys(addresses)) or "none")
    if not data.probe.enabled:
        fleet_run.note(host, "traffic", "not probed: probe.enabled is false")
        return
    requests = [it for gateway in gateways for it in probes.requests(gateway, seen["HTTPRoute"])]
    answers: dict[probes.Request, probes.Answer] = {}

    def unanswered() -> list[str]:
        problems, got = probe.send_all(requests)
        answers.update(got)
        return problems

    wait_until(unanswered, data.probe.timeout)
    through = len({(it.gateway, it.listener) for it in answers})
    fleet_run.note(host, "traffic", f"{len(answers)} requests answered through {through} listeners")
    for request, answer in sorted(answers.items(), key=lambda it: it[0].text):
        fleet_run.note_answer(host, request.text, _answer(answer))


def remember_the_sick(data: Cluster) -> None:
    """
    Gateways of others, not in the inventory, that do not serve before anything is changed: they are
    not waited for afterwards, and the report names them. The inventory's own must serve.
    """
    own = {(it.namespace, it.name) for it in data.gateways}
    _sick[host.name] = {
        _key(it): problems[0]
        for it in ours(data)[1]
        if _key(it) not in own and (problems := conditions.gateway(it))
    }


def _key(thing: Object) -> tuple[str, str]:
    return thing["metadata"]["namespace"], thing["metadata"]["name"]


def ours(data: Cluster) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    The GatewayClasses of our controller, and the Gateways of these classes; other controllers' are
    left alone.
    """
    classes = [
        it
        for it in _listed(GATEWAY_API, "GatewayClass")
        if it["spec"]["controllerName"] == data.controller_name
    ]
    names = {it["metadata"]["name"] for it in classes}
    gateways = [
        it
        for it in _listed(GATEWAY_API, "Gateway")
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
    labels = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"
    owned = {_key(it): it for it in gateways}
    names = {it["metadata"]["name"] for it in classes}
    lines: list[str] = []
    served: set[Any] = set()
    for kind in (
        "Deployment",
        "DaemonSet",
    ):  # the second only where the first leaves a Gateway without proxies
        if kind == "Deployment" or _unserved(owned, served):
            workloads = fact(KubeObjects, api_version="apps/v1", kind=kind, labels=labels)
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
        custom = key in owned and (owned[key]["spec"].get("infrastructure") or {}).get(
            "parametersRef"
        )
        image = wanted.envoy if gateway_class == data.gateway_class and not custom else None
        lines += conditions.rolled_out(workload, image, "envoy")
        lines += conditions.rolled_out(workload, wanted.envoy_gateway, "shutdown-manager")
    return lines


def _listed(group: str, kind: str) -> list[dict[str, Any]]:
    version = "v1" if group == GATEWAY_API else "v1alpha1"
    return fact(KubeObjects, api_version=f"{group}/{version}", kind=kind)


def _answer(answer: probes.Answer) -> str:
    by = f" from {answer.by}" if answer.by else ""
    return f"{answer.status or 'connected'}{by}"

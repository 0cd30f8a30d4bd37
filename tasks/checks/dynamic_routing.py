"""What keeps requests from the server that a resolver names, or lets them go to another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.dynamic_routing import asks_for_lua
from tasks.plans.kinds import title

Object = Mapping[str, Any]
LUA = "config.envoyGateway.extensionApis"
Use = Literal["servers", "resolver"]


@dataclass(frozen=True)
class Wanted:
    """
    One entry of ``dynamic_routing``. + route, resolver_route: its HTTPRoutes
    + services: what each is used for, "servers" or "resolver": its name and port
    """

    cluster: str
    namespace: str
    route: str
    resolver_route: str
    gateway: str
    services: Mapping[Use, tuple[str, int]]
    cidrs: Sequence[str] = ()
    ports: Sequence[int] = ()

    def finding(self, code: str, severity: Severity, what: str, fix: str) -> Finding:
        where = Where(self.cluster, f"dynamic_routing {self.namespace}/{self.route}")
        return Finding(code, severity, where, what, fix)


@dataclass(frozen=True)
class Seen:
    """
    What the cluster has. + version: of Envoy Gateway, None where it is not known
    + configuration: of the controller, None where it has none
    """

    version: str | None
    configuration: Object | None
    gateways: Sequence[Object]
    services: Sequence[Object]
    slices: Sequence[Object]
    policies: Sequence[Object]


def findings(wanted: Wanted, seen: Seen) -> Iterator[Finding]:
    yield from _lua(wanted, seen)
    names = {f"{it['metadata']['namespace']}/{it['metadata']['name']}" for it in seen.gateways}
    if wanted.gateway not in names:
        yield wanted.finding(
            "GW371",
            "error",
            f"Gateway {wanted.gateway} does not exist, or is another controller's",
            "run deploys/install.py first, or correct gateway",
        )
    for use, (name, port) in wanted.services.items():
        yield from _service(wanted, use, name, port, seen)
    yield from _policies(wanted, seen.policies)


def _lua(wanted: Wanted, seen: Seen) -> Iterator[Finding]:
    apis = (seen.configuration or {}).get("extensionApis") or {}
    asks = seen.version is None or asks_for_lua(seen.version)
    if apis.get("enableLua") or not (asks or apis.get("disableLua")):
        return
    key = "enableLua: true" if asks else "disableLua: false"
    yield wanted.finding(
        "GW370",
        "error",
        "Envoy Gateway runs no Lua on this cluster, and would answer 500 to every request",
        f"run deploys/install.py, which sets {LUA}.{key} where the inventory has dynamic_routing",
    )


def _service(wanted: Wanted, use: Use, name: str, port: int, seen: Seen) -> Iterator[Finding]:
    place = f"Service {wanted.namespace}/{name}"
    found = next((it for it in seen.services if it["metadata"]["name"] == name), None)
    ports = {it["port"] for it in (found or {}).get("spec", {}).get("ports") or ()}
    if port not in ports:
        has = f"has no port {port}" if found else "does not exist"
        yield wanted.finding(
            "GW371", "error", f"{place} {has}", f"create it, or correct {use} in the inventory"
        )
        return
    endpoints = endpoints_of(name, port, found or {}, seen.slices)
    if not endpoints:
        yield wanted.finding(
            "GW372",
            "error" if use == "resolver" else "warning",
            f"{place} has no ready endpoint, so that {_lost(use)}",
            "look at its Pods and its selector",
        )
    refused = [it for it in endpoints if use == "servers" and not _allowed(it, wanted)]
    if refused:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        yield wanted.finding(
            "GW373",
            "warning",
            f"{place} has {refused[0]}{more}, which allowed leaves out: their clients get 502",
            "widen allowed, or take it out: other endpoints than the Service's are never reached",
        )


def _lost(use: Use) -> str:
    if use == "resolver":
        return "the proxies do not know the resolver, and no server can be asked for"
    return "every client gets 503"


def endpoints_of(name: str, port: int, service: Object, slices: Iterable[Object]) -> list[str]:
    """The ready endpoints behind a port of a Service, such as ["10.0.0.5:8081"]."""
    label = "kubernetes.io/service-name"
    called = next((it.get("name") for it in service["spec"]["ports"] if it["port"] == port), None)
    found = []
    for it in slices:
        if (it["metadata"].get("labels") or {}).get(label) != name:
            continue
        ports = [one["port"] for one in it.get("ports") or () if one.get("name") in (called, "")]
        for endpoint in it.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True):
                found += [f"{at}:{one}" for at in endpoint["addresses"] for one in ports]
    return sorted(found)


def _allowed(endpoint: str, wanted: Wanted) -> bool:
    address, _, port = endpoint.rpartition(":")
    try:
        number = IPv4Address(address)
    except ValueError:  # the script takes no other
        return False
    within = not wanted.cidrs or any(number in IPv4Network(it) for it in wanted.cidrs)
    return within and (not wanted.ports or int(port) in wanted.ports)


def _policies(wanted: Wanted, policies: Iterable[Object]) -> Iterator[Finding]:
    """+ policies: BackendTrafficPolicies and EnvoyExtensionPolicies of the cluster."""
    own = {wanted.route, wanted.resolver_route}
    for it in policies:
        meta = it["metadata"]
        for target in _targets(it):
            here = meta["namespace"] == wanted.namespace
            if here and (target.get("kind"), target.get("name")) in {
                ("HTTPRoute", name) for name in own
            }:
                if meta["name"] in own:
                    continue
                yield wanted.finding(
                    "GW374",
                    "error",
                    f"{title(it)} targets HTTPRoute {target['name']} too, and the older of two "
                    "counts: with a retry, requests would go to other servers",
                    "take its target away",
                )
            elif (
                it["kind"] == "EnvoyExtensionPolicy"
                and target.get("kind") == "Gateway"
                and f"{meta['namespace']}/{target.get('name')}" == wanted.gateway
            ):
                yield wanted.finding(
                    "GW375",
                    "info",
                    f"{title(it)} is of the whole Gateway, and does not run for these requests: "
                    "the policy of a route takes its place",
                    "nothing, unless it protects something: then put the route behind another host",
                )


def _targets(policy: Object) -> list[Object]:
    spec = policy.get("spec") or {}
    single = [spec["targetRef"]] if spec.get("targetRef") else []
    return [*single, *(spec.get("targetRefs") or ())]


def renamed(wanted: Wanted, asks: str | None, now: str | None) -> Iterator[Finding]:
    """
    + asks: the cluster that the script in force asks, None where there is no script
    + now: what the proxies call the resolver's, None where they have none
    """
    if asks is None:
        yield wanted.finding(
            "GW376", "warning", "it is not set up on this cluster", "run deploys/dynamic_routing.py"
        )
    elif asks != now:
        has = f"call it {now}" if now else "know no such cluster"
        yield wanted.finding(
            "GW377",
            "error",
            f"its script asks {asks}, and the proxies {has}: every client gets 503",
            "run deploys/dynamic_routing.py"
            if now
            else "look at the resolver's route and its Pods, then run deploys/dynamic_routing.py",
        )

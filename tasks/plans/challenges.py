"""
Whether cert-manager can prove the names of a certificate: what the inventory alone rules out, what
cert-manager lacks, and what stands in the way of a challenge through a Gateway.

Sources: cert-manager docs, "HTTP01" with the Gateway API and "Azure DNS"; Let's Encrypt docs,
"Challenge Types".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.plans.kinds import CERT_MANAGER, title
from tasks.plans.listeners import targets
from tasks.plans.probes import covered

Object = Mapping[str, Any]
#: The controller, as its chart labels it.
CONTROLLER = "app.kubernetes.io/name=cert-manager,app.kubernetes.io/component=controller"
#: Where challenges are asked for (RFC 8555, 8.3).
PATH = "/.well-known/acme-challenge/"
#: What a SecurityPolicy asks of everybody who comes.
_PROOFS = ("apiKeyAuth", "basicAuth", "extAuth", "jwt", "oidc")


class Http01(Protocol):
    @property
    def gateway(self) -> str: ...
    @property
    def listener(self) -> str | None: ...


class Dns01(Protocol):
    @property
    def zone(self) -> str: ...


class Issuer(Protocol):
    """An ACME ClusterIssuer of the inventory."""

    @property
    def name(self) -> str: ...
    @property
    def http01(self) -> Http01 | None: ...
    @property
    def dns01(self) -> Dns01 | None: ...


class Wanted(Protocol):
    """A certificate of the inventory."""

    @property
    def namespace(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def issuer(self) -> str | None: ...


@dataclass(frozen=True)
class Installed:
    """
    cert-manager as a cluster has it.

    + served: the resources of the API server, such as {"certificates.cert-manager.io": ["v1"]}
    + controllers: Deployments with the labels of its chart; + configuration: what the file says
      that their ``--config`` names, None without one
    """

    served: Mapping[str, Sequence[str]]
    controllers: Sequence[Object] = ()
    configuration: Object | None = None

    @property
    def is_there(self) -> bool:
        return "v1" in self.served.get(f"certificates.{CERT_MANAGER}", ())


@dataclass(frozen=True)
class Ways:
    """
    What leads requests of a cluster to Gateways.

    + gateways: of our controller; + namespaces: all, for their labels; + routes: HTTPRoutes
    + in_order: names of GatewayClasses and Gateways ("edge/public") whose EnvoyProxy says
      preserveRouteOrder
    + policies: SecurityPolicies
    """

    gateways: Sequence[Object]
    namespaces: Sequence[Object] = ()
    routes: Sequence[Object] = ()
    in_order: frozenset[str] = frozenset()
    policies: Sequence[Object] = ()


def in_order(
    classes: Iterable[Object], gateways: Iterable[Object], envoy_proxies: Iterable[Object]
) -> frozenset[str]:
    """
    Names of the GatewayClasses and Gateways whose proxies keep routes in the order of their age
    (Envoy Gateway docs, EnvoyProxy, preserveRouteOrder).
    """
    keeping = {_name(it) for it in envoy_proxies if it["spec"].get("preserveRouteOrder")}
    found = set()
    for it in classes:
        ref = it["spec"].get("parametersRef") or {}
        if f"{ref.get('namespace')}/{ref.get('name')}" in keeping:
            found.add(it["metadata"]["name"])
    for it in gateways:
        own = (it["spec"].get("infrastructure") or {}).get("parametersRef") or {}
        if f"{it['metadata']['namespace']}/{own.get('name')}" in keeping:
            found.add(_name(it))
    return frozenset(found)


def contradictions(wanted: Sequence[Wanted], issuers: Sequence[Issuer]) -> list[str]:
    """What the inventory alone shows to be impossible, a line each."""
    known = {f"ClusterIssuer {it.name}": it for it in issuers}
    found = [f"issuer {name} is there twice" for name in _twice([it.name for it in issuers])]
    places = [f"{it.namespace}/{it.secret}" for it in wanted]
    found += [f"certificates: Secret {it} is there twice" for it in _twice(places)]
    for it in wanted:
        issuer = known.get(str(it.issuer))
        if issuer is not None:
            found += unprovable(f"Secret {it.namespace}/{it.secret}", it.names, issuer)
    return found


def _twice(names: Sequence[str]) -> list[str]:
    return sorted({it for it in names if names.count(it) > 1})


def unprovable(what: str, names: Iterable[str], issuer: Issuer) -> list[str]:
    """
    Which names an issuer cannot prove, a line each: a wildcard needs DNS (RFC 8555 and Let's
    Encrypt, Challenge Types), and DNS only goes as far as its zone.
    """
    zone = issuer.dns01.zone.lower() if issuer.dns01 else None
    found = []
    for name in names:
        if zone is not None and (f".{name.lower()}").endswith(f".{zone}"):
            continue
        if name.startswith("*."):
            why = f"{zone} is another zone" if zone else "it has http01 alone"
            found.append(
                f"{what}: ClusterIssuer {issuer.name} cannot prove {name}: a wildcard needs dns01, "
                f"and {why}: add dns01 to the issuer, or write single names"
            )
        elif issuer.http01 is None:
            found.append(
                f"{what}: ClusterIssuer {issuer.name} cannot prove {name}: it is not in the zone "
                f"{zone}, and there is no http01: add http01, or take another issuer"
            )
    return found


def by_http01(name: str, issuer: Issuer) -> bool:
    """Whether a name is proven through a Gateway; its zone comes first."""
    if issuer.http01 is None or name.startswith("*."):
        return False
    return issuer.dns01 is None or not f".{name}".endswith(f".{issuer.dns01.zone.lower()}")


def missing(installed: Installed, issuers: Sequence[Issuer]) -> list[str]:
    """What cert-manager lacks on a cluster for these issuers, a line each."""
    if not installed.is_there:
        return [
            "cert-manager is not installed (no CRD certificates.cert-manager.io): install 1.15 or "
            "newer, with --enable-gateway-api"
        ]
    found = []
    for it in installed.controllers:
        through_gateways = any(one.http01 for one in issuers)
        if through_gateways and not _knows_gateways(it, installed.configuration):
            found.append(
                f"{title(it)}: cert-manager does not use the Gateway API: start it with "
                "--enable-gateway-api (chart: config.enableGatewayAPI), for http01"
            )
        if any(one.dns01 for one in issuers) and not _has_workload_identity(it):
            found.append(
                f"{title(it)}: its Pods have no label azure.workload.identity/use=true, without "
                "which they get no token for Azure DNS: set podLabels in cert-manager's chart"
            )
    return found


def _knows_gateways(controller: Object, configuration: Object | None) -> bool:
    said: dict[str, str] = {}
    for container in controller["spec"]["template"]["spec"]["containers"]:
        for argument in container.get("args") or ():
            name, _, value = argument.partition("=")
            said[name] = value
    if "--enable-gateway-api" in said:
        return said["--enable-gateway-api"] in ("", "true")
    of_file = configuration or {}
    newer = (of_file.get("gatewayAPI") or {}).get("enabled")
    return bool(of_file.get("enableGatewayAPI") if newer is None else newer)


def _has_workload_identity(controller: Object) -> bool:
    labels = controller["spec"]["template"]["metadata"].get("labels") or {}
    return labels.get("azure.workload.identity/use") == "true"


def closed(issuer: Issuer, names: Mapping[str, Iterable[str]], ways: Ways) -> list[str]:
    """
    Why challenges would not be answered through the Gateway of an issuer, a line each.

    + names: those proven by http01, by namespace of their Certificate: {"edge":
      ["shop.example.com"]}; the route that answers is made there
    """
    http01 = issuer.http01
    if http01 is None:
        return []
    what = f"ClusterIssuer {issuer.name}"
    gateway = next((it for it in ways.gateways if _name(it) == http01.gateway), None)
    if gateway is None:
        return [
            f"{what}: Gateway {http01.gateway} does not exist, or is another controller's: run "
            "deploys/install.py first, or correct http01.gateway"
        ]
    on_80 = [it for it in gateway["spec"].get("listeners") or () if _is_plain(it)]
    of_issuer = [it for it in on_80 if http01.listener in (None, it["name"])]
    if not of_issuer:
        lacks = f"Gateway {http01.gateway} has no HTTP listener on port 80"
        if http01.listener:
            lacks = f"listener {http01.listener} of {lacks.replace('has no', 'is no')}"
        return [f"{what}: {lacks}, where challenges arrive: add one, or name another"]
    found = []
    for namespace, asked in names.items():
        for name in asked:
            found += _in_the_way(what, name, namespace, gateway, on_80, of_issuer, ways)
    return found


def _in_the_way(
    what: str,
    name: str,
    namespace: str,
    gateway: Object,
    on_80: Sequence[Object],
    of_issuer: Sequence[Object],
    ways: Ways,
) -> list[str]:
    """Why one name cannot be proven; the most precise listener of a name takes its requests."""
    where = f"{what}: {name}"
    taking = [it for it in on_80 if covered(name, it.get("hostname"))]
    if not taking:
        return [
            f"{where}: no HTTP listener on port 80 of Gateway {_name(gateway)} takes this name: "
            "widen its hostname, or add a listener"
        ]
    listener = max(taking, key=lambda it: len(it.get("hostname") or ""))
    place = f"Gateway {_name(gateway)}, listener {listener['name']}"
    if listener not in of_issuer:
        return [
            f"{where}: {place} takes its requests, not listener {of_issuer[0]['name']}: leave "
            "http01.listener out, or name that one"
        ]
    if not _admits(listener, namespace, gateway["metadata"]["namespace"], ways.namespaces):
        return [
            f"{where}: {place} takes no routes from namespace {namespace}, where the challenge is "
            "answered: widen allowedRoutes, or put the certificate beside the Gateway"
        ]
    first = _caught_by(name, listener, gateway, ways)
    if first is not None:
        return [
            f"{where}: {title(first)} is older and takes {PATH} of this name, because its "
            "EnvoyProxy says preserveRouteOrder: leave that path out of it"
        ]
    return [
        f"{where}: {title(it)} asks everybody at {place} to prove who he is, the ACME server too: "
        "target routes with it, not the Gateway"
        for it in ways.policies
        if _keeps_out(it, gateway, listener["name"])
    ][:1]


def _is_plain(listener: Object) -> bool:
    return (listener["port"], listener["protocol"]) == (80, "HTTP")


def _name(thing: Object) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _admits(listener: Object, namespace: str, own: str, namespaces: Iterable[Object]) -> bool:
    """Gateway API spec, AllowedRoutes; a selector with expressions is taken to admit."""
    allowed = listener.get("allowedRoutes") or {}
    kinds = allowed.get("kinds")
    if kinds and not any(it["kind"] == "HTTPRoute" for it in kinds):
        return False
    said = allowed.get("namespaces") or {}
    match said.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            wanted = (said.get("selector") or {}).get("matchLabels") or {}
            labels = next(
                (
                    it["metadata"].get("labels") or {}
                    for it in namespaces
                    if it["metadata"]["name"] == namespace
                ),
                {},
            )
            known = {"kubernetes.io/metadata.name": namespace, **labels}
            return all(known.get(key) == value for key, value in wanted.items())
        case _:
            return namespace == own


def _caught_by(name: str, listener: Object, gateway: Object, ways: Ways) -> Object | None:
    """
    The route that takes a challenge before cert-manager's own does. That one matches the whole
    path, so it comes first, unless routes stay in the order of their age.
    """
    if not ways.in_order & {gateway["spec"]["gatewayClassName"], _name(gateway)}:
        return None
    return next(
        (it for it in ways.routes if _attached(it, gateway, listener) and _takes(it, name)), None
    )


def _attached(route: Object, gateway: Object, listener: Object) -> bool:
    own = route["metadata"]["namespace"]
    return any(
        it.get("kind", "Gateway") == "Gateway"
        and f"{it.get('namespace') or own}/{it['name']}" == _name(gateway)
        and it.get("sectionName", listener["name"]) == listener["name"]
        for it in route["spec"].get("parentRefs") or ()
    )


def _takes(route: Object, name: str) -> bool:
    """
    Whether it takes the path of challenges on this very name: Envoy looks at the most precise host
    first, and cert-manager's route has the whole name.
    """
    if name not in (route["spec"].get("hostnames") or ()):
        return False
    return any(
        (path := match.get("path") or {}).get("type", "PathPrefix") == "PathPrefix"
        and PATH.startswith(path.get("value", "/"))
        for rule in route["spec"].get("rules") or ()
        for match in rule.get("matches") or [{}]
    )


def _keeps_out(policy: Object, gateway: Object, listener: str) -> bool:
    return any(it in policy["spec"] for it in _PROOFS) and any(
        targets(policy, gateway, section) for section in (None, listener)
    )

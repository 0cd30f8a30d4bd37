"""
The listeners of a cluster that end TLS: of Gateways, of ListenerSets, and of Istio's Gateways; with
the address and the proxies that they share, and the Secrets that they serve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans import arm
from tasks.plans.chains import Chain
from tasks.plans.kinds import GATEWAY_API
from tasks.plans.probes import covered

Object = Mapping[str, Any]
NOTHING = Chain(())
#: Protocols of listeners that know host names, and the routes that attach to each.
ROUTES = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute",),
    "TCP": (),
}
#: Those that take TLS.
OF_TLS = ("HTTPS", "TLS")


@dataclass(frozen=True)
class SecretRef:
    """+ allowed: whether a ReferenceGrant lets the listener use it, where it needs one"""

    namespace: str
    name: str
    allowed: bool = True

    @property
    def title(self) -> str:
        """Such as "Secret edge/shop-tls"."""
        return f"Secret {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Listener:
    """
    One listener that ends TLS, or hands it through.

    + owner: where it is written, such as "Gateway edge/public", "ListenerSet shop/own" or "Gateway
      istio-system/shop (Istio)"; + gateway: "edge/public", the Gateway whose proxies serve it
    + workload: whose Pods serve it: the Gateway's name, the GatewayClass of merged Gateways, or
      Istio's selector: listeners of one workload and port share a socket
    + hostname: such as "*.example.com", None takes every name; + port: of the address
    + alpn: what a ClientTrafficPolicy sets, such as ("h2",), None where none does
    + passthrough: TLS is not ended here, so no Secret is used
    + proxy_protocol: its proxies want to hear who the client is before TLS begins
    + hosts: names that routes ask of it, whole ones before "*.shop.example.com"; for probes with a
      name that is real
    """

    cluster: str
    owner: str
    gateway: str
    name: str
    port: int
    hostname: str | None
    addresses: tuple[str, ...]
    workload: str
    secrets: tuple[SecretRef, ...]
    alpn: tuple[str, ...] | None = None
    passthrough: bool = False
    hosts: tuple[str, ...] = ()
    protocol: str = "HTTPS"
    falls_back: bool = True
    proxy_protocol: bool = False

    @property
    def part(self) -> str:
        """Such as "listener https", the part of a finding's place."""
        return f"listener {self.name}"

    @property
    def text(self) -> str:
        """Such as "Gateway edge/public, listener https"."""
        return f"{self.owner}, {self.part}"


@dataclass(frozen=True)
class Handshake:
    """
    What one place served for one name.

    + place: "Pod envoy-gateway-system/envoy-edge-public-5c9f" or "address 20.103.0.10:443"
    + listener: whose it is; + sni: the name that was asked for
    + chain: fingerprints, the served certificate first, as the peer sent them; empty where there
      was no handshake
    + serial: of the served certificate, lower-case hexadecimal; + alpn: such as "h2"
    + why: why there was no handshake, None where there was one
    + served: what the chain holds, and what is wrong with it
    """

    place: str
    listener: Listener
    sni: str
    chain: tuple[str, ...] = ()
    serial: str = ""
    alpn: str | None = None
    why: str | None = None
    served: Chain = NOTHING


def of_gateways(
    cluster: str,
    gateways: Iterable[Object],
    grants: Iterable[Object] = (),
    merged: frozenset[str] = frozenset(),
    listener_sets: Iterable[Object] = (),
    routes: Iterable[Object] = (),
    policies: Iterable[Object] = (),
    protocols: Collection[str] = OF_TLS,
) -> list[Listener]:
    """
    The listeners with protocol HTTPS or TLS of Gateways, and of the ListenerSets that these took.

    + protocols: of those in ``ROUTES``
    + gateways: of one controller; + grants: ReferenceGrants; + merged: names of GatewayClasses
      whose Gateways share their proxies, see ``merged``
    + routes: HTTPRoutes, GRPCRoutes and TLSRoutes; + policies: ClientTrafficPolicies
    """
    attached, by_age = _attached(routes), sorted(policies, key=_age)
    allowed, sets = list(grants), _by_gateway(listener_sets)
    found = []
    for gateway in gateways:
        for owner in (gateway, *sets.get(_name(gateway), ())):
            about = _Owner(cluster, gateway, owner, merged, allowed, attached, by_age)
            found += [
                about.listener(it)
                for it in owner["spec"].get("listeners") or ()
                if it["protocol"] in protocols
            ]
    return found


def merged(classes: Iterable[Object], envoy_proxies: Iterable[Object]) -> frozenset[str]:
    """Names of the GatewayClasses whose EnvoyProxy says mergeGateways."""
    merging = {_name(it) for it in envoy_proxies if it["spec"].get("mergeGateways")}
    return frozenset(
        it["metadata"]["name"]
        for it in classes
        if (ref := it["spec"].get("parametersRef") or {})
        and f"{ref.get('namespace')}/{ref['name']}" in merging
    )


#: By kind, namespace and name of a parent: the routes that name it, each with its parentRef.
_Attached = Mapping[tuple[str, str, str], Sequence[tuple[Object, Object]]]


@dataclass(frozen=True)
class _Owner:
    """A Gateway, or a ListenerSet of it, with all that decides about its listeners."""

    cluster: str
    gateway: Object
    owner: Object
    merged: frozenset[str]
    grants: Sequence[Object]
    attached: _Attached
    policies: Sequence[Object]

    def listener(self, written: Object) -> Listener:
        kind, name = self.owner.get("kind", "Gateway"), _name(self.owner)
        meta, tls = self.owner["metadata"], written.get("tls") or {}
        of_class = self.gateway["spec"]["gatewayClassName"]
        status = self.gateway.get("status") or {}
        policy = self._policy(written["name"])
        return Listener(
            self.cluster,
            f"{kind} {name}",
            _name(self.gateway),
            written["name"],
            written["port"],
            written.get("hostname"),
            tuple(it["value"] for it in status.get("addresses") or ()),
            of_class if of_class in self.merged else _name(self.gateway),
            tuple(
                SecretRef(
                    it.get("namespace") or meta["namespace"],
                    it["name"],
                    granted(meta["namespace"], kind, it, self.grants),
                )
                for it in tls.get("certificateRefs") or ()
                if it.get("kind", "Secret") == "Secret" and not it.get("group")
            ),
            tuple((policy.get("tls") or {}).get("alpnProtocols") or ()) or None,
            tls.get("mode") == "Passthrough",
            self._hosts(written),
            written["protocol"],
            proxy_protocol="proxyProtocol" in policy or bool(policy.get("enableProxyProtocol")),
        )

    def _hosts(self, written: Object) -> tuple[str, ...]:
        meta = self.owner["metadata"]
        place = (self.owner.get("kind", "Gateway"), meta["namespace"], meta["name"])
        names = {
            name
            for route, ref in self.attached.get(place, ())
            if route["kind"] in ROUTES[written["protocol"]]
            and ref.get("sectionName", written["name"]) == written["name"]
            and ref.get("port", written["port"]) == written["port"]
            for hostname in route["spec"].get("hostnames") or ()
            if (name := common(hostname, written.get("hostname")))
        }
        return tuple(sorted(names, key=lambda it: (it.startswith("*"), it)))

    def _policy(self, name: str) -> Object:
        """
        The spec of the one policy that counts: for the listener, for its owner, for the Gateway;
        the oldest of several (Envoy Gateway 1.9 source,
        internal/gatewayapi/clienttrafficpolicy.go). Empty where there is none.
        """
        for thing, section in ((self.owner, name), (self.owner, None), (self.gateway, None)):
            for policy in self.policies:
                if targets(policy, thing, section):
                    return dict(policy["spec"])
        return {}


def targets(policy: Object, thing: Object, section: str | None) -> bool:
    """
    Whether a policy of Envoy Gateway is for a listener of a Gateway or ListenerSet, or, where
    ``section`` is None, for all of it.
    """
    spec, meta = policy["spec"], thing["metadata"]
    kind = thing.get("kind", "Gateway")
    if policy["metadata"]["namespace"] != meta["namespace"]:
        return False
    refs = [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if "targetRef" in spec else ())]
    if any(
        (it["kind"], it["name"], it.get("sectionName")) == (kind, meta["name"], section)
        for it in refs
    ):
        return True
    labels = meta.get("labels") or {}
    return section is None and any(
        it["kind"] == kind and selected(labels, it) for it in spec.get("targetSelectors") or ()
    )


def selected(labels: Mapping[str, str], selector: Object) -> bool:
    """Kubernetes docs, Labels and Selectors."""
    if any(labels.get(key) != it for key, it in arm.pairs(selector, "matchLabels").items()):
        return False
    for it in arm.objects(selector, "matchExpressions"):
        has, values = labels.get(arm.text(it, "key")), arm.texts(it, "values")
        if {
            "In": has not in values,
            "NotIn": has in values,
            "Exists": has is None,
            "DoesNotExist": has is not None,
        }.get(arm.text(it, "operator"), True):
            return False
    return True


def _attached(routes: Iterable[Object]) -> _Attached:
    found: dict[tuple[str, str, str], list[tuple[Object, Object]]] = {}
    for route in routes:
        own = route["metadata"]["namespace"]
        for ref in route["spec"].get("parentRefs") or ():
            if ref.get("group", GATEWAY_API) == GATEWAY_API and not _refused(route, ref):
                place = (ref.get("kind", "Gateway"), ref.get("namespace") or own, ref["name"])
                found.setdefault(place, []).append((route, ref))
    return found


def _refused(route: Object, ref: Object) -> bool:
    """Whether the controller said that the parent does not take the route."""
    return any(
        parent.get("parentRef") == ref and _says(parent.get("conditions"), "Accepted", "False")
        for parent in (route.get("status") or {}).get("parents") or ()
    )


def _by_gateway(listener_sets: Iterable[Object]) -> Mapping[str, list[Object]]:
    """
    Those that their Gateway let in; one whose listeners are all broken was let in too (GEP-1713).
    """
    found: dict[str, list[Object]] = {}
    for it in sorted(listener_sets, key=_age):
        conditions = (it.get("status") or {}).get("conditions")
        if _says(conditions, "Accepted", "True") or _says(
            conditions, "Accepted", "False", "ListenersNotValid"
        ):
            ref = it["spec"]["parentRef"]
            place = f"{ref.get('namespace') or it['metadata']['namespace']}/{ref['name']}"
            found.setdefault(place, []).append(it)
    return found


def _says(conditions: Any, kind: str, status: str, reason: str | None = None) -> bool:
    return any(
        (it["type"], it["status"]) == (kind, status) and reason in (None, it.get("reason"))
        for it in conditions or ()
    )


def _name(thing: Object) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _age(thing: Object) -> tuple[str, str]:
    """What came first, then by name (Gateway API spec, conflicts)."""
    return str(thing["metadata"].get("creationTimestamp", "")), _name(thing)


def common(hostname: str, of_listener: str | None) -> str | None:
    """The name that a route and a listener both take, None where there is none."""
    if covered(hostname, of_listener):
        wide = hostname.startswith("*.") and of_listener and not of_listener.startswith("*.")
        return of_listener if wide or hostname == "*" else hostname
    return of_listener if of_listener and covered(of_listener, hostname) else None


def granted(
    namespace: str,
    kind: str,
    ref: Object,
    grants: Iterable[Object],
    group: str = GATEWAY_API,
) -> bool:
    """
    Whether something may refer to a Secret, a ConfigMap or a backend: in its own namespace always,
    in another with a ReferenceGrant there (Gateway API spec, ReferenceGrant).

    + namespace, kind, group: of what refers; + ref: such as {"namespace": "certs", "name":
      "shop-tls"}
    """
    there = ref.get("namespace") or namespace
    if there == namespace:
        return True
    return any(
        grant["metadata"]["namespace"] == there
        and any(
            (it.get("group"), it.get("kind"), it.get("namespace")) == (group, kind, namespace)
            for it in arm.objects(grant, "spec", "from")
        )
        and any(
            (it.get("group") or "") == (ref.get("group") or "")
            and it.get("kind") == ref.get("kind", "Secret")
            and it.get("name") in (None, "", ref.get("name"))
            for it in arm.objects(grant, "spec", "to")
        )
        for grant in grants
    )

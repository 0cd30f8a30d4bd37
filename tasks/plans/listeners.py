"""
The listeners of a cluster that end TLS: of Gateways, of ListenerSets, and of Istio's Gateways; with
the address and the proxies that they share, and the Secrets that they serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]


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
    + hosts: names that routes ask of it, most precise first; for probes with a name that is real
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
    """

    place: str
    listener: Listener
    sni: str
    chain: tuple[str, ...] = ()
    serial: str = ""
    alpn: str | None = None
    why: str | None = None


def of_gateways(
    cluster: str,
    gateways: Iterable[Object],
    grants: Iterable[Object] = (),
    merged: frozenset[str] = frozenset(),
) -> list[Listener]:
    """
    The listeners of Gateways with protocol HTTPS or TLS.

    + gateways: of one controller; + grants: ReferenceGrants; + merged: names of GatewayClasses
      whose Gateways share their proxies (EnvoyProxy, mergeGateways)
    """
    allowed = list(grants)
    return [
        _listener(cluster, gateway, listener, allowed, merged)
        for gateway in gateways
        for listener in gateway["spec"].get("listeners") or ()
        if listener["protocol"] in ("HTTPS", "TLS")
    ]


def _listener(
    cluster: str,
    gateway: Object,
    listener: Object,
    grants: Iterable[Object],
    merged: frozenset[str],
) -> Listener:
    meta, tls = gateway["metadata"], listener.get("tls") or {}
    name = f"{meta['namespace']}/{meta['name']}"
    of_class = gateway["spec"]["gatewayClassName"]
    return Listener(
        cluster,
        f"Gateway {name}",
        name,
        listener["name"],
        listener["port"],
        listener.get("hostname"),
        tuple(it["value"] for it in (gateway.get("status") or {}).get("addresses") or ()),
        of_class if of_class in merged else name,
        tuple(
            SecretRef(
                it.get("namespace") or meta["namespace"],
                it["name"],
                granted(meta["namespace"], "Gateway", it, grants),
            )
            for it in tls.get("certificateRefs") or ()
            if it.get("kind", "Secret") == "Secret" and not it.get("group")
        ),
        passthrough=tls.get("mode") == "Passthrough",
    )


def granted(namespace: str, kind: str, ref: Object, grants: Iterable[Object]) -> bool:
    """
    Whether a listener's owner may refer to a Secret: in its own namespace always, in another with a
    ReferenceGrant there (Gateway API spec, ReferenceGrant).

    + namespace, kind: of the owner; + ref: such as {"namespace": "certs", "name": "shop-tls"}
    """
    there = ref.get("namespace") or namespace
    if there == namespace:
        return True
    return any(
        grant["metadata"]["namespace"] == there
        and any(
            (it.get("group"), it["kind"], it["namespace"])
            == ("gateway.networking.k8s.io", kind, namespace)
            for it in grant["spec"].get("from") or ()
        )
        and any(
            not it.get("group")
            and it["kind"] == "Secret"
            and it.get("name") in (None, "", ref["name"])
            for it in grant["spec"].get("to") or ()
        )
        for grant in grants
    )

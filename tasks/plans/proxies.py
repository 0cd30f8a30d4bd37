"""The Pods behind a Gateway: what each of them must answer, and with which certificate."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.plans.probes import Request

Object = Mapping[str, Any]
LABELS = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"
OWNER = "gateway.envoyproxy.io/owning-gateway"
#: Envoy may not listen below 1024: such a port of a listener is this much higher in the Pod (Envoy
#: Gateway 1.9 source, internal/gatewayapi/helpers.go), unless the EnvoyProxy says otherwise.
SHIFT = 10000


@dataclass(frozen=True)
class Proxy:
    """
    One Pod. + envoy: such as "distroless-v1.39.1"; + asks: ports of the Pod, a request for each
    """

    namespace: str
    name: str
    envoy: str
    asks: tuple[tuple[int, Request], ...]

    @property
    def title(self) -> str:
        return f"Pod {self.namespace}/{self.name}"


def proxies(
    pods: Iterable[Object],
    services: Iterable[Object],
    gateways: Iterable[Object],
    requests: Iterable[Request],
) -> list[Proxy]:
    """
    The Pods that serve these requests, those that leave left out: one request a listener, of a
    route where there is one. Pods and Services are those that the controller generated; a Service
    knows the port of its Pods for each listener. Merged Gateways share the Pods of their class.
    """
    ports = {owner(it): container_ports(it) for it in services}
    classes = {
        f"{it['metadata']['namespace']}/{it['metadata']['name']}": it["spec"]["gatewayClassName"]
        for it in gateways
    }
    ordered = sorted(requests, key=lambda it: not it.route)
    found = []
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        own = owner(pod)
        served = ports.get(own, {})
        asks: dict[tuple[str, str], tuple[int, Request]] = {}
        for request in ordered:
            if own in (request.gateway, classes.get(request.gateway)):
                inside = served.get(request.port) or container_port(request.port)
                asks.setdefault((request.gateway, request.listener), (inside, request))
        if asks:
            meta = pod["metadata"]
            envoy = _envoy(pod)
            found.append(Proxy(meta["namespace"], meta["name"], envoy, tuple(asks.values())))
    return found


def owner(thing: Object) -> str:
    """The Gateway that something was generated for, "edge/public", or the class of merged ones."""
    labels = thing["metadata"].get("labels") or {}
    merged = labels.get(f"{OWNER}class")
    return merged or f"{labels.get(f'{OWNER}-namespace')}/{labels.get(f'{OWNER}-name')}"


def container_port(port: int) -> int:
    return port + SHIFT if port < 1024 else port


def container_ports(service: Object) -> dict[int, int]:
    """By port of the listener, the port of the Pods."""
    return {
        it["port"]: it["targetPort"]
        for it in service["spec"].get("ports") or ()
        if isinstance(it.get("targetPort"), int) and it.get("protocol", "TCP") == "TCP"
    }


def _envoy(pod: Object) -> str:
    images = {it["name"]: it["image"] for it in pod["spec"]["containers"]}
    return str(images.get("envoy", "")).partition("@")[0].rpartition(":")[2]


def secrets_of(gateways: Iterable[Object]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """
    The Secrets of each HTTPS listener, namespace and name: {("edge/public", "https"): [("edge",
    "shop-tls")]}.
    """
    found = {}
    for gateway in gateways:
        meta = gateway["metadata"]
        for listener in gateway["spec"]["listeners"]:
            references = (listener.get("tls") or {}).get("certificateRefs") or ()
            if listener["protocol"] == "HTTPS":
                found[f"{meta['namespace']}/{meta['name']}", listener["name"]] = [
                    (it.get("namespace") or meta["namespace"], it["name"])
                    for it in references
                    if it.get("kind", "Secret") == "Secret"
                ]
    return found


def fingerprint(secret: Object) -> str | None:
    """SHA-256 of a TLS Secret's first certificate, as it is served; None where there is none."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificate

    try:
        first = load_pem_x509_certificate(b64decode(secret["data"]["tls.crt"]))
    except (KeyError, ValueError):
        return None
    return first.fingerprint(SHA256()).hex()


def unusable(secret: Object | None, now: datetime) -> str | None:
    """
    Why no proxy could serve this TLS Secret, or None where one should: a certificate in its days,
    and its own key (the controller refuses others, measured with 1.8 and 1.9).
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    if secret is None:
        return "does not exist"
    try:
        certificate = load_pem_x509_certificate(b64decode(secret["data"]["tls.crt"]))
        key = load_pem_private_key(b64decode(secret["data"]["tls.key"]), None)
    except (KeyError, ValueError, TypeError):
        return "holds no certificate and key that can be read"
    if certificate.public_key() != key.public_key():
        return "holds a key that is not the certificate's"
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return f"is valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    return None


def differing(
    served: Mapping[tuple[Proxy, Request], str],
    wanted: Mapping[tuple[str, str], Collection[str]],
) -> list[str]:
    """
    Certificates that are not the Secret's, or not the same on all Pods, a line each.

    + served: SHA-256 by Pod and request; + wanted: by Gateway and listener those of its Secrets,
      none where they could not be read
    """
    found = []
    first: dict[tuple[str, str], tuple[Proxy, str]] = {}
    for (proxy, request), certificate in served.items():
        place = (request.gateway, request.listener)
        known = wanted.get(place) or ()
        other, same = first.setdefault(place, (proxy, certificate))
        if known and certificate not in known:
            found.append(
                f"{proxy.title}, {request.gateway}:{request.listener}: serves certificate "
                f"{certificate[:8]}, its Secret holds {', '.join(it[:8] for it in sorted(known))}"
            )
        elif not known and certificate != same:
            found.append(
                f"{proxy.title}, {request.gateway}:{request.listener}: serves certificate "
                f"{certificate[:8]}, {other.title} serves {same[:8]}"
            )
    return found

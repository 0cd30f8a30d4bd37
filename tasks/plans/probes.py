"""Which requests prove that a Gateway serves, and what an answer says about who gave it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
SECURE = ("HTTPS", "TLS")


@dataclass(frozen=True)
class Request:
    """
    One request through one listener.

    + address, port: where to connect; + scheme: "http", "https" or "tcp"
    + host: for the Host header and SNI; + path: such as "/"
    + routed: whether a route of the inventory should take it; without one any answer of the proxy
      counts
    """

    gateway: str
    listener: str
    scheme: str
    address: str
    port: int
    host: str = ""
    path: str = "/"
    routed: bool = False

    @property
    def text(self) -> str:
        """Such as "edge/public:http http://blue.lab.test:80/"."""
        if self.scheme == "tcp":
            return f"{self.gateway}:{self.listener} tcp {self.address}:{self.port}"
        return f"{self.gateway}:{self.listener} {self.scheme}://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Answer:
    """
    + status: of HTTP, 0 for a bare connection; + by: who answered, such as "demo/blue-5c9f
      (lab-1)", or "".
    """

    status: int
    by: str = ""
    empty: bool = False


def requests(gateway: Object, routes: Iterable[Object]) -> list[Request]:
    """
    One request a listener and host name. ``gateway`` and ``routes`` are objects of the cluster;
    UDP is left out, because silence proves nothing.
    """
    meta = gateway["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    addresses = [it["value"] for it in gateway.get("status", {}).get("addresses") or ()]
    found = []
    for address in addresses:
        for listener in gateway["spec"]["listeners"]:
            protocol, port = listener["protocol"], listener["port"]
            if protocol == "UDP":
                continue
            base = Request(name, listener["name"], "tcp", address, port)
            if protocol in ("TCP", "TLS"):
                found.append(base)
                continue
            scheme = "https" if protocol == "HTTPS" else "http"
            for host, path, routed in _targets(gateway, listener, routes) or [
                (concrete(listener.get("hostname")) or address, "/", False)
            ]:
                found.append(
                    Request(name, listener["name"], scheme, address, port, host, path, routed)
                )
    return found


def _targets(
    gateway: Object, listener: Object, routes: Iterable[Object]
) -> list[tuple[str, str, bool]]:
    found = {}
    for route in routes:
        if route["kind"] != "HTTPRoute" or not _attached(gateway, listener, route):
            continue
        rules = route["spec"].get("rules") or [{}]
        match = (rules[0].get("matches") or [{}])[0]
        path = match.get("path") or {}
        if set(match) - {"path"} or path.get("type") == "RegularExpression":
            continue  # which request it takes is not to be read off it
        names: Sequence[str | None] = route["spec"].get("hostnames") or [listener.get("hostname")]
        for hostname in names:
            if hostname and not covered(hostname, listener.get("hostname")):
                continue
            host = concrete(_narrower(hostname, listener.get("hostname"))) or "probe.invalid"
            target = (host, path.get("value", "/"), True)
            found[target] = target
    return list(found.values())


def _attached(gateway: Object, listener: Object, route: Object) -> bool:
    meta = gateway["metadata"]
    for parent in route["spec"].get("parentRefs") or ():
        namespace = parent.get("namespace") or route["metadata"]["namespace"]
        if (
            (namespace, parent["name"]) == (meta["namespace"], meta["name"])
            and parent.get("kind", "Gateway") == "Gateway"
            and parent.get("sectionName", listener["name"]) == listener["name"]
            and parent.get("port", listener["port"]) == listener["port"]
        ):
            return True
    return False


def _narrower(hostname: str | None, of_listener: str | None) -> str | None:
    """The name that both take: a route's "*.example.com" on listener "shop.example.com" is that."""
    wild = hostname is None or hostname.startswith("*.")
    if wild and of_listener and len(of_listener) > len(hostname or ""):
        return of_listener
    return hostname


def covered(hostname: str, by: str | None) -> bool:
    """
    Whether a listener's hostname takes a route's (Gateway API spec, Listener.hostname: "*.x" is
    not "x").
    """
    if by is None or hostname == by:
        return True
    if by.startswith("*."):
        return hostname.endswith(by[1:]) and hostname != by[1:]
    return hostname.startswith("*.") and by.endswith(hostname[1:])


def concrete(hostname: str | None) -> str | None:
    """A name that a wildcard covers: "*.example.com" -> "probe.example.com"."""
    return f"probe{hostname[1:]}" if hostname and hostname.startswith("*") else hostname


def problem(request: Request, answer: Answer) -> str | None:
    """
    Why an answer does not prove that traffic flows, or None. An empty 404 is Envoy's own "no
    route", an empty 500 or 503 its refusal of a broken or backendless route (facts measured with
    Envoy 1.38 to 1.40).
    """
    if request.scheme == "tcp" or not request.routed:
        return None
    if answer.status == 404 and answer.empty:
        return f"{request.text}: 404 from Envoy itself: no route took the request"
    if answer.status >= 500:
        who = "Envoy itself" if answer.empty else "behind it"
        return f"{request.text}: {answer.status} from {who}"
    return None


def answered_by(headers: Mapping[str, str], body: bytes) -> str:
    """
    Who answered, as far as the answer says: the Pod of the echo backend of the Gateway API
    conformance tests ("demo/blue-5c9f (lab-1)"), else the Server header, else "".
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and document.get("pod"):
        place = f"{document.get('namespace')}/{document['pod']}"
        return f"{place} ({document['ingress']})" if document.get("ingress") else place
    return headers.get("server", "")

"""Which requests prove that a Gateway serves, and what an answer says about who gave it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """
    One request through one listener.

    + address, port: where to connect; + scheme: "http", "https", "tcp" (connect alone) or "tls"
      (a handshake alone)
    + host: for the Host header and SNI; + path: such as "/"
    + route: the HTTPRoute that should take it, such as "shop/cart"; without one any answer of the
      proxy counts
    """

    gateway: str
    listener: str
    scheme: str
    address: str
    port: int
    host: str = ""
    path: str = "/"
    route: str = ""

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
      (lab-1)", or ""; + certificate: SHA-256 of the certificate that was served, None without TLS
    """

    status: int
    by: str = ""
    empty: bool = False
    certificate: str | None = None

    @property
    def text(self) -> str:
        """Such as "200 from demo/blue-5c9f (lab-1), certificate 3fa1b2c4"."""
        by = f" from {self.by}" if self.by else ""
        served = f", certificate {self.certificate[:8]}" if self.certificate else ""
        return f"{self.status or 'connected'}{by}{served}"


@dataclass(frozen=True)
class Seen:
    """
    What a stream of requests met. + failures: by kind, such as {"503": 2, "ConnectionResetError":
    1}; + longest_gap: seconds in which a listener answered nothing
    """

    requests: int
    failures: Mapping[str, int]
    longest_gap: float

    @property
    def text(self) -> str:
        """Such as "1,204 requests, 2 failed (503: 2), longest gap 0.11 s"."""
        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(self.failures.items()))
        failed = f"{sum(self.failures.values()):,} failed" + (f" ({kinds})" if kinds else "")
        return f"{self.requests:,} requests, {failed}, longest gap {self.longest_gap:.2f} s"


def requests(gateway: Object, routes: Iterable[Object]) -> list[Request]:
    """
    One request a listener and host name. ``gateway`` and ``routes`` are objects of the cluster;
    UDP is left out, because silence proves nothing. A ListenerSet is asked for as a Gateway, see
    ``with_addresses``.
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
            for host, path, route in _targets(gateway, listener, routes) or [
                (concrete(listener.get("hostname")) or address, "/", "")
            ]:
                found.append(
                    Request(name, listener["name"], scheme, address, port, host, path, route)
                )
    return found


def with_addresses(listener_set: Object, gateways: Iterable[Object]) -> Object:
    """A ListenerSet that has the addresses of its Gateway, none where that is not among these."""
    meta, ref = listener_set["metadata"], listener_set["spec"]["parentRef"]
    parent = ref.get("namespace") or meta["namespace"], ref["name"]
    found = (
        it.get("status", {}).get("addresses") or ()
        for it in gateways
        if (it["metadata"]["namespace"], it["metadata"]["name"]) == parent
    )
    return {**listener_set, "status": {"addresses": next(found, ())}}


def _targets(
    gateway: Object, listener: Object, routes: Iterable[Object]
) -> list[tuple[str, str, str]]:
    """Host name, path and route of each request, the first of several routes for the same."""
    found: dict[tuple[str, str], str] = {}
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
            meta = route["metadata"]
            found.setdefault((host, path.get("value", "/")), f"{meta['namespace']}/{meta['name']}")
    return [(*target, route) for target, route in found.items()]


def _attached(gateway: Object, listener: Object, route: Object) -> bool:
    meta = gateway["metadata"]
    for parent in route["spec"].get("parentRefs") or ():
        namespace = parent.get("namespace") or route["metadata"]["namespace"]
        if (
            (namespace, parent["name"]) == (meta["namespace"], meta["name"])
            and parent.get("kind", "Gateway") == gateway.get("kind", "Gateway")
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
    if request.scheme in ("tcp", "tls") or not request.route:
        return None
    if answer.status == 404 and answer.empty:
        return f"{request.text}: 404 from Envoy itself: no route took the request"
    if answer.status >= 500:
        who = "Envoy itself" if answer.empty else "behind it"
        return f"{request.text}: {answer.status} from {who}"
    return None


def problems(
    outcomes: Mapping[Request, Answer | str], before: Mapping[Request, Answer]
) -> list[str]:
    """
    What does not serve, a line each. A route that answered before must not do worse now.

    + outcomes: the answer to each request, or why there was none
    + before: answers before a change, by ``at``
    """
    found = []
    for request, outcome in outcomes.items():
        was = before.get(at(request)) if request.route else None
        if isinstance(outcome, str):
            why: str | None = f"{request.text}: {outcome}"
        else:
            why = problem(request, outcome)
            if why is None and was and was.status < 400 <= outcome.status:
                why = f"{request.text}: {outcome.text}"
        if why and was:
            why = f"HTTPRoute {request.route} answered {was.text} before the change, and now {why}"
        if why:
            found.append(why)
    return sorted(found)


def at(request: Request) -> Request:
    """The request whatever the address: the same before and after an address changed."""
    return replace(request, address="")


def recorded(answers: Mapping[Request, Answer]) -> list[dict[str, Any]]:
    """For the journal: [{"request": {...}, "answer": {...}}]."""
    return [{"request": asdict(it), "answer": asdict(answer)} for it, answer in answers.items()]


def remembered(
    entries: Iterable[Mapping[str, Any]], event: str, cluster: str
) -> dict[Request, Answer]:
    """
    What ``recorded`` wrote for a cluster into the journal of a run that was broken off: the first
    such entry, for the later ones saw a cluster that was half changed.
    """
    for entry in entries:
        if (entry.get("event"), entry.get("cluster")) == (event, cluster):
            return {Request(**it["request"]): Answer(**it["answer"]) for it in entry["answers"]}
    return {}


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

"""
What is known of a proxy and of what it was asked: each part may be absent, and a diagnosis says
what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """
    One request as its caller made it.

    + scheme: "http" or "https"; + host: with a port where the caller gave one, such as
      "shop.example.com:8443"; + path: with its query, such as "/cart?id=1"
    + version: "1.1", "2", "3"
    + sni: name in the TLS handshake, None where it is the host, or there is no TLS
    + reused: whether it went over a connection that another request had opened
    """

    method: str = "GET"
    scheme: str = "http"
    host: str = ""
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = "1.1"
    sni: str | None = None
    reused: bool = False

    def header(self, name: str) -> str:
        """Empty where there is none; + name: in lower case"""
        return _header(self.headers, name)


@dataclass(frozen=True)
class Exchange:
    """
    A request and what its caller got.

    + status: such as 404, None where no response came; + error: such as "ConnectionResetError:
      [Errno 104] Connection reset by peer", None with a response
    """

    request: Request
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    error: str | None = None

    def header(self, name: str) -> str:
        """Empty where there is none; + name: in lower case"""
        return _header(self.headers, name)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One line of an access log, whatever its format. None: the format has no such field; "" or 0: it
    has, and Envoy wrote "-" or null; a time is None then too.

    + source: such as "access.eg.jsonl" or "Pod envoy-gateway-system/envoy-…"; + line: from 1
    + at: RFC 3339, such as "2026-11-21T02:59:26.199Z"; + authority: ":authority" or Host
    + status: 0 where none was sent; + flags: such as "UF,URX", "" for "-"
    + details: of the response code, such as "via_upstream"
    + termination: of the connection; + failure: upstream_transport_failure_reason
    + duration, upstream_time: milliseconds; + sent, received: bytes of bodies
    + remote, local: addresses of the downstream connection, such as "127.0.0.1:60148"
    + sni: requested_server_name; + listener: of the filter chain, such as "edge/public/https"
    + listener_failure: downstream_transport_failure_reason; + grpc_status: "14" or "Unavailable"
    + attempts: how often a backend was tried
    + request_time, connect_time, response_time: milliseconds until the client had sent all, until
      a backend was connected, and from its first byte to the last for the client
    """

    source: str
    line: int
    at: str = ""
    method: str | None = None
    path: str | None = None
    protocol: str | None = None
    authority: str | None = None
    status: int | None = None
    flags: str | None = None
    details: str | None = None
    termination: str | None = None
    failure: str | None = None
    upstream_host: str | None = None
    upstream_cluster: str | None = None
    route: str | None = None
    duration: float | None = None
    upstream_time: float | None = None
    received: int | None = None
    sent: int | None = None
    remote: str | None = None
    local: str | None = None
    sni: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    forwarded_for: str | None = None
    listener_failure: str | None = None
    listener: str | None = None
    upstream_local: str | None = None
    grpc_status: str | None = None
    attempts: int | None = None
    request_time: float | None = None
    connect_time: float | None = None
    response_time: float | None = None

    @property
    def port(self) -> int | None:
        """That its client came to, None where the line does not say."""
        port = (self.local or "").rpartition(":")[2]
        return int(port) if port.isdecimal() else None

    @property
    def request(self) -> Request:
        """That the line tells of."""
        return Request(
            method=self.method or "GET",
            scheme="https" if self.sni else "http",
            host=self.authority or "",
            path=self.path or "/",
            version=(self.protocol or "").removeprefix("HTTP/") or "1.1",
            sni=self.sni or None,
        )


@dataclass(frozen=True)
class Skipped:
    """What could not be read: + what: such as "access.eg.jsonl"; + count: of lines; + why"""

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class Gap:
    """
    What is not known: + what: such as "config_dump.json"; + why: such as "absent"; + cost: what a
    diagnosis cannot tell without it
    """

    what: str
    why: str
    cost: str


@dataclass(frozen=True)
class Proxy:
    """
    What the admin interface of one Envoy says; None is what could not be read.

    + name: such as "Pod envoy-gateway-system/envoy-edge-…", or the folder of a bundle
    + config: ``tasks.diagnosis.config.Configuration``; typed there, so that reading stays apart
    + clusters: of /clusters?format=json; + clusters_text; + listeners, certs, server_info: JSON
    + stats: {"cluster.httproute/shop/cart/rule/0.upstream_rq_total": 3.0}
    + prometheus: text of /stats/prometheus; + log: Envoy's own lines
    """

    name: str
    config: Any = None
    clusters: Object | None = None
    clusters_text: str | None = None
    listeners: Object | None = None
    certs: Object | None = None
    server_info: Object | None = None
    stats: Mapping[str, float] | None = None
    prometheus: str | None = None
    log: Sequence[str] | None = None


@dataclass(frozen=True)
class Evidence:
    """
    All that one diagnosis has.

    + exchanges: in order, the last one is the question; empty where nobody asks about a request
    + entries: of access logs, oldest first
    + proxies: one for a bundle, all of a Gateway on a cluster
    + objects: of Kubernetes, Secrets without what they keep; None where none could be read
    + now: seconds since 1970 when it was read, None where nothing tells
    + cluster: its name in an inventory, "" for a bundle
    + live: whether the rest of a cluster was read too, all objects of each kind that it serves:
      what is missing is then not there, but for kinds that ``gaps`` name by their resource, such as
      "leases.coordination.k8s.io"; PodMetrics are objects too
    + served: versions of each resource outside the core group, such as
      {"tcproutes.gateway.networking.k8s.io": ["v1"]}; None where it could not be read
    + logs: of the controller's Pods, lines by name, such as {"envoy-gateway-system/envoy-gateway-
      6649554d76-whjs5": ("...",)}; those of an earlier container end with "/previous"
    + names: what DNS says of the host that is asked for: {"shop.example.com": {"addresses":
      ["20.1.2.3"], "why": None}}
    + controller: the name that our GatewayClasses have
    """

    exchanges: Sequence[Exchange] = ()
    entries: Sequence[Entry] = ()
    proxies: Sequence[Proxy] = ()
    objects: Sequence[Object] | None = None
    now: float | None = None
    cluster: str = ""
    live: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    skipped: Sequence[Skipped] = ()
    served: Mapping[str, Sequence[str]] | None = None
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    controller: str = "gateway.envoyproxy.io/gatewayclass-controller"

    @property
    def question(self) -> Exchange | None:
        """The request that is asked about."""
        return self.exchanges[-1] if self.exchanges else None

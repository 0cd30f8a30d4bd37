"""
The world of one capture: a Gateway, applications behind it, policies, and who asks what. A fault
changes it; xds.py and plain.py say it to an Envoy, objects.py to Kubernetes.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.diagnosis.causes import AnsweredBy, Cause
from tests.authorities import Pair

Json = dict[str, Any]
Shape = Literal["envoy-gateway", "plain-envoy"]
How = Literal[
    "answer", "close", "cut", "reset", "refuse_stream", "hang", "banner", "silent", "refuse"
]


@dataclass
class Answer:
    """
    What the Pods of a Service do.

    + how: answers; closes without an answer; cuts one short, or (HTTP/2) ends the connection in
      the middle of it; refuses each stream (HTTP/2); says nothing; greets as a mail server does;
      lets nobody in (packets are dropped); does not listen
    + status: of answers; + first: statuses of the first ones; + paths: statuses by how the path
      begins; + known: how paths begin that are not 404, all where it is empty
    + delay: seconds; + every: each n-th request alone is answered with ``status``, others 200
    + headers: more of them; + health: status of /healthz
    + http2: speaks HTTP/2 alone; + grpc: status of gRPC, None where it is none
    + message: of gRPC, as bytes; + pair: certificate, where it speaks TLS
    """

    how: How = "answer"
    status: int = 200
    first: list[int] = field(default_factory=list)
    paths: Mapping[str, int] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    delay: float = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    health: int = 200
    http2: bool = False
    grpc: int | None = None
    said: str = ""
    message: bytes = b""
    pair: Pair | None = None

    def context(self) -> ssl.SSLContext | None:
        if self.pair is None:
            return None
        from tests.scenes.certificates import serving

        made = serving(self.pair)
        made.set_alpn_protocols(["h2"] if self.http2 else ["http/1.1"])
        return made


@dataclass
class Service:
    """
    + port, target: of the Service; + listens: where the container does, None for ``target``
    + pods: how many; + selected: its selector finds them; + ready: whether they are
    + health: that EDS gives its endpoints; + protocol: appProtocol; + present: it exists at all
    + matched: TLS is spoken to its endpoints by a transport socket match
    """

    namespace: str
    name: str
    pods: int = 1
    answer: Answer = field(default_factory=Answer)
    port: int = 80
    target: int = 3000
    listens: int | None = None
    selected: bool = True
    ready: bool = True
    health: str = "UNKNOWN"
    protocol: str | None = None
    present: bool = True
    matched: bool = False
    addresses: list[str] = field(default_factory=list)

    @property
    def endpoints(self) -> list[tuple[str, int]]:
        """That Envoy is told of."""
        known = self.present and self.selected and self.ready
        return [(it, self.target) for it in self.addresses] if known else []


@dataclass
class Rule:
    """
    One rule of a route.

    + matches: of Gateway API; + services: with weights; + filters, timeouts: of Gateway API
    + action: more of Envoy's route action; + instead: what Envoy does in its place, such as
      {"direct_response": {"status": 503}}; + per_filter: typed_per_filter_config
    + cluster: more fields of its cluster; + missing: Envoy was not told of that cluster
    + port: that its backendRef names, where it is not the Service's
    """

    services: list[tuple[Service, int]]
    matches: list[Json] = field(default_factory=list)
    filters: list[Json] = field(default_factory=list)
    timeouts: Json = field(default_factory=dict)
    action: Json = field(default_factory=dict)
    instead: Json | None = None
    per_filter: Json = field(default_factory=dict)
    cluster: Json = field(default_factory=dict)
    missing: bool = False
    port: int | None = None


@dataclass
class Route:
    """
    + sections: names of the listeners that it is attached to, none for all of HTTP
    + attached: whether the Gateway took it; + conditions: by type what differs from True, such as
      {"ResolvedRefs": ("BackendNotFound", "..."), ...}
    + parent: Gateway that it names, where that is another; + section: that it names
    """

    namespace: str
    name: str
    hosts: list[str]
    rules: list[Rule]
    kind: str = "HTTPRoute"
    sections: list[str] = field(default_factory=list)
    attached: bool = True
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    parent: str | None = None
    section: str | None = None
    seen: bool = True

    def cluster(self, number: int) -> str:
        return f"{self.kind.lower()}/{self.namespace}/{self.name}/rule/{number}"


@dataclass
class Listener:
    """+ port: of the Gateway, such as 80; + secret: (namespace, name) of its certificate"""

    name: str
    port: int = 80
    hostname: str | None = None
    secret: tuple[str, str] | None = None
    allowed: str = "All"

    @property
    def inner(self) -> int:
        """Port of the proxy: low ones are moved up."""
        return self.port + 10000 if self.port < 1024 else self.port


@dataclass
class Ask:
    """
    Requests that a client makes, one after another.

    + host: with a port where one is given; + times: how often; + version: "1.1" or "2"
    + sni: None for the host, "" for none; + port: of the Gateway; + timeout: seconds
    + verify: the client checks the certificate against the authority of this capture
    + together: all at once; + connection: name of an HTTP/2 connection that is opened once
    + plain: no TLS, whatever the port; + sent: bytes that are sent after connecting instead
    """

    host: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    scheme: str = "http"
    version: str = "1.1"
    sni: str | None = None
    port: int | None = None
    timeout: float = 8
    verify: bool = False
    together: bool = False
    connection: str | None = None
    reused: bool = False
    grpc: bool = False
    pause: float = 0
    agent: str = "shopper/2"


@dataclass
class Truth:
    """
    What is right, by construction. ``details`` and ``flags`` as in the access log, "re:..." for a
    pattern; + obj: (kind, namespace, name); + index: of the request in ``client``
    """

    cause: Cause = "ok"
    answered_by: AnsweredBy = "upstream"
    status: int | None = 200
    flags: str = "-"
    details: str | None = "via_upstream"
    why: str = "nothing is wrong"
    obj: tuple[str, str | None, str] | None = None
    must_not: Sequence[str] = ()
    also: Sequence[str] = ()
    also_objects: Sequence[tuple[str, str | None, str]] = ()
    needs: Sequence[str] = ("access_log",)
    index: int = -1
    more: Json = field(default_factory=dict)


@dataclass
class World:
    """
    + main: the Service that is asked; + route: its route; + beside: the neighbour's
    + helpers: Services of policies; + filters: HTTP filters of all listeners, before the router
    + extra: more clusters, as in Envoy; + manager, table: more fields of the HTTP connection
      manager and of route configurations
    + policies: objects of Kubernetes; + pairs: certificates by Secret
    + catch_all: routes of a virtual host "*", by listener
    + asks: what the client asks; + before: what others ask before, beside the neighbour
    + settle: seconds between start and the first request
    """

    shape: Shape
    gateway: tuple[str, str]
    release: str
    domain: str
    listeners: list[Listener]
    main: Service
    route: Route
    beside: Route
    neighbour: Service
    others: list[Route] = field(default_factory=list)
    helpers: dict[str, Service] = field(default_factory=dict)
    filters: list[Json] = field(default_factory=list)
    extra: list[Json] = field(default_factory=list)
    manager: Json = field(default_factory=dict)
    table: Json = field(default_factory=dict)
    policies: list[Json] = field(default_factory=list)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    authority: Pair | None = None
    catch_all: dict[str, list[Json]] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    before: list[Ask] = field(default_factory=list)
    settle: float = 0
    truth: Truth = field(default_factory=Truth)
    plain_object: tuple[str, str] | None = None
    bootstrap: Json = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        return self.shape == "plain-envoy"

    @property
    def host(self) -> str:
        return self.route.hosts[0]

    @property
    def rule(self) -> Rule:
        return self.route.rules[0]

    @property
    def routes(self) -> list[Route]:
        return [self.beside, *self.others, self.route]

    @property
    def services(self) -> list[Service]:
        found: list[Service] = [self.neighbour]
        for route in (*self.others, self.route):
            for rule in route.rules:
                found += [it for it, _ in rule.services if not any(it is one for one in found)]
        if not any(self.main is it for it in found):
            found.append(self.main)
        return found

    def ask(self, path: str = "/", times: int = 3, host: str | None = None, **more: Any) -> None:
        self.asks.append(Ask(host=host or self.host, path=path, times=times, **more))

    def policy(self, kind: str, ending: str, spec: Json, group: str | None = None) -> str:
        """A policy for the route, and what it is called."""
        name = f"{self.route.name}-{ending}"
        target = {"group": "gateway.networking.k8s.io", "kind": self.route.kind}
        said: Json = {"targetRefs": [{**target, "name": self.route.name}], **spec}
        self.policies.append({"kind": kind, "name": name, "spec": said})
        return name

    def blame(self, kind: str, name: str | None = None, namespace: str | None = None) -> None:
        """What is at fault, in an Envoy Gateway."""
        where = self.gateway[0] if kind == "Gateway" else self.route.namespace
        default = {
            "Gateway": self.gateway[1],
            "Service": self.main.name,
            "HTTPRoute": self.route.name,
            "GRPCRoute": self.route.name,
        }
        self.truth.obj = (kind, namespace or where, name or default[kind])

"""
The configuration that an Envoy runs, out of its /config_dump: what decides where a request goes.

Sources: Envoy v1.39, api/envoy/admin/v3/config_dump.proto, api/envoy/config/{listener,route,
cluster,endpoint}/v3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """
    One route of a virtual host.

    + name: such as "httproute/shop/cart/rule/0/match/0/cart_example_com", "" in plain Envoys
    + match, raw: as Envoy has them
    + clusters: that it may send to, with their weights; empty for redirects and direct responses
    + resources: objects that Envoy Gateway names in its metadata, such as {"kind": "HTTPRoute",
      "namespace": "shop", "name": "cart"}
    """

    name: str
    match: Object
    raw: Object
    clusters: Mapping[str, int] = field(default_factory=dict)
    resources: Sequence[Object] = ()

    @property
    def answers_itself(self) -> bool:
        """Whether no backend is asked."""
        return "direct_response" in self.raw or "redirect" in self.raw


@dataclass(frozen=True)
class VirtualHost:
    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    raw: Object


@dataclass(frozen=True)
class RouteTable:
    """A RouteConfiguration: + name: such as "infra/edge/http"; + raw: without its virtual hosts"""

    name: str
    hosts: tuple[VirtualHost, ...]
    raw: Object


@dataclass(frozen=True)
class Chain:
    """
    A filter chain of a listener.

    + server_names: of its match, empty where it takes any; + tls: whether it ends TLS
    + table: name of its RouteTable, None where it speaks no HTTP
    + manager: configuration of the HTTP connection manager; + filters: names of its HTTP filters
    + cluster: of a TCP proxy
    + network: names of its network filters, such as "envoy.filters.network.tcp_proxy"
    """

    name: str
    match: Object
    server_names: tuple[str, ...]
    tls: bool
    table: str | None
    manager: Object | None
    filters: tuple[str, ...]
    cluster: str | None
    raw: Object
    network: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listener:
    """
    + address: such as "0.0.0.0"; + port: of the proxy, such as 10080; + udp: QUIC or UDPRoute
    + default: chain for what matches none, None without
    + inspects_tls: whether it reads the name of a handshake
    + error: why its newest configuration was refused, None where it was taken
    + state: "active", "warming" (accepts nothing yet), "draining", "refused" (never was active)
    + places: further addresses, such as ("[::]:10080",)
    """

    name: str
    address: str
    port: int
    chains: tuple[Chain, ...]
    default: Chain | None
    inspects_tls: bool
    udp: bool
    raw: Object
    error: str | None = None
    state: str = "active"
    places: tuple[str, ...] = ()

    @property
    def every_chain(self) -> tuple[Chain, ...]:
        """That for what matches none last."""
        return (*self.chains, *([self.default] if self.default is not None else ()))


@dataclass(frozen=True)
class Endpoint:
    """
    + address: "10.0.0.7:3000"; + health: that EDS gave, such as "HEALTHY", "UNKNOWN" is as good
    + priority: 0 is asked first; + hostname: "" without
    + failed: why Envoy thinks it down, such as ("failed_active_hc", "failed_outlier_check"); only
      /clusters tells
    + stats: of /clusters, such as {"cx_connect_fail": 3, "rq_total": 10}
    """

    address: str
    health: str = "UNKNOWN"
    weight: int = 1
    priority: int = 0
    hostname: str = ""
    failed: tuple[str, ...] = ()
    stats: Mapping[str, int] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether requests go to it as long as there are enough like it."""
        return not self.failed and self.health in ("HEALTHY", "UNKNOWN", "DEGRADED")


@dataclass(frozen=True)
class Cluster:
    """
    + name: such as "httproute/shop/cart/rule/0"; + kind: "EDS", "STATIC", "STRICT_DNS", ...
    + endpoints: that it was given, None where the dump does not have them
    + tls: whether it speaks TLS to its endpoints; + raw: as Envoy has it
    + error: why its newest configuration was refused, None where it was taken
    + state: "active", "warming" (answers nothing yet), "refused" (never was active)
    """

    name: str
    kind: str
    endpoints: tuple[Endpoint, ...] | None
    tls: bool
    raw: Object
    error: str | None = None
    state: str = "active"


@dataclass(frozen=True)
class Configuration:
    """
    + tables: by what ``Chain.table`` says, which is their name but for those written in a listener,
      of which several may have one name: "LISTENER: NAME"
    + clusters: by name; + secrets: names of what SDS delivered
    + errors: what was refused, such as "listener infra/edge/http: ..."
    + warming: what waits for something, such as "secret edge/shop-tls"
    + partial: parts of the dump that are missing or could not be read
    + version: of Envoy, such as "1.39.1", "" where the dump does not tell
    + node: its id, "" where the dump does not tell
    """

    listeners: tuple[Listener, ...] = ()
    tables: Mapping[str, RouteTable] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    version: str = ""
    warming: tuple[str, ...] = ()
    node: str = ""

    @property
    def routes(self) -> Iterator[Route]:
        """Of all tables."""
        return (it for table in self.tables.values() for host in table.hosts for it in host.routes)


def read(dump: bytes | str | Mapping[str, Any]) -> Configuration:
    """A /config_dump, with endpoints if it was asked for with ?include_eds; of any shape."""
    from tasks.diagnosis.config_dump import configuration

    return configuration(dump)


def healths(clusters: object) -> dict[str, tuple[Endpoint, ...]]:
    """Endpoints by name of their cluster, of /clusters?format=json; of any shape."""
    from tasks.diagnosis.config_endpoints import statuses

    return statuses(clusters)


def healths_of_text(clusters: str) -> dict[str, tuple[Endpoint, ...]]:
    """The same of /clusters as text."""
    from tasks.diagnosis.config_endpoints import statuses_of_text

    return statuses_of_text(clusters)

"""What a Gateway takes of its clients, and how much of it goes on to backends."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from tasks.fleet.inventory.base import Strict, Text


def _written(form: str, meaning: str) -> AfterValidator:
    """A text of this form, or one line that says what it should be."""

    def check(value: str) -> str:
        if re.fullmatch(form, value) is None:
            raise ValueError(f"{value!r} is not {meaning}")
        return value

    return AfterValidator(check)


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a network such as '203.0.113.0/24'") from None


#: As Envoy Gateway writes lengths of time and amounts of memory.
Time = Annotated[
    str, _written(r"([0-9]{1,5}(h|m|s|ms)){1,4}", "a time such as '30s', '1m30s' or '250ms'")
]
Size = Annotated[str, _written(r"[1-9][0-9]*(Ki|Mi|Gi)?", "a size such as '32Ki' or '1Mi'")]
Address = Annotated[
    str, _written(r"[^\s:/]+:[0-9]{1,5}", "a host and port such as 'redis.shared.svc:6379'")
]
Count = Annotated[int, Field(ge=1)]
Cidr = Annotated[str, AfterValidator(_network)]
Trigger = Literal[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]


class Clients(Strict):
    """
    What each proxy takes of clients; None leaves it to Envoy Gateway.

    + connections: at once; one more is closed. + connection_age, connection_requests: then a
      connection ends, and the client opens another
    + buffer: of each connection; + idle: of a connection without a request; + request_received:
      until a whole request is there; + stream_idle: of a request in which nothing moves
    + streams: requests at once in one connection of HTTP/2; + stream_window, connection_window: of
      HTTP/2, bytes on their way
    + proxy_protocol: the load balancer says who the client is; + trusted_hops, trusted_proxies:
      X-Forwarded-For of so many proxies, or of those networks, is believed
    + alpn: what TLS listeners offer; + grpc_web: None is on where a GRPCRoute is attached
    """

    connections: Count | None = None
    connection_age: Time | None = None
    connection_requests: Count | None = None
    buffer: Size | None = None
    idle: Time | None = None
    request_received: Time | None = None
    stream_idle: Time | None = None
    streams: Count | None = None
    stream_window: Size | None = None
    connection_window: Size | None = None
    proxy_protocol: Literal["required", "optional"] | None = None
    trusted_hops: Count | None = None
    trusted_proxies: list[Cidr] = []
    alpn: list[Literal["h2", "http/1.1"]] = []
    grpc_web: bool | None = None

    @model_validator(mode="after")
    def _one_way_to_know_clients(self) -> Clients:
        if self.trusted_hops is not None and self.trusted_proxies:
            raise ValueError("trusted_hops and trusted_proxies: only one of them can be believed")
        return self


class Timeouts(Strict):
    """
    + request: until the answer has ended, all tries together; + connect: to a backend
    + stream_idle: of a request in which nothing moves; + stream: the longest life of a request,
      also of gRPC streams and WebSockets; + idle: of an unused connection to a backend
    """

    request: Time | None = None
    connect: Time | None = None
    stream_idle: Time | None = None
    stream: Time | None = None
    idle: Time | None = None


class Retries(Strict):
    """
    + times: after the first try; + each: the longest that one try may take; + on, codes: None is
      Envoy Gateway's: no connection, refused or cancelled streams, and 503
    + wait, longest_wait: between tries, growing
    """

    times: Annotated[int, Field(ge=0)] = 2
    each: Time | None = None
    on: list[Trigger] = []
    codes: list[Annotated[int, Field(ge=100, le=599)]] = []
    wait: Time | None = None
    longest_wait: Time | None = None

    @property
    def triggers(self) -> list[str]:
        """``on``, with the one that ``codes`` need beside others to be looked at."""
        needed = self.codes and self.on and "retriable-status-codes" not in self.on
        return [*self.on, *(["retriable-status-codes"] if needed else [])]


class CircuitBreaker(Strict):
    """
    Of each proxy, towards all endpoints of a backend together; one more is answered 503.

    + connections, requests, pending, retries: at once; + per_endpoint: connections to each
    + retry_budget: percent of the requests under way that may be retries, instead of ``retries``
    """

    connections: Count | None = None
    requests: Count | None = None
    pending: Annotated[int, Field(ge=0)] | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    retry_budget: Annotated[int, Field(ge=0, le=100)] | None = None
    per_endpoint: Count | None = None


class Backends(Strict):
    """
    Of connections from proxies to backends; None leaves it to Envoy Gateway.

    + buffer: of each connection; + keepalive: a connection on which nothing moves is looked at
      after so long, and every 30 s then
    + streams: requests at once in one connection of HTTP/2, with more there are more of them;
      + stream_window, connection_window: of HTTP/2, bytes on their way
    """

    buffer: Size | None = None
    keepalive: Time | None = None
    streams: Count | None = None
    stream_window: Size | None = None
    connection_window: Size | None = None


class RateLimit(Strict):
    """
    + requests, per: so many in each second, minute, ...; one more is answered 429
    + of: each "proxy" counts for itself, or "all" count together, in a Redis (docs/limits.md)
    + shared: all routes of a Gateway together, of "all" only; else each of them has so many
    + headers: only requests with these; "*" counts each value for itself. + clients: only those
      of this network; + each_client: each address for itself; + path: a prefix
    """

    requests: Count
    per: Literal["Second", "Minute", "Hour", "Day"] = "Second"
    of: Literal["proxy", "all"] = "proxy"
    shared: bool = False
    headers: dict[str, Text] = {}
    clients: Cidr | None = None
    each_client: bool = False
    path: Text | None = None


class Limits(Strict):
    """
    Of a Gateway, or of one of its routes, which then has its own and for the rest the Gateway's.

    + clients: of a Gateway only; + request_buffer: a request is held back until it is there as a
      whole; a larger one is answered 413
    """

    clients: Clients | None = None
    timeouts: Timeouts | None = None
    retries: Retries | None = None
    circuit_breaker: CircuitBreaker | None = None
    backends: Backends | None = None
    rates: list[RateLimit] = []
    request_buffer: Size | None = None

    @property
    def of_backends(self) -> bool:
        """Whether anything is said that a BackendTrafficPolicy holds."""
        said = (self.timeouts, self.retries, self.circuit_breaker, self.backends)
        return any((*said, self.rates, self.request_buffer))

    @field_validator("rates")
    @classmethod
    def _who_is_counted(cls, rates: list[RateLimit]) -> list[RateLimit]:
        for it in rates:
            if it.each_client and it.clients is None:
                raise ValueError('each_client needs clients, such as "0.0.0.0/0" for all of them')
            if it.shared and it.of != "all":
                raise ValueError('shared needs "of": "all": a proxy counts each route for itself')
        return rates

"""Requests of one client to the one server that a resolver names."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import Field, field_validator

from tasks.fleet.inventory.base import Name, Port, Strict, Text
from tasks.plans import durations

#: Of a path that stands in a script and in a route: nothing that has to be escaped.
Path = Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.~-]*$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
#: Milliseconds that a request may wait for the resolver.
LONGEST = 5000


class Servers(Strict):
    """+ service: in the namespace of the entry, with the servers as its endpoints."""

    service: Name
    port: Port


class Resolver(Strict):
    """
    + path: asked with the parameter: "/where?client_id=7"; + timeout: "250ms", up to 5 s
    + answer: key of its JSON answer that holds address and port: "10.0.0.5:8081"
    + open: True lets clients ask it too, through the Gateway
    """

    service: Name
    port: Port
    path: Path = "/where"
    timeout: Text = "250ms"
    answer: Word = "hostport"
    open: bool = True

    @field_validator("timeout")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if not 1 <= durations.seconds(value) * 1000 <= LONGEST:
            raise ValueError(f"{value!r} is not between 1ms and 5s")
        return value

    @property
    def milliseconds(self) -> int:
        return round(durations.seconds(self.timeout) * 1000)


class Allowed(Strict):
    """
    Which of the Service's endpoints the resolver may name; empty does not narrow that.

    + cidrs: such as "10.244.0.0/16"; + ports: of the Pods
    """

    cidrs: list[Text] = []
    ports: list[Port] = []

    @field_validator("cidrs")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for it in value:
            try:
                IPv4Network(it)
            except ValueError as error:
                raise ValueError(f"{it!r} is no IPv4 network such as 10.244.0.0/16") from error
        return value


class DynamicRoute(Strict):
    """
    + gateway: "namespace/name"; + listener: None is every listener that takes it
    + hostnames: empty is every name of the listener; + path: this and all below it
    + parameter: of the query, that names the client; + client: one that the resolver knows, to
      prove the way with
    """

    name: Name
    namespace: Name
    gateway: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    listener: Name | None = None
    hostnames: list[Text] = []
    path: Path = "/join"
    parameter: Word = "client_id"
    resolver: Resolver
    servers: Servers
    allowed: Allowed = Allowed()
    client: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.name}"

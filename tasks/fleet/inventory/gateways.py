"""Gateways, their routes, and the proxies behind them."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tasks.fleet.inventory.base import Name, Port, Strict, Text
from tasks.fleet.inventory.limits import Limits
from tasks.fleet.inventory.proxies import Proxy

#: What tells one route of HTTP from another, and is nothing to the others.
OF_HTTP = ("hostnames", "path", "headers", "methods")


class Listener(Strict):
    """
    + hostname: such as "*.example.com"; None takes every name. + secret: certificate of an HTTPS
      listener.
    """

    name: Name
    port: Port
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"] = "HTTP"
    hostname: Text | None = None
    secret: Name | None = None
    routes_from: Literal["Same", "All"] = "All"


class PublicIp(Strict):
    """
    A public IP of Azure for a Gateway, which deploys/reserve_public_ip.py makes where it is not.

    + resource_group, subscription: None is the cluster's node resource group, and its own
      subscription; + prefix: name of a public IP prefix in the same group that it is taken from
    + zones: none is not zone-redundant; + idle_timeout: minutes; + lock: against deletion
    + role: give the cluster's identity the role Network Contributor on the group
    + tags: on what is made
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$")]
    resource_group: Annotated[str, Field(pattern=r"^[\w.()-]{0,89}[\w()-]$")] | None = None
    subscription: Text | None = None
    prefix: Text | None = None
    zones: list[Annotated[str, Field(pattern=r"^[1-9]$")]] = ["1", "2", "3"]
    idle_timeout: Annotated[int, Field(ge=4, le=100)] = 4
    lock: bool = True
    role: bool = True
    tags: dict[str, str] = {}

    @property
    def title(self) -> str:
        """Such as "addresses/weu-1-public"; without a group it is of the node resource group."""
        return "/".join(filter(None, (self.subscription, self.resource_group, self.name)))


class Gateway(Strict):
    """
    + address: a fixed IPv4 address of the load balancer, None lets Azure choose; + public_ip: the
      resource that has it; + listeners_from: namespaces whose ListenerSets it takes; + limits: None
      takes the cluster's
    + proxy: its own proxies, in place of those that the cluster says; None are like all
    """

    name: Name
    namespace: Name
    listeners: Annotated[list[Listener], Field(min_length=1)]
    address: Text | None = None
    public_ip: PublicIp | None = None
    proxy: Proxy | None = None
    annotations: dict[str, str] = {}
    listeners_from: Literal["None", "Same", "All"] = "None"
    limits: Limits | None = None

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(IPv4Address(value))
        except ValueError:
            raise ValueError(f"{value!r} is no IPv4 address") from None


class BackendTls(Strict):
    """
    Proxies speak TLS to the Service: a BackendTLSPolicy.

    + hostname: in the certificate it serves; + authority: a ConfigMap with ca.crt in the Service's
      namespace, None are the public ones
    """

    hostname: Text
    authority: Name | None = None


class Backend(Strict):
    service: Name
    port: Port
    weight: Annotated[int, Field(ge=0)] = 1
    tls: BackendTls | None = None


class Method(Strict):
    """Of gRPC: + service: with its package, such as "shop.v1.Cart"; + method: None is all of it."""

    service: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z_0-9.]*$")]
    method: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")] | None = None


class Route(Strict):
    """
    + listener: the listener's name, None attaches to all of the Gateway. + gateway:
      "namespace/name"
    + path: a prefix, of an HTTPRoute; + methods: of a GRPCRoute, empty are all; + headers: only
      requests that have all of these, a value with ^ before it is a regular expression
    """

    name: Name
    namespace: Name
    gateway: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    listener: Name | None = None
    kind: Literal["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"] = "HTTPRoute"
    hostnames: list[Text] = []
    path: Text = "/"
    headers: dict[str, Text] = {}
    methods: list[Method] = []
    limits: Limits | None = None
    backends: Annotated[list[Backend], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Route:
        """What other kinds have no place for; TCPRoutes always took what is said of HTTP."""
        beside = {
            "HTTPRoute": ["methods"],
            "GRPCRoute": ["path"],
            "TLSRoute": ["path", "headers", "methods"],
            "TCPRoute": ["headers", "methods"],
            "UDPRoute": list(OF_HTTP),
        }[self.kind]
        for key in beside:
            if key in self.model_fields_set:
                raise ValueError(f"route {self.name} is a {self.kind}, which has no {key}")
        if self.kind == "TLSRoute" and not self.hostnames:
            raise ValueError(f"route {self.name} is a TLSRoute, which needs hostnames")
        limits = self.limits
        if limits is None:
            return self
        if limits.clients is not None:
            raise ValueError(
                f"route {self.name}: limits.clients is of connections, which a Gateway has: put it "
                f"into limits of {self.gateway}"
            )
        if self.kind not in ("HTTPRoute", "GRPCRoute"):
            other = {"timeouts", "circuit_breaker"}
            odd = [it for it in Limits.model_fields if getattr(limits, it) and it not in other]
            if odd:
                raise ValueError(f"route {self.name} is a {self.kind}, which has no {odd[0]}")
        return self

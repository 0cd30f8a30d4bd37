"""Who may use which Gateway for which host names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.fleet.inventory.base import Name, Strict

#: "shop.example.com", or "*.shop.example.com" for every name below it.
Zone = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9-]+)*$")]
#: "edge/public" for every listener of a Gateway, or "edge/public/shop".
Use = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+(/[^/\s]+)?$")]
#: "edge/public".
Taker = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
Referrer = Literal[
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "UDPRoute",
    "Gateway",
    "ListenerSet",
    "SecurityPolicy",
    "EnvoyExtensionPolicy",
]


class Grant(Strict):
    """
    Leave to refer to one object of a team from other namespaces: a ReferenceGrant.

    + namespace: of the object, one of the team's; + to: namespaces that may refer to it; + by: with
      what
    """

    namespace: Name
    kind: Literal["Service", "Backend", "Secret", "ConfigMap"] = "Service"
    name: Name
    to: Annotated[list[Name], Field(min_length=1)]
    by: Annotated[list[Referrer], Field(min_length=1)] = ["HTTPRoute"]


class Team(Strict):
    """
    + zones: host names that are this team's alone; the longest zone of all teams decides
    + listeners: that routes of its namespaces may attach to, beside those of the Gateway's own
      namespace and of other teams that name it
    + listener_sets: Gateways that take ListenerSets of its namespaces, beside those of the same
    """

    name: Name
    namespaces: Annotated[list[Name], Field(min_length=1)]
    zones: list[Zone] = []
    listeners: list[Use] = []
    listener_sets: list[Taker] = []
    grants: list[Grant] = []

    @model_validator(mode="after")
    def _grants_its_own(self) -> Self:
        seen = set()
        for it in self.grants:
            if it.namespace not in self.namespaces:
                raise ValueError(
                    f"team {self.name} grants {it.kind} {it.namespace}/{it.name}, and "
                    f"{it.namespace} is none of its namespaces"
                )
            if (it.namespace, it.kind, it.name) in seen:
                raise ValueError(
                    f"team {self.name} grants {it.kind} {it.namespace}/{it.name} twice: list all "
                    "namespaces in one grant"
                )
            seen.add((it.namespace, it.kind, it.name))
        return self

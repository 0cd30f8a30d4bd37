"""A call of ARM: who asks, for what, and what is said of it in any case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.lab.azure import ids, roles, types
from tasks.lab.azure.answers import Answer, Refused, Request
from tasks.lab.azure.catalogue import Type
from tasks.lab.azure.rules import Resource, with_properties
from tasks.lab.azure.state import Azure, Operation


@dataclass(frozen=True)
class Caller:
    """Who asks: object id, and those of the groups; + client: what errors call it"""

    principal: str
    client: str
    tenant: str
    groups: tuple[str, ...] = ()

    @property
    def principals(self) -> tuple[str, ...]:
        return (self.principal, *self.groups)


@dataclass(frozen=True)
class Call:
    """A request of a caller for something that the catalogue knows."""

    azure: Azure
    request: Request
    target: ids.Target
    kind: Type
    caller: Caller

    def may(self, word: str, scope: str | None = None) -> bool:
        """Such as "read", on the target or another scope."""
        return roles.permits(
            self.azure, self.caller.principals, self.action(word), scope or self.target.path
        )

    def action(self, word: str) -> str:
        resources = "" if "." in self.kind.name else "Microsoft.Resources/"
        name = "subscriptions/resourceGroups" if self.kind.name == "resourceGroups" else ""
        return f"{resources}{name or self.kind.name}/{word}"

    def began(self, resource: Resource, **properties: Any) -> Answer:
        """The answer to an action that ends with other properties of the resource."""
        changed = with_properties(resource, **properties)

        def done(operation: Operation) -> None:
            if not operation.error:
                self.azure.keep(changed)

        target = ids.target(resource["id"])
        operation = self.azure.begin(target, f"POST {self.target.path}", done)
        return Answer(202, None, asynchronous(self, operation))

    def need(self, word: str, scope: str | None = None) -> None:
        """Raises `Refused` where that is not allowed."""
        if not self.may(word, scope):
            caller, scope = self.caller, scope or self.target.path
            raise roles.forbidden(caller.client, caller.principal, self.action(word), scope)


def there(call: Call) -> Resource:
    found = types.find(call.azure, call.target)
    if found is None:
        raise missing(call)
    return found


def missing(call: Call) -> Refused:
    target = call.target
    group = ids.group_of(target.path)
    if target.group and call.azure.held(group) is None:
        return Refused(
            404, "ResourceGroupNotFound", f"Resource group '{target.group}' could not be found."
        )
    if target.group is None or call.kind.name == "resourceGroups":
        return Refused(404, "NotFound", f"{target.path} could not be found.")
    kind = f"{call.kind.name}/{target.name}" if len(target.names) == 1 else target.path
    return Refused(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}' under resource group '{target.group}' was not found. For more "
        "details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def asynchronous(call: Call, operation: Operation) -> dict[str, str]:
    namespace = call.kind.namespace if "." in call.kind.name else "Microsoft.Resources"
    version = call.request.query["api-version"]
    where = f"{call.request.base}/subscriptions/{operation.subscription}/providers/{namespace}"
    place = f"{where}/locations/westeurope"
    return {
        "Azure-AsyncOperation": f"{place}/operations/{operation.id}?api-version={version}",
        "Location": f"{place}/operationResults/{operation.id}?api-version={version}",
        "Retry-After": str(call.azure.faults.poll_after),
    }

"""
Azure, as the stand-in has it: one tenant and more, subscriptions, resources, identities and what
was asked.

Resources are the dicts that ARM answers with. They are never changed in place, so whoever holds
one sees it as it was.
"""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tasks.lab.azure import ids, roles, types
from tasks.lab.azure.catalogue import TYPES, Type
from tasks.lab.azure.faults import Faults
from tasks.lab.azure.throttling import Buckets
from tasks.lab.state import write

Resource = dict[str, Any]
Derived = TypeVar("Derived")

TENANT = "7a3b1c00-0000-4000-8000-000000000001"
SUBSCRIPTION = "5b000000-0000-4000-8000-000000000001"
MOST_REQUESTS = 100_000


@dataclass(frozen=True)
class Seen:
    """
    A request that was answered.

    + path: with its query; + when: seconds since the epoch, at its arrival
    + principal: object id of who asked, None where nobody signed in
    + retry_after: what it was told, in seconds
    """

    method: str
    path: str
    status: int
    when: float
    principal: str | None = None
    retry_after: int | None = None


@dataclass
class Identity:
    """
    A service principal, managed identity or user.

    + secret: None for one that has none; + secret_ends: seconds since the epoch
    + groups: object ids; + certificates: public ones, PEM, that it may sign in with
    + federated: whose tokens it may sign in with: {"issuer": ..., "subject": ...}, with "audience"
      where it is not the usual one, and with "key" (PEM) where the signature is to be checked
    """

    name: str
    object_id: str
    client_id: str
    tenant: str
    secret: str | None = None
    secret_ends: float | None = None
    groups: tuple[str, ...] = ()
    certificates: list[str] = field(default_factory=list)
    federated: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Operation:
    """
    A long-running operation.

    + due: when it ends, seconds since the epoch, None for never; + done: what happens then
    + error: how it ends, None for well; + resource: the key of what it is about
    """

    id: str
    resource: str
    subscription: str
    due: float | None
    done: Callable[[Operation], None] = field(repr=False)
    error: str | None = None
    status: str = "InProgress"


class Azure:
    """
    + tenant: of everything where nothing else is said
    + file: where it is kept, None for nowhere
    + page: how many entries a page of a list has; + clock: seconds since the epoch
    + ranges: of public IPs, by version; + machine: the name of the identity that IMDS speaks for
    + kubeconfigs: of managed clusters, by id in lower case, as listClusterUserCredential has them
    """

    def __init__(
        self,
        tenant: str = TENANT,
        file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tenant = tenant
        self.page = 50
        self.clock = clock
        self.faults = Faults()
        self.requests: list[Seen] = []
        self.identities: dict[str, Identity] = {}
        self.kubeconfigs: dict[str, str] = {}
        self.operations: dict[str, Operation] = {}
        self.lock = threading.RLock()
        self.buckets = Buckets()
        self.machine: str | None = None
        self.ranges = {"IPv4": "20.103.0.0/16", "IPv6": "2603:1020:206::/112"}
        self._resources: dict[str, dict[str, Resource]] = {}
        self._derived: dict[str, Any] = {}
        self._running: list[Operation] = []
        self._file = file
        if file is not None and file.exists():
            self._read(json.loads(file.read_text()))

    # -- resources

    def put(self, id: str, body: Mapping[str, Any] | None = None) -> Resource:
        """
        Create or replace a resource, with all that ARM adds to one; the subscription and group that
        it lies in come into being with it. Nobody is asked whether ARM would allow it.
        """
        with self.lock:
            target = ids.target(id)
            self._surroundings(target)
            resource = types.put(self, target, dict(body or {}))
            self.keep(resource)
            found = types.find(self, target)
            return copy.deepcopy(resource if found is None else found)

    def plant(self, id: str, body: Mapping[str, Any]) -> Resource:
        """Put a resource just as it is given."""
        with self.lock:
            target = ids.target(id)
            self._surroundings(target)
            resource = {**copy.deepcopy(dict(body)), **self.named(target)}
            self.keep(resource)
            return resource

    def get(self, id: str) -> Resource | None:
        with self.lock:
            found = types.find(self, ids.target(id))
            return None if found is None else copy.deepcopy(found)

    def delete(self, id: str) -> None:
        """Take a resource away, and all that lies in it, whoever needs it."""
        with self.lock:
            types.delete(self, ids.target(id))

    def list(self, type: str, scope: str = "") -> list[Resource]:
        """All of a type below a scope, by id."""
        with self.lock:
            return [copy.deepcopy(types.view(self, it)) for it in self.of(type, scope)]

    def of(self, type: str, scope: str = "") -> Iterable[Resource]:
        """As kept, not as shown."""
        held = self._resources.get(type.lower(), {})
        inside = scope.lower().rstrip("/") + "/"
        return [held[key] for key in sorted(held) if key.startswith(inside) or not scope]

    def held(self, id: str) -> Resource | None:
        """As kept, not as shown."""
        target = ids.target(id)
        return self._resources.get(target.type.lower(), {}).get(target.key)

    def everything(self) -> Iterator[Resource]:
        for held in [*self._resources.values()]:
            yield from [*held.values()]

    def keep(self, resource: Resource) -> None:
        target = ids.target(resource["id"])
        self._resources.setdefault(target.type.lower(), {})[target.key] = resource
        self._changed()

    def drop(self, resources: Iterable[Resource]) -> None:
        for it in resources:
            target = ids.target(it["id"])
            self._resources[target.type.lower()].pop(target.key, None)
        self._changed()

    def derived(self, name: str, make: Callable[[Azure], Derived]) -> Derived:
        """What follows from the resources, made once until one changes."""
        if name not in self._derived:
            self._derived[name] = make(self)
        found: Derived = self._derived[name]
        return found

    def _changed(self) -> None:
        self._derived.clear()
        self.save()

    def named(self, target: ids.Target) -> Resource:
        """What every resource says of itself."""
        kind = TYPES.get(target.type.lower()) or Type(target.type, ())
        if target.type == "subscriptions":
            return {"id": target.path, "subscriptionId": target.name}
        name = kind.name if "." in kind.name else f"Microsoft.Resources/{kind.name}"
        return {"id": target.path, "name": target.name, "type": name}

    def _surroundings(self, target: ids.Target) -> None:
        if target.subscription:
            self.subscription(target.subscription)
        group = "/".join(target.path.split("/")[:5])
        if target.group and group.lower() != target.key and self.held(group) is None:
            self.put(group, {"location": "westeurope"})

    def subscription(self, id: str, name: str = "", tenant: str | None = None) -> str:
        """Its path; it comes into being where it is not there yet."""
        path = f"/subscriptions/{id}"
        if self.held(path) is None:
            body = {
                "id": path,
                "subscriptionId": id,
                "displayName": name or id,
                "state": "Enabled",
                "tenantId": tenant or self.tenant,
                "authorizationSource": "RoleBased",
            }
            self.keep(body)
        return path

    # -- identities

    def identity(
        self,
        name: str,
        *given: tuple[str, str],
        secret: str | None = None,
        groups: Iterable[str] = (),
        tenant: str | None = None,
    ) -> Identity:
        """
        One of this name, made where there is none, with these roles: pairs of a role's name and a
        scope, such as ("Reader", "/subscriptions/<id>").
        """
        with self.lock:
            tenant = tenant or self.tenant
            found = self.identities.get(name)
            if found is None:
                found = Identity(
                    name,
                    _made_of(tenant, name, "object"),
                    _made_of(tenant, name, "client"),
                    tenant,
                    secret=secret or f"{uuid.uuid4().hex}~secret",
                    groups=tuple(groups),
                )
                self.identities[name] = found
            for role, scope in given:
                self.assign(found.object_id, role, scope)
            self.save()
            return found

    def assign(self, principal: str, role: str, scope: str) -> Resource:
        """Give a role, such as "Network Contributor", to a principal's object id."""
        definition = roles.named(self, role, scope)
        name = _made_of(principal, definition, scope.lower())
        scope = scope.rstrip("/")
        return self.put(
            f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
            {"properties": {"principalId": principal, "roleDefinitionId": definition}},
        )

    def by_client(self, client_id: str) -> Identity | None:
        return next((it for it in self.identities.values() if it.client_id == client_id), None)

    def by_object(self, object_id: str) -> Identity | None:
        return next((it for it in self.identities.values() if it.object_id == object_id), None)

    def remember(self, seen: Seen) -> None:
        """The older half is forgotten where there are very many."""
        self.requests.append(seen)
        if len(self.requests) > MOST_REQUESTS:
            del self.requests[: MOST_REQUESTS // 2]

    # -- operations

    def begin(self, target: ids.Target, call: str, done: Callable[[Operation], None]) -> Operation:
        """An operation on a resource; what it does is done when it ends."""
        met = self.faults.ends(call)
        stuck = any(it.stuck for it in met)
        operation = Operation(
            str(uuid.uuid4()),
            target.key,
            target.subscription or "",
            None if stuck else self.clock() + self.faults.operations,
            done,
            error=next((it.fails for it in met if it.fails), None),
        )
        self.operations[operation.id] = operation
        self._running.append(operation)
        self.settle()
        return operation

    def settle(self) -> None:
        """End what is due."""
        now = self.clock()
        due = [it for it in self._running if it.due is not None and it.due <= now]
        self._running = [it for it in self._running if it not in due]
        for it in due:
            it.status = "Failed" if it.error else "Succeeded"
            it.done(it)

    def busy(self, key: str) -> Operation | None:
        """The operation that is going on with a resource."""
        return next((it for it in self._running if it.resource == key), None)

    # -- the file

    def save(self) -> None:
        """Write the file, where there is one."""
        if self._file is None:
            return
        content = {
            "tenant": self.tenant,
            "resources": [*self.everything()],
            "identities": [asdict(it) for it in self.identities.values()],
            "kubeconfigs": self.kubeconfigs,
        }
        write(self._file, json.dumps(content))

    def _read(self, content: Mapping[str, Any]) -> None:
        self.tenant = content["tenant"]
        self.kubeconfigs = dict(content["kubeconfigs"])
        for it in content["identities"]:
            self.identities[it["name"]] = Identity(**{**it, "groups": tuple(it["groups"])})
        for resource in content["resources"]:
            target = ids.target(resource["id"])
            self._resources.setdefault(target.type.lower(), {})[target.key] = resource


def _made_of(*words: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(words)))

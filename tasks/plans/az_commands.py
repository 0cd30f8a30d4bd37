"""Commands of the Azure CLI that an operator is told to run, with the names filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.plans import arm
from tasks.plans.azure_roles import NETWORK_CONTRIBUTOR

Object = Mapping[str, Any]


def az(*words: str) -> str:
    """Such as "az network public-ip show -g addresses -n public"."""
    return shlex.join(["az", *words])


def place(resource: Object | str) -> list[str]:
    """``--subscription S -g G``, of a resource or an id."""
    found = arm.parsed(resource if isinstance(resource, str) else arm.text(resource, "id"))
    if found is None:
        return []
    return ["--subscription", found.subscription, *(["-g", found.group] if found.group else [])]


def create(
    group: str,
    name: str,
    location: str,
    zones: Sequence[str] = ("1", "2", "3"),
    prefix: str | None = None,
) -> str:
    """A public IP that lasts. + group: the id of its resource group; + prefix: its name there"""
    zone = ["--zone", *zones] if zones else []
    zone += ["--public-ip-prefix", prefix] if prefix else []
    return az(
        *(
            "network",
            "public-ip",
            "create",
            *place(group),
            "-n",
            name,
            "-l",
            location or "LOCATION",
        ),
        *("--sku", "Standard", "--allocation-method", "Static", *zone),
    )


def update(resource: Object, *settings: str) -> str:
    """Of a public IP, such as with "--allocation-method", "Static"."""
    name = arm.text(resource, "id").rsplit("/", 1)[-1]
    return az("network", "public-ip", "update", *place(resource), "-n", name, *settings)


def delete(resource: Object) -> str:
    """Of a public IP that nobody needs."""
    name = arm.text(resource, "id").rsplit("/", 1)[-1]
    return az("network", "public-ip", "delete", *place(resource), "-n", name)


def relax(lock: str) -> str:
    """Let what a lock holds be changed, and only not deleted. + lock: its id"""
    return az("lock", "update", "--ids", lock, "--lock-type", "CanNotDelete")


def lock(resource: Object) -> str:
    """That keeps a public IP from being deleted."""
    name = arm.text(resource, "id").rsplit("/", 1)[-1]
    return az(
        *("lock", "create", "--name", f"keep-{name}", *place(resource), "--resource", name),
        *("--resource-type", "Microsoft.Network/publicIPAddresses"),
        *("--lock-type", "CanNotDelete"),
    )


def assign(principal: str, scope: str, role: str = NETWORK_CONTRIBUTOR) -> str:
    """Give a role to a managed identity or service principal. + principal: its object id"""
    return az(
        *("role", "assignment", "create", "--assignee-object-id", principal),
        *("--assignee-principal-type", "ServicePrincipal", "--role", role, "--scope", scope),
    )


def record(zone: str, name: str, address: str | None, old: Sequence[str] = ()) -> str:
    """
    Point a name of a zone of Azure DNS at an address.

    + zone: id; + name: such as "shop" or "@"; + address: None where it has it, or is to have none
    + old: addresses of the same family that go
    """
    kind = "aaaa" if ":" in "".join([address or "", *old]) else "a"
    common = [*place(zone), "-z", zone.rsplit("/", 1)[-1], "-n", name]
    base = ["network", "dns", "record-set", kind]
    steps = [az(*base, "add-record", *common, "-a", address)] if address else []
    steps += [az(*base, "remove-record", *common, "-a", it) for it in old]
    return " && ".join(steps)


def allow(
    group: Object, name: str, priority: int, source: str, destination: str, ports: Sequence[int]
) -> str:
    """A rule of a network security group that lets TCP in."""
    own = arm.text(group, "id").rsplit("/", 1)[-1]
    return az(
        *("network", "nsg", "rule", "create", *place(group), "--nsg-name", own, "-n", name),
        *("--priority", str(priority), "--direction", "Inbound", "--access", "Allow"),
        *("--protocol", "Tcp", "--source-address-prefixes", source),
        *("--destination-address-prefixes", destination),
        *("--destination-port-ranges", *map(str, ports)),
    )

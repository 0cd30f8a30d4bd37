"""
The cloud controller of a cluster: it makes in Azure what the cluster's Services ask for, as the
cluster's identity, and says which address each has.

A Service is looked at when it changes, when it failed some seconds ago, and once at the start. What
somebody else changes in Azure is not put right, as on AKS.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.lab import addresses
from tasks.lab.addresses import Assignment
from tasks.lab.azure import cloud_provider, load_balancers, security_groups
from tasks.lab.azure.client import Arm
from tasks.lab.azure.cloud_provider import Asked, Object, Place, RefusedError
from tasks.lab.azure.load_balancers import strangers, without
from tasks.lab.progress import LabError

FIRST_RETRY, LAST_RETRY = 2.0, 10.0
GROUP = "networkSecurityGroups", "aks-agentpool-nsg"


@dataclass
class Synced:
    """What came of a Service: ``retry`` is when to try again, and after how many seconds."""

    looks: object
    assignment: Assignment
    retry: tuple[float, float] | None = None


@dataclass
class Controller:
    """+ private_range: of internal load balancers, such as "10.200.18.0/24" """

    arm: Arm
    place: Place
    private_range: str
    synced: dict[str, Synced] = field(default_factory=dict)

    def assigned(self, service: Mapping[str, Any]) -> Assignment:
        """What a Service has; before it was looked at, what it had."""
        found = self.synced.get(service["metadata"]["uid"])
        return found.assignment if found else Assignment(addresses.current(service))

    def sync(self, services: Sequence[Object]) -> bool:
        """Look at each that needs it; whether anything was done."""
        ours = addresses.balanced(services)
        busy = False
        for service in ours:
            before = self.synced.get(service["metadata"]["uid"])
            if before is None or before.looks != looks(service) or _due(before):
                self.synced[service["metadata"]["uid"]] = self._synced(service, ours, before)
                busy = True
        gone = self.synced.keys() - {it["metadata"]["uid"] for it in ours}
        for uid in gone:
            del self.synced[uid]
        return busy

    def _synced(self, service: Object, ours: Sequence[Object], before: Synced | None) -> Synced:
        shape = looks(service)
        try:
            return Synced(shape, Assignment(self.ensure(service, ours)))
        except (RefusedError, LabError) as problem:
            last = before.retry[1] * 2 if before and before.retry else FIRST_RETRY
            seconds = max(min(last, LAST_RETRY), getattr(problem, "retry_after", 0))
            kept = Assignment(addresses.current(service), str(problem))
            return Synced(shape, kept, (time.monotonic() + seconds, seconds))

    def ensure(self, service: Object, ours: Sequence[Object]) -> str:
        """
        The address of a Service, with all that Azure needs for it. Raises `RefusedError` or
        `ArmError`.
        """
        wish = cloud_provider.asked(service)
        balancers = self._balancers()
        if wish.internal:
            public, holds = None, self._private(service, wish, ours)
        else:
            public = self._public_ip(wish)
            holds = {"publicIPAddress": {"id": public["id"]}}
        self._leave(balancers, wish)
        written = self._write_balancer(balancers.get(wish.balancer), service, wish, holds)
        if public and not cloud_provider.address_of(public):
            public = self.arm.get(public["id"])
        address = cloud_provider.address_of(public) if public else holds["privateIPAddress"]
        if not address:
            raise RefusedError(f"public IP of service {wish.service} has no address yet")
        self._open(service, ours, str(address))
        if written:
            self._release(wish.service, keep=public["id"] if public else "")
        return str(address)

    def clear(self, services: Sequence[Object]) -> bool:
        """Take away what belongs to Services that are no more; whether there was any."""
        ours = addresses.balanced(services)
        bases = [cloud_provider.base(it["metadata"]["uid"]) for it in ours]
        gone = False
        for name, balancer in self._balancers().items():
            left = strangers(balancer, bases)
            if left:
                self._put_balancer(name, without(balancer, left, balancer["id"]))
                gone = True
        if gone:
            self._open(None, ours, "")
            names = {f"{it['metadata']['namespace']}/{it['metadata']['name']}" for it in ours}
            self._release_all_but(names)
        return gone

    def _balancers(self) -> dict[str, Object]:
        listed = self.arm.list(self.place.network("loadBalancers", "").rstrip("/"))
        return {it["name"]: it for it in listed}

    def _public_ips(self, group: str | None) -> list[Object]:
        path = self.place.network("publicIPAddresses", "").rstrip("/")
        if group:
            path = path.replace(f"/resourceGroups/{self.place.group}/", f"/resourceGroups/{group}/")
        return self.arm.list(path)

    def _public_ip(self, wish: Asked) -> Object:
        group = wish.group or self.place.group
        found = cloud_provider.public_ip(wish, self._public_ips(wish.group), group)
        path = self.place.network("publicIPAddresses", wish.made)
        path = path.replace(f"/resourceGroups/{self.place.group}/", f"/resourceGroups/{group}/")
        if found is None:
            return self.arm.put(path, cloud_provider.new_public_ip(wish, self.place))
        changed = cloud_provider.labelled(found, wish.label)
        return self.arm.put(found["id"], changed) if changed else found

    def _private(self, service: Object, wish: Asked, ours: Sequence[Object]) -> Object:
        internal = [it for it in ours if _is_internal(it)]
        found = addresses.assign(internal, self.private_range)[service["metadata"]["uid"]]
        if found.problem:
            raise RefusedError(found.problem)
        return {
            "subnet": {"id": self.place.subnet},
            "privateIPAddress": found.address,
            "privateIPAllocationMethod": "Static" if wish.address else "Dynamic",
        }

    def _leave(self, balancers: Mapping[str, Object], wish: Asked) -> None:
        """Take a Service out of the load balancer that it does not want any more."""
        for name, balancer in balancers.items():
            if name != wish.balancer and wish.base in strangers(balancer, ()):
                self._put_balancer(name, without(balancer, {wish.base}, balancer["id"]))

    def _write_balancer(
        self, before: Object | None, service: Object, wish: Asked, holds: Object
    ) -> bool:
        """Returns whether it was another one."""
        after = load_balancers.load_balancer(before, service, wish, self.place, holds)
        changed = before is None or cloud_provider.differs(before, after)
        if changed:
            self.arm.put(self.place.network("loadBalancers", wish.balancer), after)
        return changed

    def _put_balancer(self, name: str, balancer: Object) -> None:
        path = self.place.network("loadBalancers", name)
        if balancer["properties"]["frontendIPConfigurations"]:
            self.arm.put(path, balancer)
        else:
            self.arm.delete(path)

    def _open(self, service: Object | None, ours: Sequence[Object], address: str) -> None:
        """Let the network security group through what the Services have, and nothing else."""
        wanted = []
        for one in ours:
            is_it = service is not None and one["metadata"]["uid"] == service["metadata"]["uid"]
            has = address if is_it else addresses.current(one)
            if has:
                wanted += security_groups.opened(one, _asked_or_open(one), has)
        before = self.arm.get(self.place.network(*GROUP))
        after = security_groups.security_group(before, wanted)
        if cloud_provider.differs(before, after):
            self.arm.put(self.place.network(*GROUP), after)

    def _release(self, service: str, keep: str) -> None:
        """Delete the public IPs that were made for a Service and are not its any more."""
        for it in cloud_provider.owned(self._public_ips(None), service):
            if it["id"].lower() != keep.lower():
                self.arm.delete(it["id"])

    def _release_all_but(self, services: set[str]) -> None:
        for it in self._public_ips(None):
            tag = (it.get("tags") or {}).get(cloud_provider.SERVICE_TAG)
            if tag and tag not in services:
                self.arm.delete(it["id"])


def looks(service: Mapping[str, Any]) -> object:
    """All of a Service that Azure's part of Kubernetes looks at, to compare."""
    spec = {k: v for k, v in service["spec"].items() if k not in {"selector", "clusterIPs"}}
    return spec, service["metadata"].get("annotations") or {}


def _due(before: Synced) -> bool:
    return before.retry is not None and time.monotonic() >= before.retry[0]


def _is_internal(service: Object) -> bool:
    said = service["metadata"].get("annotations") or {}
    return said.get(f"{cloud_provider.PREFIX}load-balancer-internal") == "true"


def _asked_or_open(service: Object) -> Asked:
    try:
        return cloud_provider.asked(service)
    except RefusedError:  # it has what it asked for before
        metadata = service["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        return Asked(name, cloud_provider.base(metadata["uid"]))

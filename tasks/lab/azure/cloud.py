"""
Azure's part in the load balancer of a cluster: who has which address is decided by its controller,
what arrives by what Azure has.
"""

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tasks.lab.addresses import Assignment, balanced
from tasks.lab.azure import cloud_provider, fleet, load_balancers, security_groups, serve
from tasks.lab.azure.client import Arm
from tasks.lab.azure.cloud_provider import Object
from tasks.lab.azure.controller import GROUP, Controller
from tasks.lab.forwarding import Frontend, Verdict
from tasks.lab.progress import LabError, say
from tasks.lab.state import Cluster, Lab

T = TypeVar("T")


class Landscape:
    """What Azure has, read off its file whenever that changes: asking it would cost calls."""

    def __init__(self, file: Path) -> None:
        self._file, self._seen = file, (0, 0, 0)
        self._content: Object = {}
        self._resources: dict[str, Object] = {}
        self._reading = threading.Lock()

    def resources(self) -> Mapping[str, Object]:
        """By id in lower case."""
        with self._reading:
            try:
                is_now = self._file.stat()
                mark = (is_now.st_mtime_ns, is_now.st_ino, is_now.st_size)
                if mark != self._seen:
                    self._content = json.loads(self._file.read_text())
                    found = self._content.get("resources") or []
                    self._resources = {it["id"].lower(): it for it in found}
                    self._seen = mark
            except (OSError, ValueError):
                pass
            return self._resources

    def identity(self, name: str) -> Object | None:
        self.resources()
        every = self._content.get("identities") or []
        return next((it for it in every if it["name"] == name), None)


class Cloud:
    """One cluster's Azure. ``services`` gives its Services, ``None`` before the first answer."""

    def __init__(
        self,
        lab: Lab,
        cluster: Cluster,
        services: Callable[[], list[Object] | None],
        changed: threading.Event,
    ) -> None:
        self._lab, self._cluster = lab, cluster
        self._services, self._changed = services, changed
        self._place = fleet.place(lab, cluster)
        self._landscape = Landscape(serve.folder(lab) / "azure.json")
        self._controller: Controller | None = None
        self._complaint = ""
        threading.Thread(target=self._follow, daemon=True).start()

    def is_there(self) -> bool:
        """Whether Azure has the cluster."""
        return fleet.cluster_id(self._lab, self._cluster).lower() in self._landscape.resources()

    def assigned(self, service: Object) -> Assignment | None:
        """What a Service has; ``None`` before the cluster signed in to Azure."""
        controller = self._controller
        return controller.assigned(service) if controller else None

    def arriving(self, ready: Mapping[Frontend, T]) -> dict[Frontend, T]:
        """What of this Azure's load balancers send to the cluster's nodes."""
        resources = self._landscape.resources()
        passed: set[Frontend] = set()
        for name in (cloud_provider.EXTERNAL, cloud_provider.INTERNAL):
            balancer = resources.get(self._place.network("loadBalancers", name).lower())
            if balancer:
                passed |= load_balancers.frontends(balancer, resources)
        return {front: targets for front, targets in ready.items() if front in passed}

    def verdicts(self, ready: Mapping[Frontend, Any]) -> dict[Frontend, list[Verdict]]:
        """Whom the nodes' network security group lets through to what has a public address."""
        group = self._landscape.resources().get(self._place.network(*GROUP).lower())
        if group is None:
            return {}
        public = ipaddress.ip_network(self._lab.public_range)
        return {
            front: security_groups.verdicts(group, front)
            for front in ready
            if ipaddress.ip_address(front.address) in public
        }

    def _follow(self) -> None:
        while True:
            try:
                self._step()
                self._complaint = ""
            except LabError as problem:
                if str(problem) != self._complaint:
                    say(f"{self._cluster.name}: {problem}")
                    self._complaint = str(problem)
                time.sleep(max(2, getattr(problem, "retry_after", 0)))
            except Exception as error:  # such as a resource without its properties
                say(f"{self._cluster.name}: the cloud's controller broke: {error!r}")
                time.sleep(2)
            time.sleep(0.2)

    def _step(self) -> None:
        """Give the Services what they ask for, and take back what nobody has any more."""
        if not self.is_there():
            self._controller = None
            return
        services = self._services()
        if services is None:
            return
        self._controller = self._controller or self._signed_in()
        if self._controller is None:
            return
        if self._controller.sync(services):
            self._changed.set()
        ours = [cloud_provider.base(it["metadata"]["uid"]) for it in balanced(services)]
        if self._strangers(ours):
            self._controller.clear(services)
            self._changed.set()

    def _strangers(self, ours: list[str]) -> bool:
        resources = self._landscape.resources()
        found = [
            resources.get(self._place.network("loadBalancers", name).lower())
            for name in (cloud_provider.EXTERNAL, cloud_provider.INTERNAL)
        ]
        return any(load_balancers.strangers(it, ours) for it in found if it)

    def _signed_in(self) -> Controller | None:
        identity = self._landscape.identity(self._cluster.name)
        if identity is None:
            return None
        ca = self._lab.root / "ca.crt"
        arm = Arm(serve.url(self._lab), serve.imds(self._lab), identity["client_id"], ca)
        return Controller(arm, self._place, self._cluster.load_balancer_range)

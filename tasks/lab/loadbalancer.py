"""
The load balancer of a lab, for all its clusters.

    python -m tasks.lab.loadbalancer LAB

It watches Services and EndpointSlices, gives addresses and sends traffic on; see ``addresses`` for
who gets which and ``forwarding`` for where it goes. In a lab with Azure it is Azure that decides:
see ``azure.cloud``.
"""

import ipaddress
import sys
import threading
import time
from pathlib import Path

from tasks.lab import addresses, forwarding, network, state, users
from tasks.lab.addresses import Assignment
from tasks.lab.api import Api, ApiError, Object, now
from tasks.lab.azure.cloud import Cloud
from tasks.lab.forwarding import Frontend, Target
from tasks.lab.processes import Process
from tasks.lab.progress import LabError, say
from tasks.lab.state import Cluster, Lab

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
#: Seconds after which a collection is listed anew: a watch whose server was reset may stay silent.
ANEW = 30
#: Seconds between two looks at the host's routes to public addresses.
LOOK = 5.0


def process(lab: Lab) -> Process:
    """The load balancer's process."""
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tasks.lab.loadbalancer", lab.name]
    environment = {"PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"}
    return Process(lab.name, "lab", "load-balancer", command, environment=environment)


class Watched:
    """A collection of a cluster, kept up to date by a thread of its own."""

    def __init__(self, api: Api, path: str, changed: threading.Event) -> None:
        self._api, self._path, self._changed = api, path, changed
        self._objects: dict[str, Object] | None = None
        threading.Thread(target=self._follow, daemon=True).start()

    def objects(self) -> list[Object] | None:
        """Everything there is, or ``None`` before the first answer."""
        found = self._objects
        return None if found is None else list(found.values())

    def _follow(self) -> None:
        while True:
            try:
                for kind, content in self._api.watch(self._path, ANEW):
                    self._take(kind, content)
                    self._changed.set()
            except ApiError:
                time.sleep(0.5)
            except Exception as error:  # a thread that is gone would go on with what was there
                say(f"{self._api.cluster.name}: the watch of {self._path} broke: {error!r}")
                time.sleep(0.5)

    def _take(self, kind: str, content: Object) -> None:
        if kind == "LISTED":
            self._objects = content
            return
        objects = dict(self._objects or {})
        objects.pop(content["metadata"]["uid"], None)
        if kind != "DELETED":
            objects[content["metadata"]["uid"]] = content
        self._objects = objects


class Balancer:
    """One cluster's share of the load balancer."""

    def __init__(self, lab: Lab, cluster: Cluster) -> None:
        self._cluster = cluster
        self._api = Api(cluster, users.LOAD_BALANCER)
        self._changed = threading.Event()
        self._services = Watched(self._api, SERVICES, self._changed)
        self._slices = Watched(self._api, SLICES, self._changed)
        services = self._services.objects
        self._cloud = Cloud(lab, cluster, services, self._changed) if lab.azure else None
        self._leaving = forwarding.Leaving()
        self._rules = ""
        self._public: set[str] | None = None
        self._looked = 0.0
        self._told: dict[str, str] = {}
        self._complaint = ""

    def run(self) -> None:
        """Go on for ever; once a second also without a change, for endpoints that leave."""
        while True:
            self._changed.wait(1)
            self._changed.clear()
            try:
                self.balance()
                self._complaint = ""
            except LabError as error:
                self._complain(str(error))
                time.sleep(0.5)

    def balance(self) -> None:
        """Give addresses and send traffic on, as things are now."""
        services, slices = self._services.objects(), self._slices.objects()
        lab = state.load(self._cluster.lab)
        if lab is not None and self._cloud and not self._cloud.is_there():
            self._send_on(lab, {})
            return
        if services is None or slices is None or lab is None:
            return
        assigned = self._assigned(services)
        ready: dict[forwarding.Frontend, set[forwarding.Target]] = {}
        for service in addresses.balanced(services):
            found = assigned.get(service["metadata"]["uid"])
            if found and found.address:
                ready |= forwarding.ready(service, found.address, slices)
        targets = self._leaving.targets(ready, time.monotonic(), lab.leaving_endpoints)
        self._send_on(lab, targets)
        for service in addresses.balanced(services):
            if service["metadata"]["uid"] in assigned:
                self._publish(service, assigned[service["metadata"]["uid"]])

    def _assigned(self, services: list[Object]) -> dict[str, Assignment]:
        """What each Service has, by UID; with Azure without those that it did not look at yet."""
        if self._cloud is None:
            assigned = addresses.assign(services, self._cluster.load_balancer_range)
        else:
            ours = addresses.balanced(services)
            found = {it["metadata"]["uid"]: self._cloud.assigned(it) for it in ours}
            assigned = {uid: it for uid, it in found.items() if it is not None}
        if "no-address" in state.faults(self._cluster):
            return dict.fromkeys(assigned, Assignment(None, addresses.NO_ADDRESS_LEFT))
        return assigned

    def _send_on(self, lab: Lab, targets: dict[Frontend, list[Target]]) -> None:
        """Put the rules in force, before any address is published that relies on them."""
        if self._cloud is None:
            self._put_in_force(forwarding.rules(targets, self._cluster.load_balancer_range))
            return
        arriving = self._cloud.arriving(targets)
        public = {it.address for it in arriving if _is_in(it.address, lab.public_range)}
        block = ", ".join([self._cluster.load_balancer_range, *sorted(public)])
        verdicts = self._cloud.verdicts(arriving)
        self._put_in_force(forwarding.rules(arriving, f"{{ {block} }}", verdicts))
        if public != self._public or time.monotonic() - self._looked > LOOK:
            network.send_public(lab, self._cluster, public)
            self._public, self._looked = public, time.monotonic()

    def _put_in_force(self, rules: str) -> None:
        if rules != self._rules:
            inside = f"--net={network.NAMESPACES / self._cluster.namespace}"
            network.run("nsenter", inside, "nft", "-f", "-", text=rules)
            self._rules = rules

    def _publish(self, service: Object, assigned: Assignment) -> None:
        """Write the Service's status, and an event where it cannot have what it asks for."""
        metadata = service["metadata"]
        if assigned.address != addresses.current(service):
            ingress = [{"ip": assigned.address, "ipMode": "Proxy"}] if assigned.address else None
            path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
            try:
                self._api.patch(path, {"status": {"loadBalancer": {"ingress": ingress}}})
            except ApiError as error:
                if error.status != 404:  # deleted meanwhile
                    raise
        if assigned.problem is None:
            told = self._told.pop(metadata["uid"], None)
            if self._cloud and (told or assigned.address != addresses.current(service)):
                self._tell(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        elif self._told.get(metadata["uid"]) != assigned.problem:
            text = (
                f"Error syncing load balancer: failed to ensure load balancer: {assigned.problem}"
            )
            self._tell(service, "Warning", "SyncLoadBalancerFailed", text)
            self._told[metadata["uid"]] = assigned.problem

    def _tell(self, service: Object, kind: str, reason: str, text: str) -> None:
        metadata = service["metadata"]
        involved = {name: metadata[name] for name in ("namespace", "name", "uid")}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{time.time_ns():x}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {"apiVersion": "v1", "kind": "Service", **involved},
            "type": kind,
            "reason": reason,
            "message": text[:1024],
            "source": {"component": "service-controller"},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        self._api.request("POST", f"/api/v1/namespaces/{metadata['namespace']}/events", event)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            say(text)
            self._complaint = text


def _is_in(address: str, block: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(block)


def main(name: str) -> None:
    """Serve every cluster of a lab, also those that join later; ends when the lab is gone."""
    serving: dict[str, threading.Thread] = {}
    while (lab := state.load(name)) is not None:
        for cluster in lab.members():
            if cluster.name not in serving and (cluster.root / "users" / "tokens.csv").exists():
                run = Balancer(lab, cluster).run
                serving[cluster.name] = threading.Thread(target=run, daemon=True)
                serving[cluster.name].start()
        if not all(thread.is_alive() for thread in serving.values()):
            sys.exit(1)  # the log says why; better dead in `status` than serving half the lab
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])

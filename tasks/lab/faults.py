"""
Faults that can be switched on, by name: the table, and what switching does.

Which faults are on is kept in the cluster's folder; `converge` makes it so. A cluster fails as real
ones do, because it is one: processes are killed, packets refused, images gone.
"""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.lab import cluster as clusters
from tasks.lab import control_plane, faultproxy, killer, network, node, state
from tasks.lab.api import Api
from tasks.lab.processes import Process, kill, start
from tasks.lab.progress import UsageError, wait_for
from tasks.lab.state import Cluster, Lab

BACKEND_PORT = 3000
Switch = Callable[[Lab, Cluster, str], None]


@dataclass(frozen=True)
class Fault:
    """
    A fault: what it does, its value where none is given, what a value must look like, and what
    happens once when it is switched on or off. What must hold as long as it is on, `converge` does.
    """

    what: str
    value: str = ""
    pattern: str = ""
    on: Switch | None = None
    off: Switch | None = None
    whole_lab: bool = False


def kill_apiserver(lab: Lab, cluster: Cluster, value: str) -> None:
    kill([control_plane.apiserver(lab, cluster)], signal.SIGKILL)


def start_apiserver(lab: Lab, cluster: Cluster, value: str) -> None:
    server = control_plane.apiserver(lab, cluster)
    start(server)
    ready = Api(cluster).ready
    wait_for(f"{cluster.name}: API server", ready, clusters.READY_SECONDS, f"see {server.log}")


def remove_images(lab: Lab, cluster: Cluster, value: str) -> None:
    """Take images out of containerd; the registry never had them, so a new Pod cannot pull."""
    for reference in node.ctr(lab, cluster, "images", "list", "--quiet").split():
        wanted = reference == value or (value == "all" and not reference.startswith("sha256:"))
        if wanted and "/pause:" not in reference:
            node.ctr(lab, cluster, "images", "remove", "--sync", reference)


def return_images(lab: Lab, cluster: Cluster, value: str) -> None:
    for mark in (cluster.root / "images").iterdir():
        mark.unlink()
    clusters.import_images(lab, cluster)


def raise_alarm(lab: Lab, cluster: Cluster, value: str) -> None:
    control_plane.alarm(lab, "ACTIVATE")


def clear_alarm(lab: Lab, cluster: Cluster, value: str) -> None:
    control_plane.alarm(lab, "DEACTIVATE")


FAULTS = {
    "apiserver-errors": Fault(
        "the API server answers a share of the host's requests with an error; value STATUS:PERCENT",
        value="500:50",
        pattern=r"(429|5\d\d):(100|[1-9]\d?)",
    ),
    "apiserver-killed": Fault(
        "the API server is dead (SIGKILL)", on=kill_apiserver, off=start_apiserver
    ),
    "apiserver-slow": Fault(
        "the API server answers the host late; value in milliseconds",
        value="300",
        pattern=r"[1-9]\d{0,5}",
    ),
    "backend-refusing": Fault(
        f"Pods refuse connections from other Pods to port {BACKEND_PORT}, the sample's backends"
    ),
    "controller-crash": Fault("the Envoy Gateway controller is killed whenever it runs"),
    "etcd-read-only": Fault(
        "etcd refuses writes as with a full disk; all clusters of the lab, they share it",
        on=raise_alarm,
        off=clear_alarm,
        whole_lab=True,
    ),
    "image-not-pullable": Fault(
        "images are gone from the node and from every registry; value a reference, or all",
        value="all",
        pattern=r"[a-z0-9][a-zA-Z0-9./:@_-]*",
        on=remove_images,
        off=return_images,
    ),
    "no-address": Fault("the load balancer has no address to give, and takes back what it gave"),
    "proxy-killed": Fault("the Envoys of all Gateways are killed whenever they run"),
}
# fault -> the program whose containers it kills
KILLS = {"controller-crash": ("envoy-gateway", "server"), "proxy-killed": ("envoy",)}
PROXIED = {"apiserver-slow", "apiserver-errors"}


def check(name: str, value: str | None) -> str:
    """The value a fault gets; raises `UsageError` where name or value cannot be."""
    if name not in FAULTS:
        raise UsageError(f"there is no fault {name!r}: use {', '.join(FAULTS)}")
    fault = FAULTS[name]
    if value is None:
        return fault.value
    if not fault.pattern:
        raise UsageError(f"fault {name} takes no value")
    if not re.fullmatch(fault.pattern, value):
        raise UsageError(f"fault {name}: value {value!r} will not do: {fault.what}")
    return value


def switch(lab: Lab, cluster: Cluster, name: str, value: str | None, *, on: bool) -> None:
    """Switch a fault on or off; the same again changes nothing."""
    value = check(name, value)
    fault = FAULTS[name]
    affected = lab.members() if fault.whole_lab else [cluster]
    before = state.faults(cluster).get(name)
    if on == (before is not None) and (not on or before == value):
        return
    for one in affected:
        others = {key: kept for key, kept in state.faults(one).items() if key != name}
        state.keep_faults(one, {**others, name: value} if on else others)
    action = fault.on if on else fault.off
    if action is not None:
        action(lab, cluster, value)
    for one in affected:
        converge(lab, one)


def converge(lab: Lab, cluster: Cluster) -> None:
    """Make what must hold as long as a fault is on hold for exactly those that are."""
    on = state.faults(cluster)
    proxy = faultproxy.process(lab, cluster)
    kill([proxy], signal.SIGKILL)
    if PROXIED & on.keys():
        faultproxy.write_configuration(cluster, on)
        start(proxy)
    for fault, target in KILLS.items():
        process = killer.process(cluster, fault, node.pods_group(cluster), target)
        if fault in on:
            start(process)
        else:
            kill([process], signal.SIGKILL)
    inside = ["nsenter", f"--net={network.NAMESPACES / cluster.namespace}"]
    network.run(*inside, "nft", "-f", "-", text=rules(cluster, set(on)))
    if PROXIED & on.keys():
        wait_until_listening(cluster, proxy)
        # A connection that is open already would go on past the proxy.
        forget = ["conntrack", "-D", "-p", "tcp", "-s", lab.gateway, "--dport", "6443"]
        network.run(*inside, "sh", "-c", f"{' '.join(forget)} >/dev/null 2>&1 || true")


def wait_until_listening(cluster: Cluster, proxy: Process) -> None:
    """Wait until the fault proxy takes connections."""
    import socket

    def listens() -> bool:
        clusters.alive(proxy)
        try:
            with socket.create_connection((cluster.node_address, faultproxy.PORT), timeout=1):
                return True
        except OSError:
            return False

    wait_for(f"{cluster.name}: fault proxy", listens, 20, f"see {proxy.log}", every=0.05)


def rules(cluster: Cluster, on: set[str]) -> str:
    """The table of nftables that sends the host to the fault proxy, and lets backends refuse."""
    redirect = refuse = ""
    if PROXIED & on:
        target = f"ip daddr {cluster.node_address} tcp dport 6443 redirect to :{faultproxy.PORT}"
        redirect = f"iifname eth0 {target}"
    if "backend-refusing" in on:
        refuse = f"ip daddr {cluster.pod_range} tcp dport {BACKEND_PORT} reject with tcp reset"
    return f"""\
table ip envoyfleet-faults {{}}
delete table ip envoyfleet-faults
table ip envoyfleet-faults {{
  chain arriving {{ type nat hook prerouting priority -120; {redirect}; }}
  chain passing {{ type filter hook forward priority -10; {refuse}; }}
}}
"""


def switch_all_off(lab: Lab, members: Sequence[Cluster]) -> None:
    """Switch off every fault of these clusters."""
    for cluster in members:
        for name in state.faults(cluster):
            switch(lab, cluster, name, None, on=False)

"""
The network of a lab: a bridge on the host, and for each cluster a network namespace that is its
node.

The host routes a cluster's Pod, Service and load balancer ranges via its node, so that everything
on this machine reaches them. A cluster has no route to anywhere else.
"""

import json
import subprocess
from pathlib import Path
from typing import IO

from tasks.lab.progress import LabError
from tasks.lab.state import Cluster, Lab, SecondNode

NAMESPACES = Path("/run/netns")
# What several nodes on one machine would otherwise share, or leave behind: every cluster sees its
# own.
OWN_FOLDERS = (
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)


SHARED = """\
table ip envoyfleet-nodes {{}}
delete table ip envoyfleet-nodes
table ip envoyfleet-nodes {{
  chain leaving {{
    type nat hook postrouting priority 110;
    ct status dnat ip daddr {block} masquerade
  }}
}}
"""


def run(*command: str, text: str | None = None, stdin: IO[bytes] | None = None) -> str:
    """The output of a command; raises `LabError` with its own words where it fails."""
    done = (
        subprocess.run(command, input=text, capture_output=True, text=True)
        if stdin is None
        else subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    )
    if done.returncode != 0:
        why = done.stderr.strip() or done.stdout.strip()
        raise LabError(
            f"`{' '.join(command)}` failed: {why.splitlines()[0] if why else 'silently'}"
        )
    return done.stdout


def links() -> dict[str, str]:
    """The interfaces of the host and their aliases, such as {"ef200": "envoyfleet/lab"}."""
    return {
        link["ifname"]: link.get("ifalias", "")
        for link in json.loads(run("ip", "-json", "link", "show"))
    }


def batch(*commands: str, namespace: str | None = None) -> None:
    """
    Several ip commands in one process, so that being killed in between leaves none of them half
    done: the process goes on without us.
    """
    inside = [] if namespace is None else ["-netns", namespace]
    run("ip", *inside, "-batch", "-", text="\n".join(commands) + "\n")


def create_bridge(lab: Lab) -> None:
    """The lab's bridge. Its alias says whose it is, also when the lab's folder is lost."""
    new = [] if lab.bridge in links() else [f"link add {lab.bridge} type bridge forward_delay 0"]
    batch(
        *new,
        f"link set {lab.bridge} alias envoyfleet/{lab.name}",
        f"address replace {lab.gateway}/24 dev {lab.bridge}",
        f"link set {lab.bridge} up",
    )
    if lab.azure:
        # An address that no load balancer holds is nobody's: no answer comes from the bridge.
        batch(f"route replace {lab.public_range} dev {lab.bridge}")


def create_node(lab: Lab, cluster: Cluster) -> None:
    """The cluster's namespaces, cable and routes; what is there already stays as it is."""
    space, link = cluster.namespace, cluster.link
    if not (NAMESPACES / space).exists():
        run("ip", "netns", "add", space)
    new = [] if link in links() else [f"link add {link} type veth peer eth0 netns {space}"]
    batch(
        *new,
        f"link set {link} alias envoyfleet/{lab.name}",
        f"link set {link} master {lab.bridge} up",
    )
    batch(
        "link set lo up",
        "link set eth0 up",
        f"address replace {cluster.node_address}/24 dev eth0",
        # No default route: there is nothing a cluster could reach but what is the lab's own.
        f"route replace 10.{lab.block}.0.0/16 via {lab.gateway}",
        # The address of a Pod that left is refused here instead of going round in circles with the
        # host. Not so the other two ranges: the kernel looks for a route before a rule of
        # kube-proxy or the load balancer can change the address.
        f"route replace unreachable {cluster.pod_range}",
        namespace=space,
    )
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    run("nsenter", f"--net={NAMESPACES / space}", "sh", "-c", f"echo 1 >{forwarding}")
    ours = [cluster.pod_range]
    if not isinstance(cluster, SecondNode):
        ours += [cluster.load_balancer_range, cluster.service_range]
    via = f"via {cluster.node_address} dev {lab.bridge}"
    batch(*(f"route replace {block} {via}" for block in ours))
    if not is_mount(cluster.root / "mounts"):
        create_mounts(cluster)


def join_nodes(one: Cluster, other: Cluster) -> None:
    """
    Routes between the two nodes of a cluster. The first one has the load balancer: what it sends to
    a Pod of the second one comes back through it, for it seems to come from there, as with
    ``externalTrafficPolicy: Cluster``.
    """
    there = f"via {other.node_address} dev eth0"
    batch(f"route replace {other.pod_range} {there}", namespace=one.namespace)
    back = (one.pod_range, one.load_balancer_range)
    via = f"via {one.node_address} dev eth0"
    batch(*(f"route replace {it} {via}" for it in back), namespace=other.namespace)
    rules = SHARED.format(block=other.pod_range)
    run("nsenter", f"--net={NAMESPACES / one.namespace}", "nft", "-f", "-", text=rules)


def public_routes(cluster: Cluster) -> set[str]:
    """The addresses of Azure that the host sends to a cluster."""
    shown = json.loads(run("ip", "-json", "-4", "route", "show", "via", cluster.node_address))
    return {it["dst"] for it in shown if "/" not in it["dst"]}


def send_public(lab: Lab, cluster: Cluster, addresses: set[str]) -> None:
    """Send these addresses of Azure to a cluster, whoever had them before, and no other ones."""
    has = public_routes(cluster)
    via = f"via {cluster.node_address} dev {lab.bridge}"
    news = [f"route replace {it} {via}" for it in sorted(addresses - has)]
    olds = [f"route delete {it} {via}" for it in sorted(has - addresses)]
    if news or olds:
        batch(*news, *olds)


def create_mounts(cluster: Cluster) -> None:
    """
    A mount namespace for the node, kept by a file. What containerd and the kubelet mount is gone
    with it, and folders whose place cannot be set (device plugins, shim sockets, logs of Pods) are
    the cluster's own.
    """
    # A mount namespace can only be kept on a mount that is private, which / need not be.
    kept = cluster.root / "mounts"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not is_mount(cluster.root):
        run("mount", "--bind", str(cluster.root), str(cluster.root))
        run("mount", "--make-private", str(cluster.root))
    kept.touch()
    script = ["set -e"]
    for folder in OWN_FOLDERS:
        own = cluster.root / "own" / folder.strip("/").replace("/", "-")
        own.mkdir(parents=True, exist_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        script.append(f"mount --bind {own} {folder}")
    # Volumes shared between Pods and the node need a shared mount; its peers are in this namespace
    # only.
    script.append("mount --make-rshared /")
    run("unshare", f"--mount={kept}", "--propagation", "private", "sh", "-c", "\n".join(script))


def is_mount(path: Path) -> bool:
    """Whether something is mounted exactly here."""
    return str(path) in mounts()


def mounts() -> list[str]:
    """Every mount point this process sees, in the order they were mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].replace("\\040", " ") for line in lines]


def namespaces(lab: str) -> list[str]:
    """The network namespaces that belong to a lab."""
    prefix = f"envoyfleet-{lab}-"
    found = NAMESPACES.glob(f"{prefix}*")
    numbers = ((path.name, path.name.removeprefix(prefix)) for path in found)
    return sorted(name for name, number in numbers if number.removesuffix("-2").isdigit())

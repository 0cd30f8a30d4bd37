"""
Where a lab keeps its things, and which addresses are its own.

Everything of a lab lies below one folder, and all it needs to know about itself is in ``lab.json``
there. Addresses follow from two numbers: the lab's block (10.<block>.0.0/16) and the cluster's
number in it.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from tasks.lab.progress import LabError, UsageError

LABS = Path("/var/lib/envoyfleet")
DEFAULT_LAB = "lab"
BLOCKS = range(200, 255)
MOST_CLUSTERS = 15


@dataclass(frozen=True)
class Cluster:
    """One cluster of a lab, such as "lab-1": its names, addresses and folders."""

    lab: str
    number: int
    block: int

    @property
    def name(self) -> str:
        """The context, the node and the pyinfra host are all called this."""
        return f"{self.lab}-{self.number}"

    @property
    def home(self) -> Path:
        """The folder of the cluster's users and certificates, whichever its node."""
        return self.root

    @property
    def namespace(self) -> str:
        """The network namespace that holds every process of the cluster."""
        return f"envoyfleet-{self.lab}-{self.number}"

    @property
    def root(self) -> Path:
        return LABS / self.lab / self.name

    @property
    def link(self) -> str:
        """The host's end of the cable to the node (at most 15 characters)."""
        return f"ef{self.block}-{self.number}"

    @property
    def node_address(self) -> str:
        return f"10.{self.block}.0.{10 + self.number}"

    @property
    def pod_range(self) -> str:
        return f"10.{self.block}.{16 * self.number}.0/23"

    @property
    def load_balancer_range(self) -> str:
        return f"10.{self.block}.{16 * self.number + 2}.0/24"

    @property
    def service_range(self) -> str:
        return f"10.{self.block}.{16 * self.number + 4}.0/22"

    @property
    def server(self) -> str:
        return f"https://{self.node_address}:6443"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "run" / "containerd.sock"


@dataclass(frozen=True)
class SecondNode(Cluster):
    """
    The other node of a cluster, in place of the first: what is its own is overridden here, and the
    control plane, Services and load balancer stay those of the first.
    """

    @property
    def first(self) -> Cluster:
        return Cluster(self.lab, self.number, self.block)

    @property
    @override
    def name(self) -> str:
        return f"{self.first.name}-2"

    @property
    @override
    def home(self) -> Path:
        return self.first.root

    @property
    @override
    def namespace(self) -> str:
        return f"{self.first.namespace}-2"

    @property
    @override
    def root(self) -> Path:
        return self.first.root.with_name(self.name)

    @property
    @override
    def link(self) -> str:
        return f"{self.first.link}b"

    @property
    @override
    def node_address(self) -> str:
        return f"10.{self.block}.0.{40 + self.number}"

    @property
    @override
    def pod_range(self) -> str:
        return f"10.{self.block}.{16 * self.number + 8}.0/23"

    @property
    @override
    def server(self) -> str:
        return self.first.server


@dataclass(frozen=True)
class Lab:
    """
    What a lab knows about itself.

    ``leaving_endpoints`` is how many seconds its load balancers go on sending to an endpoint that
    leaves; ``versions`` are the releases of Envoy Gateway whose charts and images it holds;
    ``parts`` are the folders of the parts it runs on, by name; without ``nodes`` its clusters are
    control planes alone, on which no Pod runs; with ``two_nodes`` each has a second one; with
    ``azure`` they are AKS clusters.
    """

    name: str
    block: int
    clusters: int = 0
    leaving_endpoints: float = 0
    versions: tuple[str, ...] = ()
    parts: dict[str, str] = field(default_factory=dict)
    nodes: bool = True
    azure: bool = False
    two_nodes: bool = False

    @property
    def root(self) -> Path:
        return LABS / self.name

    @property
    def gateway(self) -> str:
        """The host's address on the lab's bridge; etcd and the registry listen there."""
        return f"10.{self.block}.0.1"

    @property
    def bridge(self) -> str:
        return f"ef{self.block}"

    @property
    def registry(self) -> str:
        return f"{self.gateway}:5000"

    @property
    def etcd(self) -> str:
        return f"http://{self.gateway}:2379"

    @property
    def public_range(self) -> str:
        """The public IPs of a lab with Azure, of all its clusters."""
        return f"10.{self.block}.252.0/24"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    def cluster(self, number: int) -> Cluster:
        return Cluster(self.name, number, self.block)

    def nodes_of(self, cluster: Cluster) -> list[Cluster]:
        """The first node of a cluster, which stands for the cluster itself, and its second one."""
        second = SecondNode(cluster.lab, cluster.number, cluster.block)
        return [cluster, second] if self.two_nodes else [cluster]

    def members(self) -> list[Cluster]:
        return [self.cluster(number) for number in range(1, self.clusters + 1)]

    def member(self, name: str) -> Cluster:
        """The cluster of this name; raises `UsageError` that lists the valid names."""
        for cluster in self.members():
            if cluster.name == name:
                return cluster
        names = ", ".join(cluster.name for cluster in self.members())
        raise UsageError(f"there is no cluster {name!r} in lab {self.name!r}: it has {names}")

    def part(self, name: str) -> Path:
        """The folder of a part this lab runs on, such as "containerd"."""
        try:
            return Path(self.parts[name])
        except KeyError:
            raise LabError(
                f"lab {self.name!r} has no part {name!r}: run `python -m tasks.lab up` again"
            ) from None


def check_name(name: str) -> None:
    """
    Raise `UsageError` unless this can name a lab (it becomes part of host and namespace names).
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", name):
        raise UsageError(f"{name!r} cannot name a lab: use 1-20 letters and digits, a letter first")


def load(name: str) -> Lab | None:
    """The lab of this name, or ``None`` where there is none or its file cannot be read."""
    try:
        data = json.loads((LABS / name / "lab.json").read_text())
        return Lab(**{**data, "versions": tuple(data["versions"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def running(name: str) -> Lab:
    """The lab of this name; raises `UsageError` where it is not up."""
    lab = load(name)
    if lab is None:
        labs = ", ".join(names()) or "none"
        raise UsageError(f"lab {name!r} is not up (up now: {labs}): run `python -m tasks.lab up`")
    return lab


def names() -> list[str]:
    """The labs on this machine."""
    return sorted(file.parent.name for file in LABS.glob("*/lab.json"))


def save(lab: Lab) -> None:
    """Keep what the lab knows about itself."""
    write(lab.root / "lab.json", json.dumps(asdict(lab), indent=2) + "\n")


def write(file: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file so that a reader sees the old or the new content, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.{os.getpid()}")
    half.write_bytes(content.encode() if isinstance(content, str) else content)
    half.chmod(mode)
    half.replace(file)


def create(name: str) -> Lab:
    """
    A new lab with the first block of addresses that nothing on this machine uses; call it under
    `lock`.
    """
    taken = {lab.block for lab in map(load, names()) if lab is not None}
    in_use = ""
    for what in ("address", "route"):
        run = subprocess.run(["ip", "-4", what], capture_output=True, text=True, check=True)
        in_use += run.stdout
    for block in BLOCKS:
        if block not in taken and f" 10.{block}." not in f" {in_use}".replace("\n", " "):
            lab = Lab(name, block)
            save(lab)
            return lab
    raise LabError("10.200.0.0 to 10.254.0.0 are all in use on this machine: take a lab down")


def change(lab: Lab, **changes: object) -> Lab:
    """The lab with these changes, saved."""
    changed = replace(lab, **changes)  # type: ignore[arg-type]
    if changed != lab:
        save(changed)
    return changed


def faults(cluster: Cluster) -> dict[str, str]:
    """The faults that are switched on and their values, such as {"apiserver-slow": "300"}."""
    try:
        data: dict[str, str] = json.loads((cluster.root / "faults.json").read_text())
    except (OSError, ValueError):
        return {}
    return data


def keep_faults(cluster: Cluster, faults: dict[str, str]) -> None:
    """Remember which faults are on; the load balancer and ``up`` read it."""
    write(cluster.root / "faults.json", json.dumps(faults) + "\n")


def remove_folder(lab: str) -> None:
    """Delete the lab's folder, and the folder of all labs where it was the last."""
    shutil.rmtree(LABS / lab, ignore_errors=True)
    if LABS.is_dir() and not any(LABS.iterdir()):
        LABS.rmdir()

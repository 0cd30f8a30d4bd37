"""How each side is told to do a piece of work."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import EVERYBODYS
from benchmarks.sides.tools import Tools
from benchmarks.sides.wanted import CHANGE, Wanted

HERE = Path(__file__).parent
#: The pieces of work, and what they are called in the table.
AUDIT, NOTHING, OBJECTS, CHART, BACKUP = "audit", "nothing to do", "12 objects", "chart", "backup"
DEPLOYS = {
    AUDIT: "status",
    NOTHING: "install",
    OBJECTS: "gateways",
    CHART: "upgrade",
    BACKUP: "backup",
}
PLAYBOOKS = {
    AUDIT: "audit",
    NOTHING: "converge",
    OBJECTS: "objects",
    CHART: "converge",
    BACKUP: "backup",
}
#: All that Envoy Gateway lives on, for what keeps it.
KINDS = {
    "gateway.networking.k8s.io/v1": ("GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute"),
    "gateway.networking.k8s.io/v1alpha2": ("TCPRoute", "UDPRoute"),
    "gateway.networking.k8s.io/v1beta1": ("ReferenceGrant",),
    "gateway.envoyproxy.io/v1alpha1": (
        *("EnvoyProxy", "ClientTrafficPolicy", "BackendTrafficPolicy", "SecurityPolicy"),
        *("EnvoyExtensionPolicy", "EnvoyPatchPolicy", "Backend", "HTTPRouteFilter"),
    ),
}


@dataclass(frozen=True)
class Job:
    """
    A piece of work for clusters of a kubeconfig. + folder: where it runs; + change: see CHANGE
    """

    work: str
    folder: Path
    kubeconfig: Path
    names: Sequence[str]
    wanted: Wanted
    change: str = "0"


@dataclass(frozen=True)
class Asked:
    command: list[str | Path]
    environment: dict[str, str]


def ours(job: Job) -> Asked:
    pyinfra = Path(sys.executable).parent / "pyinfra"
    command: list[str | Path] = [pyinfra, "fleet.py", f"deploys/{DEPLOYS[job.work]}.py", "-y"]
    if job.work == OBJECTS:  # the others force their will on fields of anybody, too
        command += ["--data", "take_back=true"]
    return Asked(command, {**EVERYBODYS, CHANGE: job.change, "NO_COLOR": "1"})


def ansible(job: Job, tools: Tools, forks: int) -> Asked:
    hosts = dict.fromkeys(job.names)
    kinds = [{"api_version": at, "kind": it} for at, all_ in KINDS.items() for it in all_]
    backups = job.folder / "backups-ansible"
    backups.mkdir(exist_ok=True)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": str(tools.ansible / "python"),
        "kubeconfig": str(job.kubeconfig),
        "wanted": str(job.wanted.folder),
        "chart": str(job.wanted.chart),
        "programs": str(tools.programs),
        "backups": str(backups),
        "kinds": kinds,
    }
    hosts_file = job.folder / "hosts.yaml"
    hosts_file.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
    command: list[str | Path] = [tools.ansible / "ansible-playbook", "--forks", str(forks)]
    command += ["--inventory", hosts_file, HERE / "ansible" / f"{PLAYBOOKS[job.work]}.yml"]
    if job.work == CHART:
        command += ["--tags", "chart"]
    environment = {
        **EVERYBODYS,
        "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
        "ANSIBLE_HOME": str(job.folder / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{tools.programs}:{os.environ['PATH']}",
    }
    return Asked(command, environment)


def bash(job: Job, tools: Tools, at_a_time: int) -> Asked:
    (job.folder / "names").write_text("\n".join(job.names) + "\n")
    backups = job.folder / "backups-bash"
    backups.mkdir(exist_ok=True)
    script = HERE / "bash" / f"{PLAYBOOKS[job.work]}.sh"
    command: list[str | Path] = ["xargs", "-a", job.folder / "names"]
    command += ["-P", str(at_a_time), "-n", "1", script]
    kinds = ",".join(
        f"{it.lower()}.{at.rpartition('/')[0]}" for at, all_ in KINDS.items() for it in all_
    )
    environment = {
        **EVERYBODYS,
        "HOME": str(job.folder),  # kubectl keeps what it discovered there
        "PATH": f"{tools.programs}:{os.environ['PATH']}",
        "KUBECONFIG_OF_MANY": str(job.kubeconfig),
        "WANTED": str(job.wanted.folder),
        "CHART": str(job.wanted.chart),
        "CHART_NAME": job.wanted.chart.name.removesuffix(".tgz"),
        "BACKUPS": str(backups),
        "KINDS": kinds,
        "ONLY": "chart" if job.work == CHART else "",
    }
    return Asked(command, environment)

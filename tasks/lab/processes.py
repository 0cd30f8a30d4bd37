"""
The processes of a lab, kept track of by control groups.

Every process starts inside a control group of its own below ``/envoyfleet/<lab>``, and the
containers of a cluster land there too (the kubelet's ``cgroupRoot``). So no pid file can be stale,
and whatever was killed in whatever order, the rest is found.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.lab import state
from tasks.lab.progress import LabError
from tasks.lab.state import Cluster

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Process:
    """
    A process of a lab, such as ``Process("lab", "lab-1", "kubelet", [...])``. ``scope`` is the
    cluster's name, or "lab" for what all clusters share. Where ``cluster`` is given the process
    runs in its network and mount namespaces.
    """

    lab: str
    scope: str
    name: str
    command: Sequence[str]
    cluster: Cluster | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return f"/envoyfleet/{self.lab}/processes/{self.scope}.{self.name}"

    @property
    def log(self) -> Path:
        return log_folder(self.lab, self.scope) / f"{self.name}.log"


def log_folder(lab: str, scope: str) -> Path:
    """Where the processes of a cluster (or of "lab", the shared ones) write their logs."""
    return state.LABS / lab / "logs" / scope


def hierarchies() -> list[Path]:
    """
    Where control groups are mounted: one folder with version 2, one for each controller with
    version 1.
    """
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


def tracking() -> Path:
    """The hierarchy in which processes are tracked; "pids" limits nothing unless it is told to."""
    pids = CGROUPS / "pids"
    return pids if (pids / "cgroup.procs").exists() else hierarchies()[0]


def start(process: Process) -> None:
    """
    Start a process detached from us; it stays when we are killed. Nothing happens where it runs.
    """
    if pids(process):
        return
    group = tracking() / process.group.lstrip("/")
    group.mkdir(parents=True, exist_ok=True)
    process.log.parent.mkdir(parents=True, exist_ok=True)
    command = [*enter(process.cluster), *process.command] if process.cluster else process.command
    with process.log.open("ab") as log:
        child = subprocess.Popen(
            ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs"), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**clean_environment(), **process.environment},
            cwd="/",
            start_new_session=True,
        )
    while child.pid not in group_pids(process.group) and child.poll() is None:
        time.sleep(0.002)


def clean_environment() -> dict[str, str]:
    """
    The little that our processes may inherit: no proxy and no credential of the operator reaches a
    cluster.
    """
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}


def enter(cluster: Cluster) -> list[str]:
    """
    The command that runs another one inside the cluster's namespaces. Not ``ip netns exec``: that
    mounts /sys anew and hides the control groups.
    """
    mounts = cluster.root / "mounts"
    return ["nsenter", f"--net=/run/netns/{cluster.namespace}", f"--mount={mounts}"]


def pids(process: Process) -> list[int]:
    """
    The running process; empty where there is none. Children that outlive it (shims) do not count.
    """
    names = {Path(process.command[0]).name, "nsenter", "sh"}  # the last two become the first
    return [
        pid
        for pid in group_pids(process.group)
        if any(Path(first).name in names for first in command_line(pid)[:1])
    ]


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty where it is gone or a zombie."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return []
    return line.rstrip("\0").split("\0") if line else []


def group_pids(group: str) -> list[int]:
    """Every process in this control group and below, in any hierarchy."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for folder in _folders(hierarchy / group.lstrip("/")):
            try:
                text = (folder / "cgroup.procs").read_text()
            except OSError:
                continue
            found.update(int(line) for line in text.split())
    return sorted(found - {0, os.getpid()})


def _folders(folder: Path) -> list[Path]:
    """
    This one and those below it, the ones above first. The kubelet removes some meanwhile, at which
    `Path.glob` gives up and `os.walk` does not.
    """
    return [Path(found) for found, _, _ in os.walk(folder)]


def kill(processes: Sequence[Process], sign: int = signal.SIGTERM, seconds: float = 5) -> None:
    """Stop processes: ask first, and kill what is still there after ``seconds``."""
    deadline = time.monotonic() + seconds
    while left := [pid for process in processes for pid in pids(process)]:
        for pid in left:
            signal_pid(pid, signal.SIGKILL if time.monotonic() > deadline else sign)
        time.sleep(0.05)
        if time.monotonic() > deadline + 10:
            raise LabError(f"processes {left} do not end, even when killed")


def kill_group(group: str, seconds: float = 20) -> list[int]:
    """
    Kill everything in a control group, also what is started meanwhile; returns what could not be
    killed.
    """
    deadline = time.monotonic() + seconds
    while left := [pid for pid in group_pids(group) if command_line(pid) or is_running(pid)]:
        for pid in left:
            signal_pid(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return left
        time.sleep(0.05)
    return []


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie (one that waits for its parent to notice)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def signal_pid(pid: int, sign: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def create_group(group: str) -> None:
    """Make a control group in every hierarchy, able to hold containers."""
    names = group.strip("/").split("/")
    for hierarchy in hierarchies():
        folder = hierarchy
        for name in names:
            _let_pass(folder)
            folder = folder / name
            folder.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):  # with version 1 these start empty
                if hierarchy.name == "cpuset" and not (folder / file).read_text().strip():
                    (folder / file).write_text((folder.parent / file).read_text())


def _let_pass(folder: Path) -> None:
    """With version 2, let the groups below this one limit what this one may."""
    file = folder / "cgroup.subtree_control"
    if file.exists():
        for controller in (folder / "cgroup.controllers").read_text().split():
            try:
                file.write_text(f"+{controller}")
            except OSError:  # one that cannot be delegated
                continue


def remove_group(group: str) -> None:
    """Delete an empty control group with all below it, in every hierarchy."""
    for hierarchy in hierarchies():
        folder = hierarchy / group.lstrip("/")
        if not folder.is_dir():
            continue
        for below in reversed(_folders(folder)):
            for _ in range(50):
                try:
                    below.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # the kernel needs a moment after the last process left
                    time.sleep(0.02)


def require(program: str) -> str:
    """The path of a program of this machine; raises `LabError` where it is missing."""
    path = shutil.which(program, path=clean_environment()["PATH"])
    if path is None:
        raise LabError(f"{program} is missing on this machine: install it, or run `up` again")
    return path


def last_lines(file: Path, count: int = 1) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(file.read_text(errors="replace").strip().splitlines()[-count:])
    except OSError:
        return ""

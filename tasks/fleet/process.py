"""Which process this is, so that another one can tell whether it still lives."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from pathlib import Path

from tasks.plans.lease import Holder


def myself(run: str) -> Holder:
    """This process as the holder of a Lease. ``run``: the run's id."""
    machine, boot, processes = _machine()
    return Holder(
        run=run,
        who=f"{_user()}@{socket.gethostname()}",
        machine=machine,
        boot=boot,
        processes=processes,
        pid=os.getpid(),
        begun=_begun(os.getpid()) or 0,
    )


def is_dead(holder: Holder) -> bool:
    """
    Whether ``holder`` was a process of this machine and is no more. False for a process of another
    machine or container, which cannot be seen from here.
    """
    machine, boot, processes = _machine()
    if not holder.machine or holder.machine != machine:
        return False
    if holder.boot != boot:
        return True
    return holder.processes == processes and _begun(holder.pid) != holder.begun


def is_alive(holder: Holder) -> bool:
    """
    Whether ``holder`` is a process of this machine that still runs. False for one that cannot be
    seen from here.
    """
    here = _machine() == (holder.machine, holder.boot, holder.processes)
    return here and not is_dead(holder) and holder.pid != os.getpid()


def end_programs(runs: Collection[str], cluster: str, seconds: float = 20.0) -> int:
    """
    End the programs that these runs had started for a cluster on this machine, and say how many:
    helm outlives a run that was killed, and works on. Asked first, so that helm marks its release
    as failed; killed after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    found = _programs(runs, cluster)
    left = found
    while left:
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.2)
        left = _programs(runs, cluster)
    return len(found)


def _programs(runs: Collection[str], cluster: str) -> set[int]:
    """By the variables that the connector gives every program; other users' cannot be read."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            names = set((folder / "environ").read_bytes().split(b"\0"))
            of_run = any(f"ENVOYFLEET_RUN={it}".encode() in names for it in runs)
            if of_run and f"ENVOYFLEET_CLUSTER={cluster}".encode() in names:
                found.add(int(folder.name))
    return found - {os.getpid()}


@cache
def _machine() -> tuple[str, str, str]:
    """Name and machine-id, the boot's identity, and that of the namespace of process numbers."""
    identity, boot, processes = "", "", ""
    with suppress(OSError):
        identity = Path("/etc/machine-id").read_text().strip()
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        processes = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}/{identity}", boot, processes


def _begun(pid: int) -> int | None:
    """When it began, in clock ticks since the boot, or None where it is no more (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        return str(os.getuid())

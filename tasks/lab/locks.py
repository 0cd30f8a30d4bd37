"""Holding other commands of the lab off what one of them is changing."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.lab.progress import say

LOCKS = Path("/run/lock")


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold everyone else off something on this machine, such as "lab-lab"."""
    with lock_file(LOCKS / f"envoyfleet-{name}"):
        yield


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold everyone else off by a file; the kernel lets go when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        waiting = False
        while not _take(file.fileno()):
            if not waiting:
                say(f"waiting for another command of the lab, which holds {path}")
            waiting = True
            time.sleep(0.1)
        yield


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

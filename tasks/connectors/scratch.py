"""
Folders for what programs need of a run, a kubeconfig above all: one a cluster, gone when the run
ends, or with a later run where it was killed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def made() -> Path:
    """A new one, 0700, named after this process and its namespace of process numbers."""
    return Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))


def sweep() -> None:
    """
    Remove the folders of this user's runs that were killed. One that a program still uses stays for
    the next time.
    """
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{_prefix()}*-*"):
        with suppress(OSError):
            dead = not Path("/proc", folder.name.split("-")[2]).exists()
            if dead and folder.stat().st_uid == os.getuid() and not _is_used(folder):
                shutil.rmtree(folder)


def _prefix() -> str:
    """Such as "envoyfleet-4026531836-": a number means another process in another container."""
    try:
        return f"envoyfleet-{Path('/proc/self/ns/pid').stat().st_ino}-"
    except OSError:  # no Linux: nothing is ever found dead
        return f"envoyfleet-{os.getpid()}-"


def _is_used(folder: Path) -> bool:
    mark = f"KUBECONFIG={folder}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            names = (process / "environ").read_bytes().split(b"\0")
            if any(it.startswith(mark) for it in names):
                return True
    return False

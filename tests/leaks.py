"""Where a secret shows in clear: in files, in what was printed, in any process of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from tests.objects import forms

PAUSE = 0.2


@dataclass
class Leaks:
    """
    + found: such as {"argument of helm: base64 at 1"}; + looks: how often was looked; + files: how
    many were read at the end
    """

    secrets: Sequence[str]
    folders: Sequence[Path]
    found: set[str] = field(default_factory=set)
    looks: int = 0
    files: int = 0

    def look_at(self, where: str, content: bytes) -> None:
        for form, it in self._forms():
            if it in content:
                self.found.add(f"{where}: {form}")

    def look_at_processes(self) -> None:
        self.looks += 1
        for process in Path("/proc").glob("[0-9]*"):
            for kind in ("cmdline", "environ"):
                with suppress(OSError):
                    content = (process / kind).read_bytes()
                    self.look_at(f"{kind} of {content[:40]!r}", content)

    def look_at_files(self) -> int:
        """All below the folders, whoever is writing them; how many there were."""
        count = 0
        for file in (it for folder in self.folders for it in _files(folder)):
            with suppress(OSError):
                self.look_at(str(file), file.read_bytes())
                count += 1
        return count

    def _forms(self) -> Iterator[tuple[str, bytes]]:
        for secret in self.secrets:
            yield from forms(secret).items()


@contextmanager
def watched(secrets: Sequence[str], *folders: Path) -> Iterator[Leaks]:
    """
    Looks at every process and every file again and again as long as the block runs, and at the
    files once more at its end.

    + folders: those that a run writes into, its temporary one too
    """
    leaks, stop = Leaks(secrets, folders), Event()

    def loop() -> None:
        while not stop.is_set():
            leaks.look_at_processes()
            leaks.look_at_files()
            stop.wait(PAUSE)

    thread = Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield leaks
    finally:
        stop.set()
        thread.join()
        leaks.files = leaks.look_at_files()


def _files(folder: Path) -> Iterable[Path]:
    """No links: they lead to the repository."""
    for it in folder.iterdir() if folder.is_dir() else ():
        if it.is_symlink():
            continue
        if it.is_dir():
            with suppress(OSError):
                yield from _files(it)
        elif it.is_file():
            yield it

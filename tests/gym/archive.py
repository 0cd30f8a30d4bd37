"""
Recorded states of the gym, all in one file: they differ in little, and together they take a fifth
of what they take apart.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

FILE = Path(__file__).parents[1] / "data" / "gym" / "states.tar.xz"
#: What a diagnosis reads twice as well, or not at all.
LEFT_OUT = frozenset({"stats_prometheus.txt", "clusters.txt"})
#: What repeats is far apart; else the quickest will do.
QUICK = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 26}]
STATES, LIVE = "states", "live.json"


def keep(folder: Path, file: Path = FILE) -> None:
    """These states in place of those of the same names, however they were judged."""
    with TemporaryDirectory() as old:
        places = {}
        if file.exists():
            _extract(Path(old), file)
            places = {it.name: it for it in (Path(old) / STATES).iterdir()}
        places |= {it.name: it for it in folder.iterdir() if it.is_dir()}
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            lzma.open(file, "wb", filters=QUICK) as out,
            tarfile.open(fileobj=out, mode="w") as tar,
        ):
            for name, place in sorted(places.items()):
                for one in sorted(it for it in place.rglob("*") if it.is_file()):
                    if one.name not in LEFT_OUT:
                        inside = f"{STATES}/{name}/{one.relative_to(place)}"
                        _add(tar, inside, one.read_bytes())


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(body)
    tar.addfile(entry, io.BytesIO(body))


def _extract(folder: Path, file: Path) -> None:
    with tarfile.open(file, "r:xz") as tar:
        tar.extractall(folder, filter="data")


@contextmanager
def recorded(file: Path = FILE) -> Iterator[dict[str, Path]]:
    """Folders by name, such as "jwt-missing" and "jwt-missing.well", as long as the block runs."""
    with TemporaryDirectory() as folder:
        if file.exists():
            _extract(Path(folder), file)
        states = Path(folder) / STATES
        yield {it.name: it for it in sorted(states.iterdir())} if states.exists() else {}

"""
The tree of what an inventory wants, for Argo CD or Flux: a folder a cluster, a file an object, no
Secrets. No cluster is asked.

    python -m tasks.render INVENTORY [--output rendered-tree] [--check] [--cluster NAME]

With --check nothing is written; exit 3 says that a file is not what the inventory says, or that
something is wrong with an object.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tasks.checks.findings import Judged, exit_code
from tasks.desired import tree, wanted
from tasks.fleet import inventory
from tasks.fleet.inventory import Cluster
from tasks.fleet.inventory.files import AKS, Unusable, clusters
from tasks.fleet.render import SAFE, TemplateRefused, without_copies
from tasks.fleet.silences import held_back
from tasks.fleet.tables import print_findings
from tasks.plans import entries

Files = Mapping[str, str]
FOUND = 3


@dataclass(frozen=True)
class Differing:
    """
    Between a folder and what is rendered: paths that are to be written, and our own that are to go.
    """

    written: Mapping[Path, str]
    deleted: tuple[Path, ...]

    @property
    def lines(self) -> list[str]:
        found = {
            it: "differs" if it.exists() else "is missing" for it in self.written
        } | dict.fromkeys(self.deleted, "is not wanted any more")
        return [f"{it}: {found[it]}" for it in sorted(found)]


def fleet(path: Path, only: str | None = None) -> dict[str, Cluster]:
    """Every cluster of an inventory's file, checked. Raises Unusable, with a line a problem."""
    every = {_named(path, key): data for key, data in clusters(path).items()}
    if only is not None and only not in every:
        raise Unusable(f"{path} has no cluster {only}: it has {', '.join(every)}")
    every = {name: data for name, data in every.items() if only in (None, name)}
    wrong = [line for name, data in every.items() for line in inventory.problems(name, data)]
    folders: dict[str, str] = {}
    for name in every:
        first = folders.setdefault(folder(name), name)
        if first != name:
            wrong.append(f"{name}: its folder would be that of {first}: call one of them otherwise")
    if wrong:
        raise Unusable("\n".join(f"{path}: {it}" for it in dict.fromkeys(wrong)))
    return {name: inventory.parsed(data) for name, data in every.items()}


def _named(path: Path, key: str) -> str:
    """The name of a cluster. Raises Unusable for an entry that Azure has to be asked about."""
    if not key.startswith(AKS):
        return key
    try:
        entry = entries.entry(key.removeprefix(AKS))
    except ValueError as error:
        raise Unusable(f"{path}: {key}: {error}") from None
    if entry.cluster is None:
        raise Unusable(
            f"{path}: {key} asks Azure for its clusters, and nobody is asked here: name each, such "
            "as @aks/<subscription>/<group>/<cluster>"
        )
    return f"{entry.prefix}{entry.cluster}"


def folder(name: str) -> str:
    return SAFE.sub("_", name)


def rendered(name: str, data: Cluster, today: date) -> tuple[dict[str, str], Judged]:
    """Files of one cluster, and what is wrong with it. Raises Unusable."""
    try:
        with without_copies():
            found = wanted(name, data)
            return tree.files(name, data, found), held_back(found.findings, data, today)
    except TemplateRefused as error:
        raise Unusable(str(error)) from error
    except ValueError as error:
        raise Unusable(f"{name}: {error}") from error


def differing(place: Path, files: Files) -> Differing:
    """+ place: the folder of a cluster; + files: all that is to be there, by path below it"""
    wrong = {place / it: text for it, text in files.items() if _read(place / it) != text}
    own = (it for it in place.rglob("*.yaml") if (_read(it) or "").startswith(tree.MARK))
    gone = sorted(it for it in own if str(it.relative_to(place)) not in files)
    return Differing(wrong, tuple(gone))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def strangers(output: Path, names: Iterable[str]) -> list[str]:
    """Folders of ours that are of no cluster: whoever watches them goes on applying them."""
    known = {folder(it) for it in names}
    found = sorted(output.glob(f"*/{tree.KUSTOMIZATION}"))
    return [
        f"{it.parent}: is of no cluster of the inventory: delete it when its cluster is gone"
        for it in found
        if it.parent.name not in known and (_read(it) or "").startswith(tree.MARK)
    ]


def write(found: Differing) -> None:
    """Each file whole or not at all."""
    for it in sorted({path.parent for path in found.written}):
        it.mkdir(parents=True, exist_ok=True)
    for path, text in found.written.items():
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    for path in found.deleted:
        path.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tree, or compare it; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return _done(given)
    except Unusable as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}: name a folder with --output", file=sys.stderr)
    return 2


def _done(given: argparse.Namespace) -> int:
    output, today = Path(given.output), datetime.now(UTC).date()
    every = fleet(Path(given.inventory), given.cluster)
    found: dict[str, Any] = {it: rendered(it, data, today) for it, data in every.items()}
    judged = Judged(
        tuple(it for _, one in found.values() for it in one.open),
        tuple(it for _, one in found.values() for it in one.silent),
    )
    if judged.open or judged.silent:
        print_findings(judged.open, given.format, silent=judged.silent)
    parts = [differing(output / folder(it), files) for it, (files, _) in found.items()]
    lines = [line for it in parts for line in it.lines]
    left = [] if given.cluster else strangers(output, every)
    broken = any(it.severity == "error" for it in judged.open)
    if not given.check and not broken:
        for it in parts:
            write(it)
    said = lines if given.check else []
    for line in [*said, *left]:
        print(line, file=sys.stderr)
    done = "differ" if given.check else "written"
    changed = (
        "nothing written: correct what is wrong first"
        if broken and not given.check
        else (f"{len(lines)} {done}")
    )
    count = sum(len(files) for files, _ in found.values())
    print(f"{len(every)} clusters, {count} files in {output}: {changed}", file=sys.stderr)
    return FOUND if said or left or exit_code(judged.open) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.render", description="Write what an inventory wants as files."
    )
    parser.add_argument("inventory", help="such as inventory/prod.py")
    parser.add_argument("--output", default="rendered-tree", help="a folder for all clusters")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 3 if it differs")
    parser.add_argument("--cluster", help="one of the inventory")
    parser.add_argument("--format", choices=["table", "lines", "json"], help="of findings")
    return parser


if __name__ == "__main__":
    sys.exit(main())

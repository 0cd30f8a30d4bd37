"""
envoyfleet beside Ansible's kubernetes.core and beside bash around kubectl and helm: the same work,
the same API servers, the same end state, verified by a reader that believes none of them.

    python benchmarks/side_by_side.py --print        an hour; needs root
    python benchmarks/side_by_side.py --print --work "nothing to do" --clusters 16 --runs 1
    python benchmarks/side_by_side.py --page         docs/side-by-side.md from what was measured

The API servers are those of a lab without nodes, with tests/lab/standin.py in the place of the
controller; many clusters share them, each behind a line of its own with TLS, 50 ms away. Sides
take turns; figures are medians. Each scene is kept in benchmarks/sides/results.jsonl, in the place
of what it was before.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sides import commands, tools, verify, wanted
from benchmarks.sides.commands import BACKUP, CHART, NOTHING, OBJECTS, Asked, Job
from benchmarks.sides.measured import Run, measured
from benchmarks.sides.page import table, write
from benchmarks.sides.rows import (
    BASH,
    CURVE,
    FORKS,
    OURS,
    SERVERS,
    Row,
    Scene,
    judged,
    kept,
    known,
    scenes,
)

LAB = "benchsides"
ARCHIVE = "gateway-helm-1.9.1"
#: Seconds after which a run is ended.
#: Seconds after which a run is killed; STUCK: where a cluster never answers, which Ansible awaits.
PATIENCE, STUCK = 1800.0, 600.0
MORE = {"probe": {"enabled": False}, "ring": 0, "timeout": 600}


class Bench:
    """A lab, its lines, and the sides that take turns on it."""

    def __init__(self, folder: Path, fleet: Any) -> None:
        from tasks.lab import state
        from tests.lab.campaign.start import folder_for

        lab = fleet.lab.data
        self.fleet = fleet
        self.members = [state.running(LAB).member(name) for name in fleet.names]
        self.work = folder_for(folder / "work")
        self.tools = tools.tools()
        self.logs = [Path(it["audit_log"]) for it in lab["clusters"]]
        self.chart = self._pulled()

    def _pulled(self) -> Path:
        from tasks.fleet.charts import cache_folder

        found = sorted(cache_folder().glob(f"{ARCHIVE}-*.tgz"))
        if not found:
            raise SystemExit(f"no {ARCHIVE} is cached: python -m tasks.lab up, then down")
        chart = self.work / f"{ARCHIVE}.tgz"
        chart.write_bytes(found[-1].read_bytes())
        return chart

    def rows(self, scene: Scene, sides: Sequence[str], runs: int) -> Iterator[Row]:
        from tests.lab.distant import distant

        names = [f"c-{it}" for it in range(scene.clusters)]
        kubeconfig = self.work / "kubeconfig-of-many"
        backup = {} if scene.work == BACKUP else {"backup": {"enabled": False}}
        more = {**MORE, **backup, "kube_config": str(kubeconfig)}
        wanted.inventory(self.work, LAB, names, more)
        with distant(
            self.members,
            names,
            scene.milliseconds / 1000,
            kubeconfig,
            errors=scene.errors,
            tls=True,
            ill=scene.failing,
        ):
            self._settled(names, kubeconfig, scene)
            found: dict[str, list[tuple[Run, list[str]]]] = {it: [] for it in sides}
            for turn in range(runs):
                for number, side in enumerate(sides):
                    change = f"{turn}.{number}" if scene.work == OBJECTS else "0"
                    found[side].append(self.once(scene, side, names, kubeconfig, change))
        for side, every in found.items():
            yield _row(scene, side, every)

    def _settled(self, names: Sequence[str], kubeconfig: Path, scene: Scene) -> None:
        """Every side has done all of it once, each API server once, so that nothing is left."""
        well = [it for it in names if it not in (scene.failing or {})][: len(self.members)]
        # First what peers forced in the scene before is taken back; the first scene has no objects.
        works = [(OBJECTS, OURS), *((NOTHING, it) for it in (OURS, BASH, f"ansible {FORKS[0]}"))]
        for work, side in works:
            asked = self.asked(work, side, well, kubeconfig, "0")
            if side == OURS:
                asked.command.extend(it for name in well for it in ("--limit", name))
            done = measured(asked.command, self.work, asked.environment, (), PATIENCE)
            if done.code and work == NOTHING and not scene.errors:
                raise SystemExit(f"{side} cannot begin: exit {done.code}\n{done.told[-3000:]}")

    def asked(
        self, work: str, side: str, names: Sequence[str], kubeconfig: Path, change: str
    ) -> Asked:
        told = wanted.written(self.work, "c-0", self.chart, self.tools.programs / "helm", change)
        job = Job(work, self.work, kubeconfig, names, told, change)
        if side == OURS:
            return commands.ours(job)
        if side == BASH:
            return commands.bash(job, self.tools, 16)
        return commands.ansible(job, self.tools, int(side.split()[1]))

    def once(
        self, scene: Scene, side: str, names: Sequence[str], kubeconfig: Path, change: str
    ) -> tuple[Run, list[str]]:
        """The run, and what was wrong after it."""
        from tasks.lab.api import Api

        if scene.work == CHART:
            self._at_the_old_release()
        before = None if scene.work in (OBJECTS, CHART) else self._versions()
        asked = self.asked(scene.work, side, names, kubeconfig, change)
        patience = STUCK if scene.failing else PATIENCE
        run = measured(asked.command, self.work, asked.environment, self.logs, patience)
        told = wanted.written(self.work, "c-0", self.chart, self.tools.programs / "helm", change)
        wrong = []
        for member in self.members:
            wrong += verify.wrong(Api(member), ARCHIVE, told.objects, "eg")
        if before is not None and before != self._versions():
            wrong.append("something was changed")
        expected = 1 if scene.failing else 0
        if bool(run.code) != bool(expected):
            failed = [it for it in run.told.splitlines() if "rror" in it or "failed" in it]
            wrong.append(f"exit {run.code}: {failed[:1] or run.told.splitlines()[-2:]}")
        for name in scene.failing or {}:
            if name not in run.told:
                wrong.append(f"{name} is not named")
        print(f"  {scene.title} | {side}: {run.wall:.1f} s, {run.processor:.1f} s CPU", flush=True)
        return run, wrong

    def _at_the_old_release(self) -> None:
        from tasks.lab.api import Api
        from tests.lab.campaign import start

        for it in self.members:
            start.older(self.fleet, it.name, Api(it), start.values_of(self.fleet, it.name))

    def _versions(self) -> dict[str, str]:
        """Of every object that the sides are about."""
        from tasks.lab.api import Api
        from tasks.plans.kinds import path

        kinds = [(at, it) for at, every in commands.KINDS.items() for it in every]
        kinds.append(("apiextensions.k8s.io/v1", "CustomResourceDefinition"))
        found = {}
        for member in self.members:
            api = Api(member)
            for at, kind in kinds:
                for it in api.get(path(at, kind)).get("items", []):
                    meta = it["metadata"]
                    found[f"{member.name} {kind} {meta['name']}"] = json.dumps(it.get("spec"))
        return found


def _row(scene: Scene, side: str, every: Sequence[tuple[Run, list[str]]]) -> Row:
    def middle(of: Callable[[Run], float]) -> float:
        return float(median(of(run) for run, _ in every))

    return Row(
        scene.title,
        side,
        middle(lambda it: it.wall),
        middle(lambda it: it.processor),
        middle(lambda it: it.memory),
        middle(lambda it: it.requests),
        middle(lambda it: it.writes),
        tuple(run.code for run, _ in every),
        tuple(dict.fromkeys(line for _, wrong in every for line in wrong)),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main() -> int:
    from tests.lab.campaign.__main__ import opened

    parser = argparse.ArgumentParser(description="envoyfleet beside its peers.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--work", help="this piece of work alone")
    parser.add_argument(
        "--only", nargs="*", default=[""], help='scenes with one of these in their titles: "chart"'
    )
    parser.add_argument("--clusters", type=int, help="so many instead")
    parser.add_argument("--servers", type=int, default=SERVERS, help="real API servers: 8")
    parser.add_argument("--curve", action="store_true", help="and ours alone, 8 to 500 clusters")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sides", help="such as envoyfleet,bash,'ansible 16'")
    parser.add_argument("--page", action="store_true", help="write docs/side-by-side.md alone")
    asked = parser.parse_args()
    if asked.page:
        write(known())
        return 0
    sides = (
        asked.sides.split(",") if asked.sides else [OURS, BASH, *(f"ansible {it}" for it in FORKS)]
    )
    chosen = [
        it
        for it in scenes()
        if asked.work in (None, it.work) and any(one in it.title for one in asked.only)
    ]
    if asked.clusters:
        chosen = list({Scene(it.work, asked.clusters): None for it in chosen})
    turns = [(it, sides) for it in chosen]
    if asked.curve:
        measured_too = {it.title for it in chosen}
        alone = [Scene(NOTHING, it) for it in CURVE]
        turns += [(it, [OURS]) for it in alone if it.title not in measured_too]
    with (
        tempfile.TemporaryDirectory() as place,
        opened("restores", Path(place) / "lab", LAB, asked.servers) as it,
    ):
        bench = Bench(Path(place), it.fleet)
        rows: list[Row] = []
        for scene, those in turns:
            rows += bench.rows(scene, those, asked.runs)
            kept(rows)
    print(table(rows))
    found = list(judged(rows))
    for good, line in found:
        print(f"{'ok  ' if good else 'MISS'} {line}")
    return 0 if all(good for good, _ in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())

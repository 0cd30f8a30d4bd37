"""
Runs of deploys/upgrade.py that are killed with SIGKILL, at every line of their journal and at any
moment, and begun again with the same command. A point is survived where the cluster ends like one
that was upgraded without a kill, and nothing is lost or done twice.

    python -m tests.lab.campaign --alone 170     on API servers alone, see tests/lab/standin.py
    python -m tests.lab.campaign --back 20       the same, killed on the way back of one that fails
    python -m tests.lab.campaign --full 30       on clusters with nodes, under traffic
    python -m tests.lab.campaign --restores 50   backups and restores, on API servers alone

The labs are its own. What was done is kept in the folder of ENVOYFLEET_CAMPAIGN (default: below
the user's cache, by git commit), so the same command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from tasks.lab import state
from tasks.lab.api import Api
from tests.lab.campaign import restores, snapshot, start, turns
from tests.lab.campaign.attempts import Upgrade, killed_and_gone_on, times, undisturbed
from tests.lab.campaign.points import Point, points
from tests.lab.fleet import OLD, Fleet, traffic
from tests.lab.running import REPOSITORY, LabUnderTest, run

CLUSTERS = 2
WITHOUT_PROBES = ("--data", 'probe={"enabled": false}')
#: A controller whose image cannot be had, and little patience with it.
BROKEN = (
    *("--data", 'images={"envoy_gateway": "docker.io/lab/gateway:missing"}'),
    *("--data", 'accept=["values"]'),
    *("--data", "timeout=15"),
)
#: With one proxy and no drain of the load balancer nothing promises none.
LOST = 0.01


@dataclass(frozen=True)
class Campaign:
    """
    + name: "alone", "back", "full" or "restores"; + results: one line of JSON a point
    + more: arguments for pyinfra
    """

    name: str
    fleet: Fleet
    results: Path
    more: Sequence[str]
    writing: Lock

    @property
    def full(self) -> bool:
        return self.name == "full"

    def folder(self, title: str) -> Path:
        """A new folder to run pyinfra in; what an earlier campaign had left there goes."""
        where = self.fleet.folder / title
        shutil.rmtree(where, ignore_errors=True)
        return start.folder_for(where)

    def upgrade(self, cluster: str, title: str) -> Upgrade:
        fails = self.name == "back"
        more = [*self.more, *(BROKEN if fails else ())]
        return Upgrade(self.fleet.lab.name, cluster, self.folder(title), more, int(fails))

    def done(self) -> dict[int, dict[str, Any]]:
        """What is known of each point that was survived."""
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        found = {it["number"]: it for it in map(json.loads, lines)}
        return {number: it for number, it in found.items() if not it["wrong"]}

    def write(self, result: dict[str, Any]) -> None:
        with self.writing, self.results.open("a") as file:
            file.write(json.dumps(result) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.lab.campaign")
    asked.add_argument("--alone", type=int, default=0, metavar="N", help="points without nodes")
    asked.add_argument("--back", type=int, default=0, metavar="N", help="points on the way back")
    asked.add_argument("--full", type=int, default=0, metavar="N", help="points on whole clusters")
    asked.add_argument("--restores", type=int, default=0, metavar="N", help="of backup, restore")
    wanted = asked.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wrong = 0
    try:
        for name, count in vars(wanted).items():
            if count:
                with opened(name, kept(), f"kill{name}") as campaign:
                    of_restores = name == "restores"
                    wrong += (restores.run_all if of_restores else run_all)(campaign, count)
    except KeyboardInterrupt:
        print("ended: the same command goes on", flush=True)
        return 130
    return 1 if wrong else 0


def kept() -> Path:
    """Where results are kept."""
    if given := os.environ.get("ENVOYFLEET_CAMPAIGN"):
        return Path(given)
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "envoyfleet" / "campaign" / done.stdout.strip()


@contextmanager
def opened(name: str, folder: Path, lab: str, clusters: int = CLUSTERS) -> Iterator[Campaign]:
    """A lab of its own with Envoy Gateway 1.8.3, and what its clusters lack."""
    alone = name != "full"
    run("down", name=lab)
    up = run("up", str(clusters), *(["--without-nodes"] if alone else []), name=lab)
    standin = None
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        sample = run("sample", name=lab)
        assert sample.returncode == 0, sample.stdout + sample.stderr
        if alone:
            command = [sys.executable, "-m", "tests.lab.standin", lab]
            standin = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL)
        data = json.loads(run("status", "--json", name=lab).stdout)
        folder.mkdir(parents=True, exist_ok=True)
        more = WITHOUT_PROBES if alone else ()
        results = folder / f"{name}.jsonl"
        work = folder / name
        shutil.rmtree(work, ignore_errors=True)
        fleet = Fleet(LabUnderTest(lab, data), start.folder_for(work))
        start.prepared(fleet, *more, at=() if name == "restores" else start.AT_OLD)
        yield Campaign(name, fleet, results, more, Lock())
    finally:
        if standin is not None:
            standin.kill()
            standin.wait()
        run("down", name=lab)


def run_all(campaign: Campaign, count: int) -> int:
    """Run the points that are not done yet, one after the other on each cluster; failed ones."""
    names = campaign.fleet.names
    with ThreadPoolExecutor(len(names)) as pool:
        ready = list(pool.map(lambda it: Cluster(campaign, it), names))
    begun = remembered(campaign, times(ready[0].journal))
    first = ready[0].line_of("Controller", -1) if campaign.name == "back" else 1
    turns.taken(campaign, ready, [(campaign.name, it) for it in points(count, begun, first)])
    survived = [it for number, it in campaign.done().items() if number < count]
    print(
        f"{campaign.name}: {len(survived)} of {count} points survived, a journal of {len(begun)} "
        f"lines; {campaign.results}",
        flush=True,
    )
    return count - len(survived)


def remembered(campaign: Campaign, begun: list[float]) -> list[float]:
    """The times of lines that the points were made from when the campaign began."""
    file = campaign.results.with_suffix(".times.json")
    if not file.exists():
        file.write_text(json.dumps(begun))
    found: list[float] = json.loads(file.read_text())
    return found


class Cluster:
    """One cluster, and how it is after an upgrade that nobody disturbed."""

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.campaign, self.name = campaign, name
        self.api = Api(state.running(campaign.fleet.lab.name).member(name))
        self.values = start.values_of(campaign.fleet, name)
        start.unsettle(self.api)
        upgrade = campaign.upgrade(name, f"undisturbed-{name}")
        self.journal = undisturbed(upgrade)
        self.wanted = snapshot.taken(self.api, upgrade.folder)

    def line_of(self, step: str, turn: int = 0) -> int:
        """
        The line, counted from 1, with which an undisturbed run began this step. + turn: 0 the first
        of this name, -1 the last one
        """
        return [
            number
            for number, it in enumerate(self.journal, start=1)
            if it["event"] == "step" and it["step"].endswith(f" | {step}")
        ][turn]

    def survives(self, what: str, point: Point) -> dict[str, Any]:
        """The line of one point. ``wrong`` is [] where it was survived."""
        self.reset(point.number)
        began = time.monotonic()
        upgrade = self.campaign.upgrade(self.name, f"point-{point.number}")
        full = self.campaign.full
        with traffic(self.campaign.fleet.address(self.name)) if full else nullcontext() as seen:
            ended = killed_and_gone_on(upgrade, point)
        found, wrong = snapshot.taken(self.api, upgrade.folder), list(ended.wrong)
        differs = snapshot.differences(self.wanted, found)
        if differs:
            wrong.append(f"not as after an undisturbed upgrade: {', '.join(differs)}")
        if seen is not None and seen.lost() > LOST:
            wrong.append(f"{len(seen.failures or ())} of {seen.sent} requests lost")
        if wrong:
            for name, it in (("wanted", self.wanted), ("found", found)):
                text = json.dumps(it, indent=1, sort_keys=True)
                (upgrade.folder / f"{name}.json").write_text(text)
        else:
            shutil.rmtree(upgrade.folder)
        return {
            **asdict(point),
            "cluster": self.name,
            "killed": ended.killed,
            "wrong": wrong,
            "digest": snapshot.digest(found),
            "requests": None if seen is None else [seen.sent, len(seen.failures or ())],
            "seconds": round(time.monotonic() - began, 1),
        }

    def reset(self, number: int) -> None:
        """The start state again; on whole clusters by the deploy that brings one back."""
        if not self.campaign.full:
            start.reset(self.campaign.fleet, self.name, self.api, self.values)
            return
        if self.campaign.fleet.version(self.name) != OLD:
            where = self.campaign.folder(f"back-before-{number}")
            back = Fleet(self.campaign.fleet.lab, where)
            ended = back.pyinfra(
                "rollback", "-y", "--limit", self.name, ENVOYFLEET_LAB=back.lab.name
            )
            assert ended.code == 0, ended.text
            shutil.rmtree(where)
        start.unsettle(self.api)


if __name__ == "__main__":
    sys.exit(main())

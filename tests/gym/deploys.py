"""
The gym as an operator looks at it: deploys/diagnose.py asks the cluster, deploys/support_bundle.py
writes a bundle, and ``python -m tasks.diagnosis`` reads that where there is no cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Any

from tasks.plans import requests
from tests.gym import judge
from tests.gym.archive import LIVE
from tests.gym.cluster import Cluster
from tests.gym.fault import Ask, Fault, Truth
from tests.gym.judge import Row, Verdict
from tests.gym.ledger import BUNDLE, DIAGNOSE, WAYS
from tests.gym.page import accused, verdict
from tests.gym.play import State
from tests.gym.record import LATER, can_show, written
from tests.lab.fleet import Ended, opened
from tests.lab.running import REPOSITORY

Json = dict[str, Any]
#: Settings of a cluster, and of a lab: a bundle is diagnosed where there is neither.
OURS = ("KUBECONFIG", "ENVOYFLEET_LAB")


@dataclass(frozen=True)
class Said:
    """How a run ended, and the diagnosis that it printed."""

    exit: int
    answer: Json


class Deploys:
    """A reader of the gym in place of ``record.Recorder``. + folder: where runs are made"""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.fleet = opened(folder)

    def look(self, fault: Fault, ask: Ask, entries: Sequence[Json], folder: Path) -> Json | None:
        """
        The bundle goes to ``folder``, with what the client saw where one more request cannot show
        it. Returns what the live diagnosis says, with the exit code of it.
        """
        request: list[str] = []
        if ask.url:
            request = ["--data", f"request={written(ask, self.cluster.address(ask.gateway))}"]
        if not can_show(ask):
            request += ["--data", "send=False"]
        elif ask.url and ask.method not in requests.SAFE:
            request += ["--data", "send=True"]
        time.sleep(LATER)
        with ThreadPoolExecutor(2) as pool:
            live = pool.submit(self._run, "diagnose", request) if fault.live else None
            bundle = pool.submit(self._run, "support_bundle", request)
        _, document = bundle.result()
        rmtree(folder, ignore_errors=True)
        copytree(self.fleet.folder / document["bundle"], folder)
        if entries and not fault.live:
            (folder / "client.json").write_text(json.dumps(list(entries)))
        if live is None:
            return None
        ended, row = live.result()
        found = {"exit": ended.code, **row.get("diagnosis", {})}
        (folder / LIVE).write_text(json.dumps(found, indent=1))
        return found

    def _run(self, deploy: str, request: Sequence[str]) -> tuple[Ended, Json]:
        """How it ended, and the row of the gym's one cluster. Raises AssertionError."""
        ended = self.fleet.pyinfra(deploy, "--data", "output=json", *request)
        assert ended.code in (0, 3), f"{deploy} ended with exit {ended.code}: {ended.text[-300:]}"
        row: Json = json.loads(ended.out)["clusters"][0]
        return ended, row


def offline(bundle: Path) -> Said:
    """By the command line, in a folder of its own. It has no answer where that ends otherwise."""
    command = [sys.executable, "-m", "tasks.diagnosis", str(bundle.resolve()), "--output", "json"]
    environment = {key: value for key, value in os.environ.items() if key not in OURS}
    with TemporaryDirectory() as empty:
        done = subprocess.run(
            [*command, "--exit-code"],
            cwd=empty,
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=300,
        )
    answer = json.loads(done.stdout) if done.returncode in (0, 3) else {}
    return Said(done.returncode, answer)


def row(fault: Fault, states: Sequence[State]) -> Row:
    """What was seen of one fault, judged; bundles are diagnosed here."""
    seen = {it.broken: _verdicts(it) for it in states}
    return Row(fault, seen.get(True, {}), seen.get(False, {}))


def _verdicts(state: State) -> dict[str, Verdict]:
    truth = state.fault.truth if state.broken else None
    found = {BUNDLE: offline(state.folder)}
    if state.found is not None:
        found[DIAGNOSE] = Said(state.found["exit"], state.found)
    return {way: judged(it, truth) for way, it in found.items()}


def judged(said: Said, truth: Truth | None) -> Verdict:
    """An exit code that is not of such findings is a miss: what is only told fails no run."""
    found = judge.judged(said.answer, truth)
    only_told = truth is not None and truth.cause == "intended_direct_response"
    wanted = 3 if truth and not only_told else 0
    if said.exit == wanted:
        return found
    return replace(found, found=False, said=f"exit {said.exit}, not {wanted}: {found.said}")


def bad(it: Row) -> int:
    """How many judgements are."""
    both = [*it.fault.values(), *it.alike.values()]
    return sum(not one.found or one.wrong > 0 for one in both)


def line(it: Row, why: str) -> str:
    """Of the table. + why: it was not seen whole"""
    cells = [verdict(it.fault.get(way)) for way in WAYS]
    alike = ", ".join(accused(it.alike.get(way)) for way in WAYS)
    return f"| {it.it.name} | {' | '.join(cells)} | {alike} |{f' {why}' if why else ''}"

"""
Every deploy through the fault proxy at a real cluster of a lab, and docs/faults.md.

    python -m tests.faults LAB [--deploys status,backup] [--kinds 429,500]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

from tests.command_line import CommandLine, Outcome
from tests.faults.judged import Judged, judged
from tests.faults.kinds import KINDS, after_connecting, all_of_them, applies, writes
from tests.faults.page import PAGE, Row, page
from tests.faults.running import ALWAYS, ONCE, FaultProxy, proxied

ROOT = Path(__file__).parents[2]
#: What each run has: waits end before anybody gets tired of them.
QUICK = {"kube_timeout": 4, "timeout": 20, "probe": {"timeout": 20, "rate": 2}}
#: A run that takes longer than this waits for what never comes.
LONGEST = 150
ROUTE = ("httproute", "blue", "--namespace", "demo")
CERTIFICATE = {"namespace": "edge", "secret": "lab-tls", "source": "self-signed"}
HOSTS = {"names": ["blue.lab.test"]}
Data = dict[str, Any]


@dataclass(frozen=True)
class Deploy:
    """
    + name: as a row says it; + words: its arguments; + data: of the inventory
    + undo: what is deleted before each run, so that there is something to do; it is there again
      after a run that says 0; + after: these, without a fault
    """

    name: str
    words: tuple[str, ...]
    data: Mapping[str, Any]
    undo: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return self.name.split()[0]


def _deploys() -> Iterator[Deploy]:
    for name in ("status", "doctor", "certificates", "diagnose", "public_ips", "support_bundle"):
        yield Deploy(name, (), {})
    yield Deploy("backup", ("-y",), {})
    yield Deploy("adopt", (), {})
    yield Deploy("gateways check", (), {"check": True})
    yield Deploy("gateways", ("-y",), {}, ROUTE)
    yield Deploy("install", ("-y",), {}, ROUTE)
    yield Deploy("upgrade", ("-y",), {})
    yield Deploy("crds", ("-y",), {})
    yield Deploy("rollback", ("--dry",), {})
    only = {"only": ["HTTPRoute demo/blue"]}
    yield Deploy("restore", ("-y",), only, ROUTE, ("gateways", "backup"))
    yield Deploy("drill", ("-y",), {"drill_source": ["e-1"]})
    rotated = {"certificates": [{**CERTIFICATE, **HOSTS}], "renew_now": True}
    yield Deploy("rotate_certificates", ("-y",), rotated)
    yield Deploy("rotate_control_plane", ("--dry",), {})
    yield Deploy("issuers", ("-y",), {})
    yield Deploy("monitoring", ("-y",), {})
    yield Deploy("reserve_public_ip", ("-y",), {})
    yield Deploy("dynamic_routing", ("-y",), {})
    yield Deploy("runbook", (), {"name": "gateway-not-responding"})


DEPLOYS = {it.name: it for it in _deploys()}
#: Which request meets it first (the first two are those of connecting), and how many.
PLACES = ((3, ALWAYS), (3, ONCE), (6, ONCE), (1, ALWAYS), (12, ALWAYS), (9, ONCE))
#: Deploys that always write something here.
WRITING = ("gateways", "install", "restore", "rotate_certificates")
OF_WRITES = tuple(it for it, kind in KINDS.items() if kind.about in (writes, applies))
OF_ALL = tuple(it for it in KINDS if it not in OF_WRITES)


@dataclass(frozen=True)
class Trial:
    deploy: Deploy
    kind: str
    first: int
    times: int


def chosen(deploys: Sequence[str], kinds: Sequence[str], each: int) -> Iterator[Trial]:
    """
    Kinds in turn over the deploys, ``each`` at every one and in other places each time; those of
    writes at deploys that write, twice as many there.
    """
    left = {
        True: cycle([it for it in kinds if it in OF_WRITES] or kinds),
        False: cycle([it for it in kinds if it in OF_ALL] or kinds),
    }
    places = cycle(PLACES)
    for name in deploys:
        of_writes = each if name in WRITING else 0
        for number in range(each + of_writes):
            kind = next(left[number < of_writes])
            first, times = next(places)
            if KINDS[kind].about not in (all_of_them, after_connecting):
                first = 1
            yield Trial(DEPLOYS[name], kind, first, times)


class Place:
    """A folder like a clone of the repository, at one cluster of a lab."""

    #: What the newest run printed.
    said = ""

    def __init__(self, folder: Path, lab: str, command_line: CommandLine) -> None:
        self.folder, self.lab, self._command_line = folder, lab, command_line
        said = subprocess.run(
            [sys.executable, "-m", "tasks.lab", "status", "--name", lab, "--json"],
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        self.about = json.loads(said.stdout)
        self.cluster = self.about["clusters"][0]["name"]
        config = yaml.safe_load(Path(self.about["kubeconfig"]).read_text())
        self.user = config["users"][0]["user"]
        about = config["clusters"][0]["cluster"]
        ca = folder / "ca.pem"
        ca.write_bytes(base64.b64decode(about["certificate-authority-data"]))
        self.upstreams = {self.cluster: {"url": about["server"], "ca": str(ca)}}
        for name in ("config.py", "deploys", "inventory", "templates", "docs"):
            (folder / "clone").mkdir(exist_ok=True)
            (folder / "clone" / name).symlink_to(ROOT / name)

    def kubectl(self, *words: str) -> str:
        command = [self.about["kubectl"], "--kubeconfig", self.about["kubeconfig"], *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def run(self, proxy: FaultProxy, it: Deploy, kind: str, first: int, times: int) -> Outcome:
        folder = self.folder / "clone"
        for name in ("runs", "rendered", "bundles", "adopted"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for file in folder.glob("backups/*/*-restore.*"):  # else each run tells of one more
            file.unlink()
        if it.undo:
            self.kubectl("delete", *it.undo, "--ignore-not-found")
        kubeconfig = proxy.kubeconfig(
            folder / "kubeconfig", self.user, [self.cluster], kind, first, times
        )
        data = {**QUICK, "kube_config": str(kubeconfig), **it.data}
        words = [
            f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
            for key, value in data.items()
        ]
        more = [one for word in words for one in ("--data", word)]
        return self._command_line.run(
            folder,
            ["inventory/lab.py", f"deploys/{it.file}.py", *it.words, *more],
            ENVOYFLEET_LAB=self.lab,
            HOME=os.environ["HOME"],
        )

    def lacks(self, it: Deploy) -> str:
        """What a run that said 0 did not bring back."""
        if it.undo and not self.kubectl("get", *it.undo, "--output", "name").strip():
            return f"says 0, and {' '.join(it.undo[:2])} is not there"
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("lab")
    parser.add_argument("--deploys", default=",".join(DEPLOYS))
    parser.add_argument("--kinds", default="")
    parser.add_argument("--each", type=int, default=6)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    names = given.deploys.split(",")
    kinds = given.kinds.split(",") if given.kinds else [*KINDS]
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as name, CommandLine() as command_line:
        place = Place(Path(name), given.lab, command_line)
        with proxied(Path(name), place.upstreams) as proxy:
            wells: dict[str, list[Outcome]] = {}
            for it in chosen(names, kinds, given.each):
                name = it.deploy.name
                if name not in wells:
                    for former in it.deploy.after:
                        place.run(proxy, DEPLOYS[former], "429", ALWAYS, ONCE)
                    wells[name] = [place.run(proxy, it.deploy, "429", ALWAYS, ONCE) for _ in "12"]
                    print(f"{name}: {wells[name][0].code} without a fault", flush=True)
                    if given.verbose or wells[name][0].code not in (0, 3):
                        print(wells[name][0].text)
                row = tried(place, proxy, it, wells[name])
                rows.append(row)
                print(f"  {row.text}", flush=True)
                if given.verbose or row.judged.verdict == "wrong":
                    print(place.said)
    if not given.kinds and given.deploys == ",".join(DEPLOYS):
        PAGE.write_text(page(rows))
        print(f"wrote {PAGE}")
    return 1 if any(it.judged.verdict == "wrong" for it in rows) else 0


def tried(place: Place, proxy: FaultProxy, it: Trial, wells: Sequence[Outcome]) -> Row:
    """One run; where it asked too little to meet its fault, another that meets it earlier."""
    for first in dict.fromkeys((it.first, 3, 1)):
        began = time.monotonic()
        outcome = place.run(proxy, it.deploy, it.kind, first, it.times)
        seconds = time.monotonic() - began
        found = judged(wells, outcome)
        lacks = place.lacks(it.deploy) if outcome.code == 0 else ""
        if lacks or seconds > LONGEST:
            found = Judged("wrong", lacks or f"took {seconds:.0f} s")
        if proxy.met(it.kind):
            break
        found = Judged("not met")
    place.said = outcome.text
    return Row(it.deploy.name, it.kind, first, it.times, outcome.code, seconds, found)


if __name__ == "__main__":
    sys.exit(main())

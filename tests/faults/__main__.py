"""
Every deploy through the fault proxy at a real cluster of a lab, and docs/faults.md.

    python -m tests.faults LAB [--deploys status,backup] [--families lists,rights]
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
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.command_line import CommandLine, Outcome
from tests.faults.array import Trial, moments, place, trials
from tests.faults.judged import Judged, judged
from tests.faults.kinds import FAMILIES
from tests.faults.machine import Machine, harms
from tests.faults.page import PAGE, Row, page
from tests.faults.running import ALWAYS, ONCE, FaultProxy, Place, proxied

ROOT = Path(__file__).parents[2]
#: What each run has: waits end before anybody gets tired of them.
QUICK = {"kube_timeout": 4, "timeout": 20, "probe": {"timeout": 20, "rate": 2}}
#: A run that takes longer than this waits for what never comes.
LONGEST = 150
ROUTE = ("httproute", "blue", "--namespace", "demo")
CERTIFICATE = {"namespace": "edge", "secret": "lab-tls", "source": "self-signed"}
#: Stands for the name of the lab's cluster.
THIS = "<cluster>"
HOSTS = {"names": ["blue.lab.test"]}
Data = dict[str, Any]


@dataclass(frozen=True)
class Deploy:
    """
    + name: as a row says it; + words: its arguments; + data: of the inventory
    + undo: what is deleted before each run, so that there is something to do; it is there again
      after a run that says 0; + after: these, without a fault; + writes: each run asks for a change
    """

    name: str
    words: tuple[str, ...]
    data: Mapping[str, Any]
    undo: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    writes: bool = False

    @property
    def file(self) -> str:
        return self.name.split()[0]


def _deploys() -> Iterator[Deploy]:
    for name in ("status", "doctor", "certificates", "diagnose", "public_ips", "support_bundle"):
        yield Deploy(name, (), {})
    yield Deploy("backup", ("-y",), {})
    yield Deploy("adopt", (), {})
    yield Deploy("gateways check", (), {"check": True})
    yield Deploy("gateways", ("-y",), {}, ROUTE, writes=True)
    yield Deploy("install", ("-y",), {}, ROUTE, writes=True)
    yield Deploy("upgrade", ("-y",), {})
    yield Deploy("crds", ("-y",), {})
    yield Deploy("rollback", ("--dry",), {})
    only = {"only": ["HTTPRoute demo/blue"]}
    yield Deploy("restore", ("-y",), only, ROUTE, ("gateways", "backup"), writes=True)
    yield Deploy("drill", ("-y",), {"drill_source": [THIS]})
    rotated = {"certificates": [{**CERTIFICATE, **HOSTS}], "renew_now": True}
    yield Deploy("rotate_certificates", ("-y",), rotated, writes=True)
    yield Deploy("rotate_control_plane", ("--dry",), {})
    yield Deploy("issuers", ("-y",), {})
    yield Deploy("monitoring", ("-y",), {})
    yield Deploy("reserve_public_ip", ("-y",), {})
    yield Deploy("dynamic_routing", ("-y",), {})
    yield Deploy("runbook", (), {"name": "gateway-not-responding"})
    yield Deploy("history", (), {"drift": True})


DEPLOYS = {it.name: it for it in _deploys()}
#: A fault that no request meets.
NONE = ("429", Place(ALWAYS, ONCE))
#: Where a run that asked too little is tried again.
EARLIER = ("first write", "reading", "connecting")


class Clone:
    """A folder like a clone of the repository, at one cluster of a lab."""

    #: What the newest run printed; whether it may have left something deleted.
    said, undone = "", False

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
        registry = urlsplit(self.about["charts"][0]["ref"]).netloc
        self.upstreams = {
            self.cluster: {"url": about["server"], "ca": str(ca)},
            "registry": {"url": f"http://{registry}", "ca": None},
        }
        for name in ("config.py", "deploys", "inventory", "templates", "docs"):
            (folder / "clone").mkdir(exist_ok=True)
            (folder / "clone" / name).symlink_to(ROOT / name)

    def wells(self, proxy: FaultProxy, it: Deploy) -> list[Outcome]:
        """Runs without a fault, after those that it needs."""
        for former in it.after or (("gateways",) if self.undone else ()):
            self.run(proxy, DEPLOYS[former], *NONE)
        self.undone = bool(it.undo)
        found = [self.run(proxy, it, *NONE) for _ in range(2)]
        does = "writes" if proxy.wrote() else "writes nothing"
        print(f"{it.name}: {found[0].code} without a fault, {does}", flush=True)
        if proxy.wrote() != it.writes or found[0].code not in (0, 3):
            print(found[0].text)
        return found

    def kubectl(self, *words: str) -> str:
        command = [self.about["kubectl"], "--kubeconfig", self.about["kubeconfig"], *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def run(self, proxy: FaultProxy, it: Deploy, kind: str, place: Place) -> Outcome:
        folder = self.folder / "clone"
        for name in ("runs", "rendered", "bundles", "adopted"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for file in folder.glob("backups/*/*-restore.*"):  # else each run tells of one more
            file.unlink()
        if it.undo:
            self.kubectl("delete", *it.undo, "--ignore-not-found")
        kubeconfig = proxy.kubeconfig(folder / "kubeconfig", self.user, [self.cluster], kind, place)
        data = {**QUICK, "kube_config": str(kubeconfig), **it.data}
        words = [
            f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
            for key, value in data.items()
        ]
        words = [word.replace(THIS, self.cluster) for word in words]
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
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--harms", default="", help="the beginning of their names; none: -")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    deploys = {it: DEPLOYS[it].writes for it in given.deploys.split(",") if it != "-"}
    families = given.families.split(",")
    rows, harmed = [], []
    with tempfile.TemporaryDirectory(prefix="faults-") as name, CommandLine() as command_line:
        clone = Clone(Path(name), given.lab, command_line)
        with proxied(Path(name), clone.upstreams) as proxy:
            wells: dict[str, list[Outcome]] = {}
            for trial in trials(deploys, families):
                if trial.deploy not in wells:
                    wells[trial.deploy] = clone.wells(proxy, DEPLOYS[trial.deploy])
                row = tried(clone, proxy, trial, wells[trial.deploy])
                rows.append(row)
                print(f"  {row.text}", flush=True)
                if given.verbose or row.judged.verdict == "wrong":
                    print(clone.said)
            machine = Machine(clone.folder / "clone", given.lab, clone.about, proxy)
            for harm in harms():
                if harm.name.startswith(given.harms):
                    harmed.append(machine.tried(harm))
                    print(f"  {harmed[-1].text}", flush=True)
                    if given.verbose or harmed[-1].judged.verdict == "wrong":
                        print(machine.said)
    if [*deploys] == [*DEPLOYS] and families == [*FAMILIES] and not given.harms:
        PAGE.write_text(page(rows, harmed))
        print(f"wrote {PAGE}")
    verdicts = [*(it.judged.verdict for it in rows), *(it.judged.verdict for it in harmed)]
    return 1 if "wrong" in verdicts else 0


def tried(clone: Clone, proxy: FaultProxy, it: Trial, wells: Sequence[Outcome]) -> Row:
    """One run; where it asked too little to meet its fault, another that meets it earlier."""
    deploy = DEPLOYS[it.deploy]
    possible = moments(it.kind, deploy.writes)
    for moment in dict.fromkeys((it.moment, *(one for one in EARLIER if one in possible))):
        began = time.monotonic()
        outcome = clone.run(proxy, deploy, it.kind, place(it.kind, moment, it.times))
        seconds = time.monotonic() - began
        found = judged(wells, outcome)
        lacks = clone.lacks(deploy) if outcome.code == 0 else ""
        if lacks or seconds > LONGEST:
            found = Judged("wrong", lacks or f"took {seconds:.0f} s")
        if proxy.met(it.kind):
            break
        found = Judged("not met")
    clone.said = outcome.text
    return Row(it.deploy, it.kind, moment, it.times, outcome.code, seconds, found)


if __name__ == "__main__":
    sys.exit(main())

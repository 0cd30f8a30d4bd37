"""
What goes wrong on the machine that runs, and at the registry of charts: whole runs at a lab's
cluster, each followed by the same command without the harm, which must go on to exit 0.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.command_line import Outcome
from tests.faults.judged import DEFECT, NEXT, STOPPED_AT, Judged
from tests.faults.running import ALWAYS, FaultProxy, Place

#: Helm that is asked to upgrade dies; anything else it does.
DIES = """#!/bin/sh
case "$1" in
upgrade) {first}kill -9 $$ ;;
*) exec {helm} "$@" ;;
esac
"""
IN_THE_MIDDLE = 'cat >values; {helm} "$@" <values & sleep 2; kill -9 $!; '
OLD = """#!/bin/sh
case "$1" in
version) echo v2.17.0 ;;
*) echo "Error: unknown command" >&2; exit 1 ;;
esac
"""
#: A line with a reason, such as "[e-1] ...: ...".
SAYS = re.compile(r"[a-z]{3}.*: \S|cannot")
REGISTRY = (
    *("401", "404 page", "429", "500", "garbage", "half of it", "reset in the body", "closed"),
    *("another content", "expired certificate", "refused"),
)


@dataclass(frozen=True)
class Harm:
    """
    + before: shell before pyinfra, in mount namespaces of its own; + helm: a script in its place
    + kind: of fault that the registry has; + mode: of the script; + env: None takes a name away
    """

    name: str
    what: str
    deploy: str
    before: str = ""
    helm: str | None = None
    mode: int = 0o755
    kind: str | None = None
    env: dict[str, str | None] = field(default_factory=dict)


def harms() -> Iterator[Harm]:
    for name in ("runs", "rendered"):
        yield Harm(f"{name}/ is full", "8 KB", "gateways", _small(name, "8k"))
    yield Harm("runs/ cannot be written", "read-only", "gateways", _small("runs", "8k,ro"))
    yield Harm("backups/ is full", "4 KB", "backup", _small("backups", "4k"))
    yield Harm("no HOME", "as under cron", "gateways", env={"HOME": None})
    yield Harm(
        "HOME is read-only",
        "as in containers",
        "gateways",
        _small("home", "8k,ro"),
        env={"HOME": "home"},
    )
    full = f"{_small('tmp', '8k,ro')} export TMPDIR=$PWD/tmp;"
    yield Harm("TMPDIR cannot be written", "read-only", "install", full)
    yield Harm(
        "nobody listens", "stderr and stdout on a full disk", "gateways", "exec >/dev/full 2>&1;"
    )
    yield Harm("helm is missing", "no such file", "install", helm="", mode=0)
    yield Harm("helm may not be executed", "mode 0644", "install", helm=OLD, mode=0o644)
    yield Harm("helm is no program", "Exec format error", "install", helm="\x7fELF")
    yield Harm("helm is too old", "2.17", "install", helm=OLD)
    yield Harm(
        "helm is killed", "SIGKILL at its start", "install", helm=DIES.replace("{first}", "")
    )
    yield Harm(
        "helm is killed in the middle",
        "SIGKILL after 2 s",
        "install",
        helm=DIES.replace("{first}", IN_THE_MIDDLE),
    )
    for kind in REGISTRY:
        yield Harm(f"registry: {kind}", "while the chart is fetched", "install", kind=kind)


def _small(folder: str, size: str) -> str:
    return f"mkdir -p {folder}; mount -t tmpfs -o size={size} tmpfs {folder};"


@dataclass(frozen=True)
class Tried:
    harm: Harm
    code: int
    after: int
    judged: Judged

    @property
    def text(self) -> str:
        said = self.judged.why or self.judged.line
        name, verdict = self.harm.name, self.judged.verdict
        return f"{name}: {verdict}, exit {self.code}, then {self.after} {said}"


def judged(first: Outcome, after: Outcome) -> Judged:
    """+ after: the same command without the harm"""
    if "Traceback" in first.text or DEFECT.search(first.text):
        return Judged("wrong", f"a traceback or the name of an error: {first.text[-300:]}")
    if after.code != 0:
        return Judged("wrong", f"the next run ended with exit {after.code}: {after.lines[-4:]}")
    if first.code == 0:
        return Judged("right")
    said = [line for line in first.lines if SAYS.search(line) and not NEXT.match(line)]
    said.sort(key=lambda it: not it.startswith("["))  # of the cluster, where there is one
    if first.code not in (1, 2, 6) or not said:
        return Judged("wrong", f"exit {first.code}: {first.lines[-4:]}")
    if first.code == 1 and not any(STOPPED_AT.match(it) for it in first.lines):
        return Judged("wrong", "without the step")
    if first.code == 1 and not any(NEXT.match(it) for it in first.lines):
        return Judged("wrong", "without the next command")
    return Judged("stopped", line=said[0])


class Machine:
    """+ folder: a clone at one cluster of a lab; + about: the lab, as its status says"""

    #: What the newest two runs printed.
    said = ""

    def __init__(self, folder: Path, lab: str, about: dict[str, Any], proxy: FaultProxy) -> None:
        self.folder, self.lab, self.about, self.proxy = folder, lab, about, proxy
        self.changes = 0

    def tried(self, it: Harm) -> Tried:
        """One run with the harm, and the same command without."""
        self.changes += 1
        data: dict[str, Any] = {"kube_timeout": 10, "timeout": 90}
        if it.deploy == "install":  # something for helm to do
            data["controller"] = {"replicas": 1, "cpu": f"{10 + self.changes}m", "memory": "64Mi"}
        else:
            self._undo()
        harmed = dict(data)
        if it.helm is not None:
            file = self.folder / "helm"
            file.unlink(missing_ok=True)
            if it.mode:
                text = it.helm.replace("{helm}", self.about["helm"])
                file.write_text(text)
                file.chmod(it.mode)
            harmed["helm"] = str(file)
        env: dict[str, str | None] = {}
        if it.kind is not None:
            url = self.proxy.stand("registry", it.kind, Place(1, ALWAYS))
            port = (
                url if "certificate" in it.kind else f"http://127.0.0.1:{self.proxy.ports['http']}"
            )
            host = "127.0.0.1:9" if it.kind == "refused" else port.partition("://")[2]
            harmed["chart"] = f"oci://{host}/charts/gateway-helm"
            harmed["chart_plain_http"] = "certificate" not in it.kind
            cache = self.folder / "cache"
            subprocess.run(["rm", "-rf", str(cache)], check=True)
            env["XDG_CACHE_HOME"] = str(cache)
        first = self._run(it, harmed, it.before, {**env, **it.env})
        after = self._run(it, data, "", {})
        self.said = first.text + after.text
        return Tried(it, first.code, after.code, judged(first, after))

    def _undo(self) -> None:
        words = ["delete", "httproute", "blue", "--namespace", "demo", "--ignore-not-found"]
        config = self.about["kubeconfig"]
        command = [self.about["kubectl"], "--kubeconfig", config, *words]
        subprocess.run(command, capture_output=True, check=False)

    def _run(
        self, it: Harm, data: dict[str, Any], before: str, env: dict[str, str | None]
    ) -> Outcome:
        words = ["inventory/lab.py", f"deploys/{it.deploy}.py", "-y"]
        for key, value in data.items():
            words += [
                "--data",
                f"{key}={json.dumps(value) if not isinstance(value, str) else value}",
            ]
        whole = {**os.environ, "ENVOYFLEET_LAB": self.lab, "PYINFRA_PROGRESS": "off", **env}
        pyinfra = str(Path(sys.executable).with_name("pyinfra"))
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{before} exec "$@"', "sh", pyinfra, *words],
            cwd=self.folder,
            env={key: value for key, value in whole.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout)

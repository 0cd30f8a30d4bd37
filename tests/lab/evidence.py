"""
What a lab looked like as a test on it failed. The lab goes down at the end of its row, and what a
pipeline shows of its output may be short; the folder of pytest stays.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from tasks.lab import state
from tasks.lab.processes import log_folder
from tests.lab.running import run

#: Bytes of each log.
TAIL = 65536
SYSTEM = ("--namespace", "envoy-gateway-system")
#: What is asked of each cluster.
QUESTIONS = {
    "nodes": ("get", "nodes", "--output", "wide"),
    "pods": ("get", "pods", "--all-namespaces", "--output", "wide"),
    "leases": ("get", "leases", "--all-namespaces", "--output", "yaml"),
    "events": ("get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"),
    "objects": (
        "get",
        "gatewayclasses,gateways,httproutes,envoyproxies,configmaps,services,endpointslices",
        *("--all-namespaces", "--output", "yaml"),
    ),
    "controller": ("logs", *SYSTEM, "--selector", "control-plane=envoy-gateway", "--tail=400"),
    "proxies": (
        *("logs", *SYSTEM, "--selector", "app.kubernetes.io/component=proxy", "--tail=200"),
        *("--all-containers", "--prefix"),
    ),
}


def keep(lab: str, said: str, folder: Path) -> None:
    """Logs of its processes and answers of its clusters, a file each. + said: by the test"""
    folder.mkdir(parents=True)
    (folder / "said.txt").write_text(said)
    for log in (state.LABS / lab / "logs").glob("*/*.log"):
        if log.stem != "audit":
            (folder / f"{log.parent.name}-{log.name}").write_bytes(_end(log))
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        data = json.loads(run("status", "--json", name=lab).stdout)
        begun = [data["kubectl"], "--kubeconfig", data["kubeconfig"], "--request-timeout=10s"]
        for cluster in data["clusters"]:
            for name, question in QUESTIONS.items():
                done = subprocess.run(
                    [*begun, "--context", cluster["context"], *question],
                    capture_output=True,
                    text=True,
                    timeout=20,
                )
                (folder / f"{cluster['name']}-{name}.txt").write_text(done.stdout + done.stderr)


def last_words(lab: str) -> list[str]:
    """Of its load balancer: nobody else tells why no request arrives."""
    log = log_folder(lab, "lab") / "load-balancer.log"
    return log.read_text(errors="replace").splitlines()[-4:] if log.exists() else []


def _end(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        return file.read()

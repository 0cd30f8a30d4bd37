"""A cluster with the lab's monitoring, asked through its API server as the product does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.lab.fleet import Fleet
from tests.lab.running import REPOSITORY

NAMESPACE = "monitoring"
#: What reads rules, monitors and receivers from files that the kubelet writes.
READERS = ("prometheus-lab-0", "alertmanager-lab-0")
#: Seconds; all of it may have to be compiled.
BUILD = 600


def monitoring_command(lab: str, *arguments: str) -> None:
    """``python -m tasks.lab monitoring [CLUSTER] [--remove]``."""
    command = [sys.executable, "-m", "tasks.lab", "monitoring", *arguments, "--name", lab]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=BUILD)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Monitored:
    """
    + cluster: which of the fleet's
    """

    fleet: Fleet
    cluster: str

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects of any namespace."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.fleet.lab.kubectl("--context", self.cluster, "apply", "-f", "-", text=text)

    def look(self) -> None:
        """
        Let the kubelet bring files of the readers up to date now, as it does whenever their Pods
        change: by itself it takes up to 90 s.
        """
        note = f"envoyfleet.dev/looked={time.time()}"
        place = ("--namespace", NAMESPACE, "--overwrite", note)
        self.fleet.kubectl(self.cluster, "annotate", "pod", *READERS, *place)

    def ask(self, service: str, path: str) -> Any:
        """The JSON that a Service such as "prometheus-operated:9090" answers."""
        proxy = f"/api/v1/namespaces/{NAMESPACE}/services/{service}/proxy{path}"
        return json.loads(self.fleet.kubectl(self.cluster, "get", "--raw", proxy))

    def targets(self) -> dict[str, list[str]]:
        """The health of every target by its pool, as "serviceMonitor/<namespace>/<name>/0"."""
        found: dict[str, list[str]] = {}
        answer = self.ask("prometheus-operated:9090", "/api/v1/targets?state=active")
        for it in answer["data"]["activeTargets"]:
            found.setdefault(it["scrapePool"], []).append(it["health"])
        return found

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each ``{"metric": {...}, "value": [time, "1"]}``."""
        path = f"/api/v1/query?query={quote(expression)}"
        result: list[dict[str, Any]] = self.ask("prometheus-operated:9090", path)["data"]["result"]
        return result

    def received(self) -> list[dict[str, Any]]:
        """What Alertmanager sent so far, each ``{"at": ..., "path": "/pager", "body": {...}}``."""
        got: list[dict[str, Any]] = self.ask("alerts:80", "/received")
        return got

"""Programs of the lab's parts as ordinary processes: Envoy, Prometheus, Alertmanager."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tasks.lab import catalogue, monitoring_parts, parts
from tasks.plans.metrics import JOBS, Exporter
from tests.scenes.backends import Page
from tests.scenes.gateway import STATS, Gateway

PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093
NAMESPACE = "envoy-gateway-system"
#: A controller and a rate limit service that are well. Neither is here: what of them a cluster of
#: the lab can do is played there, see tests/lab/test_alert_scenes_cluster.py.
PAGES: Mapping[Exporter, tuple[str, str]] = {
    "controller": ("127.70.0.2", 'leader_election_master_status{name="lease"} 1\n'),
    "ratelimit": ("127.70.0.3", "ratelimit_service_config_load_error 0\n"),
}
#: Jobs, by whether the relabellings of proxies are for them.
KINDS = ("proxies", "others")


@cache
def programs() -> Mapping[str, Path]:
    """By name: "envoy-1.9.1" is the Envoy of that release of Envoy Gateway; made where missing."""
    wanted = {f"envoy-{envoy}": version for version, envoy in catalogue.ENVOY.items()}
    known = [it for it in catalogue.parts(tuple(catalogue.ENVOY)) if it.name in wanted] + [
        monitoring_parts.PROMETHEUS,
        monitoring_parts.ALERTMANAGER,
    ]
    found = parts.find(known)
    envoys = {f"envoy-{version}": found[name] / "envoy" for name, version in wanted.items()}
    names = ("prometheus", "promtool")
    return {
        **envoys,
        **{it: found["prometheus"] / it for it in names},
        "alertmanager": found["alertmanager"] / "prometheus-alertmanager",
        "amtool": found["alertmanager"] / "amtool",
    }


def hurry() -> None:
    """
    Come before everything else on a machine that is busy, where we may: a second that is waited
    for is a minute here. The kernel leaves others a twentieth of the time, should we ask for all.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def _ends_with_us() -> None:
    """Runs in the new process: it is killed when this one ends, however that is."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(name: str, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return start_command([str(programs()[name]), *arguments], log)


def start_command(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            preexec_fn=_ends_with_us,
        )


class Proxy:
    """One Envoy with what its Gateway says: + release: of Envoy Gateway, whose Envoy it is"""

    def __init__(self, gateway: Gateway, folder: Path, release: str) -> None:
        self.gateway, self.folder, self.release = gateway, folder, release
        self.process: subprocess.Popen[bytes] | None = None

    def write(self) -> None:
        """Tell Envoy what the Gateway is now."""
        self.gateway.write(self.folder / "xds")

    def start(self) -> None:
        self.write()
        bootstrap = self.folder / "bootstrap.json"
        bootstrap.write_text(json.dumps(self.gateway.bootstrap(self.folder / "xds")))
        place = f"{self.gateway.namespace}/{self.gateway.name}"
        self.process = start(
            f"envoy-{self.release}",
            self.folder / "envoy.log",
            *("--config-path", str(bootstrap), "--disable-hot-restart", "--concurrency", "1"),
            *("--service-cluster", place, "--service-node", self.folder.name),
            *("--log-level", "warn", "--drain-time-s", "1"),
        )

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        await ended(self.process, how)
        self.process = None


async def ended(
    process: subprocess.Popen[bytes] | None, how: signal.Signals = signal.SIGTERM
) -> None:
    if process is None:
        return
    process.send_signal(how)
    for _ in range(100):
        if process.poll() is not None:
            return
        await asyncio.sleep(0.05)
    process.kill()
    process.wait()


class Prometheus:
    """
    A Prometheus with rules, whose targets come and go.

    + address: where it listens; + groups: of a rule file
    + relabelings: ``metric_relabel_configs`` of proxies
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        groups: Sequence[Mapping[str, Any]],
        relabelings: Sequence[Mapping[str, Any]] = (),
        *,
        interval: str = "1s",
        alertmanager: str | None = None,
    ) -> None:
        self.folder, self.address = folder, address
        self.pages = {name: Page(address, STATS, text) for name, (address, text) in PAGES.items()}
        self.targets: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(groups)}))
        for name in KINDS:
            (folder / f"{name}.json").write_text("[]")
        config: dict[str, Any] = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": name,
                    "honor_labels": name == "others",
                    "file_sd_configs": [{"files": [f"{name}.json"], "refresh_interval": "5s"}],
                    "metric_relabel_configs": list(relabelings) if name == "proxies" else [],
                }
                for name in KINDS
            ],
        }
        if alertmanager is not None:
            targets = [{"targets": [alertmanager]}]
            config["alerting"] = {"alertmanagers": [{"static_configs": targets}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{PROMETHEUS_PORT}"

    async def start(self) -> None:
        for name, page in self.pages.items():
            await page.open()
            labels = {"job": JOBS[name], "pod": f"{JOBS[name]}-0", "namespace": NAMESPACE}
            self.scrape(name, f"{page.address}:{STATS}", "/metrics", labels)
        self.process = start(
            "prometheus",
            self.folder / "prometheus.log",
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={self.address}:{PROMETHEUS_PORT}",
            "--query.lookback-delta=5s",
            "--rules.alert.for-outage-tolerance=1m",
            "--rules.alert.for-grace-period=1s",
            "--rules.alert.resend-delay=1s",
            "--log.level=warn",
        )

    def scrape(self, name: str, place: str, path: str, labels: Mapping[str, str]) -> None:
        said = {**labels, "__metrics_path__": path}
        self.targets[name] = {"targets": [place], "labels": said}
        self._write()

    def scrape_proxy(self, pod: str, address: str, **labels: str) -> None:
        """A proxy Pod, with the labels that a PodMonitor would give it."""
        given = {"job": "envoy-proxy", "cluster": "scenes", "namespace": NAMESPACE}
        self.scrape(pod, f"{address}:{STATS}", "/stats/prometheus", {**given, "pod": pod, **labels})

    def leave(self, name: str) -> None:
        del self.targets[name]
        self._write()

    def _write(self) -> None:
        proxies = [it for it in self.targets.values() if it["labels"]["job"] == "envoy-proxy"]
        others = [it for it in self.targets.values() if it not in proxies]
        for name, targets in zip(KINDS, (proxies, others), strict=True):
            half = self.folder / f"{name}.half"
            half.write_text(json.dumps(targets))
            half.replace(self.folder / f"{name}.json")

    async def stop(self) -> None:
        await ended(self.process)
        for page in self.pages.values():
            await page.end()

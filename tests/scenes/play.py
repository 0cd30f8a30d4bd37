"""Play scenes in one Prometheus; say what fired, when, and what should not have."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.plans.alerts import Settings
from tests.scenes import compress
from tests.scenes.processes import Prometheus
from tests.scenes.stage import Scene, Stage

#: Labels of an alert that may say of which scene it is.
NAMES = ("gateway_namespace", "route_namespace", "namespace", "pod", "name", "err_type")
#: Labels that say nothing here.
LEFT_OUT = ("alertname", "cluster", "environment", "gateway", "gateway_namespace", "severity")
#: Seconds between two looks.
BEAT = 0.5
#: Seconds that a Prometheus takes from its start to the first scrape of what it finds in a file,
#: and as long until an alert about what is missing is over.
SETTLED = 12


@dataclass
class Outcome:
    """
    + fired: seconds from the fault until each alert; + wrong: alerts that should not have fired
    + cleared: seconds from the mending until the last of the alerts was over; None where one was
      not, or none fired
    + answers: what clients got
    """

    scene: Scene
    release: str
    fired: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    cleared: float | None = None
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        return [it for it in self.scene.alerts if it not in self.fired]

    @property
    def right(self) -> bool:
        over = self.cleared is not None or not self.scene.alerts
        return not self.missing and not self.wrong and over


class Watch:
    """What a Prometheus says fires, by scene; looked at twice a second."""

    def __init__(self, prometheus: Prometheus, scenes: Sequence[Scene]) -> None:
        self.prometheus = prometheus
        self.names = {it.name for it in scenes}
        self.firing: dict[str, dict[str, Any]] = {}
        self.seen = 0

    def of(self, scene: Scene) -> dict[str, Any]:
        """Labels of alerts that fire for it, by name; what is nobody's is everyone's."""
        return {**self.firing.get("", {}), **self.firing.get(scene.name, {})}

    async def run(self) -> None:
        while True:
            self._take(await ask(f"{self.prometheus.url}/api/v1/alerts"))
            await asyncio.sleep(BEAT)

    def _take(self, answer: Any) -> None:
        self.firing = {}
        for it in answer["data"]["alerts"]:
            if it["state"] == "firing":
                name = self._scene(it["labels"])
                self.firing.setdefault(name, {})[it["labels"]["alertname"]] = it["labels"]
        self.seen += 1

    def _scene(self, labels: dict[str, str]) -> str:
        for key in NAMES:
            value = labels.get(key, "")
            for name in (value, value.rpartition("-")[0]):
                if name in self.names:
                    return name
        return ""


async def ask(url: str) -> Any:
    """JSON of Prometheus or Alertmanager, which may be starting or busy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def once() -> Any:
        with opener.open(url, timeout=10) as answer:
            return json.load(answer)

    for _ in range(100):
        try:
            return await asyncio.to_thread(once)
        except OSError:
            await asyncio.sleep(0.2)
    return once()


def rules(settings: Settings) -> list[dict[str, Any]]:
    """Ours, sixty times as fast."""
    from tasks.plans.prometheus_rules import groups

    return compress.groups(groups(settings))


def kept() -> list[dict[str, Any]]:
    """What is kept of a scrape of a proxy where the inventory says no more."""
    from tasks.plans.monitors import scrape_config

    job = scrape_config(
        "proxy", "scenes", controller_namespace="any", interval="30s", stats="needed"
    )
    return list(job["metric_relabel_configs"])


async def play(
    scenes: Sequence[Scene],
    folder: Path,
    releases: Sequence[str],
    settings: Settings,
    *,
    at_once: int = 12,
    told: Callable[[Outcome], None] = lambda _: None,
    alertmanager: str | None = None,
) -> list[Outcome]:
    """
    Each scene with one of the releases, in turn; those that are alone, each in a Prometheus.

    + told: of each outcome at once; + alertmanager: where alerts go, such as "127.0.0.1:9093"
    """
    together = [it for it in scenes if not it.alone]
    parts = [together[n : n + at_once] for n in range(0, len(together), at_once)]
    parts += [[it] for it in scenes if it.alone]
    outcomes: list[Outcome] = []
    for number, part in enumerate(parts):
        place = folder / f"part-{number}"
        groups = rules(settings)
        prometheus = Prometheus(
            place / "prometheus", "127.70.0.1", groups, kept(), alertmanager=alertmanager
        )
        turned = [*releases[number % len(releases) :], *releases[: number % len(releases)]]
        outcomes += await _part(part, place, turned, prometheus, told)
    return outcomes


async def _part(
    scenes: Sequence[Scene],
    folder: Path,
    releases: Sequence[str],
    prometheus: Prometheus,
    told: Callable[[Outcome], None],
) -> list[Outcome]:
    await prometheus.start()
    stages = [
        Stage(it, n + 1, releases[n % len(releases)], folder / it.name, prometheus)
        for n, it in enumerate(scenes)
    ]
    watch = Watch(prometheus, scenes)
    try:
        for stage in stages:
            await stage.open()
        await asyncio.sleep(SETTLED)
        watching = asyncio.create_task(watch.run())
        outcomes = await asyncio.gather(*(_scene(it, watch, watching, told) for it in stages))
        watching.cancel()
        return list(outcomes)
    finally:
        for stage in stages:
            await stage.close()
        await prometheus.stop()


async def _scene(
    stage: Stage,
    watch: Watch,
    watching: asyncio.Task[None],
    told: Callable[[Outcome], None],
) -> Outcome:
    scene = stage.scene
    outcome = Outcome(scene, stage.release)

    async def wait(seconds: float, *, until_fired: bool = False, until_over: bool = False) -> bool:
        """Look while time passes; True where what was waited for came."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if watching.done():
                watching.result()
            _look(outcome, watch, faulty=faulty)
            firing = watch.of(scene)
            if until_fired and not outcome.missing:
                return True
            if until_over and not any(it in firing for it in scene.alerts):
                return True
            await asyncio.sleep(BEAT / 2)
        return False

    faulty: float | None = None
    await wait(scene.warm)
    faulty = time.monotonic()
    await scene.fault(stage)
    if scene.alerts:
        await wait(scene.within, until_fired=True)
    await wait(scene.hold)
    mended = time.monotonic()
    await scene.mend(stage)
    if scene.alerts and await wait(scene.clears, until_over=True):
        outcome.cleared = round(time.monotonic() - mended, 1)
    for load in stage.loads:
        for key, count in load.answers.items():
            outcome.answers[key] = outcome.answers.get(key, 0) + count
    told(outcome)
    return outcome


def _look(outcome: Outcome, watch: Watch, faulty: float | None) -> None:
    """+ faulty: since when; None before the fault, when nothing may fire"""
    scene = outcome.scene
    for name, labels in watch.of(scene).items():
        if faulty is None:
            outcome.wrong.setdefault(name, "before the fault")
        elif name in (*scene.alerts, *scene.also):
            outcome.fired.setdefault(name, round(time.monotonic() - faulty, 1))
        else:
            said = {key: it for key, it in labels.items() if key not in LEFT_OUT}
            outcome.wrong.setdefault(name, f"after {time.monotonic() - faulty:.0f} s {said}")

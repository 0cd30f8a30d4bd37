"""Play the scenes: ``python -m tests.scenes [--only NAME ...] [--release 1.9.1] [--json FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.lab import catalogue
from tests.scenes.delivery import Alertmanager, Webhook
from tests.scenes.play import Outcome, play
from tests.scenes.processes import hurry
from tests.scenes.stage import Scene
from tests.scenes.table import SCENES, SETTINGS

WEBHOOK, ALERTMANAGER = "127.70.0.4", "127.70.0.5"
#: Seconds for the last notification.
RESOLVED = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="Alerts on real Envoys, sixty times as fast.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scenes, or how they begin")
    parser.add_argument("--without", nargs="+", metavar="NAME", help="not these")
    parser.add_argument("--sample", action="store_true", help="those of make test")
    parser.add_argument("--release", choices=sorted(catalogue.ENVOY), help="of Envoy Gateway")
    parser.add_argument("--at-once", type=int, default=12, help="scenes side by side")
    parser.add_argument("--deliver", action="store_true", help="over an Alertmanager to a webhook")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what came out")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="files and logs stay there")
    given = parser.parse_args()
    wanted = [it for it in SCENES if not given.sample or it.sample]
    if given.only:
        wanted = [it for it in wanted if it.name.startswith(tuple(given.only))]
    if given.without:
        wanted = [it for it in wanted if not it.name.startswith(tuple(given.without))]
    if not wanted:
        parser.error(f"no scene is called so; there are {', '.join(it.name for it in SCENES)}")
    releases = [given.release] if given.release else sorted(catalogue.ENVOY, reverse=True)
    hurry()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scenes-") as made:
        folder = given.keep or Path(made)
        playing = _play(wanted, folder, releases, at_once=given.at_once, deliver=given.deliver)
        outcomes, received = asyncio.run(playing)
    if given.json:
        played = [_plain(it) for it in outcomes]
        given.json.write_text(json.dumps({"scenes": played, "received": received}, indent=2))
    print(table(outcomes))
    wrong = [it for it in outcomes if not it.right]
    print(
        f"{len(outcomes) - len(wrong)} of {len(outcomes)} right, {time.monotonic() - begun:.0f} s"
    )
    return 1 if wrong else 0


async def _play(
    scenes: Sequence[Scene],
    folder: Path,
    releases: Sequence[str],
    *,
    at_once: int,
    deliver: bool,
) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """What came out, and what the webhook got."""

    async def played(alertmanager: str | None) -> list[Outcome]:
        return await play(
            scenes,
            folder,
            releases,
            SETTINGS,
            at_once=at_once,
            told=_say,
            alertmanager=alertmanager,
        )

    if not deliver:
        return await played(None), []
    async with (
        Webhook(WEBHOOK) as webhook,
        Alertmanager(folder / "alertmanager", ALERTMANAGER, webhook) as manager,
    ):
        outcomes = await played(manager.place)
        await asyncio.sleep(RESOLVED)
        return outcomes, webhook.received


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [("scene", "release", "fired after s", "wrong or missing", "over after s")]
    for it in outcomes:
        fired = ", ".join(
            f"{name} {it.fired[name]:.0f}" for name in it.scene.alerts if name in it.fired
        )
        missing = [f"{name} did not fire" for name in it.missing]
        wrong = [f"{name} {labels}" for name, labels in it.wrong.items()]
        over = "" if it.cleared is None else f"{it.cleared:.0f}"
        if it.scene.alerts and not it.missing and it.cleared is None:
            over = "never"
        rows.append((it.scene.name, it.release, fired or "-", "; ".join(missing + wrong), over))
    widths = [max(len(row[n]) for row in rows) for n in range(2)]
    return "\n".join(
        f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[4]:>12}  {row[2]}"
        + (f"\n    WRONG: {row[3]}" if row[3] and row is not rows[0] else "")
        for row in rows
    )


def _say(it: Outcome) -> None:
    """A line for whoever waits."""
    left = [] if it.right else [*(f"no {name}" for name in it.missing), *it.wrong.items()]
    said = f"WRONG {left}, over after {it.cleared}" if not it.right else "right"
    print(f"{it.scene.name}: {said}", file=sys.stderr, flush=True)


def _plain(it: Outcome) -> dict[str, object]:
    return {
        "scene": it.scene.name,
        "release": it.release,
        "alerts": it.scene.alerts,
        "fired": it.fired,
        "wrong": it.wrong,
        "missing": it.missing,
        "cleared": it.cleared,
        "answers": it.answers,
        "right": it.right,
    }


if __name__ == "__main__":
    sys.exit(main())

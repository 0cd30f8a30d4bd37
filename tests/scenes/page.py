"""The rows of docs/alert-scenes.md: ``python -m tests.scenes.page`` prints them."""

from __future__ import annotations

from tests.scenes import clusters
from tests.scenes.table import SCENES


def rows() -> list[str]:
    played = [f"| {it.name} | {it.what} | {_alerts(it.alerts)} | {it.stated} |" for it in SCENES]
    return [*played, *(f"| {it.name} | {it.what} | {it.alert} | |" for it in clusters.SCENES)]


def _alerts(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    print("\n".join(rows()))

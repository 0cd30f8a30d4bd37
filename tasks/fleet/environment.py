"""
Secrets that a run gets from its environment, such as the address of a webhook: taken out of it
before anything is started, so that no program of a run, such as helm, has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tasks.fleet.inventory import Cluster

_taken: dict[str, str] = {}


def hide(clusters: Iterable[Cluster]) -> None:
    """Take what these clusters' data names out of the environment."""
    for name in {name for it in clusters for name in _named(it)}:
        value = os.environ.pop(name, None)
        if value is not None:
            _taken[name] = value


def secret(name: str) -> str:
    """The value of a variable, "" where it is not set."""
    return os.environ.get(name) or _taken.get(name, "")


def _named(data: Cluster) -> Iterable[str]:
    yield from (it.url_env for it in data.notifications)
    grafana = data.monitoring.grafana if data.monitoring else None
    for it in (grafana, data.diagnosis.loki):
        if it is not None and it.token_env is not None:
            yield it.token_env

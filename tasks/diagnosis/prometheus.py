"""What /stats/prometheus says, under the names that /stats has."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINE = re.compile(r"^envoy_(\w+?)(?:\{(.*)\})? (-?[\d.e+]+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: Labels that stand in the middle of a name, with what is before them.
PLACES = {
    "envoy_cluster_name": "cluster",
    "envoy_http_conn_manager_prefix": "http",
    "envoy_listener_address": "listener",
}


def stats(text: str) -> dict[str, float]:
    """
    {"cluster.httproute/shop/cart/rule/0.membership_healthy": 1.0}; where /stats has a dot behind
    that there is "_", see ``of``. Series with further labels are summed.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        parts = _LINE.match(line)
        if parts is None or parts[1].endswith("_bucket"):
            continue
        try:
            value = float(parts[3])
        except ValueError:
            continue
        name = _name(parts[1], dict(_LABEL.findall(parts[2] or "")))
        found[name] = found.get(name, 0.0) + value
    return found


def _name(metric: str, labels: dict[str, str]) -> str:
    for label, place in PLACES.items():
        if label in labels:
            return f"{place}.{labels[label]}.{metric.removeprefix(place + '_')}"
    return metric


def of(stats: Mapping[str, float], owner: str, name: str) -> float | None:
    """Such as of(stats, "cluster.cart", "outlier_detection.ejections_active"), of either form."""
    value = stats.get(f"{owner}.{name}")
    return stats.get(f"{owner}.{name.replace('.', '_')}") if value is None else value

"""
Sizes of a data plane by the load that it carries: what an inventory's ``proxy.profile`` stands for.

docs/scaling.md says what of it was measured, and where it departs from the table that teams copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of ``proxy`` by profile; a key that the inventory has itself wins.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    # up to 1,000 requests a second through a Gateway
    "small": {
        "replicas": 2,
        "cpu": "200m",
        "memory": "256Mi",
        "memory_limit": "512Mi",
        "concurrency": 2,
    },
    # 1,000 to 5,000: one in each of three zones at least
    "medium": {
        "hpa": {"min": 3, "max": 6, "cpu": 70},
        "cpu": "500m",
        "memory": "512Mi",
        "memory_limit": "1Gi",
        "concurrency": 2,
    },
    # 5,000 to 20,000
    "large": {
        "hpa": {"min": 5, "max": 15, "cpu": 70},
        "cpu": "1",
        "memory": "1Gi",
        "memory_limit": "2Gi",
        "concurrency": 2,
    },
}
#: Two keys that say the same in two ways: how many proxies there are.
NUMBER = ("replicas", "hpa")


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    What an inventory says of proxies, with what its profile stands for. Raises ValueError where it
    says in two ways how many there are.
    """
    asked = [key for key in NUMBER if given.get(key) is not None]
    if len(asked) > 1:
        raise ValueError("replicas and hpa both say how many proxies there are: keep one of them")
    profile = PROFILES.get(str(given.get("profile")), {})
    kept = {key: it for key, it in profile.items() if not asked or key not in NUMBER}
    return {**kept, **given}


#: Bytes of an Envoy with two workers: without a connection, for a TLS connection of a client with a
#: request on its way, and for a route with a rule of its own (benchmarks/proxies.py, Envoy 1.39.1).
_EMPTY, _CONNECTION, _ROUTE = 70 * 2**20, 44 * 2**10, 90 * 2**10


def memory_needed(connections: int, routes: int = 0) -> int:
    """
    Bytes that one proxy needs for so many connections of clients, all of them busy, and so many
    rules of routes.
    """
    return _EMPTY + connections * _CONNECTION + routes * _ROUTE

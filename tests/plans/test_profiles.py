from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.profiles import PROFILES, filled, memory_needed
from tasks.plans.quantities import quantity


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"cpu": "1"}, {"cpu": "1"}, id="none"),
        pytest.param(
            {"profile": "huge"}, {"profile": "huge"}, id="unknown, which the type refuses"
        ),
        pytest.param(
            {"profile": "small", "cpu": "1"},
            {"profile": "small", **PROFILES["small"], "cpu": "1"},
            id="a key that is set wins",
        ),
        pytest.param(
            {"profile": "medium", "replicas": 4},
            {
                "profile": "medium",
                "replicas": 4,
                "cpu": "500m",
                "memory": "512Mi",
                "memory_limit": "1Gi",
                "concurrency": 2,
            },
            id="a number wins over autoscaling",
        ),
        pytest.param(
            {"profile": "small", "hpa": {"max": 4}},
            {
                "profile": "small",
                "hpa": {"max": 4},
                "cpu": "200m",
                "memory": "256Mi",
                "memory_limit": "512Mi",
                "concurrency": 2,
            },
            id="autoscaling wins over a number",
        ),
    ],
)
def test_filled(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filled(given) == expected


def test_two_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^replicas and hpa both say how many proxies there are"):
        filled({"replicas": 2, "hpa": {"max": 4}})


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_leaves_room_above_its_requests(profile: str) -> None:
    it = PROFILES[profile]
    request, limit = quantity(it["memory"]), quantity(it["memory_limit"])
    assert request is not None
    assert limit is not None
    assert memory_needed(0) < request <= limit / 2


#: Seconds of a CPU for a request, every tenth of them over a new TLS connection: docs/scaling.md.
REQUEST = 0.9 * 0.00025 + 0.1 * 0.00173


@pytest.mark.parametrize(
    ("profile", "load"), [("small", 1_000), ("medium", 5_000), ("large", 20_000)]
)
def test_each_profile_carries_its_load_by_what_it_requests(profile: str, load: int) -> None:
    it = PROFILES[profile]
    hpa = it.get("hpa") or {"max": it["replicas"], "cpu": 100}
    request = quantity(it["cpu"])
    assert request is not None
    assert float(request) * hpa["max"] * hpa["cpu"] / 100 >= load * REQUEST


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64Mi", 64 * 2**20), ("250m", 0.25), ("2", 2), ("1G", 10**9), ("much", None), (None, None)],
)
def test_quantity(text: object, expected: float | None) -> None:
    assert quantity(text) == expected

"""When the certificates of the control plane end, and whether they fit together."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks.checks.control_plane import findings
from tasks.checks.findings import Finding, Where
from tests.control_plane import NAMESPACE, NOW, secrets, trusting, unit

WARNING, ERROR = timedelta(days=21), timedelta(days=7)
OLD, NEW = unit(1), unit(2)
END = NOW + timedelta(days=5 * 365)


def found(objects: list[dict[str, Any]], now: datetime = NOW) -> list[Finding]:
    return list(findings("weu-1", objects, now, WARNING, ERROR))


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([], id="no Envoy Gateway"),
        pytest.param(secrets(OLD), id="as certgen made them"),
        pytest.param(secrets(trusting(OLD, NEW, OLD)), id="stage 1 of a rotation"),
        pytest.param(secrets(trusting(NEW, NEW, OLD)), id="stage 2"),
        pytest.param(
            secrets({**trusting(OLD, NEW, OLD), "envoy": trusting(NEW, NEW, OLD)["envoy"]}),
            id="between two writes",
        ),
        pytest.param(
            [{"metadata": {"namespace": NAMESPACE, "name": "shop-tls"}}], id="not one of the three"
        ),
    ],
)
def test_quiet(objects: list[dict[str, Any]]) -> None:
    assert found(objects) == []


@pytest.mark.parametrize(
    ("left", "severity", "word"),
    [
        pytest.param(timedelta(days=22), None, "", id="22 days"),
        pytest.param(timedelta(days=21), "warning", "ends", id="21 days"),
        pytest.param(timedelta(days=7), "error", "ends", id="7 days"),
        pytest.param(timedelta(days=-1), "error", "ended", id="over"),
    ],
)
def test_ending(left: timedelta, severity: str | None, word: str) -> None:
    seen = found(secrets(OLD), END - left)
    assert {it.code for it in seen} == ({"GW640"} if severity else set())
    assert [it.severity for it in seen] == ([severity] * 6 if severity else [])
    if severity:
        where = Where("weu-1", f"Secret {NAMESPACE}/envoy-gateway")
        serial = OLD["envoy-gateway"].leaf.serial
        assert seen[0] == Finding(
            "GW640",
            seen[0].severity,
            where,
            f"control-plane certificate {serial} {word} on 2031-11-20",
            "run deploys/rotate_control_plane.py",
        )


def test_one_of_another_authority() -> None:
    one, two, three = found(secrets({**OLD, "envoy": NEW["envoy"]}))
    assert {(it.code, it.severity) for it in (one, two, three)} == {("GW641", "error")}
    assert one.where.object == f"Secret {NAMESPACE}/envoy-gateway"
    assert three.where.object == f"Secret {NAMESPACE}/envoy-rate-limit"
    assert two.where.object == f"Secret {NAMESPACE}/envoy"
    assert two.what == (
        f"certificate {NEW['envoy'].leaf.serial} is of an authority that Secret envoy-gateway does "
        "not trust: proxies keep what they have and cannot connect anew"
    )


def test_one_is_missing() -> None:
    [one] = found([it for it in secrets(OLD) if it["metadata"]["name"] != "envoy"])
    assert (one.code, one.where.object) == ("GW641", f"Secret {NAMESPACE}/envoy")


@pytest.mark.parametrize("data", [{}, None, {"tls.crt": "!"}, {"tls.crt": "YQ==", "ca.crt": ""}])
def test_what_cannot_be_read_ends_in_no_traceback(data: dict[str, str] | None) -> None:
    objects = secrets(OLD)
    objects[0]["data"] = data
    [one] = found(objects)
    assert (one.code, one.what) == ("GW641", "holds no ca.crt and tls.crt that can be read")

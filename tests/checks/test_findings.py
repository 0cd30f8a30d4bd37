from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.checks.findings import (
    Finding,
    Severity,
    Silence,
    Where,
    as_json,
    exit_code,
    in_order,
    silenced,
)

TODAY = date(2026, 11, 21)
PUBLIC = Where("weu-1", "Gateway edge/public", "listener https")


def finding(
    severity: Severity = "error", code: str = "GW101", where: Where = PUBLIC, what: str = "is wrong"
) -> Finding:
    return Finding(code, severity, where, what, "put it right")


def silence(code: str = "GW101", where: str = "*", until: date = TODAY) -> Silence:
    return Silence(code, where, until, "OPS-412")


TEXTS = st.none() | st.text(alphabet="ab1029 -", max_size=6)
FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["GW101", "GW102", "GW201"]),
    severity=st.sampled_from(["error", "warning", "info"]),
    where=st.builds(Where, TEXTS, TEXTS, TEXTS),
    what=st.text(alphabet="ab", max_size=3),
    fix=st.just("put it right"),
)
SILENCES = st.builds(
    Silence,
    code=st.sampled_from(["GW101", "GW1*", "*"]),
    where=st.sampled_from(["*", "a*", "inventory*"]),
    until=st.integers(-3, 3).map(lambda days: TODAY + timedelta(days)),
    reason=st.just("OPS-412"),
)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        pytest.param(PUBLIC, "weu-1: Gateway edge/public, listener https", id="part of an object"),
        pytest.param(
            Where("weu-1", "GatewayClass envoy"), "weu-1: GatewayClass envoy", id="object"
        ),
        pytest.param(Where("weu-1"), "weu-1", id="cluster"),
        pytest.param(Where(None, "silence of GW1*"), "inventory: silence of GW1*", id="inventory"),
    ],
)
def test_where(where: Where, text: str) -> None:
    assert where.text == text


def test_finding_is_one_line_and_names_its_entry() -> None:
    assert (finding().text, finding().docs) == (
        "error GW101 weu-1: Gateway edge/public, listener https: is wrong: put it right",
        "docs/findings.md#gw101",
    )


def test_code_has_a_form() -> None:
    with pytest.raises(ValueError, match=r'^finding code "GW1" is not of the form GW101$'):
        finding(code="GW1")


def test_order() -> None:
    expected = [
        finding("error", "GW102", Where("lab-1")),
        finding("warning", "GW101", Where(None)),
        finding("warning", "GW101", Where("lab-2")),
        finding("warning", "GW101", Where("lab-2", "Gateway edge/a")),
        finding("warning", "GW101", Where("lab-10")),
        finding("warning", "GW102", Where("lab-1")),
        finding("info", "GW101", Where("lab-1")),
    ]
    assert in_order(reversed(expected)) == expected


@settings(deadline=None)
@given(st.lists(FINDINGS), st.randoms())
def test_order_is_always_the_same(findings: list[Finding], random: object) -> None:
    shuffled = list(findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis hands out a random.Random
    assert [it.text for it in in_order(shuffled)] == [it.text for it in in_order(findings)]


@pytest.mark.parametrize(
    ("found", "code"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param(["info"], 0, id="info never fails a run"),
        pytest.param(["info", "warning"], 3, id="warning"),
        pytest.param(["error"], 3, id="error"),
    ],
)
def test_exit_code(found: list[Severity], code: int) -> None:
    assert exit_code(finding(it) for it in found) == code


@pytest.mark.parametrize(
    ("by", "holds"),
    [
        pytest.param(silence(), True, id="on its last day"),
        pytest.param(silence(until=TODAY - timedelta(1)), False, id="on the day after"),
        pytest.param(silence(code="GW102"), False, id="another code"),
        pytest.param(silence(code="GW1*"), True, id="pattern of codes"),
        pytest.param(silence(where="weu-1"), False, id="the cluster alone, not what is on it"),
        pytest.param(silence(where="weu-1: *"), True, id="everything on the cluster"),
        pytest.param(silence(where="weu-2*"), False, id="another cluster"),
        pytest.param(silence(where="*: Gateway edge/*"), True, id="an object on every cluster"),
        pytest.param(silence(where="*: gateway edge/*"), False, id="case counts"),
    ],
)
def test_silence(by: Silence, holds: bool) -> None:
    judged = silenced([finding()], [by], TODAY)
    assert (finding() not in judged.open, judged.silent) == (
        holds,
        ((finding(), by),) if holds else (),
    )


def test_silence_that_ran_out_is_a_finding() -> None:
    old = silence(where="weu-*", until=date(2026, 11, 20))
    assert silenced([finding()], [old], TODAY).open == (
        finding(),
        Finding(
            code="GW001",
            severity="info",
            where=Where(None, "silence of GW101", "weu-*"),
            what="ran out on 2026-11-20 (OPS-412)",
            fix="remove it, or renew it with a later date",
        ),
    )


@settings(deadline=None)
@given(st.lists(FINDINGS), st.lists(SILENCES))
def test_no_finding_is_lost(findings: list[Finding], silences: list[Silence]) -> None:
    judged = silenced(findings, silences, TODAY)
    kept = [it for it in judged.open if it.code != "GW001"] + [it for it, _ in judged.silent]
    assert in_order(kept) == in_order(findings)
    assert all(by.until >= TODAY and by.covers(it) for it, by in judged.silent)
    assert sum(it.code == "GW001" for it in judged.open) == sum(it.until < TODAY for it in silences)


def test_json() -> None:
    silent = (finding("warning", "GW102"), silence())
    assert as_json([finding("info", "GW103", Where(None)), finding()], [silent]) == {
        "schema": "envoyfleet.findings/1",
        "exit": 3,
        "findings": [
            {
                "code": "GW101",
                "severity": "error",
                "cluster": "weu-1",
                "object": "Gateway edge/public",
                "part": "listener https",
                "what": "is wrong",
                "fix": "put it right",
                "docs": "docs/findings.md#gw101",
            },
            {
                "code": "GW103",
                "severity": "info",
                "cluster": None,
                "object": None,
                "part": None,
                "what": "is wrong",
                "fix": "put it right",
                "docs": "docs/findings.md#gw103",
            },
        ],
        "silenced": [
            {
                "code": "GW102",
                "severity": "warning",
                "cluster": "weu-1",
                "object": "Gateway edge/public",
                "part": "listener https",
                "what": "is wrong",
                "fix": "put it right",
                "docs": "docs/findings.md#gw102",
                "until": "2026-11-21",
                "reason": "OPS-412",
            }
        ],
    }

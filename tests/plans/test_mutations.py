"""
Mutations of rules: what is changed, and that the cases of tests/alerts notice it. A sample here,
the whole every night; `python -m tests.mutations` prints it.
"""

from pathlib import Path
from typing import Any

import pytest

from tests import mutations, promtool
from tests.mutations import BOUND, mutants, survivors

#: Each of these many is tried in `make test`: 45 mutants in 4 s.
SAMPLE = 40
RULE: dict[str, Any] = {
    "alert": "EnvoyTired",
    "expr": 'sum by (pod, zone) (rate(tired_total{job="envoy",pod!=""}[5m])) / 2 >= 0.5 and awake',
    "for": "5m",
    "labels": {"severity": "warning"},
}


def test_one_thing_is_changed_at_a_time() -> None:
    changed = {it.what: it.changed for it in mutants(RULE)}
    expressions = {key: it["expr"] for key, it in changed.items() if it["expr"] != RULE["expr"]}
    same = 'sum by (pod, zone) (rate(tired_total{job="envoy",pod!=""}[5m]))'
    assert expressions == {
        "2 at 66 becomes 2.5": f"{same} / 2.5 >= 0.5 and awake",
        "2 at 66 becomes 1.6": f"{same} / 1.6 >= 0.5 and awake",
        "0.5 at 71 becomes 0.625": f"{same} / 2 >= 0.625 and awake",
        "0.5 at 71 becomes 0.4": f"{same} / 2 >= 0.4 and awake",
        "/ at 64 becomes *": f"{same} * 2 >= 0.5 and awake",
        ">= at 68 becomes >": f"{same} / 2 > 0.5 and awake",
        ">= at 68 becomes <=": f"{same} / 2 <= 0.5 and awake",
        "sum at 0 becomes max": f"max{same[3:]} / 2 >= 0.5 and awake",
        "sum at 0 becomes count": f"count{same[3:]} / 2 >= 0.5 and awake",
        "rate at 20 becomes increase": f"{same.replace('rate', 'increase')} / 2 >= 0.5 and awake",
        "and at 75 becomes or": f"{same} / 2 >= 0.5 or awake",
        "and at 75 becomes unless": f"{same} / 2 >= 0.5 unless awake",
        "[5m] becomes [600s]": f"{same.replace('5m', '600s')} / 2 >= 0.5 and awake",
        "[5m] becomes [150s]": f"{same.replace('5m', '150s')} / 2 >= 0.5 and awake",
        'without job="envoy"': f"""{same.replace('job="envoy",', "")} / 2 >= 0.5 and awake""",
        'not job="envoy"': f"{same.replace('job=', 'job!=')} / 2 >= 0.5 and awake",
        'without pod!=""': f"""{same.replace(',pod!=""', "")} / 2 >= 0.5 and awake""",
        'not pod!=""': f"{same.replace('!=', '=')} / 2 >= 0.5 and awake",
        "by (pod, zone) without pod": f"{same.replace('pod, zone', 'zone')} / 2 >= 0.5 and awake",
        "by (pod, zone) without zone": f"{same.replace('pod, zone', 'pod')} / 2 >= 0.5 and awake",
    }


def test_times_and_severities_are_changed_too() -> None:
    settings = [it.changed for it in mutants(RULE) if it.changed["expr"] == RULE["expr"]]
    assert [(it["for"], it["labels"]["severity"]) for it in settings] == [
        ("600s", "warning"),
        ("150s", "warning"),
        ("5m", "critical"),
    ]


def test_what_prometheus_cannot_read_is_no_mutant() -> None:
    wrong = mutants({"record": "a:b:c", "expr": 'up{job="envoy"}'})
    assert [it.changed["expr"] for it in wrong] == ["up{}", 'up{job!="envoy"}']


@pytest.mark.timeout(180)  # 4 s of CPU, on a machine that tests much else at the time
def test_a_sample_of_mutants_is_noticed(tmp_path: Path) -> None:
    sample = _all()[::SAMPLE]
    alive = survivors(sample, tmp_path)
    said = [f"{it.rule}: {it.what}" for it in alive]
    assert len(alive) <= (1 - BOUND) * len(sample), said


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_nine_of_ten_mutants_are_noticed(tmp_path: Path) -> None:
    alive = survivors(_all(), tmp_path)
    said = [f"{it.rule}: {it.what}" for it in alive]
    assert len(alive) <= (1 - BOUND) * len(_all()), said


def _all() -> list[mutations.Mutant]:
    return [it for rule in promtool.rules().values() for it in mutants(rule)]

"""
Cases for rules, in tests/alerts/*.yml, and promtool, which judges them: a rule alone at a time,
with the series that it names as input, recorded ones too. Durations are true.

    - rule: EnvoyProxyDown
      what: a proxy that does not answer for five minutes
      series:
        up{PROXY}: 1 0x20
      at:
        5m: []
        6m: ['PROXY']

``at`` has the labels of the alerts that fire; of a recorded series it has values by labels. Words
in capitals stand for labels, see LABELS; ``interval`` is a minute unless a case has its own. What
is in ``each`` makes a case an entry: {level: route} puts "route" where the case says "<level>".
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from typing_extensions import override

from tasks.lab import monitoring
from tasks.plans.alerts import Settings
from tasks.plans.metrics import Exporter
from tasks.plans.prometheus_rules import groups

FOLDER = Path(__file__).parent / "alerts"
SETTINGS = Settings(
    cluster="weu-1",
    exporters=frozenset(get_args(Exporter)),
)
#: A Gateway has a class here, as merged ones have, so that a rule that loses one of them is found.
_GATEWAY = 'gateway_namespace="edge",gateway="public",gateway_class="eg"'
_PROXY = f'job="envoy-proxy",cluster="weu-1",{_GATEWAY},namespace="system"'
_CART = 'envoy_cluster_name="httproute/shop/cart/rule/0"'
#: Longer names first, where one begins with another.
LABELS = {
    "PROXY2": f'{_PROXY},pod="b"',
    "PROXY": f'{_PROXY},pod="a"',
    "OTHER": 'gateway_namespace="edge",gateway="internal",gateway_class="eg"',
    "GATEWAY": _GATEWAY,
    "BACKEND": f"{_GATEWAY},{_CART}",
    "CLUSTER": _CART,
    "ROUTE": 'route_kind="httproute",route_namespace="shop",route="cart"',
    "USERS": 'envoy_http_conn_manager_prefix="http-10080"',
    "CONTROLLER": 'job="envoy-gateway",cluster="weu-1",namespace="system",pod="controller"',
}
_FILE = re.compile(r"^Unit Testing:\s+(\S+)$", re.MULTILINE)
_WORDS = re.compile(rf"\b({'|'.join(LABELS)})\b")


@dataclass(frozen=True)
class Case:
    """One scene of one rule, as its file has it."""

    rule: str
    what: str
    series: Mapping[str, str]
    at: Mapping[str, Any]
    interval: str = "1m"

    @override
    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def cases() -> list[Case]:
    """Those of all files."""
    return [
        Case(**one)
        for path in sorted(FOLDER.glob("*.yml"))
        for it in yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        for one in _each(it)
    ]


def _each(case: dict[str, Any]) -> list[dict[str, Any]]:
    words = case.pop("each", [{}])
    return [_worded(case, it) for it in words]


def _worded(value: Any, words: Mapping[str, Any]) -> Any:
    """With "<level>" replaced wherever a text has it."""
    if isinstance(value, dict):
        return {_worded(k, words): _worded(it, words) for k, it in value.items()}
    if isinstance(value, list):
        return [_worded(it, words) for it in value]
    if isinstance(value, str):
        return re.sub(r"<(\w+)>", lambda it: str(words[it[1]]), value)
    return value


def rules(settings: Settings = SETTINGS) -> dict[str, dict[str, Any]]:
    """Every rule of all groups by its name, recorded ones too."""
    return {
        it.get("alert") or it["record"]: it for group in groups(settings) for it in group["rules"]
    }


def write(
    folder: Path,
    name: str,
    rule: Mapping[str, Any],
    scenes: Iterable[Case],
    judged: Mapping[str, Any] | None = None,
) -> Path:
    """
    A rule file with this rule alone, and beside it a file of tests: its path is returned.

    + judged: the rule that the tests are for, where another one is put in its place
    """
    bare = {key: it for key, it in rule.items() if key != "annotations"}
    group = {"name": "alone", "rules": [bare]}
    (folder / f"{name}.rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    tests = [_test(judged or rule, it) for it in scenes]
    path = folder / f"{name}.test.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "rule_files": [f"{name}.rules.yml"],
                "evaluation_interval": tests[0]["interval"],
                "tests": tests,
            }
        )
    )
    return path


def run(paths: Iterable[Path]) -> dict[str, str]:
    """
    What promtool says of files of tests, by name and of those alone that it does not like. One
    process, for most of the time of a single file is its start.
    """
    folder_of = {it.name: it.parent for it in paths}
    if not folder_of:
        return {}
    [folder] = set(folder_of.values())
    done = subprocess.run(
        [monitoring.promtool(), "test", "rules", *folder_of],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = _FILE.split(done.stdout)[1:]
    found = dict(zip(said[::2], said[1::2], strict=True))
    if set(found) != set(folder_of):
        raise RuntimeError(f"promtool ended early: {done.stdout[-2000:]}")
    return {name: text.strip() for name, text in found.items() if text.strip() != "SUCCESS"}


def check(path: Path) -> str:
    """What `promtool check rules` says of a rule file, with all that it can complain of."""
    done = subprocess.run(
        [monitoring.promtool(), "check", "rules", "--lint=all", "--lint-fatal", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.partition("\n")[2].strip()


def labels(text: str) -> dict[str, str]:
    """Those of a line such as 'GATEWAY, severity="critical"'."""
    return dict(re.findall(r'(\w+)="([^"]*)"', spelled(text)))


def spelled(text: str) -> str:
    """Words such as PROXY as the labels that they stand for."""
    return _WORDS.sub(lambda it: LABELS[it[1]], text)


def _test(rule: Mapping[str, Any], case: Case) -> dict[str, Any]:
    expected = _alerts if "alert" in rule else _samples
    return {
        "interval": case.interval,
        "input_series": [
            {"series": spelled(it), "values": str(values)} for it, values in case.series.items()
        ],
        **expected(rule, case),
    }


def _alerts(rule: Mapping[str, Any], case: Case) -> dict[str, Any]:
    return {
        "alert_rule_test": [
            {
                "alertname": rule["alert"],
                "eval_time": time,
                "exp_alerts": [
                    {"exp_labels": labels(it) | rule["labels"]}
                    for it in ([firing] if firing and isinstance(firing, str) else firing)
                ],
            }
            for time, firing in case.at.items()
        ]
    }


def _samples(rule: Mapping[str, Any], case: Case) -> dict[str, Any]:
    name = rule["record"]
    return {
        "promql_expr_test": [
            one
            for time, samples in case.at.items()
            for one in (
                _asked(f"count({name}) or vector(0)", time, "", len(samples)),
                *(
                    _asked(_equals(name, spelled(it), value), time, spelled(it), 1)
                    for it, value in samples.items()
                ),
            )
        ]
    }


def _asked(expr: str, time: str, of: str, value: float) -> dict[str, Any]:
    sample = {"labels": f"{{{of}}}", "value": value}
    return {"expr": expr, "eval_time": time, "exp_samples": [sample]}


def _equals(name: str, of: str, value: str) -> str:
    """1 where it has the value, but for the noise of floating point."""
    if value == "NaN":
        return f"{name}{{{of}}} != bool {name}{{{of}}}"
    return f"abs({name}{{{of}}} - {value}) < bool 1e-9"

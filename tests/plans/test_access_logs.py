"""
What proxies log: the fields, the EnvoyProxy that asks for them, and the saved queries that name
them. That Envoy fills every field is tests/lab/test_access_logs.py's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import desired
from tasks.fleet.inventory import Cluster
from tasks.plans.access_logs import (
    CONNECTION,
    FAILED,
    OF_PODS,
    REQUEST,
    Collector,
    collector_problem,
    in_loki,
    logs,
)

Object = dict[str, Any]
REPOSITORY = Path(__file__).parents[2]
QUERIES = REPOSITORY / "templates" / "monitoring" / "queries"
PAGE = (REPOSITORY / "docs" / "access-logs.md").read_text()
FIELDS = {**REQUEST, **CONNECTION}
#: Words of LogQL in a query, beside fields; the last three are labels and text of a reader's own.
LOGQL = {
    "topk",
    "sum",
    "by",
    "count_over_time",
    "quantile_over_time",
    "json",
    "unwrap",
    "line_format",
    "__error__",
    "container",
    "k8s_cluster_name",
    "ms",
    "backend",
}
#: Names that a query of Kusto gives itself, or that the table has.
TABLE = {"TimeGenerated", "ContainerName", "PodName", "LogMessage"}


def test_nothing_that_signs_in_is_logged() -> None:
    """Nor what comes after a question mark: tokens are there too."""
    said = " ".join(FIELDS.values()).lower()
    for word in ("authorization", "cookie", "token", "api-key", "referer", "query_param", "body"):
        assert word not in said
    assert not re.search(r"%req\([^)]*path", said)
    headers = re.findall(r"%req(?:_without_query)?\(([^)]+)\)", said)
    assert sorted(set(headers)) == [
        ":authority",
        ":method",
        "user-agent",
        "x-envoy-original-path?:path",
        "x-forwarded-for",
        "x-request-id",
    ]
    assert "%resp(" not in said


def test_the_header_that_envoy_gateway_suppresses_is_not_asked_for() -> None:
    assert not any("UPSTREAM-SERVICE-TIME" in it for it in FIELDS.values())


def envoy_proxy(monitoring: Object | None, tmp_path: Path, **more: Any) -> tuple[Object, str]:
    """Of cluster weu-1, and its text."""
    known = {"monitoring": monitoring} if monitoring else {}
    data = Cluster.model_validate({"ring": 0, "envoy_gateway_version": "1.9.1", **known, **more})
    found = [it for it in desired.objects("weu-1", data) if it["kind"] == "EnvoyProxy"]
    text = (tmp_path / "rendered" / "weu-1" / "gateway" / "envoyproxy.yaml").read_text()
    return found[0], text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "templates").symlink_to(REPOSITORY / "templates")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_was_not_asked_for_changes_nothing(folder: Path) -> None:
    """To the byte: a change of this object may replace proxies."""
    plain, text = envoy_proxy(None, folder)
    assert "telemetry" not in plain["spec"]
    assert envoy_proxy({"logs": {"enabled": False}}, folder) == (plain, text)
    logging, longer = envoy_proxy({"logs": {"enabled": True}}, folder)
    assert longer.startswith(text)
    assert {**logging["spec"], "telemetry": None} == {**plain["spec"], "telemetry": None}


def test_requests_and_connections_that_came_to_nothing_are_logged(folder: Path) -> None:
    found, _ = envoy_proxy({"logs": {"enabled": True}}, folder)
    stdout = [{"type": "File", "file": {"path": "/dev/stdout"}}]
    assert found["spec"]["telemetry"] == {
        "accessLog": {
            "settings": [
                {
                    "type": "Route",
                    "format": {"type": "JSON", "json": dict(REQUEST)},
                    "sinks": stdout,
                },
                {
                    "type": "Listener",
                    "matches": [FAILED],
                    "format": {"type": "JSON", "json": dict(CONNECTION)},
                    "sinks": stdout,
                },
            ]
        }
    }


def test_a_collector_gets_them_too(folder: Path) -> None:
    otel = "monitoring/otel-collector:4317"
    found, _ = envoy_proxy({"logs": {"enabled": True, "otel": otel}}, folder)
    for setting in found["spec"]["telemetry"]["accessLog"]["settings"]:
        assert [it["type"] for it in setting["sinks"]] == ["File", "OpenTelemetry"]
        assert setting["sinks"][1]["openTelemetry"] == {
            "backendRefs": [{"name": "otel-collector", "namespace": "monitoring", "port": 4317}],
            "resourceAttributes": {"k8s.cluster.name": "weu-1"},
        }
    assert logs(otel).collector == Collector("monitoring", "otel-collector", 4317)


@pytest.mark.parametrize(
    ("service", "missing"),
    [
        pytest.param(None, "does not exist", id="no Service"),
        pytest.param({"spec": {"ports": [{"port": 4318}]}}, "has no port 4317", id="another port"),
        pytest.param({"spec": {}}, "has no port 4317", id="no port"),
        pytest.param({"spec": {"ports": [{"port": 4318}, {"port": 4317}]}}, None, id="there"),
    ],
)
def test_a_collector_has_to_be_there_first(service: Object | None, missing: str | None) -> None:
    said = collector_problem(Collector("monitoring", "otel-collector", 4317), service)
    assert said == (
        missing
        and f"Service monitoring/otel-collector, monitoring.logs.otel of the inventory, {missing}: "
        "make it first, or take otel out: Envoy Gateway would accept no Gateway any more"
    )


def queries(language: str) -> list[Object]:
    found: list[Object] = yaml.safe_load((QUERIES / f"{language}.yaml").read_text())
    return found


def test_each_language_has_the_same_queries() -> None:
    every = {it.stem: [one["name"] for one in queries(it.stem)] for it in QUERIES.glob("*.yaml")}
    assert sorted(every) == ["kusto", "loki", "opentelemetry"]
    assert len({tuple(it) for it in every.values()}) == 1
    for name in every["loki"]:
        assert f"| {name} |" in PAGE


@pytest.mark.parametrize("language", ["loki", "opentelemetry"])
def test_queries_of_loki_name_fields_that_are_logged(language: str) -> None:
    known = {in_loki(it) for it in (*FIELDS, *OF_PODS)}
    for one in queries(language):
        text = re.sub(r"\{\{|\}\}", " ", one["query"])
        shown = re.findall(r"\.(\w+)", " ".join(re.findall(r'line_format "[^"]*"', text)))
        plain = re.sub(r'"[^"]*"', " ", text)
        words = set(re.findall(r"(?<![\w.])[a-zA-Z_]\w*", re.sub(r"\[\w+\]", " ", plain)))
        assert words - LOGQL - known == set(), one["name"]
        assert set(shown) - known == set(), one["name"]
        if one["name"] != "One request":
            assert re.search(r'log="(request|connection)"', text), one["name"]


def test_queries_of_kusto_name_fields_that_are_logged() -> None:
    for one in queries("kusto"):
        asked = re.findall(r"\bit\.(\w+)", one["query"])
        asked += re.findall(r'\bit\["([^"]+)"\]', one["query"])
        assert asked, one["name"]
        assert set(asked) - set(FIELDS) == set(), one["name"]
        columns = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", one["query"])) - {"ContainerLogV2"}
        assert columns - TABLE == set(), one["name"]


@pytest.mark.parametrize("language", ["loki", "opentelemetry", "kusto"])
def test_queries_name_fields_of_the_lines_that_they_look_at(language: str) -> None:
    """A field of requests is never asked for in connections."""
    for one in queries(language):
        of = CONNECTION if re.search(r'"connection"', one["query"]) else REQUEST
        others = {in_loki(it) for it in FIELDS} - {in_loki(it) for it in of}
        words = set(re.findall(r"\w+", one["query"]))
        assert words & others == set(), one["name"]


def test_every_field_is_explained() -> None:
    for name in FIELDS:
        assert f"| `{name}` |" in PAGE, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (":authority", "_authority"),
        ("x-request-id", "x_request_id"),
        ("k8s.pod.name", "k8s_pod_name"),
        ("5xx", "_5xx"),
        ("duration", "duration"),
    ],
)
def test_what_loki_calls_a_field(name: str, expected: str) -> None:
    assert in_loki(name) == expected

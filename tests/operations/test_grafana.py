"""Dashboards, folder, data source and annotations on a stand-in of Grafana's HTTP API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.connectors.azure import SignInError
from tasks.connectors.once import Once
from tasks.fleet.inventory import Grafana as Settings
from tasks.operations import grafana
from tests.grafana import PUBLISHED, TOKEN, Grafana, published, standing_grafana

TITLES = [
    "Envoy: certificates",
    "Envoy: control plane",
    "Envoy: fleet",
    "Envoy: Gateway",
    "Envoy: routes and backends",
]
ALL = [f"dashboard {it}" for it in TITLES]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    another_run(monkeypatch)
    with standing_grafana() as found:
        yield found


def another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_read", "_written", "_after"):
        monkeypatch.setattr(grafana, name, Once())


def settings(there: Grafana, **changed: Any) -> Settings:
    return Settings.model_validate({"url": there.url, "token_env": "GRAFANA_TOKEN", **changed})


def test_makes_all_and_then_nothing(there: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    told = grafana.read(settings(there)).told()
    assert told == [
        "folder Envoy Gateway is not there yet",
        *(f"{it} is not there yet" for it in ALL),
    ]
    assert there.writes == []
    assert grafana.write(settings(there)) == grafana.Written(["folder Envoy Gateway", *ALL], [])
    assert len(there.writes) == 6

    another_run(monkeypatch)
    there.asked.clear()
    assert grafana.read(settings(there)).told() == []
    assert grafana.write(settings(there)) == grafana.Written([], [])
    assert there.writes == []
    assert len(there.asked) == 2 * (2 + len(ALL))


def test_sends_only_what_is_published(there: Grafana) -> None:
    grafana.write(settings(there, data_source="Fleet", prometheus="http://prometheus:9090"))
    other = settings(there, data_source="Fleet", prometheus="http://other:9090", folder="Edge")
    grafana.write(other)
    made = grafana.annotate(other, "upgrade", ["weu-1"], 1.0)
    grafana.annotate(other, "upgrade", ["weu-1"], 1.0, 2.0, made)
    met = set()
    bodies = iter(there.bodies)
    for line in there.asked:
        method, path = line.split(" ", 1)
        call = published(method, path)
        assert call is not None, line
        met.add(id(call))
        if method != "GET" and "/api/datasources/uid/" not in path:
            assert set(next(bodies)) <= call.fields
        elif method != "GET":  # written back whole, with what Grafana itself said of it
            assert set(next(bodies)) - call.fields <= {"id", "orgId", "readOnly"}
    assert len(met) == len(PUBLISHED)


def test_dashboards_ask_the_data_source(there: Grafana) -> None:
    there.source("Fleet")
    grafana.write(settings(there, data_source="Fleet"))
    for it in there.dashboards.values():
        assert it["dashboard"]["templating"]["list"][0]["current"] == {
            "selected": True,
            "text": "Fleet",
            "value": "P2",
        }
        assert it["meta"]["folderTitle"] == "Envoy Gateway"


def test_writes_once_a_run(there: Grafana) -> None:
    grafana.write(settings(there))
    asked = len(there.asked)
    assert grafana.write(settings(there)) == grafana.Written()
    for _ in range(3):
        assert grafana.read_again(settings(there)).told() == []
        assert grafana.read(settings(there)).told() == []
    assert len(there.asked) == asked + 2 + len(ALL)


def test_tells_and_overwrites_what_was_done_by_hand(
    there: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    grafana.write(settings(there))
    there.by_hand("envoyfleet-fleet", lambda it: it["panels"][1].update(title="Mine"))
    another_run(monkeypatch)
    assert grafana.read(settings(there)).told() == [
        "dashboard Envoy: fleet was changed by hand, which is overwritten:",
        '  panel "Clusters": title: "Mine" instead of "Clusters"',
    ]
    assert grafana.write(settings(there)).lines == ["dashboard Envoy: fleet"]
    assert there.dashboards["envoyfleet-fleet"]["dashboard"]["version"] == 3
    another_run(monkeypatch)
    assert grafana.read(settings(there)).told() == []


def test_does_not_overwrite_what_is_saved_meanwhile(there: Grafana) -> None:
    grafana.write(settings(there))
    there.by_hand("envoyfleet-fleet", lambda it: it.update(title="Mine"))
    grafana._written = Once()
    there.meanwhile = lambda: there.by_hand("envoyfleet-fleet", lambda it: it.update(title="Again"))
    found = grafana.write(settings(there))
    assert (list(found.lines), list(found.problems)) == (
        [],
        [
            f"Grafana {there.url} does not write dashboard Envoy: fleet: somebody saved it while "
            "we looked at it: run again"
        ],
    )
    assert there.dashboards["envoyfleet-fleet"]["dashboard"]["title"] == "Again"


def test_goes_on_after_a_dashboard_that_cannot_be_saved(there: Grafana) -> None:
    there.provisioned.add("envoyfleet-fleet")
    found = grafana.write(settings(there))
    assert found.problems == [
        f"Grafana {there.url} answers 400 to write dashboard Envoy: fleet (Cannot save provisioned "
        "dashboard)"
    ]
    assert len(found.lines) == len(ALL)


def test_makes_and_corrects_the_data_source(
    there: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(there, data_source="Fleet", prometheus="http://prometheus:9090")
    assert "data source Fleet is not there yet" in grafana.read(wanted).told()
    assert grafana.write(wanted).lines[0] == "data source Fleet"
    assert there.sources["Fleet"]["url"] == "http://prometheus:9090"
    first = next(iter(there.dashboards.values()))["dashboard"]
    assert first["templating"]["list"][0]["current"]["value"] == there.sources["Fleet"]["uid"]

    another_run(monkeypatch)
    there.sources["Fleet"] |= {"url": "http://other", "jsonData": {"timeInterval": "30s"}}
    assert grafana.read(wanted).told() == ["data source Fleet asks http://other"]
    assert grafana.write(wanted).lines == ["data source Fleet"]
    assert there.sources["Fleet"]["url"] == "http://prometheus:9090"
    assert there.sources["Fleet"]["jsonData"] == {"timeInterval": "30s"}


def test_renames_its_folder(there: Grafana) -> None:
    grafana.write(settings(there))
    assert grafana.write(settings(there, folder="Edge")).lines == ["folder Edge"]
    assert there.folders["envoyfleet"]["title"] == "Edge"


def test_takes_a_folder_of_that_title(there: Grafana) -> None:
    there.folders["made-by-hand"] = {"id": 4, "uid": "made-by-hand", "title": "Envoy Gateway"}
    assert grafana.write(settings(there)).lines == ALL
    assert {it["meta"]["folderUid"] for it in there.dashboards.values()} == {"made-by-hand"}


def test_an_editor_is_enough_without_a_data_source_to_be_made(there: Grafana) -> None:
    there.role = "Editor"
    assert grafana.write(settings(there)).lines == ["folder Envoy Gateway", *ALL]
    with pytest.raises(
        grafana.Refused, match=r"does not let this token read data sources \(You'll"
    ):
        grafana.write(settings(there, prometheus="http://prometheus:9090"))


def test_a_viewer_may_write_nothing(there: Grafana) -> None:
    there.role = "Viewer"
    assert len(grafana.read(settings(there)).told()) == 6
    with pytest.raises(grafana.Refused) as refused:
        grafana.write(settings(there))
    assert str(refused.value) == (
        f"Grafana {there.url} does not let this token make a folder (You'll need additional "
        "permissions to perform this action.): give its service account the role Editor (Admin "
        "where it makes the data source)"
    )
    assert there.dashboards == {}


@pytest.mark.parametrize("value", [None, "", "glsa_another"])
def test_says_what_is_wrong_with_a_token(
    there: Grafana, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GRAFANA_TOKEN")
    if value is not None:
        monkeypatch.setenv("GRAFANA_TOKEN", value)
    with pytest.raises(grafana.Refused) as refused:
        grafana.read(settings(there))
    said = str(refused.value)
    assert ("takes no such token" if value else "GRAFANA_TOKEN is not set") in said
    assert "glsa" not in said
    assert "\n" not in said


def test_asks_entra_for_azure_managed_grafana(
    there: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def token(tenant: str | None, scope: str) -> str:
        asked.append((tenant, scope))
        return TOKEN

    monkeypatch.setattr("tasks.connectors.azure.token", token)
    assert grafana.write(settings(there, token_env=None)).lines
    assert set(asked) == {(None, "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f/.default")}


def test_says_that_nobody_is_signed_in(there: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    def token(tenant: str | None, scope: str) -> str:
        raise SignInError("", "nobody is signed in: az login")

    monkeypatch.setattr("tasks.connectors.azure.token", token)
    with pytest.raises(grafana.Refused, match="nobody is signed in: az login"):
        grafana.read(settings(there, token_env=None))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((500, {"message": "internal\nerror"}), "answers 500 to list folders (internal error)"),
        ((302, "to the sign-in"), "sends this somewhere else: put the address that it has now"),
        ((200, "<html>"), "does not answer as Grafana: correct monitoring.grafana.url"),
        ((502, "<html>"), "answers 502 to list folders"),
    ],
    ids=["broken", "sign-in page", "another server", "a proxy before it"],
)
def test_says_what_answers_instead(there: Grafana, broken: tuple[int, Any], said: str) -> None:
    there.broken = broken
    with pytest.raises(grafana.Failed) as failed:
        grafana.read(settings(there))
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)


def test_says_that_nobody_answers(monkeypatch: pytest.MonkeyPatch, there: Grafana) -> None:
    nobody = Settings(url="http://127.0.0.1:9", token_env="GRAFANA_TOKEN")
    with pytest.raises(grafana.Failed, match=r"cannot be reached \(ConnectionError\)"):
        grafana.read(nobody)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data_source": "Thanos"}, "has no data source Thanos: correct"),
        ({"data_source": "Logs"}, "data source Logs of Grafana .* is of type loki"),
    ],
)
def test_says_what_is_wrong_with_the_data_source(
    there: Grafana, changed: dict[str, str], said: str
) -> None:
    there.source("Logs", "loki")
    with pytest.raises(grafana.Failed, match=said):
        grafana.read(settings(there, **changed))


def test_marks_a_run(there: Grafana) -> None:
    one = grafana.annotate(settings(there), "upgrade to 1.9.1", ["upgrade", "weu-1"], 10.5)
    assert there.annotations == {
        1: {"text": "upgrade to 1.9.1", "tags": ["envoyfleet", "upgrade", "weu-1"], "time": 10500}
    }
    grafana.annotate(settings(there), "upgraded", ["upgrade", "weu-1"], 10.5, 20.0, one)
    assert there.annotations[1]["timeEnd"] == 20000
    assert there.annotations[1]["text"] == "upgraded"
    with pytest.raises(grafana.Failed, match="answers 404 to end an annotation"):
        grafana.annotate(settings(there), "", [], 1.0, 2.0, 99)


def test_renders_config_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = grafana.config_maps("weu-1", "monitoring", Settings(labels={"grafana_dashboard": "1"}))
    assert [it["metadata"]["name"] for it in found] == [
        "envoyfleet-certificates",
        "envoyfleet-control-plane",
        "envoyfleet-fleet",
        "envoyfleet-gateway",
        "envoyfleet-routes",
    ]
    for it in found:
        assert it["metadata"]["labels"] == {
            "grafana_dashboard": "1",
            "app.kubernetes.io/managed-by": "envoyfleet",
        }
        (text,) = it["data"].values()
        assert len(text) < 100_000  # a ConfigMap has 1 MiB
        assert json.loads(text)["uid"] == it["metadata"]["name"]
    assert len(list((tmp_path / "rendered/weu-1/monitoring").iterdir())) == len(found)

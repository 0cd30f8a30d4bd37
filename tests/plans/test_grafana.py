"""What of a dashboard is to be written, and who changed it."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tasks.plans import grafana
from tasks.plans.grafana import Change

Json = dict[str, Any]
SOURCE = {"name": "datasource", "type": "datasource", "query": "prometheus"}
CLUSTER = {"name": "cluster", "type": "query", "query": "label_values(up, cluster)"}
DASHBOARD: Json = {
    "uid": "envoyfleet-gateway",
    "title": "Envoy: Gateway",
    "schemaVersion": 36,
    "tags": ["envoyfleet"],
    "links": [
        {"title": "Envoy", "type": "dashboards", "url": ""},
        {"title": "Runbooks", "type": "link", "url": "docs/alerts.md"},
    ],
    "templating": {"list": [SOURCE, CLUSTER]},
    "panels": [
        {"id": 1, "type": "row", "title": "Now"},
        {
            "id": 2,
            "type": "stat",
            "title": "Error rate",
            "fieldConfig": {"defaults": {"unit": "percentunit", "max": None}},
            "targets": [{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "down"}],
        },
    ],
}
OTHER: Json = {**DASHBOARD, "description": "new in this version"}
RUNBOOKS = "https://git.example.com/fleet/docs/alerts.md"


def ours(dashboard: Json = DASHBOARD, uid: str | None = "P1") -> Json:
    return grafana.wanted(dashboard, "Prometheus", uid, RUNBOOKS)


def kept(dashboard: Json) -> Json:
    """As Grafana has it after it was written."""
    it = {**deepcopy(dashboard), "id": 7, "version": 3}
    return {"dashboard": it, "meta": {"folderUid": "envoyfleet", "folderTitle": "Envoy Gateway"}}


def by_hand(change: Callable[[Json], Any]) -> Json:
    found = kept(ours())
    change(found["dashboard"])
    found["dashboard"]["version"] = 4
    return found


def lines(found: Json | None, dashboard: Json | None = None) -> Change | None:
    return grafana.change(dashboard or ours(), found, "envoyfleet")


def test_writes_nothing_where_nothing_differs() -> None:
    assert lines(kept(ours())) is None


def test_writes_what_is_absent() -> None:
    found = lines(None)
    assert found == Change("envoyfleet-gateway", "Envoy: Gateway", absent=True)
    assert found.told() == ["dashboard Envoy: Gateway is not there yet"]


def _panel(it: Json) -> Json:
    found: Json = it["panels"][1]
    return found


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda it: it.update(schemaVersion=41), id="its schema"),
        pytest.param(lambda it: it.update(iteration=1), id="a field that we do not set"),
        pytest.param(lambda it: _panel(it).update(pluginVersion="12.1.0"), id="a panel's version"),
        pytest.param(
            lambda it: it["templating"]["list"][1].update(
                current={"text": "weu-1", "value": "weu-1"}, options=[]
            ),
            id="what was chosen last",
        ),
        pytest.param(lambda it: it["panels"].reverse(), id="the order of panels, which say where"),
        pytest.param(lambda it: it["tags"].append("team-a"), id="a tag of somebody"),
    ],
)
def test_leaves_what_grafana_adds(change: Callable[[Json], Any]) -> None:
    assert lines(by_hand(change)) is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param(
            lambda it: _panel(it)["fieldConfig"]["defaults"].update(unit="short"),
            'panel "Error rate": fieldConfig.defaults.unit: "short" instead of "percentunit"',
            id="a unit",
        ),
        pytest.param(
            lambda it: _panel(it)["targets"][1].update(expr="x" * 80),
            f'panel "Error rate": query "B": expr: "{"x" * 56}... instead of "down"',
            id="a query, cut",
        ),
        pytest.param(
            lambda it: it["panels"].append({"id": 9, "title": "Mine", "type": "text"}),
            'panel "Mine" was added',
            id="a panel more",
        ),
        pytest.param(lambda it: it["panels"].pop(), 'panel "Error rate" is missing', id="less"),
        pytest.param(
            lambda it: _panel(it)["targets"].pop(),
            'panel "Error rate": query "B" is missing',
            id="a query less",
        ),
        pytest.param(lambda it: _panel(it).pop("type"), 'panel "Error rate": type is missing',
                     id="a field less"),
        pytest.param(
            lambda it: it["templating"]["list"].append({"name": "pod"}),
            'variable "pod" was added',
            id="a variable",
        ),
        pytest.param(
            lambda it: it["templating"]["list"][0].update(current={"value": "P2"}),
            'variable "datasource": current.value: "P2" instead of "P1"',
            id="another data source",
        ),
        pytest.param(lambda it: it["tags"].remove("envoyfleet"), "tag envoyfleet is missing",
                     id="a tag"),
        pytest.param(lambda it: it["links"].pop(), 'link "Runbooks" is missing', id="a link"),
    ],
)  # fmt: skip
def test_tells_what_was_changed_by_hand(change: Callable[[Json], Any], line: str) -> None:
    assert lines(by_hand(change)) == Change(
        "envoyfleet-gateway", "Envoy: Gateway", (line,), by_hand=True
    )


def test_tells_where_somebody_moved_it() -> None:
    found = kept(ours())
    found["meta"] = {"folderUid": "x", "folderTitle": "Archive"}
    assert lines(found) == Change(
        "envoyfleet-gateway", "Envoy: Gateway", ("it is in folder Archive",), by_hand=True
    )


def test_knows_a_version_of_ours_that_nobody_touched() -> None:
    found = lines(kept(ours()), ours(OTHER))
    assert found is not None
    assert (found.by_hand, found.told()) == (
        False,
        ["dashboard Envoy: Gateway is of an earlier version"],
    )


def test_knows_an_earlier_version_of_ours_that_somebody_changed() -> None:
    found = lines(by_hand(lambda it: _panel(it).update(title="Fails")), ours(OTHER))
    assert found is not None
    assert found.by_hand
    assert found.told() == [
        "dashboard Envoy: Gateway was changed by hand, which is overwritten:",
        '  panel "Error rate": title: "Fails" instead of "Error rate"',
        "  description is missing",
    ]


def test_knows_one_that_is_not_ours() -> None:
    found = lines(kept({**DASHBOARD, "description": "made by hand"}))
    assert found is not None
    assert found.by_hand


def test_writes_when_the_data_source_changes() -> None:
    found = lines(kept(ours()), ours(uid="P2"))
    assert found is not None
    assert not found.by_hand


def test_shows_five_lines_of_many() -> None:
    many = Change("u", "t", tuple(f"line {it}" for it in range(8)), by_hand=True)
    assert many.told()[-2:] == ["  line 4", "  and 3 more"]


def test_saves_the_version_that_was_looked_at() -> None:
    body = grafana.saved(ours(), kept(ours()), "envoyfleet", "envoyfleet run-1")
    assert (body["dashboard"]["id"], body["dashboard"]["version"]) == (7, 3)
    assert {k: v for k, v in body.items() if k != "dashboard"} == {
        "folderUid": "envoyfleet",
        "message": "envoyfleet run-1",
        "overwrite": False,
    }
    assert grafana.saved(ours(), None, "f", "m")["dashboard"]["id"] is None


def test_marks_what_it_writes() -> None:
    mark = ours()["tags"][-1]
    assert re.fullmatch(r"envoyfleet:[0-9a-f]{12}", mark)
    assert ours(OTHER)["tags"][-1] != mark
    assert ours(uid=None)["tags"][-1] != mark


@pytest.mark.parametrize(
    ("runbooks", "links"),
    [(RUNBOOKS, ["", RUNBOOKS]), ("docs/alerts.md", [""]), ("", [""])],
    ids=["where they are", "a path that Grafana cannot follow", "nowhere"],
)
def test_links_to_the_runbooks(runbooks: str, links: list[str]) -> None:
    found = grafana.wanted(DASHBOARD, "Prometheus", "P1", runbooks)
    assert [it["url"] for it in found["links"]] == links


@pytest.mark.parametrize(
    ("folders", "uid"),
    [
        ([], None),
        ([{"uid": "x", "title": "Other"}], None),
        ([{"uid": "x", "title": "Envoy Gateway"}], "x"),
        ([{"uid": "x", "title": "Envoy Gateway"}, {"uid": "envoyfleet"}], "envoyfleet"),
    ],
    ids=["none", "of others", "by its title", "ours before one of that title"],
)  # fmt: skip
def test_finds_its_folder(folders: list[Json], uid: str | None) -> None:
    found = grafana.own_folder(folders, "Envoy Gateway")
    assert (found and found["uid"]) == uid


@pytest.mark.parametrize(
    ("status", "what"),
    [
        ("version-mismatch", "somebody saved it"),
        ("name-exists", "rename or delete"),
        ("plugin-dashboard", "plugin"),
        ("", "somebody saved it"),
    ],
)
def test_says_why_it_is_in_the_way(status: str, what: str) -> None:
    assert what in grafana.conflict(status)

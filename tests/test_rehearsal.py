"""
What a rehearsal refuses before anything is begun, what of two inventories it takes, and how the
newest one is kept.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError

from tasks import rehearsal
from tasks.fleet import inventory, rehearsed
from tasks.fleet.render import SAFE
from tasks.plans.rehearsals.change import Change
from tasks.plans.rehearsals.outcome import Outcome, Rehearsal
from tests.api_server import ApiServer
from tests.command_line import CommandLine
from tests.test_drill import Target, fleet, run


def parsed(**more: Any) -> inventory.Cluster:
    return inventory.parsed({"ring": 0, "envoy_gateway_version": "1.9.1", **more})


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        pytest.param({"empty": "weu-1"}, None, id="good"),
        pytest.param(
            {},
            "no cluster here has rehearsal_source: name the clusters whose upgrade is tried on an "
            'empty one, such as "rehearsal_source": ["weu-1"], see docs/rehearse.md',
            id="none",
        ),
        pytest.param(
            {"weu-1": ["weu-1"]},
            "weu-1: rehearsal_source names the cluster itself: name another",
            id="itself",
        ),
        pytest.param(
            {"empty": ["weu-7"]},
            "empty: rehearsal_source names weu-7, which is not in the inventory: it knows weu-1",
            id="unknown",
        ),
        pytest.param(
            {"empty": ["weu-1"], "weu-1": ["empty"]},
            "empty: rehearsal_source names weu-1, which is a place for rehearsals itself: name the "
            "cluster that is upgraded",
            id="a target",
        ),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(targets: Any, said: str | None) -> None:
    sources = {"empty": [], "weu-1": []} | targets
    clusters = {name: parsed(rehearsal_source=it) for name, it in sources.items()}
    assert rehearsal.usage_problem(list(clusters), clusters) == said


def test_a_source_of_all_by_data_is_one_where_it_is_left_out() -> None:
    clusters = {name: parsed(rehearsal_source=["weu-1"]) for name in ("empty", "weu-1")}
    assert rehearsal.usage_problem(["empty"], clusters) is None


def test_what_is_wanted_is_the_source_s_and_room_the_target_s() -> None:
    source = parsed(
        controller={"replicas": 3, "priority_class": "edge"}, namespace="eg", merge_gateways=True
    )
    target = parsed(image_registry="near.io", keep=True)
    found = rehearsal.data_of("weu-1", target, {"weu-1": source})
    assert (found.namespace, found.image_registry, found.merge_gateways) == ("eg", "near.io", True)
    assert (found.controller.replicas, found.controller.priority_class) == (1, None)
    assert not found.backup.enabled
    assert found.accept == ["behaviour", "disruption", "no-way-back", "sick", "values"]


def test_without_rehearsal_source_nothing_begins(
    tmp_path: Path, api_server: ApiServer, command_line: CommandLine
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    targets = {"weu-1": Target("", "", {})}
    fleet(folder, api_server, targets)
    ended = run(folder, api_server, command_line, targets, deploy="rehearse")
    assert ended.code == 2
    assert "no cluster here has rehearsal_source: name the clusters" in ended.text
    assert not (folder / "runs").exists()


RECORD = Rehearsal(
    run="20261123T020000Z-rehearse",
    who="anna@jump-1",
    source="weu-1/a",
    target="empty",
    began="2026-11-23T02:00:00+00:00",
    before="1.8.3",
    after="1.9.1",
    kinds={"Gateway": 1, "HTTPRoute": 2},
    requests={"sent": 1200, "lost": 3},
    outcome=Outcome(refused=(Change("condition", "HTTPRoute shop/cart", "is gone", "error"),)),
)


def test_the_newest_is_read_again(tmp_path: Path) -> None:
    folder, newest = tmp_path / "run", tmp_path / "rehearsals"
    folder.mkdir()
    digests = rehearsed.write(folder, str(newest), RECORD)
    assert sorted(digests) == [f"rehearsal-weu-1_a.{it}" for it in ("html", "json", "md")]
    assert rehearsed.newest(str(newest), "weu-1/a") == RECORD
    assert rehearsed.newest(str(newest), "weu-2") is None
    assert newest.stat().st_mode & 0o777 == 0o700
    assert {it.stat().st_mode & 0o777 for it in [*folder.iterdir(), *newest.iterdir()]} == {0o600}
    page = (folder / "rehearsal-weu-1_a.md").read_text()
    assert "# Rehearsal of weu-1/a: breaks" in page
    assert "| error | is gone | HTTPRoute shop/cart |" in page


def test_a_run_of_several_has_one_page_of_them_all(tmp_path: Path) -> None:
    for it in ("weu-1", "weu-2", "neu-1"):
        what = RECORD.outcome if it == "neu-1" else Outcome()
        rehearsed.write(tmp_path, str(tmp_path), replace(RECORD, source=it, outcome=what))
    page = (tmp_path / "rehearsals.md").read_text()
    assert page.startswith("# Rehearsals of 3 clusters\n")
    assert "| neu-1 | 1.8.3 → 1.9.1 | breaks |\n| weu-1, weu-2 | 1.8.3 → 1.9.1 | nothing" in page
    html = (tmp_path / "rehearsals.html").read_text()
    assert "Rehearsals of 3 clusters: 2 outcomes" in html
    assert not re.search(r"(src|href)=.(?!#)|url\(|@import|<script", html)


def test_nothing_of_a_cluster_is_markup(tmp_path: Path) -> None:
    words = "<script>alert(1)</script> | `x`"
    found = Outcome(refused=(Change("object", words, words, "error"),))
    record = replace(RECORD, outcome=found, problems=[words], kinds={words: 1}, who=words)
    pages = rehearsed.pages([record])
    assert "<script>" not in pages["html"]
    assert pages["html"].count("&lt;script&gt;") == 6
    assert r"| error | <script>alert(1)</script> \| `x` |" in pages["md"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{", "cannot be used: it is no JSON: delete it", id="half"),
        pytest.param("[" * 100000, "cannot be used: ", id="nested"),
        pytest.param("{}", "cannot be used: it has the format None", id="another"),
        pytest.param("\xff", "cannot be used: ", id="no text"),
    ],
)
def test_what_is_none_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / f"{SAFE.sub('_', 'weu-1')}.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DeployError) as refused:
        rehearsed.newest(str(tmp_path), "weu-1")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="cannot be written"):
        rehearsed.write(tmp_path, str(tmp_path / "file" / "below"), RECORD)

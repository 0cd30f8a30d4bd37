"""The captures that are kept: every cause has some, each is whole, and none tells of a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.captures import FOLDER, bundle, committed, read
from tests.captures.table import BOTH, CONFUSED, takes

#: Causes that only an Envoy Gateway has: it alone resolves backends and attaches routes.
OF_GATEWAYS = {"invalid_backend_ref", "no_ready_endpoints_direct_response", "route_not_attached"}
#: The words of the shared scenarios for what is wrong.
REQUESTS = set(CONFUSED)
KEYS = {
    "scenario",
    "shape",
    "envoy_version",
    "client",
    "access_log",
    "admin",
    "envoy_log",
    "kubernetes",
    "expected",
    "observed",
}
#: Bytes of all of them.
ROOM = 2_500_000


@pytest.fixture(scope="module")
def captures() -> list[dict[str, Any]]:
    return [read(it) for it in committed()]


def test_every_cause_has_a_capture_in_each_shape(captures: list[dict[str, Any]]) -> None:
    found = {(it["expected"]["cause"], it["shape"]) for it in captures}
    wanted = {(cause, shape) for cause in REQUESTS for shape in BOTH}
    assert {
        it for it in wanted - found if it[1] == "envoy-gateway" or it[0] not in OF_GATEWAYS
    } == set()


def test_every_cause_has_a_healthy_twin(captures: list[dict[str, Any]]) -> None:
    twins = {it["scenario"] for it in captures if it["expected"]["cause"] == "ok"}
    wanted = {it.fault.truth.cause for it in takes() if it.name in twins}
    assert set(wanted) >= REQUESTS


def test_each_is_whole(captures: list[dict[str, Any]]) -> None:
    assert captures
    for it in captures:
        assert set(it) == KEYS, it["scenario"]
        assert it["client"], it["scenario"]
        lengths = {len(lines) for lines in it["access_log"].values()}
        assert len(lengths) == 1, it["scenario"]


def test_none_tells_of_the_machine_or_keeps_a_key(captures: list[dict[str, Any]]) -> None:
    told = re.compile(r"/tmp/|/root/|/work/|PRIVATE KEY")
    assert [it["scenario"] for it in captures if told.search(json.dumps(it))] == []


def test_all_is_what_the_table_keeps() -> None:
    wanted = {f"{it.name}.json.gz" for it in takes() if it.kept}
    assert {it.name for it in committed()} == wanted
    assert sum(it.stat().st_size for it in FOLDER.iterdir()) <= ROOM


def test_a_bundle_has_no_truth(captures: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = bundle(captures[0], tmp_path / "bundle")
    said = "".join(it.read_text() for it in folder.iterdir())
    assert "must_not_conclude" not in said
    assert json.loads((folder / "client.json").read_text()) == captures[0]["client"]

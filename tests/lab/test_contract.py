"""
What the engine believes about an API server, held against a real one: server-side apply, its
refusals, its lists.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.fleet import Ended, Fleet, opened

pytestmark = pytest.mark.lab

SPACE = "contract"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return opened(tmp_path_factory.mktemp("contract"))


def config_map(**data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": SPACE},
        "data": data,
    }


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}


def apply(fleet: Fleet, *manifests: dict[str, Any], more: tuple[str, ...] = ("-y",)) -> Ended:
    """``kube.apply`` on the first cluster, as an operator would call it by hand."""
    given = f"manifests={json.dumps(manifests)}"
    first = fleet.names[0]
    return fleet.operation("tasks.operations.kube.apply", given, "--limit", first, *more)


def test_applies_in_order_and_once(fleet: Fleet) -> None:
    ended = apply(fleet, config_map(a="1"), namespace())  # the namespace is put first
    assert ended.code == 0, ended.text
    assert "Success" in ended.err
    again = apply(fleet, config_map(a="1"), namespace())
    assert "No changes" in again.err


def test_a_field_that_we_leave_out_goes(fleet: Fleet) -> None:
    assert apply(fleet, config_map(a="1", b="2")).code == 0
    assert apply(fleet, config_map(a="1")).code == 0
    first = fleet.names[0]
    live = json.loads(fleet.kubectl(first, "get", "configmap", "one", "-n", SPACE, "-o", "json"))
    assert live["data"] == {"a": "1"}


def test_what_others_own_stays_theirs(fleet: Fleet) -> None:
    first = fleet.names[0]
    where = (
        "patch",
        "configmap",
        "one",
        "-n",
        SPACE,
        "--type",
        "merge",
        "--field-manager",
        "other",
    )
    fleet.kubectl(first, *where, "--patch", '{"data":{"theirs":"x"}}')
    assert "No changes" in apply(fleet, config_map(a="1")).err
    fleet.kubectl(first, *where, "--patch", '{"data":{"a":"changed"}}')
    ended = apply(fleet, config_map(a="1"))
    assert ended.code == 1
    assert (
        'ConfigMap contract/one: Apply failed with 1 conflict: conflict with "other"' in ended.err
    )
    assert ".data.a" in ended.err


def test_refusals_are_one_line_and_write_nothing(fleet: Fleet) -> None:
    unknown = {**config_map(a="1"), "metadata": {"name": "two", "namespace": SPACE}, "dta": {}}
    ended = apply(fleet, config_map(c="3"), unknown)
    assert ended.code == 1
    assert "ConfigMap contract/two: refused by the API server: " in ended.err
    assert ".dta: field not declared in schema" in ended.err
    first = fleet.names[0]
    live = json.loads(fleet.kubectl(first, "get", "configmap", "one", "-n", SPACE, "-o", "json"))
    assert "c" not in live["data"]


def test_a_missing_namespace_is_named(fleet: Fleet) -> None:
    elsewhere = {**config_map(a="1"), "metadata": {"name": "one", "namespace": "nowhere"}}
    ended = apply(fleet, elsewhere)
    assert ended.code == 1
    assert "ConfigMap nowhere/one: its namespace nowhere or its kind does not exist" in ended.err


def test_a_plan_shows_the_diff_and_no_secret(fleet: Fleet) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "three", "namespace": SPACE},
        "stringData": {"password": "correct-horse"},
    }
    ended = apply(fleet, config_map(a="9"), secret, more=("--dry", "--diff"))
    assert "correct-horse" not in ended.text
    assert "Y29ycmVjdC1ob3JzZQ" not in ended.text


def test_delete_waits_until_it_is_gone(fleet: Fleet) -> None:
    first = fleet.names[0]
    given = ("api_version=v1", "kind=Namespace", f"resource={SPACE}", "--limit", first, "-y")
    ended = fleet.operation("tasks.operations.kube.delete", *given)
    assert ended.code == 0, ended.text
    assert "NotFound" in fleet.kubectl(first, "get", "namespace", SPACE, check=False)
    again = fleet.operation("tasks.operations.kube.delete", *given)
    assert "No changes" in again.err

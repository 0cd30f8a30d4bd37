"""
Releases as killed helm processes, or people, leave them: each is recovered by the next run, on the
first cluster of the lab, which has Envoy Gateway by then (tests/lab/test_deploys.py).
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.fleet import SHORT_DRAIN, Fleet, opened

pytestmark = pytest.mark.lab

SPACE = ("-n", "envoy-gateway-system")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return opened(tmp_path_factory.mktemp("stuck"), *SHORT_DRAIN)


def records(fleet: Fleet) -> list[dict[str, Any]]:
    """The Secrets of the release, oldest revision first."""
    asked = ("get", "secret", *SPACE, "-l", "owner=helm,name=eg", "-o", "json")
    items: list[dict[str, Any]] = json.loads(fleet.kubectl(fleet.names[0], *asked))["items"]
    return sorted(items, key=lambda it: int(it["metadata"]["labels"]["version"]))


def write(fleet: Fleet, secret: dict[str, Any]) -> None:
    text = json.dumps(secret)
    fleet.lab.kubectl("--context", fleet.names[0], "replace", "-f", "-", text=text)


def delete(fleet: Fleet, secret: dict[str, Any]) -> None:
    fleet.kubectl(fleet.names[0], "delete", "secret", *SPACE, secret["metadata"]["name"])


def with_status(secret: dict[str, Any], status: str) -> dict[str, Any]:
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    record = json.loads(gzip.decompress(packed))
    record["info"] |= {"status": status, "last_deployed": "2026-01-01T00:00:00Z"}
    packed = gzip.compress(json.dumps(record).encode())
    secret["data"]["release"] = base64.b64encode(base64.b64encode(packed)).decode()
    secret["metadata"]["labels"]["status"] = status
    return secret


def pending_upgrade(fleet: Fleet) -> None:
    write(fleet, with_status(records(fleet)[-1], "pending-upgrade"))


def pending_rollback(fleet: Fleet) -> None:
    write(fleet, with_status(records(fleet)[-1], "pending-rollback"))


def unreadable(fleet: Fleet) -> None:
    newest = records(fleet)[-1]
    newest["data"]["release"] = base64.b64encode(b"no record").decode()
    write(fleet, newest)


def missing(fleet: Fleet) -> None:
    delete(fleet, records(fleet)[-1])


def pending_install(fleet: Fleet) -> None:
    *older, newest = records(fleet)
    for it in older:
        delete(fleet, it)
    write(fleet, with_status(newest, "pending-install"))


def all_missing(fleet: Fleet) -> None:
    for it in records(fleet):
        delete(fleet, it)


CASES = [
    pytest.param(pending_upgrade, "its helm process was killed", id="pending-upgrade"),
    pytest.param(pending_rollback, "its helm process was killed", id="pending-rollback"),
    pytest.param(unreadable, "is not a Helm release record", id="unreadable"),
    pytest.param(missing, None, id="missing"),
    pytest.param(pending_install, "its helm process was killed", id="pending-install, and alone"),
    pytest.param(all_missing, None, id="all records missing"),
]


@pytest.mark.parametrize(("broken", "said"), CASES)
def test_is_recovered(fleet: Fleet, broken: Callable[[Fleet], None], said: str | None) -> None:
    first = fleet.names[0]
    version = fleet.version(first)
    broken(fleet)
    at = ("--data", f'envoy_gateway_version="{version}"')
    ended = fleet.pyinfra("install", "-y", *at, "--limit", first)
    assert ended.code == 0, ended.text
    one = fleet.report()["clusters"][0]
    assert one["status"] == "done"
    assert said is None or said in one["facts"]["recovered"]
    statuses = [it["metadata"]["labels"]["status"] for it in records(fleet)]
    assert statuses[-1] == "deployed"
    assert statuses.count("deployed") == 1
    again = fleet.pyinfra("install", "-y", *at, "--limit", first)
    assert again.code == 0, again.text
    assert fleet.report()["clusters"][0]["status"] == "unchanged"

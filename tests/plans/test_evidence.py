"""The result of a drill, and the document that is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tasks.plans import evidence
from tasks.plans.evidence import (
    Address,
    Answered,
    Archive,
    Drill,
    Emptied,
    Refusal,
    Restored,
    Unproven,
)

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "drill.schema.json").read_text()
)
BEGAN = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=95.04)
RESTORED = Restored(
    after="the cluster is lost",
    began=BEGAN.isoformat(),
    seconds=48.2,
    steps={"Archive": 0.2, "Objects": 3.1},
    created=12,
    changed=0,
    left=1,
    differences=[],
    answers=[
        Answered(
            "edge/public:https https://a.test:443/", "HTTPRoute shop/cart", "200", "ab" * 32, True
        ),
        Answered("edge/public:tcp tcp 10.0.0.1:9000", None, "connected", None, None),
    ],
    not_proven=[Unproven("HTTPRoute shop/login", "SecurityPolicy shop/sso asks for a JWT", True)],
    unmet=[],
    left_out={},
    stand_ins=["Service shop/cart"],
)


def drill(**changes: Any) -> Drill:
    found = Drill(
        run="20261121T140211Z-drill",
        who="anna@jump-1",
        inventory="inventory/prod.py",
        source="weu-1",
        target="drill-1",
        scenario="cluster-lost",
        began=BEGAN,
        target_kubernetes="1.35.4",
        target_envoy_gateway="1.9.1",
        archive=Archive(
            path="backups/weu-1/20261121T010000Z.tar.gz.age",
            sha256="0" * 64,
            manifest_sha256="1" * 64,
            cluster="weu-1",
            taken="2026-11-21T01:00:00+00:00",
            kubernetes="1.35.4",
            envoy_gateway="1.9.1",
            kinds={"Gateway": 1, "HTTPRoute": 3},
        ),
        rpo_seconds=46931.0,
        restores=[RESTORED],
        emptied=Emptied({"Namespace": 3}, True, ["Secret default/other"]),
    )
    return replace(found, **changes)


DIFFERS = replace(RESTORED, differences=["HTTPRoute shop/cart: spec.rules[0].timeouts is missing"])
SILENT = replace(
    RESTORED, not_proven=[*RESTORED.not_proven, Unproven("HTTPRoute shop/cart", "503", False)]
)


@pytest.mark.parametrize(
    ("changes", "result", "findings"),
    [
        pytest.param({}, "restored", [], id="what no drill can prove is no finding"),
        pytest.param(
            {"restores": [DIFFERS, DIFFERS]},
            "restored with findings",
            ["HTTPRoute shop/cart: spec.rules[0].timeouts is missing"],
            id="a difference, said once",
        ),
        pytest.param(
            {"restores": [SILENT]},
            "restored with findings",
            ["HTTPRoute shop/cart: 503"],
            id="a route that should answer",
        ),
        pytest.param(
            {"restores": [replace(RESTORED, left_out={"Mesh a": "not served"})]},
            "restored with findings",
            ["Mesh a: not restored: not served"],
            id="an object that the cluster does not take",
        ),
        pytest.param(
            {"restores": [replace(RESTORED, unmet=["Gateway edge/public: Programmed is False"])]},
            "restored with findings",
            ["Gateway edge/public: Programmed is False"],
            id="what does not work",
        ),
        pytest.param({"problems": ["CRDs: refused"]}, "failed", [], id="a step failed"),
        pytest.param({"restores": []}, "failed", [], id="nothing was restored"),
    ],
)
def test_result(changes: dict[str, Any], result: str, findings: list[str]) -> None:
    found = drill(**changes)
    assert (found.result, found.findings) == (result, findings)


def test_the_longest_restore_counts() -> None:
    assert drill().rto_seconds == 48.2
    assert drill(restores=[RESTORED, replace(RESTORED, seconds=61.0)]).rto_seconds == 61.0
    assert drill(problems=["CRDs: refused"]).rto_seconds is None
    assert drill(restores=[]).rto_seconds is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"archive": None, "restores": [], "emptied": None, "rpo_seconds": None},
        {"refusals": [Refusal("another key", "not for the key")], "restores": [DIFFERS, SILENT]},
    ],
)
def test_document_is_what_the_schema_says(changes: dict[str, Any]) -> None:
    document = json.loads(json.dumps(evidence.document(drill(**changes), ENDED)))
    jsonschema.validate(document, SCHEMA)
    assert document["seconds"] == 95.0
    assert sorted(document) == sorted(SCHEMA["required"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not reached"),
        (48.2, "48 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (93900, "26 h 5 min"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert evidence.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-21T23:50:18.740557+00:00", "2026-11-21 23:50:18 UTC"),
        ("2026-11-22T00:50:18+01:00", "2026-11-21 23:50:18 UTC"),
        ("unknown", "unknown"),
    ],
)
def test_moments_are_read_by_people(text: str, wanted: str) -> None:
    assert evidence.moment(text) == wanted


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (
            Address("edge/public", "20.0.0.1", "addresses/weu-1", "lock"),
            "edge/public: public IP addresses/weu-1 (20.0.0.1) outlives the cluster, and a lock "
            "keeps it",
        ),
        (
            Address("edge/public", "20.0.0.1", "MC_a_weu-1/weu-1", "cluster"),
            "edge/public: public IP MC_a_weu-1/weu-1 (20.0.0.1) dies with the cluster",
        ),
        (
            Address("edge/public", None, None, None),
            "edge/public: Azure has no public IP for it (by name)",
        ),
    ],
)
def test_what_an_address_lives_with_is_said(address: Address, text: str) -> None:
    assert address.text == text
    document = evidence.document(drill(addresses=[address]), ENDED)
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
    assert document["addresses"][0]["text"] == text

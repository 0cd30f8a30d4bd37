"""The way from one authority of the control plane to another."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from itertools import pairwise, product

import pytest

from tasks.plans import control_plane as plan
from tasks.plans.control_plane import CONTROLLER, NAMES, PROXY, Part, Unit
from tests.control_plane import NAMESPACE, NOW, secrets, trusting, unit

MONTH = timedelta(days=30)
OLD, NEW, THIRD = unit(1), unit(2), unit(3)
LATE = NOW + timedelta(days=5 * 365 - 20)


def test_new_certificates_are_like_those_of_certgen() -> None:
    leaf, by = NEW[CONTROLLER].leaf, NEW[CONTROLLER].trusted[0]
    assert leaf.names == ("envoy-gateway", f"envoy-gateway.{NAMESPACE}.svc.cluster.local")
    assert (leaf.key, leaf.signature, leaf.is_ca) == ("RSA 2048", "sha256", False)
    assert (by.key, by.is_ca, by.subject == leaf.issuer) == ("RSA 2048", True, True)
    assert leaf.not_after == by.not_after == NOW + timedelta(days=5 * 365)
    assert NEW[PROXY].leaf.names == (f"*.{NAMESPACE}",)
    assert len({it.authorities for it in NEW.values()}) == 1
    assert OLD[PROXY].trusted[0].subject != by.subject
    assert plan.unit(secrets(NEW), NAMESPACE) == NEW


def test_no_key_is_shown() -> None:
    assert "PRIVATE" not in repr(NEW)
    assert "PRIVATE" not in repr(plan.stages(OLD, NEW))


@pytest.mark.parametrize(
    ("found", "now", "renew_now", "act", "why"),
    [
        pytest.param(OLD, NOW, False, "nothing", "nothing is due", id="five years are left"),
        pytest.param(OLD, LATE, False, "rotate", "ends on 2031-11-20", id="less than renew_before"),
        pytest.param(OLD, NOW, True, "rotate", "renew_now", id="asked for"),
        pytest.param(
            trusting(OLD, NEW, OLD), NOW, True, "rotate", "renew_now", id="killed at stage 1"
        ),
        pytest.param(
            trusting(OLD, NEW, OLD), LATE, False, "rotate", "ends on", id="killed at stage 1, due"
        ),
        pytest.param(
            trusting(OLD, NEW, OLD), NOW, False, "finish", "and it alone", id="stage 1, not due"
        ),
        pytest.param(
            {**trusting(OLD, NEW, OLD), PROXY: trusting(NEW, NEW, OLD)[PROXY]},
            NOW,
            False,
            "rotate",
            "not of one authority",
            id="killed between two writes of stage 2",
        ),
        pytest.param(
            trusting(NEW, NEW, OLD), NOW, True, "finish", "old authority", id="killed at stage 2"
        ),
        pytest.param(
            {**trusting(NEW, NEW, OLD), PROXY: NEW[PROXY]},
            NOW,
            False,
            "finish",
            "old authority",
            id="killed between two writes of stage 3",
        ),
        pytest.param(
            {**OLD, PROXY: NEW[PROXY]}, NOW, False, "rotate", "not of one", id="apart (GW641)"
        ),
        pytest.param(
            trusting(OLD, NEW), NOW, False, "rotate", "not of one", id="signed by nobody known"
        ),
    ],
)
def test_decision(found: Unit, now, renew_now, act, why) -> None:  # type: ignore[no-untyped-def]
    decided = plan.decision(found, now, MONTH, renew_now)
    assert (decided.act, why in decided.why) == (act, True), decided


def _meets(reader: Part, shown: Part) -> bool:
    return plan.signer(shown.certificate, reader.authorities) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(OLD, NEW, id="there"),
        pytest.param(NEW, OLD, id="and back"),
        pytest.param(trusting(OLD, NEW, OLD), THIRD, id="after a kill at stage 1"),
        pytest.param(
            {**trusting(OLD, NEW, OLD), PROXY: trusting(NEW, NEW, OLD)[PROXY]},
            THIRD,
            id="after a kill within stage 2",
        ),
        pytest.param(trusting(NEW, NEW, OLD), NEW, id="the end of what was begun"),
    ],
)
def test_whoever_has_read_which_stage_trusts_who_it_meets(before: Unit, after: Unit) -> None:
    """Between two stages each Pod has what was written before or after, in any mixture."""
    states = [before, *(it.unit for it in plan.stages(before, after))]
    for one, other in pairwise(states):
        for reader, shown in product((one, other), repeat=2):
            for mine, yours in product(NAMES, repeat=2):
                assert _meets(reader[mine], shown[yours])
    assert states[-1] == after


def test_the_authority_that_comes_stands_first() -> None:
    first, second, third = plan.stages(OLD, NEW)
    came = NEW[PROXY].trusted[0]
    assert [it.unit[PROXY].trusted[0] for it in (first, second, third)] == [came] * 3
    assert [len(it.unit[PROXY].trusted) for it in (first, second, third)] == [2, 2, 1]
    assert first.unit[PROXY].certificate == OLD[PROXY].certificate
    assert second.unit[PROXY].certificate == NEW[PROXY].certificate


def test_who_is_let_in() -> None:
    said = [
        [(it.leaf.serial, may) for it, may in plan.let_in(stage, OLD, NEW, NOW)]
        for stage in plan.stages(OLD, NEW)
    ]
    new, old = NEW[PROXY].leaf.serial, OLD[PROXY].leaf.serial
    assert said == [
        [(new, True), (old, True)],
        [(new, True), (old, True)],
        [(new, True), (old, False)],
    ]


def test_one_that_has_ended_is_asked_of_nobody() -> None:
    late = unit(2, NOW + timedelta(days=6 * 365))
    [first, *_] = plan.stages(OLD, late)
    asked = plan.let_in(first, OLD, late, NOW + timedelta(days=6 * 365))
    assert [it.leaf.serial for it, _ in asked] == [late[PROXY].leaf.serial]


def test_finished_trusts_one() -> None:
    assert plan.finished(trusting(NEW, NEW, OLD)) == NEW


def _without(name: str, key: str) -> list[dict[str, object]]:
    found = secrets(OLD)
    for it in found:
        if it["metadata"]["name"] == name:
            del it["data"][key]
    return found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            [it for it in secrets(OLD) if it["metadata"]["name"] != PROXY],
            f"Secret {NAMESPACE}/envoy does not exist: ",
            id="one is missing",
        ),
        pytest.param(
            _without("envoy-rate-limit", "ca.crt"),
            f"Secret {NAMESPACE}/envoy-rate-limit holds no ca.crt, tls.crt and tls.key that",
            id="no authority",
        ),
        pytest.param(
            secrets({**OLD, PROXY: Part(OLD[PROXY].certificate, OLD[PROXY].authorities, b"-")}),
            f"Secret {NAMESPACE}/envoy holds no ca.crt, tls.crt and tls.key that",
            id="no key",
        ),
        pytest.param(
            secrets(
                {**OLD, PROXY: Part(NEW[PROXY].certificate, OLD[PROXY].authorities, OLD[PROXY].key)}
            ),
            f"Secret {NAMESPACE}/envoy: tls.key is not the key of tls.crt: ",
            id="another key",
        ),
    ],
)
def test_what_certgen_did_not_make_is_refused(found, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(plan.Unreadable) as error:
        plan.unit(found, NAMESPACE)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("meta", "keeper"),
    [
        pytest.param({}, None, id="certgen"),
        pytest.param(
            {"annotations": {"cert-manager.io/certificate-name": "envoy"}},
            "cert-manager",
            id="cert-manager",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "ExternalSecret", "name": "envoy"}]},
            "ExternalSecret envoy",
            id="an owner",
        ),
    ],
)
def test_kept_by(meta: dict[str, object], keeper: str | None) -> None:
    found = secrets(OLD)
    found[1]["metadata"] |= meta
    assert plan.kept_by(found) == keeper


def test_patch_is_refused_by_the_server_where_somebody_else_wrote() -> None:
    body = plan.patch(NEW[PROXY], "7", "stage 1 of 3")
    assert body["metadata"] == {
        "annotations": {"envoyfleet.dev/rotation": "stage 1 of 3"},
        "resourceVersion": "7",
    }
    assert b64decode(body["data"]["ca.crt"]) == NEW[PROXY].bundle


def test_webhook_patch() -> None:
    webhook = {
        "webhooks": [{"clientConfig": {"service": {}}}, {"clientConfig": {"caBundle": "YQ=="}}]
    }
    assert plan.webhook_patch(webhook, b"a") == [
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "YQ=="}
    ]
    assert plan.webhook_patch({"webhooks": webhook["webhooks"][1:]}, b"a") is None

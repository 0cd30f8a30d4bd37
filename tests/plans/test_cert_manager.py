"""What cert-manager's objects say of a certificate that does not come."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import cert_manager
from tasks.plans.cert_manager import Attempts

NOW = "2026-11-21T10:00:00Z"


def thing(kind: str, name: str, of: str = "", **more: Any) -> dict[str, Any]:
    owners = [{"uid": of}] if of else []
    meta = {"namespace": "edge", "name": name, "uid": name, "ownerReferences": owners}
    return {"kind": kind, "metadata": {**meta, **more.pop("metadata", {})}, **more}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def certificate(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return thing(
        "Certificate",
        "shop",
        metadata={"generation": 2, "resourceVersion": "77"},
        status={"conditions": list(conditions), **status},
    )


def ready(status: str = "True", generation: int = 2, **more: str) -> dict[str, Any]:
    return {**condition("Ready", status, **more), "observedGeneration": generation}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(certificate(ready()), None, id="ready"),
        pytest.param(
            certificate(),
            "Certificate edge/shop: cert-manager has said nothing of it yet",
            id="nobody looked",
        ),
        pytest.param(
            certificate(ready(generation=1)),
            "Certificate edge/shop: cert-manager has not seen its newest form yet",
            id="of its former form",
        ),
        pytest.param(
            certificate(ready("False", reason="DoesNotExist", message="no secret\n here.")),
            "Certificate edge/shop: DoesNotExist: no secret here",
            id="not ready",
        ),
    ],
)
def test_not_ready(found: dict[str, Any], expected: str | None) -> None:
    assert cert_manager.not_ready(found) == expected


REQUEST = thing(
    "CertificateRequest",
    "shop-1",
    "shop",
    status={"conditions": [condition("Ready", "False", "Pending", "Waiting on order shop-1-2")]},
)
ORDER = thing("Order", "shop-1-2", "shop-1", status={"state": "pending"})
CHALLENGE = thing(
    "Challenge",
    "shop-1-2-3",
    "shop-1-2",
    spec={"type": "HTTP-01", "dnsName": "shop.example.com"},
    status={"state": "pending", "reason": "wrong status code '404', expected '200'"},
)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        pytest.param(Attempts(), None, id="nothing was made"),
        pytest.param(
            Attempts([REQUEST], [ORDER], [CHALLENGE]),
            "Challenge edge/shop-1-2-3 (HTTP-01 of shop.example.com): pending: wrong status code "
            "'404', expected '200'",
            id="the deepest",
        ),
        pytest.param(
            Attempts([REQUEST], [ORDER], [{**CHALLENGE, "status": {"state": "valid"}}]),
            "CertificateRequest edge/shop-1: Pending: Waiting on order shop-1-2",
            id="the challenge is met",
        ),
        pytest.param(
            Attempts(
                [REQUEST],
                [{**ORDER, "status": {"state": "errored", "reason": "429\nrate limited"}}],
            ),
            "Order edge/shop-1-2: errored: 429 rate limited",
            id="the order failed",
        ),
        pytest.param(
            Attempts(
                [
                    {
                        **REQUEST,
                        "status": {"conditions": [condition("Denied", "True", "Policy", "no")]},
                    }
                ]
            ),
            "CertificateRequest edge/shop-1: Policy: no",
            id="denied by a policy",
        ),
        pytest.param(
            Attempts(
                [{**REQUEST, "status": {"conditions": [condition("Ready", "True", "Issued")]}}]
            ),
            None,
            id="issued",
        ),
        pytest.param(
            Attempts(
                [
                    {
                        **REQUEST,
                        "metadata": {
                            **REQUEST["metadata"],
                            "annotations": {"cert-manager.io/certificate-revision": "2"},
                        },
                        "status": {"conditions": [condition("Ready", "False", "Failed", "second")]},
                    },
                    REQUEST,
                ],
                [ORDER],
            ),
            "CertificateRequest edge/shop-1: Failed: second",
            id="the newest request",
        ),
        pytest.param(
            Attempts([thing("CertificateRequest", "other-1", "other")], [ORDER], [CHALLENGE]),
            None,
            id="of another Certificate",
        ),
    ],
)
def test_cause(attempts: Attempts, expected: str | None) -> None:
    assert cert_manager.cause(certificate(), attempts) == expected


def test_asking_anew_keeps_every_other_condition() -> None:
    before = certificate(ready(), condition("Issuing", "False", "Failed"))
    assert cert_manager.marked(before, NOW) == {
        "metadata": {"resourceVersion": "77"},
        "status": {
            "conditions": [
                ready(),
                {
                    "type": "Issuing",
                    "status": "True",
                    "reason": "ManuallyTriggered",
                    "message": "envoyfleet asks for a new certificate",
                    "lastTransitionTime": NOW,
                    "observedGeneration": 2,
                },
            ]
        },
    }


BEFORE = certificate(ready(), revision=1, failedIssuanceAttempts=1, lastFailureTime="10:00")
ISSUING = condition("Issuing", "True")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(BEFORE, False, id="nothing happened yet"),
        pytest.param(certificate(ISSUING, lastFailureTime="10:01"), False, id="at work"),
        pytest.param(certificate(ready(), revision=2), False, id="a new revision"),
        pytest.param(
            certificate(revision=1, failedIssuanceAttempts=2, lastFailureTime="10:01"),
            True,
            id="failed again",
        ),
    ],
)
def test_failed(after: dict[str, Any], expected: bool) -> None:
    assert cert_manager.failed(after, BEFORE) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(certificate(lastFailureTime="10:00"), True, id="failed"),
        pytest.param(certificate(), False, id="new"),
        pytest.param(certificate(ISSUING, lastFailureTime="10:00"), False, id="at it again"),
        pytest.param(certificate(ready(), lastFailureTime="10:00"), False, id="good all the same"),
    ],
)
def test_gave_up(found: dict[str, Any], expected: bool) -> None:
    assert cert_manager.gave_up(found) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(2592000, "720h0m0s"), (90, "1m30s"), (3600, "1h0m0s"), (20, "20s"), (1800, "30m0s")],
)
def test_duration(seconds: int, expected: str) -> None:
    assert cert_manager.duration(seconds) == expected

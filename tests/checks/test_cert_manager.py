"""GW620, GW621 and GW622: the smallest objects that trip each, and the nearest that do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.checks.cert_manager import findings
from tasks.plans.cert_manager import Attempts
from tasks.plans.chains import Chain, Held

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
LOOK = ": look at the Certificate with `cmctl status certificate`"


def at(**ago: float) -> str:
    return f"{NOW - timedelta(**ago):%Y-%m-%dT%H:%M:%SZ}"


def certificate(
    ready: str = "True",
    name: str = "shop",
    secret: str = "shop-tls",
    made: str = at(days=80),
    issuing: dict[str, str] | None = None,
    **status: Any,
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": "Expired", "message": "it is old."}]
    conditions += [{"type": "Issuing", **issuing}] if issuing else []
    times = {"renewalTime": at(days=-10), "notAfter": at(days=-40)}
    return {
        "kind": "Certificate",
        "metadata": {
            "namespace": "edge",
            "name": name,
            "uid": name,
            "creationTimestamp": made,
        },
        "spec": {"secretName": secret},
        "status": {"conditions": conditions, **times, **status},
    }


def held(owner: str | None = "Certificate edge/shop", name: str = "shop-tls") -> Held:
    return Held("edge", name, "kubernetes.io/tls", Chain(()), owner)


REQUEST = {
    "kind": "CertificateRequest",
    "metadata": {"namespace": "edge", "name": "shop-2", "ownerReferences": [{"uid": "shop"}]},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "Failed", "message": "429 too many"}
        ]
    },
}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(certificate(), None, id="good"),
        pytest.param(
            certificate("False", notAfter=at(days=1)),
            "error GW620 weu-1: Certificate edge/shop: is not Ready: Expired: it is old" + LOOK,
            id="expired",
        ),
        pytest.param(
            certificate("False"),
            "warning GW620 weu-1: Certificate edge/shop: is not Ready: Expired: it is old" + LOOK,
            id="not as it is wanted, and good still",
        ),
        pytest.param(
            certificate("False", made=at(minutes=2), notAfter=None),
            "info GW620 weu-1: Certificate edge/shop: is not Ready: Expired: it is old" + LOOK,
            id="a first one on its way",
        ),
        pytest.param(
            certificate("False", made=at(minutes=20), notAfter=None),
            "error GW620 weu-1: Certificate edge/shop: is not Ready: Expired: it is old" + LOOK,
            id="a first one that does not come",
        ),
        pytest.param(
            certificate(renewalTime=at(minutes=30)), None, id="due for half an hour: at work"
        ),
        pytest.param(
            certificate(renewalTime=at(hours=2)),
            "warning GW621 weu-1: Certificate edge/shop: is not renewed: due since 2026-11-21 "
            "08:00, ends 2026-12-31 10:00" + LOOK,
            id="due for two hours",
        ),
        pytest.param(
            certificate(renewalTime=at(days=20), notAfter=at(days=-10), failedIssuanceAttempts=3),
            "error GW621 weu-1: Certificate edge/shop: is not renewed: 3 attempts failed, due "
            "since 2026-11-01 10:00, ends 2026-12-01 10:00" + LOOK,
            id="half of the time is gone",
        ),
        pytest.param(
            certificate(failedIssuanceAttempts=1),
            "warning GW621 weu-1: Certificate edge/shop: is not renewed: 1 attempt failed, due "
            "2026-12-01 10:00, ends 2026-12-31 10:00" + LOOK,
            id="asked for early, and failed",
        ),
        pytest.param(
            certificate(
                issuing={
                    "status": "True",
                    "lastTransitionTime": at(hours=2),
                    "message": "Renewing certificate.",
                }
            ),
            "warning GW621 weu-1: Certificate edge/shop: is not renewed: due 2026-12-01 10:00, "
            "ends 2026-12-31 10:00: Renewing certificate" + LOOK,
            id="at work for two hours",
        ),
        pytest.param(
            certificate(issuing={"status": "True", "lastTransitionTime": at(minutes=2)}),
            None,
            id="at work for two minutes",
        ),
    ],
)
def test_a_certificate(found: dict[str, Any], expected: str | None) -> None:
    lines = [it.text for it in findings("weu-1", [found], Attempts(), None, NOW)]
    assert lines == ([expected] if expected else [])


def test_the_cause_is_named() -> None:
    stuck = certificate(renewalTime=at(hours=2))
    [late] = findings("weu-1", [stuck], Attempts([REQUEST]), None, NOW)
    assert late.what.endswith(": CertificateRequest edge/shop-2: Failed: 429 too many")
    [gone] = findings("weu-1", [certificate("False")], Attempts([REQUEST]), None, NOW)
    assert gone.what == "is not Ready: CertificateRequest edge/shop-2: Failed: 429 too many"


@pytest.mark.parametrize(
    ("certificates", "secret", "expected"),
    [
        pytest.param([certificate()], held(), None, id="its own"),
        pytest.param([], held(None), None, id="nobody's"),
        pytest.param([], held("ExternalSecret edge/shop"), None, id="another operator's"),
        pytest.param(
            [certificate()],
            held(None),
            "warning GW622 weu-1: Secret edge/shop-tls: Certificate edge/shop makes it, and "
            "somebody by hand wrote over it: let one of them keep it: cert-manager writes its own "
            "again when it renews",
            id="written over by hand",
        ),
        pytest.param(
            [certificate()],
            held("ExternalSecret edge/shop"),
            "warning GW622 weu-1: Secret edge/shop-tls: Certificate edge/shop makes it, and "
            "ExternalSecret edge/shop wrote over it: let one of them keep it: cert-manager writes "
            "its own again when it renews",
            id="written over by another operator",
        ),
        pytest.param(
            [],
            held(),
            "warning GW622 weu-1: Secret edge/shop-tls: Certificate edge/shop made it, and is no "
            "more: nobody renews it: make a Certificate for it with deploys/issuers.py, or delete "
            "it where nothing uses it",
            id="its Certificate is gone",
        ),
        pytest.param(
            [certificate(secret="other")],
            held(),
            "warning GW622 weu-1: Secret edge/shop-tls: Certificate edge/shop made it, and makes "
            "another Secret now: nobody renews it: make a Certificate for it with "
            "deploys/issuers.py, or delete it where nothing uses it",
            id="its Certificate makes another",
        ),
        pytest.param(
            [certificate(), certificate(name="second")],
            held(),
            "warning GW622 weu-1: Secret edge/shop-tls: Certificate edge/shop and Certificate "
            "edge/second both make it, each over the other: give each a Secret of its own",
            id="two Certificates",
        ),
    ],
)
def test_whose_secret(
    certificates: list[dict[str, Any]], secret: Held, expected: str | None
) -> None:
    of = {(secret.namespace, secret.name): secret}
    lines = [it.text for it in findings("weu-1", certificates, Attempts(), of, NOW)]
    assert lines == ([expected] if expected else [])

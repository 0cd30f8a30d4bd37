"""Authorities that clients and backends are verified with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tasks.checks.authorities import findings
from tasks.checks.findings import Where
from tasks.plans.authorities import AuthorityRef, Found, bundle, refs
from tests.checks.test_handshakes import DAY, NOW, certificate
from tests.objects import certificate as pem

REF = AuthorityRef("BackendTLSPolicy shop/db", "ConfigMap", "shop", "db-ca")
OLD, NEW = (replace(certificate(it, days), subject="CN=db") for it, days in (("a", 3), ("b", 900)))
OTHER = certificate("c", 900)
FIX = "add its successor to the bundle beside it, then renew what it signed"


@pytest.mark.parametrize(
    ("ref", "held", "wanted"),
    [
        pytest.param(REF, (NEW, OTHER), [], id="good"),
        pytest.param(REF, (OLD, NEW), [], id="its successor is there"),
        pytest.param(
            REF,
            (OLD,),
            [
                "error authority CN=db in ConfigMap shop/db-ca expires on 2026-11-24, in 3 days: "
                f"{FIX}"
            ],
            id="ends",
        ),
        pytest.param(
            REF,
            (OLD, OTHER),
            [
                "warning authority CN=db in ConfigMap shop/db-ca expires on 2026-11-24, in 3 "
                f"days: {FIX}"
            ],
            id="one of two ends",
        ),
        pytest.param(
            REF,
            (replace(OLD, not_after=NOW - DAY),),
            [f"error authority CN=db in ConfigMap shop/db-ca expired on 2026-11-20: {FIX}"],
            id="over",
        ),
        pytest.param(
            REF,
            "does not exist",
            [
                "error ConfigMap shop/db-ca, which it verifies with, does not exist: put the "
                "authority there as ca.crt, PEM"
            ],
            id="missing",
        ),
        pytest.param(
            replace(REF, allowed=False),
            (NEW,),
            [
                "error no ReferenceGrant lets it use ConfigMap shop/db-ca: allow it there, or "
                "move the authority"
            ],
            id="not allowed",
        ),
    ],
)
def test_findings(ref: AuthorityRef, held: Found, wanted: list[str]) -> None:
    found = list(findings("weu-1", {ref: held}, NOW, 21 * DAY, timedelta(days=7)))
    assert [f"{it.severity} {it.what}: {it.fix}" for it in found] == wanted
    assert {(it.code, it.where) for it in found} <= {
        ("GW617", Where("weu-1", "BackendTLSPolicy shop/db"))
    }


def thing(kind: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"namespace": "shop", "name": "x"}, "spec": spec}


def test_who_refers_to_which() -> None:
    own: dict[str, Any] = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "a"}]}
    far: dict[str, Any] = {"caCertificateRefs": [{"name": "b", "namespace": "certs"}]}
    world = {"wellKnownCACertificates": "System"}
    things = [
        thing("BackendTLSPolicy", validation=own),
        thing("BackendTLSPolicy", validation=world),
        thing("ClientTrafficPolicy", tls={"clientValidation": far}),
        thing("ClientTrafficPolicy"),
        thing("Backend", tls=own),
    ]
    client = AuthorityRef("ClientTrafficPolicy shop/x", "Secret", "certs", "b", allowed=False)
    policy = AuthorityRef("BackendTLSPolicy shop/x", "ConfigMap", "shop", "a")
    backend = replace(policy, owner="Backend shop/x")
    assert refs(things, []) == [policy, client, backend]
    grant = {
        "metadata": {"namespace": "certs", "name": "g"},
        "spec": {
            "from": [
                {
                    "group": "gateway.envoyproxy.io",
                    "kind": "ClientTrafficPolicy",
                    "namespace": "shop",
                }
            ],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }
    assert refs(things, [grant])[1] == replace(client, allowed=True)


def test_a_config_map_is_read_as_envoy_gateway_reads_it() -> None:
    text = pem()[0]
    for data in ({"ca.crt": text, "x": ""}, {"tls.crt": text}, {"any": text}):
        found = bundle(data)
        assert [it.names for it in found if not isinstance(it, str)] == [("*.example.com",)]
    assert bundle({}) == "has no ca.crt"
    assert bundle({"ca.crt": "hello"}) == "holds no certificate that can be read"

"""The graph of a cluster's certificates, as rows of JSON and of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.authorities import AuthorityRef
from tasks.plans.certificates import issued_by, lines, row
from tasks.plans.chains import Chain, Held
from tasks.plans.listeners import SecretRef
from tests.checks.test_handshakes import ABOVE, LB, LISTENER, ONE, SNI, A, B, held, shown, silent

CERTIFICATE = {
    "metadata": {"namespace": "edge", "name": "shop"},
    "spec": {
        "secretName": "shop-tls",
        "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"},
    },
    "status": {"renewalTime": "2027-01-20T00:00:00Z"},
}
ISSUED = {
    "certificate": "edge/shop",
    "issuer": "ClusterIssuer letsencrypt",
    "renewal": "2027-01-20T00:00:00Z",
}


def test_a_listener_has_all_from_its_name_to_what_is_served() -> None:
    kept = replace(held(A, ABOVE)["edge", "shop-tls"], owner="Certificate edge/shop")
    other = Held("edge", "other", "kubernetes.io/tls", Chain((B,)))
    secrets = {("edge", "shop-tls"): kept, ("edge", "other"): other}
    found = row([LISTENER], secrets, issued_by([CERTIFICATE]), [shown(ONE, A, ABOVE)], {})
    assert found["mode"] == "secrets and sockets"
    assert found["other_secrets"] == 1
    assert found["listeners"] == [
        {
            "listener": "https",
            "owner": "Gateway edge/public",
            "gateway": "edge/public",
            "hostname": "*.example.com",
            "hosts": [SNI],
            "addresses": ["20.103.0.10"],
            "port": 443,
            "passthrough": False,
            "alpn": None,
            "secrets": [
                {
                    "namespace": "edge",
                    "name": "shop-tls",
                    "granted": True,
                    "found": True,
                    "kept_by": "Certificate edge/shop",
                    "issued_by": ISSUED,
                    "chain": ["print-a", "print-ca"],
                }
            ],
            "served": [
                {
                    "place": ONE,
                    "name": SNI,
                    "serial": "a",
                    "chain": ["print-a", "print-ca"],
                    "alpn": "h2",
                    "why": None,
                }
            ],
        }
    ]
    assert found["certificates"].keys() == {"print-a", "print-ca"}
    assert found["certificates"]["print-a"]["not_after"] == "2027-02-19T00:00:00Z"


def test_authorities_are_bundles_or_a_reason() -> None:
    ref = AuthorityRef("BackendTLSPolicy shop/db", "ConfigMap", "shop", "db-ca")
    gone = replace(ref, name="gone")
    found = row([], None, {}, [], {ref: (ABOVE,), gone: "does not exist"})
    assert [(it["object"], it["bundle"], it["why"]) for it in found["authorities"]] == [
        ("ConfigMap shop/db-ca", ["print-ca"], None),
        ("ConfigMap shop/gone", [], "does not exist"),
    ]
    assert found["certificates"].keys() == {"print-ca"}
    assert (found["mode"], found["other_secrets"]) == ("sockets", None)


SAME = ("a", "2027-02-19", "CN=authority")


@pytest.mark.parametrize(
    ("listener", "secrets", "served", "wanted"),
    [
        pytest.param(
            {}, held(A), [shown(ONE, A), shown(LB, A)], ("edge/shop-tls", *SAME, "2 of 2")
        ),
        pytest.param(
            {}, held(A), [shown(ONE, A), shown(LB, B)], ("edge/shop-tls", *SAME, "1 of 2")
        ),
        pytest.param({}, held(A), [], ("edge/shop-tls", *SAME, "not asked")),
        pytest.param({}, {}, [silent(ONE)], ("edge/shop-tls (missing)", "-", "-", "-", "0 of 1")),
        pytest.param(
            {}, None, [silent(ONE), shown(LB, A)], ("edge/shop-tls (not read)", *SAME, "1 of 2")
        ),
        pytest.param(
            {"passthrough": True, "secrets": ()},
            held(A),
            [shown(ONE, A), silent(LB)],
            ("handed through", *SAME, "1 of 2"),
        ),
    ],
)
def test_a_row_of_the_table(
    listener: dict[str, Any], secrets: Any, served: Any, wanted: tuple[str, ...]
) -> None:
    made = replace(LISTENER, **listener)
    asked = [replace(it, listener=made) for it in served]
    [line] = lines("weu-1", row([made], secrets, {}, asked, {}))
    assert line == ("weu-1", "edge/public:https", *wanted)


def test_a_row_for_each_secret_and_one_where_there_is_nothing() -> None:
    two = replace(LISTENER, secrets=(*LISTENER.secrets, SecretRef("edge", "old-tls")))
    assert len(lines("weu-1", row([two], held(A), {}, [], {}))) == 2
    nothing = [("weu-1", "no listener takes TLS", "", "", "", "", "")]
    assert lines("weu-1", row([], {}, {}, [], {})) == nothing
    unread = [("weu-1", "not read: no answer", "", "", "", "", "")]
    assert lines("weu-1", {"unreachable": "no answer"}) == unread

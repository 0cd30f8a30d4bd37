"""What a restore makes of each object: create, change, leave, and in which order."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.plans import restore
from tasks.plans.references import Reference

TAKEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
API = "gateway.networking.k8s.io/v1"


def thing(kind: str, name: str, namespace: str | None = "shop", **fields: Any) -> dict[str, Any]:
    core = kind in ("Secret", "Service", "ConfigMap", "Namespace")
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    meta |= fields.pop("metadata", {})
    return {"apiVersion": "v1" if core else API, "kind": kind, "metadata": meta, **fields}


def tls(begins: datetime, name: str = "tls") -> dict[str, Any]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    certificate = (
        builder.public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=90))
        .sign(KEY, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    data = {"tls.crt": base64.b64encode(pem).decode(), "tls.key": "a2V5"}
    return thing("Secret", name, data=data, type="kubernetes.io/tls")


def test_what_is_applied_of_an_object() -> None:
    archived = thing(
        "HTTPRoute",
        "cart",
        spec={"hostnames": ["a"]},
        status={"parents": []},
        metadata={
            "uid": "4711",
            "resourceVersion": "1",
            "finalizers": ["theirs"],
            "labels": {"app": "cart"},
            "generateName": "x",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "old"},
                {"apiVersion": "v1", "kind": "Namespace", "name": "shop", "uid": "old"},
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "old"},
            ],
        },
    )
    owners = {
        Reference("", "ConfigMap", "shop", "owner"): "new",
        Reference("", "Namespace", None, "shop"): "newer",
    }
    assert restore.manifest(archived, "gateway.networking.k8s.io/v1", owners) == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "cart",
            "namespace": "shop",
            "labels": {"app": "cart"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "new"},
                {"apiVersion": "v1", "kind": "Namespace", "name": "shop", "uid": "newer"},
            ],
        },
        "spec": {"hostnames": ["a"]},
    }
    assert restore.orphaned(archived, owners) == ["ConfigMap gone"]


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        pytest.param(
            {
                "clusterIP": "10.0.0.1",
                "clusterIPs": ["10.0.0.1"],
                "healthCheckNodePort": 31000,
                "type": "NodePort",
                "ports": [{"port": 80, "nodePort": 31001}],
            },
            {"type": "NodePort", "ports": [{"port": 80}]},
            id="no address or port of the other cluster",
        ),
        pytest.param(
            {"clusterIP": "None", "selector": {"a": "b"}},
            {"clusterIP": "None", "selector": {"a": "b"}},
            id="headless",
        ),
    ],
)
def test_what_is_applied_of_a_service(spec: dict[str, Any], kept: dict[str, Any]) -> None:
    assert restore.manifest(thing("Service", "cart", spec=spec), "v1", {})["spec"] == kept


WRITTEN = [
    {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-21T20:12:00Z"},
    {"manager": "envoyfleet", "operation": "Apply", "time": "2026-11-01T00:00:00Z"},
    {"manager": "controller", "subresource": "status", "time": "2026-11-21T20:13:00Z"},
]


@pytest.mark.parametrize(
    ("archived", "live", "newer", "verb", "why"),
    [
        pytest.param(thing("HTTPRoute", "a"), None, "keep", "create", "", id="not there"),
        pytest.param(
            thing("HTTPRoute", "a"), thing("HTTPRoute", "a"), "keep", "leave", "", id="equal"
        ),
        pytest.param(
            thing("HTTPRoute", "a", spec={"hostnames": ["a"]}),
            thing("HTTPRoute", "a", metadata={"managedFields": WRITTEN}),
            "keep",
            "change",
            "changed since by kubectl-edit (2026-11-21 20:12)",
            id="changed by somebody, who is named",
        ),
        pytest.param(
            thing("HTTPRoute", "a", spec={"hostnames": ["a"]}),
            thing("HTTPRoute", "a"),
            "keep",
            "change",
            "changed since, by whom is not told",
            id="a field that was taken away",
        ),
        pytest.param(
            tls(TAKEN),
            tls(TAKEN + timedelta(days=1)),
            "keep",
            "leave",
            "its certificate is newer (2026-11-21 12:00) than the archive's (2026-11-20 12:00): it "
            'is kept, newer_certificates "replace" puts the older back',
            id="a newer certificate",
        ),
        pytest.param(
            tls(TAKEN),
            tls(TAKEN + timedelta(days=1)),
            "replace",
            "change",
            "changed since, by whom is not told",
            id="a newer certificate that shall not stay",
        ),
        pytest.param(
            tls(TAKEN),
            tls(TAKEN - timedelta(days=1)),
            "keep",
            "change",
            "changed since, by whom is not told",
            id="an older certificate",
        ),
        pytest.param(
            tls(TAKEN),
            thing("Secret", "tls", data={"tls.crt": "bm8="}),
            "keep",
            "change",
            "changed since, by whom is not told",
            id="a certificate that cannot be read",
        ),
        pytest.param(
            thing("Service", "a", spec={"selector": {"a": "b"}}),
            thing("Service", "a", spec={}),
            "keep",
            "leave",
            "it belongs to its application: Services are only made",
            id="a Service that is another",
        ),
    ],
)
def test_decided(
    archived: dict[str, Any], live: dict[str, Any] | None, newer: str, verb: str, why: str
) -> None:
    step = restore.decided(archived, live, TAKEN, None, newer)
    assert (step.verb, step.why) == (verb, why)


ROUTE = thing(
    "HTTPRoute",
    "cart",
    spec={
        "parentRefs": [{"name": "public", "namespace": "edge"}],
        "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}],
    },
)
GATEWAY = thing("Gateway", "public", "edge", spec={"gatewayClassName": "envoy"})
CLASS = thing("GatewayClass", "envoy", None)
SERVICE = thing("Service", "cart", spec={})
SHOP = thing("Namespace", "shop", None)
EVERY = [SHOP, SERVICE, CLASS, GATEWAY, ROUTE]


def test_everything_is_selected_where_nothing_is_named() -> None:
    assert restore.selected(EVERY, []) == restore.Selection(EVERY)


def test_what_a_selection_needs_and_what_fits_nothing() -> None:
    found = restore.selected(EVERY, ["HTTPRoute shop/*", "* nowhere/*"])
    assert found.objects == [ROUTE]
    assert sorted(it["kind"] for it in found.needed) == [
        "Gateway",
        "GatewayClass",
        "Namespace",
        "Service",
    ]
    assert found.unmatched == ["* nowhere/*"]


def test_batches_keep_the_order_of_what_refers_to_what() -> None:
    steps = [restore.Step("create", it) for it in (SHOP, CLASS, SERVICE, GATEWAY, ROUTE)]
    assert [[it.title for it in batch] for batch in restore.batches(steps)] == [
        ["Namespace shop", "GatewayClass envoy"],
        ["Service shop/cart", "Gateway edge/public"],
        ["HTTPRoute shop/cart"],
    ]


def test_what_others_are_deleted() -> None:
    here = [ROUTE, thing("HTTPRoute", "new"), thing("HTTPRoute", "x", "b"), thing("Secret", "new")]
    assert restore.others(here, EVERY, []) == [here[1], here[2]]
    assert restore.others(here, EVERY, ["* b/*"]) == [here[2]]


def keys(ca: str, *names: str) -> list[dict[str, Any]]:
    return [thing("Secret", it, "envoy-gateway-system", data={"ca.crt": ca}) for it in names]


@pytest.mark.parametrize(
    ("archived", "live", "why"),
    [
        pytest.param(
            keys("a", *restore.KEYS), keys("b", *restore.KEYS), None, id="whole: they stay"
        ),
        pytest.param(
            keys("a", *restore.KEYS),
            keys("a", "envoy", "envoy-gateway", "envoy-oidc-hmac"),
            "envoy-rate-limit is not there",
            id="one lost",
        ),
        pytest.param(
            keys("a", *restore.KEYS),
            [],
            "envoy, envoy-gateway, envoy-oidc-hmac, envoy-rate-limit are not there",
            id="all lost",
        ),
        pytest.param(
            keys("a", *restore.KEYS),
            keys("b", *restore.KEYS[:2]) + keys("c", *restore.KEYS[2:]),
            "they are of several CAs",
            id="of two CAs",
        ),
        pytest.param(keys("a", "envoy"), [], None, id="an archive with a part of them"),
        pytest.param([], [], None, id="an archive without Secrets"),
    ],
)
def test_keys_are_one_unit(
    archived: list[dict[str, Any]], live: list[dict[str, Any]], why: str | None
) -> None:
    assert restore.keys_state(archived, live) == why


def test_pods_that_are_older() -> None:
    def pod(name: str, at: str, **meta: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "creationTimestamp": at, **meta}}

    pods = [
        pod("old", "2026-11-20T11:59:59Z"),
        pod("leaving", "2026-11-20T11:59:59Z", deletionTimestamp="2026-11-20T12:00:00Z"),
        pod("new", "2026-11-20T12:00:00Z"),
    ]
    assert restore.older_than(pods, TAKEN) == ["old"]
    assert restore.older_than(pods, None) == []


@pytest.mark.parametrize(
    ("line", "final"),
    [
        ("HTTPRoute a/b: Accepted is False: NoMatchingParent", True),
        ("SecurityPolicy a/b: not taken up by us yet", True),
        ("Gateway a/b: Programmed is False: AddressNotAssigned: none", False),
        ("Gateway a/b: Programmed is not reported yet", False),
        ("Deployment a/b: 0 of 1 Pods are available", False),
    ],
)
def test_the_last_word_of_a_condition(line: str, final: bool) -> None:
    assert restore.is_final(line) is final


def test_a_handshake_that_fails() -> None:
    line = "Gateway edge/public: edge/public:https https://a:443/: {}"
    assert restore.handshakes_fail([line.format("EOF occurred in violation of protocol")])
    assert not restore.handshakes_fail([line.format("Connection refused")])


def test_what_a_plan_shows_of_a_namespace() -> None:
    meta = {"labels": {"theirs": "x", "ours": "old"}, "finalizers": ["them"]}
    live = thing("Namespace", "shop", None, spec={"finalizers": ["kubernetes"]}, metadata=meta)
    wanted = thing("Namespace", "shop", None, metadata={"labels": {"ours": "new"}})
    before, after = restore.shown(live, wanted)
    assert before == thing("Namespace", "shop", None, metadata={"labels": meta["labels"]})
    assert after["metadata"] == {"name": "shop", "labels": {"theirs": "x", "ours": "new"}}

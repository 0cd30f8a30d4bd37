"""Which Pods serve a Gateway, what they are asked, and which certificates are wrong."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tasks.plans import proxies
from tasks.plans.probes import Request
from tasks.plans.proxies import Proxy

HTTP = Request("edge/public", "http", "http", "10.0.0.1", 80, "10.0.0.1")
SHOP = Request("edge/public", "http", "http", "10.0.0.1", 80, "a.b", "/", "shop/shop")
HTTPS = Request("edge/public", "https", "https", "10.0.0.1", 443, "a.b", "/", "shop/shop")
OTHER = Request("edge/internal", "db", "tcp", "10.0.0.2", 5432)
NAMED = {f"{proxies.OWNER}-namespace": "edge", f"{proxies.OWNER}-name": "public"}
MERGED = {f"{proxies.OWNER}class": "envoy"}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def gateway(name: str, *listeners: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "edge"},
        "spec": {"gatewayClassName": "envoy", "listeners": list(listeners)},
    }


def pod(name: str, labels: dict[str, str], leaves: bool = False) -> dict[str, Any]:
    left = {"deletionTimestamp": "2026-11-21T12:00:00Z"} if leaves else {}
    image = "registry:5000/envoy:distroless-v1.39.1@sha256:ab"
    return {
        "metadata": {"name": name, "namespace": "eg", "labels": labels, **left},
        "spec": {"containers": [{"name": "envoy", "image": image}]},
    }


def service(labels: dict[str, str], **ports: int) -> dict[str, Any]:
    """By "p80=8080": the port of the listener and the one of its Pods."""
    listed = [{"port": int(key[1:]), "targetPort": it} for key, it in ports.items()]
    return {"metadata": {"labels": labels}, "spec": {"ports": listed}}


def proxy(name: str, *asks: tuple[int, Request]) -> Proxy:
    return Proxy("eg", name, "distroless-v1.39.1", asks)


BOTH = [gateway("public"), gateway("internal")]


@pytest.mark.parametrize(
    ("pods", "services", "requests", "found"),
    [
        pytest.param(
            [pod("a", NAMED), pod("b", NAMED)],
            [service(NAMED, p80=10080, p443=10443)],
            [SHOP, HTTPS, OTHER],
            [
                proxy("a", (10080, SHOP), (10443, HTTPS)),
                proxy("b", (10080, SHOP), (10443, HTTPS)),
            ],
            id="every Pod of the Gateway",
        ),
        pytest.param(
            [pod("a", NAMED, leaves=True)], [], [SHOP], [], id="one that leaves is not asked"
        ),
        pytest.param(
            [pod("a", NAMED)], [service(NAMED, p80=80)], [SHOP], [proxy("a", (80, SHOP))],
            id="the port that the Service names",
        ),
        pytest.param(
            [pod("a", NAMED)], [], [SHOP], [proxy("a", (10080, SHOP))], id="no Service: the rule"
        ),
        pytest.param(
            [pod("a", NAMED)], [], [HTTP, SHOP], [proxy("a", (10080, SHOP))],
            id="one request a listener, of a route where there is one",
        ),
        pytest.param(
            [pod("a", MERGED)], [], [SHOP, OTHER], [proxy("a", (10080, SHOP), (5432, OTHER))],
            id="merged Gateways",
        ),
        pytest.param([pod("a", {})], [], [SHOP], [], id="of nobody that is known"),
    ],
)  # fmt: skip
def test_proxies(
    pods: list[Any], services: list[Any], requests: list[Request], found: list[Proxy]
) -> None:
    assert proxies.proxies(pods, services, BOTH, requests) == found


def test_secrets_of() -> None:
    references = [{"name": "shop-tls"}, {"name": "other", "namespace": "certs", "kind": "Secret"}]
    https = {"name": "https", "protocol": "HTTPS", "tls": {"certificateRefs": references}}
    passed = {"name": "tls", "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    found = proxies.secrets_of([gateway("public", https, passed)])
    assert found == {("edge/public", "https"): [("edge", "shop-tls"), ("certs", "other")]}


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def secret(days: int = 30, of: int = 1, with_key: int = 1) -> dict[str, Any]:
    """A TLS Secret whose certificate ends in so many days."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.b")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key(of).public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key(of), hashes.SHA256())
    )
    private = key(with_key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    data = {"tls.crt": b64encode(pem).decode(), "tls.key": b64encode(private).decode()}
    return {"data": data, "print": certificate.fingerprint(hashes.SHA256()).hex()}


def test_fingerprint() -> None:
    held = secret()
    assert proxies.fingerprint(held) == held["print"]
    assert proxies.fingerprint({"data": {"tls.crt": "bm9uZQ=="}}) is None
    assert proxies.fingerprint({}) is None


@pytest.mark.parametrize(
    ("held", "why"),
    [
        pytest.param(secret(), None, id="good"),
        pytest.param(None, "does not exist"),
        pytest.param(secret(days=-1), "is valid until 2026-11-20", id="expired"),
        pytest.param(secret(with_key=2), "holds a key that is not the certificate's"),
        pytest.param({"data": {}}, "holds no certificate and key that can be read"),
    ],
)
def test_unusable(held: dict[str, Any] | None, why: str | None) -> None:
    assert proxies.unusable(held, NOW) == why


A, B = proxy("a", (10443, HTTPS)), proxy("b", (10443, HTTPS))
PLACE = ("edge/public", "https")


@pytest.mark.parametrize(
    ("served", "wanted", "lines"),
    [
        pytest.param({(A, HTTPS): "aa", (B, HTTPS): "aa"}, {PLACE: {"aa", "bb"}}, [], id="same"),
        pytest.param(
            {(A, HTTPS): "aa", (B, HTTPS): "bb"},
            {PLACE: {"bb"}},
            ["Pod eg/a, edge/public:https: serves certificate aa, its Secret holds bb"],
            id="not the Secret's",
        ),
        pytest.param(
            {(A, HTTPS): "aa", (B, HTTPS): "bb"},
            {},
            ["Pod eg/b, edge/public:https: serves certificate bb, Pod eg/a serves aa"],
            id="not the same everywhere, the Secret unknown",
        ),
    ],
)
def test_differing(served: Any, wanted: Any, lines: list[str]) -> None:
    assert proxies.differing(served, wanted) == lines

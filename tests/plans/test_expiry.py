from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tasks.plans.chains import of_secret
from tasks.plans.expiry import ends_of, reasons, secrets_of
from tasks.plans.preflight import Reason, warning

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TLS = ("edge", "shop-tls")


def secret(end: datetime) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(90), end)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {
        "metadata": {"namespace": TLS[0], "name": TLS[1]},
        "data": {"tls.crt": base64.b64encode(pem).decode(), "tls.key": "aGlkZGVu"},
    }


def gateway(**ref: str) -> dict[str, Any]:
    listener = {"name": "https", "tls": {"certificateRefs": [{"name": "shop-tls", **ref}]}}
    return {
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"listeners": [{"name": "http"}, listener]},
    }


WHERE = "Gateway edge/public, listener https: the certificate in Secret edge/shop-tls"


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param(timedelta(days=8), [], id="lasts"),
        pytest.param(
            timedelta(days=6), [warning(f"{WHERE} expires on 2026-11-27: renew it")], id="soon"
        ),
        pytest.param(
            timedelta(days=-1),
            [
                Reason(
                    f"{WHERE} expired on 2026-11-20, and this change would take the listener down: "
                    "renew it first",
                    "sick",
                )
            ],
            id="expired",
        ),
    ],
)
def test_reasons(left: timedelta, expected: list[Reason]) -> None:
    assert reasons([gateway()], ends_of([of_secret(secret(NOW + left))]), NOW) == expected


def test_which_secrets() -> None:
    assert secrets_of(gateway()) == {TLS}
    assert secrets_of(gateway(namespace="certs")) == {("certs", "shop-tls")}
    assert secrets_of(gateway(kind="ConfigMap")) == set()


@pytest.mark.parametrize(
    "data", [{}, {"tls.crt": "not base64!"}, {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU="}, None]
)
def test_a_secret_that_cannot_be_read_is_left_out(data: Any) -> None:
    assert (
        ends_of([of_secret({"metadata": {"namespace": "edge", "name": "x"}, "data": data})]) == {}
    )

"""Whose key a text holds: only the public part leaves, and what no proxy takes is named."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from tasks.plans import pem, private_keys
from tests.authorities import Pair, issued, rsa_key

EC, RSA = issued("ec"), issued("rsa", key=rsa_key())


@pytest.mark.parametrize("pair", [EC, RSA], ids=["EC", "RSA"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_the_forms_that_are_read(pair: Pair, form: PrivateFormat) -> None:
    found = private_keys.read(pem.read(pair.key_pem(form)))
    assert found == private_keys.Found((pair.key.public_key(),))


@pytest.mark.parametrize(
    ("label", "pair", "form", "belongs"),
    [
        ("EC PRIVATE KEY", EC, PrivateFormat.PKCS8, "PRIVATE KEY"),
        ("PRIVATE KEY", EC, PrivateFormat.TraditionalOpenSSL, "EC PRIVATE KEY"),
        ("RSA PRIVATE KEY", RSA, PrivateFormat.PKCS8, "PRIVATE KEY"),
        ("PRIVATE KEY", RSA, PrivateFormat.TraditionalOpenSSL, "RSA PRIVATE KEY"),
    ],
)
def test_a_key_under_another_label(
    label: str, pair: Pair, form: PrivateFormat, belongs: str
) -> None:
    text = pair.key_pem(form).replace(belongs.encode(), label.encode())
    [flaw] = private_keys.read(pem.read(text)).flaws
    assert flaw.what == f"is named {label} and holds what belongs under {belongs}"
    assert flaw.fix == "use: openssl pkey -in IN -out OUT"


def test_the_first_of_two_counts() -> None:
    found = private_keys.read(pem.read(RSA.key_pem() + EC.key_pem()))
    assert found.public == (RSA.key.public_key(), EC.key.public_key())
    assert [it.what for it in found.remarks] == ["holds 2 keys, of which the first counts"]

"""Secrets do not get through, and what a diagnosis needs does."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.plans.redaction import Redaction
from tests.plans import planted

KEY = b"of this test alone"
FORMS = (
    lambda it: it,
    lambda it: base64.b64encode(it.encode()).decode()[:-4],
    lambda it: it.encode().hex(),
    lambda it: quote(it),
)


def test_none_of_500_secrets_in_any_place_gets_through() -> None:
    random, redaction = Random(9), Redaction(KEY)
    for number in range(500):
        secret = planted.secret(random)
        every = (*planted.OBJECTS, *planted.DOCUMENTS, *planted.LINES)
        place = every[number % len(every)]
        thing = place(secret)
        if isinstance(thing, str):
            clean: Any = redaction.line(thing)
        else:
            clean = redaction.data(thing)
        text = clean if isinstance(clean, str) else json.dumps(clean)
        seen = [form(secret) for form in FORMS if form(secret) in text]
        assert not seen, (number % len(every), text)
        assert not _decoded(text, secret), (number % len(every), text)
    assert redaction.counts.total() > 450  # some in places that are left out whole


def _decoded(text: str, secret: str) -> bool:
    """Whether a word of it is base64 of something that holds the secret."""
    words = text.replace('"', " ").replace("\\n", " ").replace(".", " ").split()
    for word in words:
        padded = word + "=" * (-len(word) % 4)
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            try:
                if secret.encode() in decode(padded):
                    return True
            except ValueError:
                continue
    return False


@pytest.mark.parametrize(
    "line",
    [
        '{"path": "/cart?id=1", "response_code": 404, "response_code_details": "route_not_found"}',
        '{"response_code_details":"jwt_authn_access_denied{Jwt_is_missing}","response_flags":"-"}',
        "failed to get secret: Secret demo/lab-tls does not exist, token: not found",
        "No valid secrets exist: certificate refs 0: Secret demo/lab-tls does not exist.",
        '[2026-11-21T02:59:26.199Z] "GET /token/secret?page=2 HTTP/1.1" 404 NR 0 0 0 - "-" "curl"',
        "sds.token_secret.update_success: 3",
        "upstream_reset_before_response_started{remote_connection_failure|TLS_error:|268435581:"
        "SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end}",
        'www-authenticate: Bearer realm="http://cart.example.com/cart/1", error="invalid_token"',
        "leader election lost, renewTime: 2026-11-21T02:59:26Z",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(line: str) -> None:
    redaction = Redaction(KEY)
    assert redaction.line(line) == line
    assert not redaction.counts


def test_references_and_limits_stay() -> None:
    kept = {
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"},
        "token_secret": {"name": "oauth2/client_secret/shop/a", "sds_config": {"ads": {}}},
        "private_key": {"filename": "/certs/tls.key"},
        "certificateRefs": [{"kind": "Secret", "name": "shop-tls", "namespace": "edge"}],
        "authorization": {
            "defaultAction": "Deny",
            "rules": [{"principal": {"clientCIDRs": ["a"]}}],
        },
        "secret": {"tls_certificate": {"certificate_chain": {"inline_string": "PEM"}}},
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "secretName": "shop-tls",
        "serviceAccountToken": {"path": "token", "expirationSeconds": 3607},
    }
    assert Redaction(KEY).data(kept) == kept


def test_a_secret_keeps_names_and_certificates() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMIIBojCC\n-----END CERTIFICATE-----\n"
    data = {"tls.crt": certificate, "tls.key": "a key"}
    encoded = {key: base64.b64encode(it.encode()).decode() for key, it in data.items()}
    secret = {"kind": "Secret", "metadata": {"name": "a"}, "type": "kubernetes.io/tls"}
    redaction = Redaction(KEY)
    [clean] = redaction.objects([{**secret, "data": encoded}])
    assert clean["data"]["tls.crt"] == encoded["tls.crt"]
    assert base64.b64decode(clean["data"]["tls.key"]).startswith(b"removed-")
    assert clean["metadata"] == {"name": "a"}
    assert redaction.counts == {"Secret data": 1}


def test_equal_secrets_have_equal_marks_in_one_bundle_alone() -> None:
    one, other = Redaction(b"one"), Redaction(b"other")
    asked = {"headers": {"x-api-key": "abcdef123456"}}
    known = {"api_key_auth": {"credentials": [{"key": "abcdef123456", "client": "shop"}]}}
    mark = one.data(asked)["headers"]["x-api-key"]
    assert one.data(known)["api_key_auth"]["credentials"] == [{"key": mark, "client": "shop"}]
    assert other.data(asked)["headers"]["x-api-key"] != mark


def test_a_token_keeps_why_it_is_refused() -> None:
    token = planted._jwt("s3cr3ts3cr3ts3cr3t")
    clean = Redaction(KEY).data({"headers": {"authorization": f"Bearer {token}"}})
    scheme, _, rest = clean["headers"]["authorization"].partition(" ")
    parts = rest.split(".")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    assert (scheme, claims) == ("Bearer", {"iss": "https://a.example", "exp": 5})
    assert parts[2].startswith("removed-")


_json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=30),
    lambda it: (
        some.lists(it, max_size=4)
        | some.dictionaries(
            some.sampled_from(
                [
                    "name",
                    "value",
                    "secret",
                    "kind",
                    "metadata",
                    "data",
                    "env",
                    "headers",
                    "token",
                    "kty",
                ]
            )
            | some.text(max_size=8),
            it,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(_json)
def test_anything_can_be_looked_at_and_twice_is_as_once(thing: Any) -> None:
    redaction = Redaction(KEY)
    once = redaction.data(thing)
    assert redaction.data(once) == once


@given(some.text(max_size=200))
def test_any_line_can_be_looked_at(line: str) -> None:
    redaction = Redaction(KEY)
    once = redaction.line(line)
    assert redaction.line(once) == once


def test_what_is_too_deep_is_left_out() -> None:
    thing: Any = "password=abcdefgh"
    for _ in range(500):
        thing = {"a": thing}
    redaction = Redaction(KEY)
    assert "abcdefgh" not in str(redaction.data(thing))
    assert redaction.counts == {"too deep to look at": 1}
    assert redaction.line("[" * 100_000) == "[" * 100_000

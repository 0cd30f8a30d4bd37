"""
What is said of certificates, keys and chains: each thing that people take for PEM is named, what
readers of PEM do not mind is not, and nothing that is read raises.
"""

from __future__ import annotations

import base64
import json
import random
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import PrivateFormat

from tasks.plans import chains, pem, roots
from tasks.plans.chains import Chain
from tasks.plans.x509 import Problem, covers
from tests.authorities import Pair, chain, issued, rsa_key
from tests.malformed import DAMAGES, TRIES, harmless, malformed, orders, secrets

HOST = "shop.lab.test"
ROOT = issued("Root", authority=True)
MIDDLE = issued("Middle", by=ROOT, authority=True)
LEAF = issued(HOST, [HOST], MIDDLE)
#: Made with openssl req -sha1: today's libraries do not sign with SHA-1 any more.
SHA1 = b"""-----BEGIN CERTIFICATE-----
MIIDKjCCAhKgAwIBAgIUCmDhfkZdI8D8HDmpT3KqLS0xKawwDQYJKoZIhvcNAQEF
BQAwFzEVMBMGA1UEAwwMb2xkLmxhYi50ZXN0MCAXDTI2MTEyMjAwMDU1NVoYDzIx
MjYxMDI5MDAwNTU1WjAXMRUwEwYDVQQDDAxvbGQubGFiLnRlc3QwggEiMA0GCSqG
SIb3DQEBAQUAA4IBDwAwggEKAoIBAQCMZj1fbMb1X4AMID7CAwlKKbe/V9uDLjzU
od6tOgglHtuZmlFCwS4jfBctP4gWtZPTzTVILsnUme/hyTZjzLAwxEZFcMfm9VTi
1W+MPLgNKioF/THsKxbpdpOchag87wzV3TP+a9SjPFj6YnskU0CYTNYrTQmUvK8J
2Q7HQPyuDumRhE+AlHxGT7R/rVlBL9Jum136w1sXNAHOicFJghrkXz/4ouGsz7gt
8SLEp/LUY6ljDNH29VFAz5gHtEun4bCGHnCgu8yAz12VWRbq5fJ9kHBN0uvTjMHC
xHf5Hpv7UytG0oTxRW/tAV+5XvIjVVUpQqQDXAR4Cf/IwTkPOxS1AgMBAAGjbDBq
MB0GA1UdDgQWBBSh9dBMWUJ6hS2mB4lZGQNZscDXSDAfBgNVHSMEGDAWgBSh9dBM
WUJ6hS2mB4lZGQNZscDXSDAPBgNVHRMBAf8EBTADAQH/MBcGA1UdEQQQMA6CDG9s
ZC5sYWIudGVzdDANBgkqhkiG9w0BAQUFAAOCAQEAK+pQtD1l0yvCE5FbVNZoQWbG
WUuNIcvyzy73eOSPgibJbDiNGvdFQJefsC3Vy+1fPzcx1kreM9i/4jjz0IEymzPD
zKAy6uXHJVH3L6EDR6n0AQCIo/1E97eu3v5wH4+xQSEG6jmZjuFlLJTgAP1B3sZ3
j3y7X53vlBJThwUCDSZu58x5rGYyD53ww2IL4c1FKMiotq40jD5IHtrLQqvRoVQU
87DYI1HGuZ/QpfmILGDsSECiTbwxDUKrEXVzXpzP81P/pDfklC4W/mMjb2jES/2G
eJOcn8Excg7mQzdO/mMJ6r2sZnbbB+iUn07glYlEX2M0b1MfptQ+Ym0FQnKWCg==
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(
    ("names", "hostname", "wanted"),
    [
        pytest.param(["shop.example.com"], "SHOP.example.com.", True, id="case and last dot"),
        pytest.param(["*.example.com"], "shop.example.com", True, id="one label"),
        pytest.param(["*.example.com"], "a.shop.example.com", False, id="two labels"),
        pytest.param(["*.example.com"], "example.com", False, id="the apex"),
        pytest.param(["*.example.com"], "*.example.com", True, id="a listener's wildcard"),
        pytest.param(["shop.example.com"], "*.example.com", False, id="less than the wildcard"),
        pytest.param(["*.com", "*."], "localhost", False, id="no label above"),
    ],
)
def test_names_cover_host_names(names: list[str], hostname: str, wanted: bool) -> None:
    assert covers(names, hostname) is wanted


def said(certificate: bytes, key: bytes | None = None) -> list[str]:
    """Each problem in one line."""
    found = chains.read(certificate, key)
    return [f"{it.severity} {it.code} {it.what}" for it in found.problems]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param([LEAF], [], id="leaf alone"),
        pytest.param([LEAF, MIDDLE, ROOT], [], id="with its root"),
        pytest.param(
            [LEAF, ROOT, MIDDLE],
            ["warning GW605 the chain is out of order"],
            id="authorities in the wrong order",
        ),
        pytest.param(
            [MIDDLE, LEAF],
            ["error GW605 the chain is out of order: CN=shop.lab.test is the served one, and not "
             "first"],
            id="served one last",
        ),
        pytest.param(
            [LEAF, MIDDLE, MIDDLE],
            ["warning GW605 the chain has the certificate CN=Middle more than once"],
            id="one twice",
        ),
        pytest.param(
            [LEAF, ROOT],
            ["warning GW605 the chain has CN=Root, which issued none of the others"],
            id="a gap",
        ),
        pytest.param(
            [LEAF, issued("b.lab.test", ["b.lab.test"], MIDDLE), MIDDLE],
            ["warning GW605 the chain has a second server's certificate, CN=b.lab.test, which is "
             "never served"],
            id="two leaves",
        ),
        pytest.param(
            [LEAF, *[issued(f"Root {it}", authority=True) for it in range(20)]],
            ["error GW605 the chain has 21 certificates, as a bundle of authorities has"],
            id="a bundle",
        ),
        pytest.param(
            [LEAF, MIDDLE, ROOT, issued("Root", by=issued("Old", authority=True), key=ROOT.key,
                                        authority=True)],
            [],
            id="cross-signed",
        ),
        pytest.param([ROOT], ["error GW613 the certificate CN=Root is an authority's"], id="CA"),
        pytest.param([issued(HOST, [HOST], authority=True)], [], id="openssl req -x509"),
        pytest.param(
            [issued(HOST, [HOST, HOST])],
            ["warning GW618 the certificate names shop.lab.test twice, and Envoy Gateway 1.8 "
             "refuses that"],
            id="a name twice",
        ),
    ],
)  # fmt: skip
def test_order(members: list[Pair], expected: list[str]) -> None:
    assert said(chain(*members)) == expected


def test_the_right_order_is_named() -> None:
    [problem] = chains.read(chain(MIDDLE, ROOT, LEAF), LEAF.key_pem()).problems
    assert problem.fix == "put them in the order 1 CN=shop.lab.test, 2 CN=Middle, 3 CN=Root"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(LEAF.key_pem(), [], id="PKCS8"),
        pytest.param(LEAF.key_pem(PrivateFormat.TraditionalOpenSSL), [], id="SEC1"),
        pytest.param(
            ROOT.key_pem(),
            ["error GW607 the key is not that of the certificate (CN=shop.lab.test)"],
            id="another's",
        ),
        pytest.param(
            ROOT.key_pem() + LEAF.key_pem(),
            ["warning GW612 the key holds 2 keys, of which the first counts",
             "error GW607 the key is the certificate's only in second place"],
            id="second",
        ),
        pytest.param(
            LEAF.key_pem(password=b"secret"),
            ["error GW612 the key is encrypted, and no proxy can ask for its password"],
            id="encrypted PKCS8",
        ),
        pytest.param(
            LEAF.key_pem(PrivateFormat.TraditionalOpenSSL, b"secret"),
            ["error GW612 the key is encrypted, and no proxy can ask for its password"],
            id="Proc-Type: 4,ENCRYPTED",
        ),
        pytest.param(
            LEAF.key_pem(PrivateFormat.OpenSSH),
            ["error GW612 the key is a key of OpenSSH"],
            id="OpenSSH",
        ),
        pytest.param(
            LEAF.key_pem().replace(b"PRIVATE", b"RSA PRIVATE"),
            ["error GW612 the key is named RSA PRIVATE KEY and holds what belongs under "
             "PRIVATE KEY"],
            id="under another label",
        ),
        pytest.param(
            LEAF.pem,
            ["error GW612 the key is a certificate where the private key belongs"],
            id="certificate in its place",
        ),
        pytest.param(b"", ["error GW612 the key is empty"], id="empty"),
        pytest.param(
            LEAF.pem + LEAF.key_pem(),
            ["warning GW612 the key has a block CERTIFICATE before the key, which Envoy Gateway "
             "1.8 refuses"],
            id="behind the certificate",
        ),
    ],
)  # fmt: skip
def test_keys(key: bytes, expected: list[str]) -> None:
    assert said(chain(LEAF, MIDDLE), key) == expected


def test_an_rsa_key_whose_parts_do_not_belong_together() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    it = issued(HOST, [HOST], key=rsa_key())
    good = it.key.private_numbers()
    bad = rsa.RSAPrivateNumbers(
        good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    assert said(it.pem, it.key_pem()) == []
    assert said(it.pem, Pair(it.certificate, bad).key_pem()) == [
        "error GW612 the key is a block PRIVATE KEY that holds no key that can be read"
    ]


USAGE = dict.fromkeys(
    ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
     "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False
)  # fmt: skip
CLIENT = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        pytest.param(
            issued(HOST, [HOST], key=rsa_key(1024)),
            "error GW608 the certificate CN=shop.lab.test has a key RSA 1024, which Envoy refuses",
            id="RSA 1024",
        ),
        pytest.param(
            issued(HOST, [HOST], key=ec.generate_private_key(ec.SECP224R1())),
            "error GW608 the certificate CN=shop.lab.test has a key EC secp224r1, which Envoy "
            "refuses",
            id="P-224",
        ),
        pytest.param(
            issued(HOST, [HOST], MIDDLE, key=ed448.Ed448PrivateKey.generate()),
            "error GW608 the certificate CN=shop.lab.test has a key Ed448, which Envoy refuses",
            id="Ed448",
        ),
        pytest.param(
            issued(HOST, [HOST], key=ed25519.Ed25519PrivateKey.generate()),
            "warning GW608 the certificate CN=shop.lab.test has a key Ed25519, which browsers do "
            "not know",
            id="Ed25519",
        ),
        pytest.param(
            issued(HOST, [HOST], extensions=[CLIENT]),
            "error GW613 the certificate CN=shop.lab.test is not for servers (extended key usage), "
            "so clients refuse it",
            id="for clients",
        ),
        pytest.param(
            issued(HOST, [HOST], extensions=[x509.KeyUsage(**USAGE | {"key_encipherment": True})]),
            "error GW613 the certificate CN=shop.lab.test may not sign (key usage), so Envoy or "
            "browsers refuse it",
            id="may not sign",
        ),
        pytest.param(
            issued(HOST, [HOST], extensions=[
                x509.TLSFeature([x509.TLSFeatureType.status_request])
            ]),
            "error GW613 the certificate CN=shop.lab.test demands OCSP stapling (must-staple), "
            "which Envoy refuses without a response at hand",
            id="must-staple",
        ),
    ],
)  # fmt: skip
def test_what_a_proxy_or_a_client_refuses(leaf: Pair, expected: str) -> None:
    assert said(leaf.pem, leaf.key_pem()) == [expected]


@pytest.mark.parametrize(
    "leaf",
    [
        issued(HOST, [HOST], extensions=[SERVER]),
        issued(HOST, [HOST], key=rsa_key(3072)),
        issued(HOST, [HOST], key=ec.generate_private_key(ec.SECP521R1())),
    ],
)
def test_what_is_taken(leaf: Pair) -> None:
    assert said(leaf.pem, leaf.key_pem()) == []


def test_a_weak_signature() -> None:
    assert said(SHA1) == [
        "error GW608 the certificate CN=old.lab.test is signed with sha1, which clients refuse"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"hello", "is text without PEM", id="text"),
        pytest.param(LEAF.der, "is DER, not PEM", id="DER"),
        pytest.param(
            b"\xef\xbb\xbf" + LEAF.pem,
            "begins with a byte order mark, so that Envoy Gateway passes over the first block",
            id="BOM",
        ),
        pytest.param(LEAF.pem.decode().encode("utf-16"), "is UTF-16", id="UTF-16"),
        pytest.param(base64.b64encode(LEAF.pem), "is base64 twice", id="base64 twice"),
        pytest.param(
            base64.b64encode(LEAF.der),
            "is base64 without the lines BEGIN and END of PEM",
            id="without BEGIN and END",
        ),
        pytest.param(
            LEAF.pem.replace(b"\n", rb"\n"),
            r"has \n as two characters where line breaks belong",
            id="escaped line breaks",
        ),
        pytest.param(
            LEAF.pem.replace(b"\n", b"\r"),
            "has line ends of an old Mac (CR alone)",
            id="CR alone",
        ),
        pytest.param(
            LEAF.pem.replace(b"\n", b" "),
            "has a block on one line in line 1, without the line breaks of PEM",
            id="on one line",
        ),
        pytest.param(
            b"  " + LEAF.pem,
            "has blanks before BEGIN in line 1, so that Envoy Gateway passes over the block",
            id="indented",
        ),
        pytest.param(LEAF.pem[:300], "has a block without its END in line 1", id="cut off"),
        pytest.param(
            LEAF.pem.replace(b"MII", b"MI!"),
            "has a block whose base64 is damaged in line 1",
            id="damaged",
        ),
    ],
)
def test_what_is_no_pem(text: bytes, expected: str) -> None:
    assert said(text)[0] == f"error GW612 the certificate {expected}"
    assert said(LEAF.pem, text)[0] == f"error GW612 the key {expected}"


@pytest.mark.parametrize("number", range(50))
def test_what_readers_do_not_mind_is_no_problem(number: int) -> None:
    it = random.Random(number)
    text = harmless(it, it.choice(orders()).good)
    assert said(text.certificate, text.key) == []


def test_malformed_in_generated_ways_is_named_and_never_raises() -> None:
    nameless = []
    for number in range(TRIES):
        damage, text = malformed(number)
        if not chains.read(text.certificate, text.key).problems:
            nameless.append((number, damage))
    assert nameless == []
    assert len(DAMAGES) < TRIES


def test_malformed_secrets_are_named_and_never_raise() -> None:
    for number in range(TRIES):
        it = random.Random(number)
        secret = secrets(it, it.choice(orders()).good)
        held = chains.of_secret(secret)
        assert held.chain.problems, secret["data"]
        assert held.title == "Secret edge/shop-tls"


def test_a_message_is_one_line_and_holds_no_key() -> None:
    for number in range(0, TRIES, 3):
        damage, text = malformed(number)
        for it in chains.read(text.certificate, text.key).problems:
            line = f"{it.what}: {it.fix}"
            assert line.isprintable(), (number, damage, line)
            assert len(line) < 600, (number, damage, line)


def test_what_a_certificate_says_is_printed_as_one_line() -> None:
    text = chains.read(issued("a\n\x1b[31mb").pem, None)
    assert text.leaf is not None
    assert text.leaf.subject == r"CN=a\x0a\x1b[31mb"
    assert pem.printable("é") == "é"


def secret(**meta: Any) -> dict[str, Any]:
    data = {"tls.crt": LEAF.pem + MIDDLE.pem, "tls.key": LEAF.key_pem()}
    return {
        "metadata": {"namespace": "edge", "name": "shop-tls", **meta},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param(
            {"annotations": {"cert-manager.io/certificate-name": "shop"}},
            "Certificate edge/shop",
            id="cert-manager",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "ExternalSecret", "name": "shop", "controller": True}]},
            "ExternalSecret edge/shop",
            id="External Secrets",
        ),
        pytest.param(
            {"labels": {"secrets-store.csi.k8s.io/managed": "true"},
             "ownerReferences": [{"kind": "ReplicaSet", "name": "x"}]},
            "the Secrets Store CSI driver",
            id="CSI driver",
        ),
        pytest.param(
            {"annotations": {"meta.helm.sh/release-name": "shop",
                             "meta.helm.sh/release-namespace": "apps"}},
            "Helm release apps/shop",
            id="Helm",
        ),
    ],
)  # fmt: skip
def test_a_secret_and_its_owner(meta: dict[str, Any], expected: str | None) -> None:
    held = chains.of_secret(secret(**meta))
    assert held.owner == expected
    assert held.chain.problems == ()
    assert [it.subject for it in held.chain.certificates] == ["CN=shop.lab.test", "CN=Middle"]


def test_nothing_of_a_key_is_kept() -> None:
    found = secret()
    lines = LEAF.key_pem().decode().splitlines()[1:-1]
    kept = f"{chains.of_secret(found)!r} {vars(chains)!r} {pem.read(LEAF.key_pem())!r}"
    encoded = found["data"]["tls.key"]
    assert [it for it in [*lines, encoded] if it in kept] == []
    assert LEAF.key_pem() not in [*chains._READ, *chains._READ.values()]
    assert json.dumps(encoded) not in kept


@pytest.mark.parametrize(
    ("members", "trusting", "expected"),
    [
        pytest.param([LEAF, MIDDLE], [ROOT], None, id="complete"),
        pytest.param([LEAF, MIDDLE, ROOT], [ROOT], None, id="with its root"),
        pytest.param([LEAF], [MIDDLE], None, id="an authority that is trusted itself"),
        pytest.param([LEAF, MIDDLE], None, None, id="not judged"),
        pytest.param(
            [LEAF],
            [ROOT],
            "error the chain is incomplete: it ends with CN=shop.lab.test, and its issuer "
            "CN=Middle is no trusted root",
            id="no authority between",
        ),
        pytest.param(
            [LEAF, MIDDLE, ROOT],
            [issued("Root", authority=True)],
            "error the chain ends with CN=Root, which is not among the trusted roots",
            id="a root of the same name",
        ),
        pytest.param(
            [issued(HOST, [HOST])],
            [ROOT],
            "warning the certificate CN=shop.lab.test is signed by itself, so no client trusts it "
            "by default",
            id="signed by itself",
        ),
        pytest.param([SELF := issued(HOST, [HOST])], [SELF], None, id="itself trusted"),
    ],
)
def test_a_chain_ends_at_a_trusted_root(
    members: list[Pair], trusting: list[Pair] | None, expected: str | None
) -> None:
    known = None if trusting is None else roots.roots(chain(*trusting))
    found = roots.trusted(chains.read(chain(*members), None), known)
    assert (found and f"{found.severity} {found.what}") == expected


def test_a_chain_as_a_peer_sent_it() -> None:
    assert chains.of_der([LEAF.der, MIDDLE.der]).problems == ()
    assert [it.code for it in chains.of_der([MIDDLE.der, LEAF.der]).problems] == ["GW605"]
    assert [it.code for it in chains.of_der([LEAF.der, b"noise"]).problems] == ["GW612"]
    assert [it.code for it in chains.of_der([]).problems] == ["GW612"]


def test_a_serial_below_zero_is_refused_in_silence() -> None:
    text = issued(HOST, [HOST], serial=2**60).der
    at = text.index(b"\x02\x08\x10") + 2
    text = text[:at] + b"\x90" + text[at + 1 :]
    with warnings.catch_warnings(action="error"):
        assert [it.code for it in chains.of_der([text]).problems] == ["GW612"]


def test_swapped() -> None:
    assert chains.read(LEAF.key_pem(), LEAF.pem) == Chain(
        (),
        (
            Problem(
                "GW612",
                "the key stands where the certificate belongs, and the certificate where the key "
                "belongs",
                "swap them",
            ),
        ),
    )

"""
The certificates of listeners: over made situations an audit finds all that is wrong and nothing
that is not, and says it so that somebody can act.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from tasks.checks.certificates import dates, findings, usable
from tasks.checks.findings import Finding
from tasks.plans import chains
from tests.authorities import NOW, Pair, chain, issued
from tests.malformed import TRIES, malformed, orders, secrets
from tests.situations import (
    CLUSTER,
    ERROR,
    HOST,
    MIDDLE,
    ROOT,
    ROOTS,
    TLS,
    WARNING,
    Situation,
    faulty,
    gateway,
    good,
    leaf,
    listener,
    route,
    secret,
    situation,
)


def found(it: Situation) -> list[Finding]:
    return list(findings(CLUSTER, it.listeners, it.held, NOW, WARNING, ERROR, it.roots, it.types))


def short(finding: Finding) -> str:
    """Such as "error GW601 Secret edge/shop-tls"."""
    place = finding.where.text.removeprefix(f"{CLUSTER}: ")
    return f"{finding.severity} {finding.code} {place}"


@pytest.mark.parametrize("made", situation.known, ids=lambda it: it.__name__)
def test_a_situation(made: Callable[[], Situation]) -> None:
    it = made()
    assert {short(each) for each in found(it)} == it.expected


def test_precision_and_recall(capsys: pytest.CaptureFixture[str]) -> None:
    made = [it() for it in situation.known]
    wanted = {(number, it) for number, each in enumerate(made) for it in each.expected}
    said = {(number, short(it)) for number, each in enumerate(made) for it in found(each)}
    precision, recall = len(wanted & said) / len(said), len(wanted & said) / len(wanted)
    quiet = sum(not it.expected for it in made)
    with capsys.disabled():
        print(
            f"\n{len(made)} situations, {quiet} of them healthy: "
            f"precision {precision:.3f}, recall {recall:.3f}"
        )
    assert (precision, recall) == (1.0, 1.0)
    assert len(made) >= 40
    assert quiet >= 20


def texts(it: Situation) -> list[str]:
    return [each.text for each in found(it)]


def serial(pair: Pair) -> str:
    return f"{pair.certificate.serial_number:x}"


def test_what_is_the_secrets_is_said_once() -> None:
    it = leaf("*.example.com", end=-1)
    of = [listener(f"{each}.example.com", name=each) for each in "abcde"]
    assert texts(faulty([], gateway(*of), secret(it, MIDDLE))) == [
        "error GW601 weu-1: Secret edge/shop-tls: the certificate CN=*.example.com (serial "
        f"{serial(it)}) expired on 2026-11-21 (used by Gateway edge/public, listener a, and 4 "
        "more): renew it"
    ]


def test_who_renews_it_is_named() -> None:
    it = leaf(end=2)
    of = secret(it, MIDDLE, cert_manager_io__certificate_name="shop")
    of["metadata"]["annotations"] = {"cert-manager.io/certificate-name": "shop"}
    assert texts(faulty([], gateway(), of)) == [
        "error GW603 weu-1: Secret edge/shop-tls: the certificate CN=shop.example.com (serial "
        f"{serial(it)}) expires on 2026-11-24, in 2 days (used by Gateway edge/public, listener "
        "https): renew it; Certificate edge/shop keeps this Secret, so do it there"
    ]


def test_names_that_are_not_covered() -> None:
    hosts = [f"{it}.shop.example.com" for it in "abcdefg"]
    of = faulty([], gateway(listener(None)), route(*hosts), good())
    assert texts(of) == [
        "error GW604 weu-1: Gateway edge/public, listener https: the certificate "
        "CN=shop.example.com does not cover a.shop.example.com, b.shop.example.com, "
        "c.shop.example.com, d.shop.example.com, e.shop.example.com and 2 more: it is good for "
        "shop.example.com: have it issued with a.shop.example.com, b.shop.example.com, "
        "c.shop.example.com, d.shop.example.com, e.shop.example.com and 2 more among its names"
    ]


def test_what_is_missing() -> None:
    assert texts(faulty([], gateway())) == [
        "error GW609 weu-1: Gateway edge/public, listener https: Secret edge/shop-tls does not "
        "exist: create it, or correct certificateRefs"
    ]
    assert texts(Situation([gateway()], untyped=True)) == [
        "error GW609 weu-1: Gateway edge/public, listener https: Secret edge/shop-tls does not "
        "exist or is not of type kubernetes.io/tls: create it, or correct certificateRefs"
    ]
    assert texts(faulty([], gateway(), good(of_type="Opaque"))) == [
        "error GW610 weu-1: Secret edge/shop-tls: it is of type Opaque, and Envoy Gateway takes "
        "kubernetes.io/tls alone (used by Gateway edge/public, listener https): the type of a "
        "Secret cannot be changed: delete it and create it once more, with kubectl -n edge create "
        "secret tls shop-tls --cert=FILE --key=FILE"
    ]
    of = gateway(listener(HOST, "certs/shop-tls"))
    assert texts(faulty([], of, good(namespace="certs"))) == [
        "error GW611 weu-1: Gateway edge/public, listener https: Secret certs/shop-tls is in "
        "another namespace, and no ReferenceGrant there lets it be used: create a ReferenceGrant "
        "in certs, from Gateway in edge to Secret shop-tls, or keep the Secret beside the Gateway"
    ]


def test_a_listener_without_a_secret() -> None:
    of = listener()
    of["tls"]["certificateRefs"] = [{"group": "x", "kind": "Vault", "name": "y"}]
    assert texts(faulty([], gateway(of))) == [
        "error GW609 weu-1: Gateway edge/public, listener https: it names no Secret with a "
        "certificate: name one in certificateRefs"
    ]


@pytest.mark.parametrize(
    ("members", "names", "expected"),
    [
        pytest.param([leaf(), MIDDLE], [HOST], [], id="good"),
        pytest.param([leaf(end=1), MIDDLE], [HOST], [], id="for one more day"),
        pytest.param([leaf(end=-1), MIDDLE], [HOST], ["GW601"], id="expired"),
        pytest.param([leaf(begin=1), MIDDLE], [HOST], ["GW602"], id="not yet"),
        pytest.param([leaf(), MIDDLE], [HOST, "*.example.com"], ["GW604"], id="name"),
        pytest.param([leaf(), ROOT, MIDDLE], [HOST], ["GW605"], id="order"),
        pytest.param([leaf()], [HOST], ["GW605"], id="incomplete"),
        pytest.param(
            [leaf(by=(old := issued("R3", by=ROOT, authority=True, end=-1))), old],
            [HOST],
            ["GW606"],
            id="authority",
        ),
    ],
)
def test_what_may_be_put_in_place(
    members: list[Pair], names: list[str], expected: list[str]
) -> None:
    chain_read = chains.read(chain(*members), members[0].key_pem())
    assert [it.code for it in usable(chain_read, names, NOW, ROOTS)] == expected


def test_nothing_that_is_unreadable_may_be_put_in_place() -> None:
    assert [it.code for it in usable(chains.read(b"", b""), [HOST], NOW)] == ["GW612", "GW612"]


def test_malformed_secrets_are_findings_and_never_raise() -> None:
    for number in range(TRIES):
        it = random.Random(number)
        damage, text = malformed(number)
        made = [
            secret(certificate=text.certificate, key=text.key),
            {**good(), **secrets(it, it.choice(orders()).good), "type": TLS},
        ]
        for each in made:
            assert found(faulty([], gateway(), each)), (number, damage)


def test_the_last_second() -> None:
    it = chains.read(chain(leaf(end=0)), None)
    none = timedelta(0)
    assert [each.code for each in dates(it, NOW, none, none)] == ["GW603"]
    assert [each.code for each in dates(it, NOW + timedelta(seconds=1), none, none)] == ["GW601"]

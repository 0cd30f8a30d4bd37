"""What is served, beside Secrets and beside each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.checks.findings import Where
from tasks.checks.handshakes import findings, served
from tasks.plans.chains import Chain, Held
from tasks.plans.listeners import Handshake, Listener, SecretRef
from tasks.plans.x509 import Certificate, Problem

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(days=1)
SNI = "shop.example.com"
LISTENER = Listener(
    "weu-1",
    "Gateway edge/public",
    "edge/public",
    "https",
    443,
    "*.example.com",
    ("20.103.0.10",),
    "edge/public",
    (SecretRef("edge", "shop-tls"),),
    hosts=(SNI,),
)
WHERE = Where("weu-1", "Gateway edge/public", "listener https")
ONE, TWO, LB = "Pod eg/envoy-1", "Pod eg/envoy-2", "address 20.103.0.10:443"


def certificate(serial: str, days: int = 90, name: str = "*.example.com") -> Certificate:
    begin = NOW - 30 * DAY
    return Certificate(
        serial,
        f"print-{serial}",
        f"CN={serial}",
        "CN=authority",
        (name,),
        begin,
        NOW + days * DAY,
        "EC secp256r1",
        "sha256",
        is_ca=False,
    )


A, B, ABOVE = certificate("a"), certificate("b"), certificate("ca")


def shown(place: str, *chain: Certificate, listener: Listener = LISTENER) -> Handshake:
    prints = tuple(it.fingerprint for it in chain)
    return Handshake(place, listener, SNI, prints, chain[0].serial, "h2", served=Chain(chain))


def silent(place: str, listener: Listener = LISTENER) -> Handshake:
    return Handshake(place, listener, SNI, why="timed out")


def held(*chain: Certificate, problems: tuple[Problem, ...] = ()) -> dict[tuple[str, str], Held]:
    return {
        ("edge", "shop-tls"): Held("edge", "shop-tls", "kubernetes.io/tls", Chain(chain, problems))
    }


WRONG = Problem("GW607", "the key is another's", "take the right one")
TEXT_A, TEXT_B = (f"serial {it}, CN={it}, until 2027-02-19" for it in "ab")
EACH = f"{TEXT_A} at {ONE}; {TEXT_B} at {TWO}, {LB}"


@pytest.mark.parametrize(
    ("handshakes", "secrets", "wanted"),
    [
        pytest.param([shown(ONE, A), shown(LB, A)], held(A), [], id="as the Secret has it"),
        pytest.param([shown(ONE, A), shown(LB, A)], None, [], id="the same everywhere"),
        pytest.param([shown(ONE, A, ABOVE)], held(A, ABOVE), [], id="with its chain"),
        pytest.param(
            [shown(ONE, B), shown(LB, B)],
            held(A),
            [f"warning GW614 {TEXT_B} is served for {SNI}, which is not in Secret edge/shop-tls"],
            id="another than the Secret's",
        ),
        pytest.param(
            [shown(ONE, A)],
            held(A, ABOVE),
            [
                f"warning GW614 the chain that is served for {SNI} is not the one in Secret "
                "edge/shop-tls"
            ],
            id="without the chain of the Secret",
        ),
        pytest.param(
            [shown(ONE, A), shown(TWO, B), shown(LB, B)],
            held(B),
            [f"warning GW615 different certificates are served for {SNI}: {EACH}"],
            id="one replica with an older one",
        ),
        pytest.param(
            [shown(ONE, A), shown(TWO, B), shown(LB, B)],
            None,
            [f"warning GW615 different certificates are served for {SNI}: {EACH}"],
            id="replicas differ, Secrets not read",
        ),
        pytest.param(
            [shown(ONE, certificate("b", -1))],
            held(A),
            [
                f"error GW614 serial b, CN=b, until 2026-11-20 is served for {SNI}, which is not "
                "in Secret edge/shop-tls"
            ],
            id="another, which is over",
        ),
        pytest.param(
            [shown(ONE, A), silent(TWO)],
            held(A),
            [f"error GW616 no handshake for {SNI} with {TWO}: timed out"],
            id="one replica says nothing",
        ),
        pytest.param(
            [silent(ONE), silent(TWO), silent(LB)],
            held(A),
            [f"error GW616 no handshake for {SNI} with {ONE}, {TWO}, {LB}: timed out"],
            id="nobody says anything",
        ),
        pytest.param([silent(ONE)], held(A, problems=(WRONG,)), [], id="for its Secret is bad"),
        pytest.param([silent(ONE)], {}, [], id="for its Secret is missing"),
        pytest.param(
            [silent(ONE)],
            None,
            [f"error GW616 no handshake for {SNI} with {ONE}: timed out"],
            id="nobody knows why",
        ),
    ],
)
def test_findings(
    handshakes: list[Handshake],
    secrets: dict[tuple[str, str], Held] | None,
    wanted: list[str],
) -> None:
    found = list(findings(handshakes, secrets, NOW))
    assert [f"{it.severity} {it.code} {it.what}" for it in found] == wanted
    assert {it.where for it in found} <= {WHERE}


@pytest.mark.parametrize(
    ("handshakes", "fix"),
    [
        pytest.param(
            [shown(ONE, A), shown(TWO, B)], "restart Pod eg/envoy-1: the Secret holds the other"
        ),
        pytest.param(
            [shown(ONE, B), silent(LB)],
            "open the way to the load balancer, or set probe.enabled to False where it cannot be "
            "reached from here",
        ),
        pytest.param(
            [silent(ONE), shown(TWO, B)],
            "restart the Pods that do not answer, or deploys/install.py, which does that",
        ),
    ],
)
def test_what_to_do(handshakes: list[Handshake], fix: str) -> None:
    [found] = findings(handshakes, held(B), NOW)
    assert found.fix == fix


def test_a_pod_that_is_not_reached_says_nothing_of_what_it_serves() -> None:
    why = "port forward: 500 error dialing backend"
    unreached = replace(silent(TWO), why=why)
    [found] = findings([shown(ONE, A), unreached], held(A), NOW)
    assert (found.code, found.severity, found.what) == (
        "GW600",
        "info",
        f"{TWO} was not asked: {why}",
    )


def test_backends_may_serve_what_they_like_but_something() -> None:
    passed = replace(LISTENER, passthrough=True, secrets=())
    assert not list(
        findings([shown(ONE, A, listener=passed), shown(LB, B, listener=passed)], {}, NOW)
    )
    [found] = findings([silent(ONE, passed)], {}, NOW)
    assert (found.code, found.fix) == (
        "GW616",
        "look at the backends of its TLSRoute: TLS ends there",
    )
    alone = replace(passed, hosts=())
    assert not list(findings([silent(ONE, alone)], {}, NOW))


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        pytest.param((A,), [], id="good"),
        pytest.param((certificate("a", -2),), ["error GW601"], id="over"),
        pytest.param((certificate("a", 5),), ["error GW603"], id="nearly over"),
        pytest.param((certificate("a", 15),), ["warning GW603"], id="over soon"),
        pytest.param((A, certificate("ca", -2)), ["error GW606"], id="authority over"),
        pytest.param((certificate("a", name="*.example.org"),), ["error GW604"], id="other name"),
    ],
)
def test_without_secrets_what_is_served_is_judged(
    chain: tuple[Certificate, ...], wanted: list[str]
) -> None:
    found = list(served([shown(ONE, *chain), shown(LB, *chain)], NOW, 21 * DAY, 7 * DAY, None))
    assert [f"{it.severity} {it.code}" for it in found] == wanted
    assert {it.where for it in found} <= {WHERE}

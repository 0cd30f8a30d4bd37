"""
Where connections may be carried over: the smallest fleets that have it, and the nearest that do
not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from tasks.plans.listeners import Listener, SecretRef
from tasks.plans.overlap import Overlap, Served, overlaps
from tasks.plans.probes import covered
from tasks.plans.x509 import Certificate, covers

H2 = ("h2", "http/1.1")


def listener(name: str, hostname: str | None, **more: Any) -> Listener:
    given: dict[str, Any] = {
        "cluster": "weu-1",
        "owner": "Gateway edge/public",
        "gateway": "edge/public",
        "port": 443,
        "addresses": ("10.0.0.4",),
        "workload": "edge/public",
        "secrets": (),
    }
    return Listener(**{**given, **more}, name=name, hostname=hostname)


def certificate(*names: str, serial: str = "1") -> Certificate:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    text = " ".join(names)
    return Certificate(
        serial, f"{text} {serial}", "CN=x", "CN=y", names, day, day, "RSA 2048", "sha256", False
    )


def told(found: Iterable[Overlap]) -> list[tuple[str, list[str], str | None]]:
    """Effect, members and the way of each group, as "sni>host at listener"."""
    return [
        (
            it.effect,
            [member.name for member in it.members],
            f"{it.pair.sni}>{it.pair.host} at {it.pair.first.name}" if it.pair else None,
        )
        for it in found
    ]


def served(*pairs: tuple[Listener, Certificate]) -> tuple[list[Listener], Served]:
    return [it for it, _ in pairs], {it: [held] for it, held in pairs}


WILD = certificate("*.example.com")
A, B = listener("a", "a.example.com"), listener("b", "b.example.com")
OTHER: dict[str, Any] = {"owner": "Gateway edge/b", "gateway": "edge/b", "workload": "edge/b"}
FAR: dict[str, Any] = {**OTHER, "addresses": ("10.0.0.5",)}
MERGED: dict[str, Any] = {"owner": "Gateway edge/b", "gateway": "edge/b", "workload": "eg"}


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        pytest.param([(A, WILD), (B, WILD)], [("HTTP/1.1", ["a", "b"], None)], id="falls back"),
        pytest.param(
            [(replace(A, alpn=H2), WILD), (replace(B, alpn=H2), WILD)],
            [("not found", ["a", "b"], "a.example.com>b.example.com at a")],
            id="alpnProtocols undo it",
        ),
        pytest.param(
            [(replace(A, alpn=H2), WILD), (B, WILD)],
            [
                ("not found", ["a", "b"], "a.example.com>b.example.com at a"),
                ("HTTP/1.1", ["a", "b"], None),
            ],
            id="alpnProtocols of one listener",
        ),
        pytest.param(
            [(replace(A, alpn=("http/1.1",)), WILD), (replace(B, alpn=("http/1.1",)), WILD)],
            [],
            id="HTTP/1.1 by choice",
        ),
        pytest.param(
            [(A, certificate("a.example.com")), (B, certificate("b.example.com"))],
            [],
            id="a certificate each",
        ),
        pytest.param(
            [
                (replace(A, alpn=H2), certificate("a.example.com", "b.example.com")),
                (replace(B, alpn=H2), certificate("b.example.com")),
            ],
            [("not found", ["a", "b"], "a.example.com>b.example.com at a")],
            id="different certificates whose names overlap",
        ),
        pytest.param(
            [(A, certificate("a.example.com", "c.org")), (B, certificate("b.example.com"))],
            [],
            id="a second name that nobody serves",
        ),
        pytest.param(
            [(replace(A, alpn=H2), WILD), (replace(B, alpn=H2, **FAR), WILD)],
            [],
            id="two Gateways with an address each",
        ),
        pytest.param(
            [(replace(A, alpn=H2), WILD), (replace(B, alpn=H2, port=8443), WILD)],
            [],
            id="two ports",
        ),
        pytest.param(
            [
                (replace(A, workload="eg"), WILD),
                (replace(B, **MERGED), WILD),
            ],
            [("HTTP/1.1", ["a", "b"], None)],
            id="merged Gateways",
        ),
        pytest.param([(listener("all", "*.example.com"), WILD)], [], id="one wildcard listener"),
        pytest.param(
            [
                (listener("all", "*.example.com", alpn=H2), WILD),
                (replace(A, alpn=H2), certificate("a.example.com")),
            ],
            [("not found", ["all", "a"], "probe.example.com>a.example.com at all")],
            id="a wildcard beside a name of its own",
        ),
        pytest.param(
            [
                (listener("all", None, alpn=H2, hosts=("x.org",)), certificate("x.org", "a.org")),
                (listener("a", "a.org", alpn=H2), certificate("a.org")),
            ],
            [("not found", ["all", "a"], "x.org>a.org at all")],
            id="a listener without a name",
        ),
        pytest.param(
            [
                (replace(A, alpn=H2), certificate("*.example.org")),
                (replace(B, alpn=H2), certificate("*.example.org")),
            ],
            [],
            id="a certificate that is good for neither",
        ),
        pytest.param(
            [(replace(A, alpn=H2), WILD), (replace(B, alpn=H2, protocol="TLS"), WILD)],
            [],
            id="TLS around no HTTP",
        ),
        pytest.param(
            [
                (replace(A, alpn=H2), WILD),
                (replace(B, protocol="TLS", passthrough=True), certificate("b.example.com")),
            ],
            [("not found", ["a", "b"], "a.example.com>b.example.com at a")],
            id="from HTTPS to TLS that is handed through",
        ),
        pytest.param(
            [
                (replace(A, protocol="TLS", passthrough=True), WILD),
                (replace(B, protocol="TLS", passthrough=True), WILD),
            ],
            [("elsewhere", ["a", "b"], "a.example.com>b.example.com at a")],
            id="TLS that is handed through to two backends",
        ),
        pytest.param(
            [
                (replace(A, falls_back=False, owner="Gateway istio-system/a (Istio)"), WILD),
                (replace(B, falls_back=False, owner="Gateway istio-system/b (Istio)"), WILD),
            ],
            [("not found", ["a", "b"], "a.example.com>b.example.com at a")],
            id="Istio does not fall back",
        ),
        pytest.param(
            [
                (replace(A, falls_back=False, name="server"), WILD),
                (replace(B, falls_back=False, name="server"), WILD),
            ],
            [],
            id="one server entry of Istio with two hosts",
        ),
        pytest.param(
            [
                (replace(A, addresses=("20.0.0.4",)), WILD),
                (replace(B, addresses=("20.0.0.4",), cluster="neu-1"), WILD),
            ],
            [("elsewhere", ["a", "b"], "a.example.com>b.example.com at a")],
            id="a public address of two clusters",
        ),
        pytest.param(
            [(A, WILD), (replace(B, cluster="neu-1"), WILD)],
            [],
            id="the same private address in two networks",
        ),
        pytest.param(
            [
                (replace(A, addresses=("20.0.0.4",)), WILD),
                (replace(A, addresses=("20.0.0.4",), cluster="neu-1"), WILD),
            ],
            [],
            id="two clusters that serve the same names behind one address",
        ),
        pytest.param(
            [(A, WILD), (replace(B, secrets=(SecretRef("certs", "wild", allowed=False),)), WILD)],
            [],
            id="a Secret without its grant",
        ),
        pytest.param(
            [(A, WILD), (replace(B, **OTHER), WILD)],
            [("elsewhere", ["a", "b"], "a.example.com>b.example.com at a")],
            id="one address of two workloads",
        ),
    ],
)
def test_groups(
    pairs: list[tuple[Listener, Certificate]], wanted: list[tuple[str, list[str], str | None]]
) -> None:
    assert told(overlaps(*served(*pairs))) == wanted


def test_one_secret_or_the_same_bytes_twice_is_one_certificate() -> None:
    (found,) = overlaps(*served((A, WILD), (B, WILD)))
    assert (found.certificates, found.names) == (1, ("*.example.com",))
    (found,) = overlaps(*served((A, WILD), (B, certificate("*.example.com", serial="2"))))
    assert found.certificates == 2


def test_a_listener_that_envoy_gateway_does_not_compare_keeps_http_2() -> None:
    """Compared with the first alone, which overlaps the second: the third overlaps only that."""
    third = listener("c", "c.example.com")
    pairs = [
        (A, certificate("a.example.com")),
        (B, certificate("a.example.com", "b.example.com", "c.example.com")),
        (third, certificate("b.example.com", "c.example.com")),
    ]
    assert told(overlaps(*served(*pairs))) == [
        ("not found", ["a", "b", "c"], "c.example.com>b.example.com at c"),
        ("HTTP/1.1", ["a", "b"], None),
    ]


def test_a_shared_wildcard_is_one_group() -> None:
    many = [listener(f"l{it}", f"n{it}.example.com", alpn=H2) for it in range(500)]
    (found,) = overlaps(many, {it: [WILD] for it in many})
    assert len(found.members) == 500


LABELS = ("a", "b", "x.a")
DOMAINS = ("example.com", "example.org", "a.example.com")


@pytest.mark.parametrize("seed", range(40))
def test_the_same_as_comparing_all_pairs(seed: int) -> None:
    """Random fleets of one Gateway, ten for each seed, against the definition and the source."""
    chance = Random(seed)
    for _ in range(10):
        every, held = _random(chance)
        found = overlaps(every, held)
        fallen = _fallen_back(every, held)
        edges = _edges(every, held)
        groups = {
            frozenset(group)
            for group in _components(edges)
            if any(one in group for one, _ in edges if one.alpn or one not in fallen)
        }
        told_ = [it for it in found if it.effect == "not found"]
        assert {frozenset(it.members) for it in told_} == groups
        for it in told_:
            assert it.pair
            assert (it.pair.first, it.pair.second) in edges
            assert _picked(every, it.pair.sni) is it.pair.first
            assert _picked(every, it.pair.host) is it.pair.second
            assert covers(held[it.pair.first][0].names, it.pair.host)
        lost = {one for it in found if it.effect == "HTTP/1.1" for one in it.members}
        batches = {it for it in fallen if it.alpn is None}
        assert {it for it in lost if it.alpn is None} == batches


def _random(chance: Random) -> tuple[list[Listener], dict[Listener, list[Certificate]]]:
    names = [f"{label}.{domain}" for label in ("*", *LABELS) for domain in DOMAINS]
    hostnames = chance.sample([None, *names], chance.randint(2, 6))
    every = [
        listener(f"l{number}", it, alpn=chance.choice([None, H2]))
        for number, it in enumerate(hostnames)
    ]
    held = {
        it: [certificate(*chance.sample(names, chance.randint(1, 3)), serial=str(number))]
        for number, it in enumerate(every)
    }
    return every, held


def _picked(every: list[Listener], name: str) -> Listener | None:
    """The most precise one, as Envoy matches server names."""
    taking = [it for it in every if covered(name, it.hostname)]
    return max(taking, key=lambda it: (it.hostname == name, len(it.hostname or "")), default=None)


def _edges(
    every: list[Listener], held: dict[Listener, list[Certificate]]
) -> set[tuple[Listener, Listener]]:
    """From each listener that a client has a connection to, to those whose names it may ask."""
    labels = (*LABELS, "other", "y.z")
    names = {f"{label}.{domain}" for label in labels for domain in DOMAINS} | {*DOMAINS}
    reached = {
        (it, to)
        for it in every
        for name in names
        if covers(held[it][0].names, name) and (to := _picked(every, name))
    }
    return {(it, to) for it, to in reached if it is not to and (it, it) in reached}


def _components(edges: set[tuple[Listener, Listener]]) -> list[set[Listener]]:
    groups: list[set[Listener]] = []
    for edge in edges:
        touched = [it for it in groups if it & {*edge}]
        groups = [it for it in groups if it not in touched] + [{*edge}.union(*touched)]
    return groups


def _fallen_back(every: list[Listener], held: dict[Listener, list[Certificate]]) -> set[Listener]:
    """Pair by pair, in the order in which Envoy Gateway compares."""
    marked: set[Listener] = set()
    for number, one in enumerate(every):
        if one in marked:
            continue
        for other in every[number + 1 :]:
            if other not in marked and any(
                covers([first], second) or covers([second], first)
                for first in held[one][0].names
                for second in held[other][0].names
            ):
                marked |= {one, other}
    return marked

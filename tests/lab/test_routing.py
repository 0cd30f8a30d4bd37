"""
Where requests go, as tasks.diagnosis.routing says and as a real Envoy does: route tables and filter
chains by chance. It needs the lab's Envoys, and no cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.diagnosis import config
from tasks.diagnosis.evidence import Request
from tasks.diagnosis.routing import Matched, matched
from tasks.lab import catalogue
from tests.routing import envoy
from tests.routing.generated import ASKED_NAMES, PROTOCOLS, Generator
from tests.scenes import certificates

TABLES, REQUESTS = 200, 40
LISTENERS, CONNECTIONS = 80, 15


def said(status: int, body: str) -> str:
    """The route that answered, or what Envoy did instead."""
    known = {200: body or "ends", 404: "none", 301: "ends", 307: "ends", 400: "ends"}
    return known.get(status, f"{status}")


def told(found: Matched) -> str:
    if found.ends:
        return "ends"
    return found.route.name if found.route else "none"


@pytest.mark.lab
@pytest.mark.parametrize("release", sorted(catalogue.ENVOY))
def test_every_request_goes_where_a_real_envoy_sends_it(tmp_path: Path, release: str) -> None:
    chance = Generator(9)
    listeners = [
        envoy.listener(
            it,
            filter_chains=[
                {"filters": [envoy.http_filter(chance.table(f"table-{it}"), **chance.manager())]}
            ],
        )
        for it in range(TABLES)
    ]
    wrong, by_route = [], 0
    with envoy.running(listeners, tmp_path, release) as dump:
        known = config.read(dump)
        for number in range(TABLES):
            client = envoy.Client(number)
            for _ in range(REQUESTS):
                request = chance.request()
                answer = said(*client.answer(request))
                found = matched(known, request, port=envoy.FIRST + number)
                by_route += found.route is not None
                if told(found) != answer:
                    wrong.append((number, request, answer, told(found), found.misses, found.notes))

    assert wrong == []
    assert by_route > TABLES * REQUESTS / 10
    assert known.partial == ()


def listeners_by_chance(chance: Generator) -> list[dict[str, Any]]:
    """Chains that answer with their names; one in three listeners has one for all that is left."""
    socket = envoy.transport_socket(certificates.pair(30))
    made = []
    for number in range(LISTENERS):
        found = [
            envoy.chain(it["name"], it["match"], it["tls"], socket)
            for it in chance.chains(envoy.ADDRESS, envoy.FIRST + number)
        ]
        rest: dict[str, Any] = {}
        if chance.happens(0.3):
            rest["default_filter_chain"] = envoy.chain("rest", {}, chance.happens(0.7), socket)
        if chance.happens(0.8):
            rest["listener_filters"] = [envoy.INSPECTOR]
        made.append(envoy.listener(number, filter_chains=found, **rest))
    return made


@pytest.mark.lab
@pytest.mark.parametrize("release", sorted(catalogue.ENVOY))
def test_every_connection_gets_the_chain_of_a_real_envoy(tmp_path: Path, release: str) -> None:
    chance = Generator(11)
    listeners = listeners_by_chance(chance)
    wrong, reached = [], 0
    with envoy.running(listeners, tmp_path, release) as dump:
        known = config.read(dump)
        for number in range(LISTENERS):
            local = f"{envoy.ADDRESS}:{envoy.FIRST + number}"
            for _ in range(CONNECTIONS):
                name, protocols = chance.one_of(ASKED_NAMES), chance.one_of(PROTOCOLS)
                plain = chance.happens(0.2)
                answer = (
                    envoy.without_tls(number) if plain else envoy.over_tls(number, name, protocols)
                )
                request = Request(
                    scheme="http" if plain else "https",
                    host="any",
                    sni=name or "",
                    version="2" if "h2" in protocols and not plain else "1.1",
                )
                found = matched(known, request, local=local)
                got = found.chain.name if found.chain and not found.ends else None
                reached += got is not None
                if got != answer:
                    chains = found.listener and [
                        (it.name, it.match) for it in found.listener.chains
                    ]
                    wrong.append((number, request, answer, got, found.notes, chains))

    assert wrong == []
    assert reached > LISTENERS * CONNECTIONS / 8

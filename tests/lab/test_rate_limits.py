"""
Rates that all proxies count together: the real rate limit service and a real Redis, two proxies
that are asked in turn, and what comes of requests when the Redis has died.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.edge import HTTP, Edge, Json, data, route, served, values
from tests.lab.fleet import opened
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

#: A service that is late on a busy machine is no dead one.
COUNTED = ("--data", "rate_limit_redis=redis.shared.svc:6379", "--data", "rate_limit_timeout=5s")
SMALL = {"cpu": "10m", "memory": "64Mi"}
DAY = {"requests": 3, "per": "Day", "of": "all"}
GATEWAYS: list[Json] = [
    {
        "name": "counted",
        "namespace": "edge",
        "listeners": HTTP,
        "proxy": {"replicas": 2, **SMALL},
    },
    {
        "name": "whole",
        "namespace": "edge",
        "listeners": HTTP,
        "proxy": {"replicas": 1, **SMALL},
        "limits": {"rates": [{**DAY, "path": "/shared", "shared": True}, {**DAY, "path": "/own"}]},
    },
]
#: A day, for what is counted begins anew with each.
RATES: dict[str, Json] = {
    "plain": {},
    "alone": {"requests": 3, "per": "Day"},
    "together": DAY,
    "users": {"requests": 2, "per": "Day", "of": "all", "headers": {"x-user": "*"}},
    "open": {"requests": 1, "per": "Day", "of": "all"},
    "closed": {"requests": 1, "per": "Day", "of": "all"},
}


ROUTES = [
    *(route(name, "counted", rate and {"rates": [rate]}) for name, rate in RATES.items()),
    *(route(name, "whole") for name in ("one", "two")),
]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The lab's first cluster with a Redis, and a Gateway of two proxies."""
    fleet = opened(tmp_path_factory.mktemp("rates"))
    cluster = fleet.names[0]
    done = run("ratelimit", cluster, name=fleet.lab.name)
    assert done.returncode == 0, done.stdout + done.stderr
    with served(fleet, GATEWAYS, ROUTES, *COUNTED) as found:
        until("two proxies", lambda: len(found.pods()) == 2)
        until("the routes at both", lambda: asked(found, "plain", 2) == [200, 200])
        until("the service to count", lambda: counts(found))
        until("the last route", lambda: found.ask("two", gateway="whole")[0] == 200)
        yield found
    ended = fleet.pyinfra("install", "-y", "--limit", cluster)
    assert ended.code == 0, ended.text
    done = run("ratelimit", cluster, "--remove", name=fleet.lab.name)
    assert done.returncode == 0, done.stdout + done.stderr


def counts(edge: Edge) -> bool:
    """Whether the service runs, and says how many are left of what nobody else asks for."""
    headers = edge.answer("users", "/", edge.address(), x_user="first")[1]
    return "x-ratelimit-limit" in headers


def doors(edge: Edge) -> list[str]:
    """Where each proxy listens, for one to be chosen."""
    return sorted(f"{it}:10080" for it in edge.pods().values())


def asked(edge: Edge, host: str, times: int, **headers: str) -> list[int]:
    """Of each proxy in turn."""
    every = doors(edge)
    turns = [every[it % len(every)] for it in range(times)]
    return [edge.answer(host, "/", it, b"", **headers)[0] for it in turns]


def test_two_proxies_count_together(edge: Edge) -> None:
    """Three in a day, whichever proxy is asked; each for itself lets six through."""
    assert asked(edge, "together", 6) == [200, 200, 200, 429, 429, 429]
    assert asked(edge, "alone", 8) == [200] * 6 + [429] * 2


def test_a_client_is_told_how_many_are_left(edge: Edge) -> None:
    found = [edge.answer("users", "/", it, x_user="anna") for it in doors(edge) * 2]
    assert [status for status, _, _ in found] == [200, 200, 429, 429]
    assert [it["x-ratelimit-remaining"] for _, it, _ in found] == ["1", "0", "0", "0"]
    assert {it["x-ratelimit-limit"] for _, it, _ in found} == {"2, 2;w=86400"}
    assert all(0 < int(it["x-ratelimit-reset"]) <= 86400 for _, it, _ in found)
    assert asked(edge, "users", 3, x_user="bert") == [200, 200, 429]


def test_routes_of_a_gateway_share_what_it_says_or_have_so_many_each(edge: Edge) -> None:
    turns = ("one", "two", "one", "two", "one", "two")
    found = {
        path: [edge.ask(host, path, "whole")[0] for host in turns] for path in ("/shared", "/own")
    }
    assert found == {"/shared": [200] * 3 + [429] * 3, "/own": [200] * 6}
    assert [edge.ask(host, "/own", "whole")[0] for host in ("one", "two")] == [429, 429]


def test_envoy_runs_what_the_inventory_says(edge: Edge) -> None:
    every = [it for one in values(edge.config("listeners"), "http_filters") for it in one]
    [limits] = [it for it in every if it["name"] == "envoy.filters.http.ratelimit"]
    config = limits["typed_config"]
    assert (config["timeout"], config.get("failure_mode_deny")) == ("5s", None)


def test_without_redis_requests_go_through_or_not_as_the_inventory_says(edge: Edge) -> None:
    assert asked(edge, "open", 2) == [200, 429]
    scaled(edge, 0)
    until("the service to have noticed", lambda: asked(edge, "open", 2) == [200, 200])
    assert asked(edge, "open", 4) == [200] * 4
    assert asked(edge, "plain", 2) == [200, 200]

    install(edge, *COUNTED, "--data", "rate_limit_fails=closed")
    until("the proxies to refuse", lambda: asked(edge, "closed", 2) == [500, 500])
    assert asked(edge, "closed", 4) == [500] * 4
    assert asked(edge, "plain", 2) == [200, 200]

    scaled(edge, 1)
    until("Redis to count again", lambda: asked(edge, "closed", 2)[-1] == 429)
    assert asked(edge, "closed", 4) == [429] * 4


def scaled(edge: Edge, replicas: int) -> None:
    place = ("--namespace", "shared")
    cluster, fleet = edge.fleet.names[0], edge.fleet
    fleet.kubectl(cluster, "scale", "deployment/redis", *place, "--replicas", str(replicas))
    names = ("get", "pods", *place, "--output", "jsonpath={.items[*].status.phase}")
    wanted = ["Running"] * replicas
    until("Redis", lambda: fleet.kubectl(cluster, *names).split() == wanted)


def install(edge: Edge, *more: str) -> None:
    given = ("--limit", edge.fleet.names[0], *data(GATEWAYS, ROUTES))
    ended = edge.fleet.pyinfra("install", "-y", *given, *more)
    assert ended.code == 0, ended.text

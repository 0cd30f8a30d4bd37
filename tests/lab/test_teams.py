"""
Two teams on one Gateway: neither serves what is the other's, and findings tell of the hole that
somebody opens by hand.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.plans.kinds import title
from tests.lab.fleet import Fleet, opened
from tests.lab.running import until

pytestmark = pytest.mark.lab

Object = dict[str, Any]
GATEWAY: Object = {
    "name": "teams",
    "namespace": "edge",
    "listeners": [
        {"name": "shop", "port": 80, "hostname": "*.shop.lab.test"},
        {"name": "blog", "port": 80, "hostname": "*.blog.lab.test"},
    ],
}
LENT = {"namespace": "demo", "kind": "Service", "name": "blue", "to": ["blog"]}
TEAMS: list[Object] = [
    {
        "name": "shop",
        "namespaces": ["demo"],
        "zones": ["*.shop.lab.test"],
        "listeners": ["edge/teams/shop"],
        "grants": [LENT],
    },
    {
        "name": "blog",
        "namespaces": ["blog"],
        "zones": ["*.blog.lab.test"],
        "listeners": ["edge/teams/blog"],
    },
]
DATA = {"gateways": [GATEWAY], "routes": [], "teams": TEAMS}
KEYS = [word for key, it in DATA.items() for word in ("--data", f"{key}={json.dumps(it)}")]


def route(place: str, hostname: str, service: str) -> Object:
    namespace, _, name = place.partition("/")
    backend = {"name": service, "namespace": "demo", "port": 8080}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "teams", "namespace": "edge"}],
            "hostnames": [hostname],
            "rules": [{"backendRefs": [backend]}],
        },
    }


ROUTES = [
    route("demo/one", "one.shop.lab.test", "green"),
    route("blog/lent", "lent.blog.lab.test", "blue"),
    route("blog/kept", "kept.blog.lab.test", "green"),
    route("blog/thief", "two.shop.lab.test", "blue"),
]


#: Other tests have Gateways of their own on this cluster.
MINE = {"Gateway edge/teams", "ListenerSet demo/taker", *(title(it) for it in ROUTES)}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    found = opened(tmp_path_factory.mktemp("teams"))
    cluster = found.names[0]
    ended = found.pyinfra("install", "-y", "--limit", cluster, *KEYS)
    assert ended.code == 0, ended.text
    blog = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blog"}}
    try:
        found.lab.kubectl("--context", cluster, "apply", "-f", "-", text=listed([blog, *ROUTES]))
        yield found
    finally:
        found.kubectl(cluster, "delete", "namespace", "blog", "--ignore-not-found")
        found.kubectl(cluster, "delete", "httproute", "one", "-n", "demo", "--ignore-not-found")
        mine = ("gateway,clienttrafficpolicy", "teams", "-n", "edge", "--ignore-not-found")
        found.kubectl(cluster, "delete", *mine)
        lent = ("referencegrant", "envoyfleet-service-blue", "-n", "demo", "--ignore-not-found")
        found.kubectl(cluster, "delete", *lent)


def listed(things: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": things})


def answer(fleet: Fleet, host: str, port: int = 80) -> str:
    """Status and the Service that answered, such as "200 blue"."""
    path = "{.status.addresses[0].value}"
    place = ("gateway", "teams", "-n", "edge", "-o", f"jsonpath={path}")
    connection = http.client.HTTPConnection(
        fleet.kubectl(fleet.names[0], "get", *place), port, timeout=15
    )
    try:
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        found = connection.getresponse()
        body = found.read()
    except OSError as error:
        return type(error).__name__
    finally:
        connection.close()
    return (
        f"{found.status} {json.loads(body)['service']}"
        if found.status == 200
        else str(found.status)
    )


def open_holes(fleet: Fleet, *more: str) -> list[tuple[str, str | None, str]]:
    """What ``deploys/gateways.py`` tells of teams, as the cluster is now."""
    asked = ("--limit", fleet.names[0], "--data", "check=true", "--data", "output=json")
    found = json.loads(fleet.pyinfra("gateways", *asked, *KEYS, *more).out)["findings"]
    return sorted(
        (it["code"], it["object"], it["what"])
        for it in found
        if it["code"].startswith("GW33") and it["object"] in MINE
    )


def test_neither_team_serves_what_is_the_others(fleet: Fleet) -> None:
    until("the shop's own", lambda: answer(fleet, "one.shop.lab.test") == "200 green")
    until("what was lent", lambda: answer(fleet, "lent.blog.lab.test") == "200 blue")
    until("what was not lent", lambda: answer(fleet, "kept.blog.lab.test") == "500")
    assert answer(fleet, "two.shop.lab.test") == "404"
    path = "{.status.parents[0].conditions[?(@.type=='Accepted')].reason}"
    place = ("httproute", "thief", "-n", "blog", "-o", f"jsonpath={path}")
    assert fleet.kubectl(fleet.names[0], "get", *place) == "NoMatchingListenerHostname"
    assert open_holes(fleet) == []


def listener_set(place: str, port: int, hostname: str) -> list[Object]:
    """A ListenerSet and the route to it, of the same name."""
    namespace, _, name = place.partition("/")
    meta = {"name": name, "namespace": namespace}
    taking = route(place, hostname, "green")
    taking["spec"]["parentRefs"] = [{"kind": "ListenerSet", "name": name}]
    listener = {"name": "own", "port": port, "protocol": "HTTP", "hostname": hostname}
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "ListenerSet",
            "metadata": meta,
            "spec": {"parentRef": {"name": "teams", "namespace": "edge"}, "listeners": [listener]},
        },
        taking,
    ]


SETS = [
    *listener_set("demo/own", 8081, "own.shop.lab.test"),
    *listener_set("blog/own", 8082, "own.blog.lab.test"),
]
TAKER = listener_set("demo/taker", 80, "lent.blog.lab.test")
CLOSED = ("ConnectionRefusedError", "TimeoutError")


def test_listener_sets_are_taken_of_those_who_may_bring_some(fleet: Fleet) -> None:
    """Of nobody at first, then of one team; it can take what is another's, which is told."""
    name = fleet.names[0]
    fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=listed(SETS))
    path = "{range .items[*]}{.status.conditions[?(@.type=='Accepted')].reason},{end}"
    sets = ("get", "listenerset", "-A", "-o", f"jsonpath={path}")
    shop = {**TEAMS[0], "listener_sets": ["edge/teams"]}
    told = ("--data", f"teams={json.dumps([shop, TEAMS[1]])}")
    run = ("gateways", "-y", "--limit", name, *KEYS)
    try:
        until("nobody's", lambda: fleet.kubectl(name, *sets).count("NotAllowed") == 2)
        assert answer(fleet, "own.shop.lab.test", 8081) in CLOSED
        ended = fleet.pyinfra(*run, *told)
        assert ended.code == 0, ended.text
        assert "warning: GW338 Gateway edge/teams" in ended.text
        until("its own", lambda: answer(fleet, "own.shop.lab.test", 8081) == "200 green")
        assert answer(fleet, "own.blog.lab.test", 8082) in CLOSED
        fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=listed(TAKER))
        until("what it takes", lambda: answer(fleet, "lent.blog.lab.test") == "200 green")
        [wrong] = [it for it in open_holes(fleet, *told) if it[0] == "GW336"]
        assert wrong[2] == "team shop takes lent.blog.lab.test of team blog"
        refused = fleet.pyinfra(*run, *told)
        assert (refused.code, "GW336 ListenerSet demo/taker" in refused.text) == (1, True)
    finally:
        kinds = ("listenerset,httproute", "-n", "demo", "--ignore-not-found")
        fleet.kubectl(name, "delete", *kinds, "own", "taker")
        fleet.kubectl(name, "delete", "listenerset,httproute", "own", "-n", "blog")
    assert fleet.pyinfra(*run).code == 0


def test_a_hole_that_somebody_opens_is_told_and_is_one(fleet: Fleet) -> None:
    path = "/spec/listeners/0/allowedRoutes/namespaces"
    patch = json.dumps([{"op": "replace", "path": path, "value": {"from": "All"}}])
    place = ("gateway", "teams", "-n", "edge", "--type=json", f"--patch={patch}")
    fleet.kubectl(fleet.names[0], "patch", *place)
    until("the thief", lambda: answer(fleet, "two.shop.lab.test") == "200 blue")
    assert open_holes(fleet) == [
        (
            "GW330",
            "HTTPRoute blog/thief",
            "team blog takes two.shop.lab.test of team shop",
        ),
        (
            "GW332",
            "Gateway edge/teams",
            "takes routes of every namespace, for *.shop.lab.test",
        ),
    ]

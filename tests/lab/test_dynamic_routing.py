"""
Each client reaches the one server that the resolver names, and nothing else whatever the resolver
or the client says: the script on Envoys of their own, then all of it on a cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.desired import dynamic_routing as desired
from tasks.fleet.inventory import DynamicRoute
from tasks.lab import catalogue
from tasks.plans import dynamic_routing as plans
from tests.lab.fleet import opened
from tests.lab.joined import (
    HOST,
    INSIDE,
    RESOLVER,
    Joined,
    ask,
    entry,
    wanted,
    with_resolver,
    with_resolver_pod,
)
from tests.lab.running import until
from tests.lab.websocket import echoed
from tests.routing import envoy, resolver
from tests.routing.resolver import Places, server_of

pytestmark = pytest.mark.lab

#: What each client gets that names none, or not once, or not as it is written.
NAMELESS = {
    "/join": 400,
    "/join?client_id": 400,
    "/join?client_id=": 400,
    "/join?xclient_id=7": 400,
    "/join?client_id=7&client_id=8": 400,
    "/join?client_id=7&client%5Fid=8": 400,
    "/join?client_id=7;client_id=8": 400,
    "/join?client_id=7%0d%0ax-evil:1": 400,
    "/join?client_id=../admin": 400,
    "/join?client_id=" + 65 * "7": 400,
}
#: The same for every answer that is of no use, whatever is allowed.
REFUSED = {
    "unknown": 404,
    "failing": 502,
    "away": 502,
    "nothing": 502,
    "garbage": 502,
    "nameless": 502,
    "huge": 502,
    "metadata": 502,
    "loopback": 502,
    "portless": 502,
    "named": 502,
    "octal": 502,
    "six": 502,
    "injected": 502,
    "raw": 502,
    "two": 502,
    "slow": 504,
}
#: Addresses that are no server of ours: the script refuses what is not allowed, Envoy what is no
#: endpoint.
OUTSIDE = ("outside", "itself", "port", "stranger")
#: What a client says to be served by whoever is well.
RETRY = {"x-envoy-retry-on": "connect-failure,5xx", "x-envoy-max-retries": "9"}
CLIENTS = [f"client-{number}" for number in range(100)]


def script(allowed: str, ports: list[int]) -> str:
    """
    As it is rendered for an entry, but for loopback addresses, where these Envoys have their
    servers.
    """
    limits = {"cidrs": [allowed], "ports": ports}
    wanted = DynamicRoute.model_validate(entry(allowed=limits))
    *_, policy = desired.policies("lab", wanted, "resolver")
    (first, last), (first_here, last_here) = plans.ranges(["127.0.0.0/8", "127.0.0.0/16"])
    text = plans.script_of(policy)
    assert plans.named(text) == "resolver"
    assert f"{{ {first}, {last} }}" in text
    return text.replace(f"{{ {first}, {last} }}", f"{{ {first_here}, {last_here} }}")


def cluster(name: str, *ports: int) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": envoy.at(port)}} for port in ports]
    assigned = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {"name": name, "type": "STATIC", "load_assignment": assigned}


def table(name: str, retry: bool) -> dict[str, Any]:
    route: dict[str, Any] = {"cluster": "servers"}
    if retry:
        route["retry_policy"] = {"retry_on": "connect-failure", "num_retries": 5}
    hosts = [
        {
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": route}],
        }
    ]
    return {"name": name, "virtual_hosts": hosts}


def with_script(number: int, text: str, retry: bool = False) -> dict[str, Any]:
    kind = "envoy.extensions.filters.http.lua.v3.Lua"
    config = envoy.typed(kind, default_source_code={"inline_string": text})
    before = [{"name": "envoy.filters.http.lua", "typed_config": config}]
    filters = [envoy.http_filter(table(f"table-{number}", retry), before)]
    return envoy.listener(number, filter_chains=[{"filters": filters}])


#: Of these, each is a listener that answers with its name.
FIRST, SECOND, STRANGER = 1, 2, 3


@pytest.mark.parametrize("release", sorted(catalogue.ENVOY))
def test_script_answers_whatever_goes_wrong_itself(
    tmp_path: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, start = envoy.ADDRESS, envoy.FIRST
    servers = tuple(f"{here}:{start + it}" for it in (FIRST, SECOND))
    dead = start + 9
    places = Places(servers, f"{here}:{start}", f"{here}:{start + STRANGER}", f"{here}:{dead}")
    network = f"{here.rpartition('.')[0]}.0/24"
    text = script(network, [start, start + FIRST, start + SECOND, start + STRANGER, dead])
    listeners = [
        with_script(0, text),
        *(
            envoy.listener(it, filter_chains=[envoy.chain(f"server-{it}", {}, False, {})])
            for it in (FIRST, SECOND, STRANGER)
        ),
        with_script(4, script("10.0.0.0/8", [])),
        with_script(5, text.replace("local status = tonumber", "local status = nothing.there")),
        with_script(6, text.replace('RESOLVER = "resolver"', 'RESOLVER = "gone"')),
        with_script(7, text, retry=True),
    ]
    known = [cluster("servers", start + FIRST, start + SECOND, dead), cluster("resolver", RESOLVER)]
    with envoy.running(listeners, tmp_path, release, known):
        assert ask(here, start, "/join?client_id=7").status == 503
        with resolver.running(here, RESOLVER, places):
            until("resolver", lambda: ask(here, start, "/join?client_id=7").status == 200)
            assert {it: ask(here, start, it).status for it in NAMELESS} == NAMELESS
            got = {it: ask(here, start, f"/join?client_id={it}").status for it in REFUSED}
            assert got == REFUSED
            got = {it: ask(here, start, f"/join?client_id={it}").status for it in OUTSIDE}
            assert got == {"outside": 502, "itself": 503, "port": 502, "stranger": 503}
            got = {it: ask(here, start + 4, f"/join?client_id={it}").status for it in CLIENTS[:9]}
            assert got == dict.fromkeys(CLIENTS[:9], 502), "none of them is allowed"
            wrong = [
                it
                for it in CLIENTS
                if ask(here, start, f"/join?a=b&client_id={it}").body
                != f"server-{int(server_of(it, servers).rpartition(':')[2]) - start}"
            ]
            assert wrong == []
            assert ask(here, start + 5, "/join?client_id=7").status == 500, "the script failed"
            assert ask(here, start + 6, "/join?client_id=7").status == 503, "no such cluster"
            back = ask(here, start, "/join?client_id=7", **{"x-dynamic-routing": "lab/demo/join"})
            assert back.status == 508
            pinned = {ask(here, start, "/join?client_id=dead", **RETRY).status for _ in range(9)}
            assert pinned == {503}
            elsewhere = {ask(here, start + 7, "/join?client_id=dead").status for _ in range(9)}
            assert 200 in elsewhere, "a retry leaves the server that was named: hence our policy"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    with with_resolver(opened(tmp_path_factory.mktemp("dynamic_routing"))) as found:
        yield found


def test_is_set_up_and_proven_once(joined: Joined) -> None:
    fleet = joined.fleet
    planned = fleet.pyinfra("dynamic_routing", "--dry", "--diff", *wanted(entry()))
    assert planned.code == 0, planned.text
    assert "Will create HTTPRoute demo/join-resolver" in planned.text
    assert joined.ask("/join?client_id=7").status == 404
    done = fleet.pyinfra("dynamic_routing", "-y", *wanted(entry()))
    assert done.code == 0, done.text
    again = fleet.pyinfra("dynamic_routing", "-y", *wanted(entry()))
    assert again.code == 0, again.text
    assert fleet.statuses() == {fleet.names[0]: "unchanged"}
    looked = fleet.pyinfra(
        "dynamic_routing", "--data", "check=true", "--data", "output=json", *wanted(entry())
    )
    assert looked.code == 0, looked.text
    row = json.loads(looked.out)["clusters"][0]["routes"][0]
    name = "httproute/demo/join-resolver/rule/0"
    assert row == {"name": "demo/join", "cluster": name, "asks": name}


def test_where_and_join_are_as_the_document_says(joined: Joined) -> None:
    where = joined.ask("/where?client_id=123")
    server = server_of("123", joined.places.servers)
    assert json.loads(where.body) == {"client_id": "123", "hostport": server}
    assert joined.ask("/join?client_id=123").pod == joined.pods[server]
    assert joined.ask("/joinery?client_id=123").status == 404
    got = {it: joined.ask(f"/join?client_id={it}").pod for it in CLIENTS}
    assert got == {it: joined.pods[server_of(it, joined.places.servers)] for it in CLIENTS}
    echoed = json.loads(joined.ask("/join/room?x=1&client_id=123").body)
    assert (echoed["host"], echoed["path"]) == (HOST, "/join/room?x=1&client_id=123")


def test_abuse_is_refused_whoever_tries(joined: Joined) -> None:
    assert {it: joined.ask(it).status for it in NAMELESS} == NAMELESS
    assert {it: joined.ask(f"/join?client_id={it}").status for it in REFUSED} == REFUSED
    got = {it: joined.ask(f"/join?client_id={it}").status for it in OUTSIDE}
    assert got == dict.fromkeys(OUTSIDE, 503), "no endpoint of the Service"
    own = json.loads(joined.ask("/join?client_id=123").body)["headers"]
    assert own["X-Dynamic-Routing"] == [f"{joined.fleet.names[0]}/demo/join"]
    loop = joined.ask("/join?client_id=123", **{"x-dynamic-routing": own["X-Dynamic-Routing"][0]})
    assert (loop.status, loop.headers["x-dynamic-routing"]) == (508, "refused")
    first, second = joined.places.servers
    other = {server_of(it, (first, second)): it for it in CLIENTS}
    for name in ("x-envoy-original-dst-host", "x-gateway-destination-endpoint", "x-forwarded-host"):
        answer = joined.ask(f"/join?client_id={other[first]}", **{name: second})
        assert answer.pod == joined.pods[first]


RETRIES = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "BackendTrafficPolicy",
    "metadata": {"name": "retries", "namespace": "edge"},
    "spec": {
        "targetRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"},
        ],
        "retry": {"numRetries": 5, "retryOn": {"triggers": ["connect-failure", "5xx"]}},
    },
}


def test_a_dead_server_is_no_reason_to_join_another_one(joined: Joined) -> None:
    """Even where the policy of the Gateway retries, or the client asks for it."""
    joined.kubectl("apply", "--filename", "-", text=json.dumps(RETRIES))
    try:
        joined.kubectl(
            *("wait", "backendtrafficpolicy/retries", "-n", "edge", "--timeout", "120s"),
            "--for=jsonpath={.status.ancestors[0].conditions[0].status}=True",
        )
        assert {joined.ask("/join?client_id=dead").status for _ in range(20)} == {503}
        assert {joined.ask("/join?client_id=dead", **RETRY).status for _ in range(20)} == {503}
    finally:
        joined.kubectl("delete", "backendtrafficpolicy", "retries", "-n", "edge")


def test_a_script_that_asks_for_an_old_name_is_found_and_mended(joined: Joined) -> None:
    listed = json.loads(joined.kubectl("get", "envoyextensionpolicy/join", "-n", "demo", "-ojson"))
    text = listed["spec"]["lua"][0]["inline"].replace("httproute/demo", "older/demo")
    change = json.dumps({"spec": {"lua": [{"type": "Inline", "inline": text}]}})
    joined.kubectl(
        *("patch", "envoyextensionpolicy/join", "-n", "demo", "--type=merge", "-p", change)
    )
    until("503", lambda: joined.ask("/join?client_id=7").status == 503)
    looked = joined.fleet.pyinfra("dynamic_routing", "--data", "check=true", *wanted(entry()))
    assert looked.code == 3, looked.text
    assert (
        "dynamic_routing demo/join: its script asks older/demo/join-resolver/rule/0, and the "
        "proxies call it httproute/demo/join-resolver/rule/0: every client gets 503"
    ) in " ".join(looked.out.split())
    mended = joined.fleet.pyinfra(
        "dynamic_routing", "-y", *wanted(entry()), "--data", "take_back=true"
    )
    assert mended.code == 0, mended.text
    assert joined.ask("/join?client_id=7").status == 200


def test_a_resolver_that_is_closed_is_asked_by_the_proxies_alone(joined: Joined) -> None:
    closed = entry(resolver={"service": "resolver", "port": 80, "open": False})
    done = joined.fleet.pyinfra("dynamic_routing", "-y", *wanted(closed))
    assert done.code == 0, done.text
    until("403", lambda: joined.ask("/where?client_id=7").status == 403)
    assert joined.ask("/join?client_id=7").status == 200
    again = joined.fleet.pyinfra("dynamic_routing", "-y", *wanted(entry()))
    assert again.code == 0, again.text
    until("200", lambda: joined.ask("/where?client_id=7").status == 200)


def test_nothing_is_written_where_it_could_not_work(joined: Joined) -> None:
    fleet = joined.fleet
    before = joined.kubectl("get", "httproutes,envoyextensionpolicies", "-A", "-o", "json")
    bad = entry(name="other", servers={"service": "server", "port": 8081}, gateway="edge/private")
    done = fleet.pyinfra("dynamic_routing", "-y", *wanted(bad))
    assert done.code == 1, done.text
    said = " ".join(done.text.split())
    assert "Service demo/server does not exist" in said
    assert "Gateway edge/private does not exist" in said
    twice = fleet.pyinfra("dynamic_routing", "-y", *wanted(entry(), entry()))
    assert twice.code == 2, twice.text
    typo = fleet.pyinfra("dynamic_routing", "-y", *wanted(entry(resolver={"service": "r"})))
    assert typo.code == 2, typo.text
    now = joined.kubectl("get", "httproutes,envoyextensionpolicies", "-A", "-o", "json")
    versions = [
        [(it["metadata"]["name"], it["metadata"]["generation"]) for it in json.loads(one)["items"]]
        for one in (before, now)
    ]
    assert versions[0] == versions[1]


@pytest.fixture
def inside(joined: Joined) -> Iterator[Joined]:
    with with_resolver_pod(joined):
        yield joined


def test_a_resolver_in_the_cluster_and_a_websocket_to_the_server_it_names(inside: Joined) -> None:
    # The echo servers speak WebSocket at this path, and nothing else: no client proves it.
    here = entry(resolver=INSIDE, path="/ws", client=None)
    done = inside.fleet.pyinfra("dynamic_routing", "-y", *wanted(here))
    assert done.code == 0, done.text
    until("the servers", lambda: inside.ask("/ws/page?client_id=2").status == 200)
    first, second = inside.places.servers
    asked = {it: inside.ask(f"/ws/page?client_id={it}") for it in ("2", "3", "44", "55")}
    assert {it: said.pod for it, said in asked.items()} == {
        it: inside.pods[(first, second)[int(it) % 2]] for it in asked
    }
    assert inside.ask("/ws/page?client_id=who").status == 404
    for it in ("2", "3"):
        path = f"/ws?client_id={it}"
        assert echoed(inside.address, 80, HOST, path, "hello") == (101, "hello")
    assert echoed(inside.address, 80, HOST, "/ws?client_id=who", "hello")[0] == 404
    assert echoed(inside.address, 80, HOST, "/ws", "hello")[0] == 400


def test_merged_gateways_have_one_name_for_the_resolver(joined: Joined) -> None:
    """All Gateways of the class on the same proxies, and back."""
    fleet, merged = joined.fleet, ("--data", "merge_gateways=true")
    name = fleet.names[0]
    one = ("--limit", name, *wanted(entry()))
    try:
        changed = fleet.pyinfra("install", "-y", *one, *merged)
        assert changed.code == 0, changed.text
        done = fleet.pyinfra("dynamic_routing", "-y", *one, *merged)
        assert done.code == 0, done.text
        address = fleet.address(name)
        got = {it: ask(address, 80, f"/join?client_id={it}").pod for it in CLIENTS[:9]}
        assert got == {it: joined.pods[server_of(it, joined.places.servers)] for it in CLIENTS[:9]}
        assert ask(address, 80, "/join").status == 400
    finally:
        back = fleet.pyinfra("install", "-y", *one)
        assert back.code == 0, back.text
        until("the address is back", lambda: fleet.address(name) == joined.address)


def test_what_no_entry_has_is_pruned_and_nothing_else(joined: Joined) -> None:
    kinds = "httproute,envoyextensionpolicy,backendtrafficpolicy"
    before = joined.kubectl("get", kinds, "-A", "-o", "name").split()
    done = joined.fleet.pyinfra("dynamic_routing", "-y", "--data", "prune=true", *wanted())
    assert done.code == 0, done.text
    now = joined.kubectl("get", kinds, "-A", "-o", "name").split()
    gone = sorted(it.partition("/")[2] for it in set(before) - set(now))
    assert gone == ["join", "join", "join", "join-resolver", "join-resolver"]
    until("404", lambda: joined.ask("/join?client_id=7").status == 404)

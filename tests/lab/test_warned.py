"""
What findings warn of happens: a Gateway that has them all, and its neighbour that has none, both
made by hand. GW360 to GW363, and GW367.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from tasks.checks.http2 import http2_findings
from tasks.checks.limits import limit_findings
from tasks.lab import state
from tests.lab import serving
from tests.lab.calling import called
from tests.lab.edge import Edge, Json, address, apply
from tests.lab.fleet import Fleet, opened
from tests.lab.running import until

pytestmark = pytest.mark.lab

CODES = {"GW360", "GW361", "GW362", "GW363", "GW367"}
GATEWAY_API, ENVOY_GATEWAY = "gateway.networking.k8s.io/v1", "gateway.envoyproxy.io/v1alpha1"
KINDS = "gateway,httproute,grpcroute,envoyproxy,backendtrafficpolicy"
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}
SAY, CHAT = "/shop.Cart/Say", "/shop.Cart/Chat"


def thing(kind: str, name: str, namespace: str, spec: Json) -> Json:
    ours = kind in ("EnvoyProxy", "BackendTrafficPolicy")
    return {
        "apiVersion": ENVOY_GATEWAY if ours else GATEWAY_API,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def objects(name: str, bad: bool, client: str) -> list[Json]:
    """A Gateway, its proxies' settings, routes and policies. + client: our own address"""
    service = {"externalTrafficPolicy": "Cluster" if bad else "Local"}
    proxy = {"envoyDeployment": {"replicas": 1, "container": {"resources": SMALL}}}
    kubernetes = {"type": "Kubernetes", "kubernetes": {**proxy, "envoyService": service}}
    ref = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": name}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP"},
        *(listener(it) for it in (("a", "b") if bad else ("a",))),
    ]
    gateway = {
        "gatewayClassName": "envoy",
        "infrastructure": {"parametersRef": ref},
        "listeners": [{**it, "allowedRoutes": {"namespaces": {"from": "All"}}} for it in listeners],
    }
    of_us = {"sourceCIDR": {"value": f"{client}/32"}, "path": {"value": "/counted"}}
    rate = {"limit": {"requests": 1, "unit": "Day"}, "clientSelectors": [of_us]}
    limits = {
        "timeout": {"http": {"requestTimeout": "2s"}},
        "rateLimit": {"local": {"rules": [rate]}},
        **({"requestBuffer": {"limit": "64Ki"}} if bad else {}),
    }
    again = {"retry": {"numRetries": 1}, **({} if bad else {"mergeType": "StrategicMerge"})}
    obeys = {"name": "obeys", "port": serving.OBEYS}
    argo = {"name": "argo", "port": serving.ARGO}
    spoken = {**argo, "name": "argo-ws"} if bad else argo
    cart = [{"method": {"service": "shop.Cart"}}]
    parents = {"parentRefs": [{"name": name, "namespace": "edge"}]}

    def route(kind: str, of: str, rule: Json, *hosts: str) -> Json:
        spec = {**parents, "rules": [rule], **({"hostnames": list(hosts)} if hosts else {})}
        return thing(kind, f"{name}-{of}", "demo", spec)

    return [
        thing("EnvoyProxy", name, "edge", {"mergeType": "StrategicMerge", "provider": kubernetes}),
        thing("Gateway", name, "edge", gateway),
        thing("BackendTrafficPolicy", name, "edge", target("Gateway", name) | limits),
        route("HTTPRoute", "plain", {"backendRefs": [obeys]}, "plain.lab.test"),
        route("HTTPRoute", "stands", {"backendRefs": [obeys]}, "stands.lab.test"),
        thing(
            "BackendTrafficPolicy",
            f"{name}-stands",
            "demo",
            target("HTTPRoute", f"{name}-stands") | again,
        ),
        route("GRPCRoute", "calls", {"matches": cart, "backendRefs": [argo]}),
        route("GRPCRoute", "spoken", {"matches": cart, "backendRefs": [spoken]}, "spoken.lab.test"),
    ]


def listener(name: str) -> Json:
    return {
        "name": name,
        "port": 443,
        "protocol": "HTTPS",
        "hostname": f"{name}.lab.test",
        "tls": {"certificateRefs": [{"name": "lab-tls"}]},
    }


def target(kind: str, name: str) -> Json:
    return {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": kind, "name": name}]}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The lab's first cluster, with both Gateways and applications on this machine."""
    fleet = opened(tmp_path_factory.mktemp("warned"))
    cluster, outside = fleet.names[0], state.running(fleet.lab.name).gateway
    ended = fleet.pyinfra("install", "-y", "--limit", cluster)
    assert ended.code == 0, ended.text
    things = [
        *serving.objects("obeys", serving.OBEYS, outside),
        *serving.objects("argo", serving.ARGO, outside),
        *serving.objects("argo-ws", serving.ARGO, outside, "kubernetes.io/ws"),
        *objects("bad", True, outside),
        *objects("good", False, outside),
    ]
    with serving.serving(outside):
        apply(fleet, things)
        found = Edge(fleet, {name: address(fleet, name) for name in ("bad", "good")})
        for name in found.addresses:
            until(f"{name} to serve", lambda name=name: found.ask("plain", "/", name)[0] == 200)  # type: ignore[misc]
        until("gRPC to be served", lambda: say(found, "calls", "good") == "OK")
        yield found
    for it in reversed(things):
        place = ("--namespace", it["metadata"]["namespace"])
        fleet.kubectl(cluster, "delete", f"{it['kind']}/{it['metadata']['name']}", *place)


def say(edge: Edge, host: str, gateway: str) -> str:
    return called(f"{edge.address(gateway)}:80", f"{host}.lab.test", SAY, "hello").code


def live(fleet: Fleet, kinds: str) -> list[Json]:
    every = ("get", kinds, "--all-namespaces", "--output", "json")
    found: list[Json] = json.loads(fleet.kubectl(fleet.names[0], *every))["items"]
    return found


def test_the_findings_are_those_of_the_one_that_has_them(edge: Edge) -> None:
    """Of what the API server holds."""
    every, services = live(edge.fleet, f"gatewayclass,{KINDS}"), live(edge.fleet, "service")
    found = {
        (it.code, it.where.object)
        for it in (*limit_findings("lab", every), *http2_findings("lab", every, services))
        if it.code in CODES
    }
    assert found == {
        ("GW360", "BackendTrafficPolicy demo/bad-stands"),
        ("GW361", "GRPCRoute demo/bad-calls"),
        ("GW361", "GRPCRoute demo/bad-spoken"),
        ("GW362", "BackendTrafficPolicy edge/bad"),
        ("GW363", "GRPCRoute demo/bad-spoken"),
        ("GW367", "Gateway edge/bad"),
    }


def test_a_policy_of_a_route_stands_in_for_the_gateways(edge: Edge) -> None:
    """GW360: the two seconds of the Gateway are gone."""
    found = [edge.ask("stands", "/wait/4", it)[0] for it in ("bad", "good")]
    assert found == [200, 504]
    assert [edge.ask("plain", "/wait/4", it)[0] for it in ("bad", "good")] == [504, 504]


def test_clients_have_the_address_of_a_node(edge: Edge) -> None:
    """GW362: nobody is counted, for nobody has the address that is; by way of a node's port."""
    ways = {it: edge.node_port(it) for it in edge.addresses}
    found = {
        it: [edge.answer("plain", "/counted", way)[0] for _ in range(3)] for it, way in ways.items()
    }
    assert found == {"bad": [200, 200, 200], "good": [200, 429, 429]}


def test_a_client_that_streams_is_not_heard_until_it_ends(edge: Edge) -> None:
    """GW361: the first message arrives with the last."""
    assert chatted(edge.address("good")) == ["HELLO", "HELLO"]
    assert chatted(edge.address("bad")) == ["", "HELLO"]


def chatted(gateway: str) -> list[str]:
    """What has come of a Chat before and after the client ends its own part of it."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    head = {":method": "POST", ":scheme": "http", ":path": CHAT, ":authority": "a.lab.test"}
    more = {"content-type": "application/grpc", "te": "trailers"}
    connection.send_headers(1, [*head.items(), *more.items()])
    connection.send_data(1, struct.pack(">BI", 0, 5) + b"hello")
    came = b""
    said = []
    with socket.create_connection((gateway, 80), timeout=8) as stream:
        for ends in (False, True):
            if ends:
                connection.end_stream(1)
            stream.sendall(connection.data_to_send())
            over = False
            with suppress(TimeoutError):
                while not over:
                    for event in connection.receive_data(stream.recv(65536)):
                        if isinstance(event, h2.events.DataReceived):
                            came += event.data
                        over |= isinstance(event, h2.events.StreamEnded) or bool(came and not ends)
                    stream.sendall(connection.data_to_send())
            said.append(came[5:].decode())
    return said


def test_proxies_speak_http1_to_a_port_of_websockets(edge: Edge) -> None:
    """GW363: no call arrives; through the neighbour every one does."""
    assert say(edge, "spoken", "good") == "OK"
    assert say(edge, "spoken", "bad") != "OK"
    assert say(edge, "calls", "bad") == "OK"


def test_listeners_with_one_certificate_offer_no_http2(edge: Edge) -> None:
    """GW367: and the Gateway says so itself."""
    assert [offered(edge.address(it)) for it in ("bad", "good")] == ["http/1.1", "h2"]
    every = {it["metadata"]["name"]: it for it in live(edge.fleet, "gateway")}
    said = {name: overlaps(every[name]) for name in edge.addresses}
    assert said == {"bad": {"a", "b"}, "good": set()}


def offered(gateway: str) -> str | None:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((gateway, 443), timeout=60) as stream,
        trust.wrap_socket(stream, server_hostname="a.lab.test") as sealed,
    ):
        return sealed.selected_alpn_protocol()


def overlaps(gateway: Any) -> set[str]:
    return {
        it["name"]
        for it in gateway["status"]["listeners"]
        for condition in it["conditions"]
        if condition["type"] == "OverlappingTLSConfig" and condition["status"] == "True"
    }

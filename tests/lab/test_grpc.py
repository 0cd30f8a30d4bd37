"""
gRPC through a Gateway with a real client: unary, streams, errors, grpc-web, by method, to TLS
backends; Argo CD's way, browsers and its command line on one host and one port; and routes below
HTTP.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.lab import state
from tests.lab import serving
from tests.lab.calling import Called, called
from tests.lab.fleet import Fleet, opened
from tests.lab.running import until
from tests.objects import certificate

pytestmark = pytest.mark.lab

Json = dict[str, Any]
SAYS, FAILS, WATCH, CHAT = (f"/shop.Cart/{it}" for it in ("Say", "Fail", "Watch", "Chat"))
#: As Argo CD documents it for proxies: what is of gRPC, grpc-web too.
OF_GRPC = {"content-type": "^application/grpc.*$"}
HTTPS = {
    "name": "https",
    "port": 443,
    "protocol": "HTTPS",
    "hostname": "*.lab.test",
    "secret": "lab-tls",
}
GATEWAYS: list[Json] = [
    {
        "name": "calls",
        "namespace": "edge",
        "listeners": [
            {"name": "http", "port": 80},
            HTTPS,
            {"name": "through", "port": 8443, "protocol": "TLS"},
            {"name": "datagrams", "port": 9999, "protocol": "UDP"},
        ],
    },
    {
        "name": "old",
        "namespace": "edge",
        "listeners": [HTTPS],
        "limits": {"clients": {"alpn": ["http/1.1"]}},
    },
]


def route(name: str, kind: str = "GRPCRoute", gateway: str = "calls", **more: Any) -> Json:
    return {
        "name": name,
        "namespace": "demo",
        "kind": kind,
        "gateway": f"edge/{gateway}",
        "hostnames": [f"{name.partition('-')[0]}.lab.test"],
        "backends": [{"service": "argo", "port": serving.ARGO}],
        **more,
    }


ROUTES = [
    route("argo-ui", "HTTPRoute", listener="https", limits={"timeouts": {"request": "3s"}}),
    route(
        "argo-cli",
        listener="https",
        headers=OF_GRPC,
        limits={"timeouts": {"request": "0s", "stream_idle": "1h"}},
    ),
    route("short", limits={"timeouts": {"request": "2s"}}),
    route("some", methods=[{"service": "shop.Cart", "method": "Say"}]),
    route("old", gateway="old"),
    route(
        "through",
        "TLSRoute",
        listener="through",
        hostnames=["vault.lab.test"],
        backends=[{"service": "sealed", "port": serving.VAULT}],
        limits={"timeouts": {"connect": "1s"}, "circuit_breaker": {"connections": 100}},
    ),
    {
        "name": "datagrams",
        "namespace": "demo",
        "kind": "UDPRoute",
        "gateway": "edge/calls",
        "listener": "datagrams",
        "backends": [{"service": "echo", "port": serving.ECHO}],
    },
    route(
        "vault",
        backends=[
            {
                "service": "vault",
                "port": serving.VAULT,
                "tls": {"hostname": "vault.lab.test", "authority": "vault"},
            }
        ],
    ),
]


@dataclass(frozen=True)
class Edge:
    """
    + addresses: of Gateways by name; + authority: the file with the lab's own; + outside: where the
      applications are; + vault: the file with the certificate of the one with TLS
    """

    fleet: Fleet
    addresses: dict[str, str]
    authority: Path
    outside: str
    vault: Path

    def call(self, host: str, method: str, *messages: str, **more: Any) -> Called:
        """As to a name that DNS knows. + gateway, tls: through which, and on which port"""
        tls = more.get("tls", True)
        target = f"{self.addresses[more.get('gateway', 'calls')]}:{443 if tls else 80}"
        trusted = self.authority if tls else None
        return called(target, f"{host}.lab.test", method, *messages, authority=trusted)

    def ask(self, host: str, path: str = "/", body: bytes = b"", kind: str = "") -> Any:
        """A browser's request: the answer, its body read."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        trust.set_alpn_protocols(["http/1.1"])
        connection = http.client.HTTPSConnection(f"{host}.lab.test", timeout=60, context=trust)
        connection._create_connection = lambda *_: socket_to(self.addresses["calls"])  # type: ignore[attr-defined]
        connection.request("POST" if body else "GET", path, body, {"content-type": kind})
        answer = connection.getresponse()
        return answer, answer.read()


def socket_to(address: str) -> socket.socket:
    return socket.create_connection((address, 443), timeout=60)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The lab's first cluster, with two more Gateways and applications on this machine."""
    folder = tmp_path_factory.mktemp("grpc")
    fleet = opened(folder)
    cluster, outside = fleet.names[0], state.running(fleet.lab.name).gateway
    public, private = certificate("vault.lab.test")
    (folder / "vault.crt").write_text(public)
    (folder / "vault.key").write_text(private)
    trusted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "vault", "namespace": "demo"},
        "data": {"ca.crt": public},
    }
    things = [
        trusted,
        *serving.objects("argo", serving.ARGO, outside),
        *serving.objects("vault", serving.VAULT, outside),
        *serving.objects("sealed", serving.VAULT, outside),
        *serving.objects("echo", serving.ECHO, outside, of="UDP"),
    ]
    apply(fleet, things)
    data = {"gateways": GATEWAYS, "routes": ROUTES, "probe": {"enabled": False}}
    given = [it for key, value in data.items() for it in ("--data", f"{key}={json.dumps(value)}")]
    with serving.serving(outside, folder / "vault"):
        ended = fleet.pyinfra("install", "-y", "--limit", cluster, *given)
        assert ended.code == 0, ended.text
        addresses = {it["name"]: address(fleet, it["name"]) for it in GATEWAYS}
        authority = Path(fleet.lab.data["kubeconfig"]).parent / "ca.crt"
        found = Edge(fleet, addresses, authority, outside, folder / "vault.crt")
        until("gRPC to be served", lambda: found.call("argo", SAYS, "hello") == SAID)
        until("the last route to be served", lambda: found.call("vault", SAYS, "hello") == SAID)
        yield found
    demo, edge = ("--namespace", "demo"), ("--namespace", "edge")
    fleet.kubectl(
        cluster,
        "delete",
        "grpcroute,tlsroute,udproute,backendtrafficpolicy,backendtlspolicy",
        *demo,
        "--all",
    )
    fleet.kubectl(
        cluster,
        "delete",
        "httproute/argo-ui",
        "service/argo",
        "service/vault",
        "service/sealed",
        "service/echo",
        *demo,
    )
    names = [
        f"{kind}/{it['name']}" for it in GATEWAYS for kind in ("gateway", "clienttrafficpolicy")
    ]
    fleet.kubectl(cluster, "delete", *names, *edge)


def apply(fleet: Fleet, things: Sequence[Json]) -> None:
    every = {"apiVersion": "v1", "kind": "List", "items": list(things)}
    context = ("--context", fleet.names[0])
    fleet.lab.kubectl(*context, "apply", "-f", "-", text=json.dumps(every))


def address(fleet: Fleet, name: str) -> str:
    path = "{.status.addresses[0].value}"
    place = ("--namespace", "edge", "--output", f"jsonpath={path}")

    def found() -> str:
        return fleet.kubectl(fleet.names[0], "get", "gateway", name, *place)

    until(f"an address of Gateway {name}", found)
    return found()


SAID = Called("OK", "", ["you said hello"])


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "without TLS"])
def test_a_call_and_an_error_come_back_as_they_are(edge: Edge, tls: bool) -> None:
    assert edge.call("short", SAYS, "hello", tls=tls) == SAID
    refused = Called("RESOURCE_EXHAUSTED", "no room in the warehouse", [])
    assert edge.call("short", FAILS, "hello", tls=tls) == refused


def test_messages_go_both_ways(edge: Edge) -> None:
    assert edge.call("argo", CHAT, "a", "b", "c") == Called("OK", "", ["A", "B", "C"])


def test_a_stream_lives_as_long_as_its_route_says(edge: Edge) -> None:
    """Finding GW355: what ends a request ends a stream too."""
    assert edge.call("argo", WATCH, "10") == Called("OK", "", [str(it) for it in range(10)])
    short = edge.call("short", WATCH, "20")
    assert short.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"), short
    assert 2 <= len(short.messages) < 12


def test_only_the_methods_of_a_route_are_served(edge: Edge) -> None:
    assert edge.call("some", SAYS, "hello") == SAID
    assert edge.call("some", FAILS, "hello").code == "UNIMPLEMENTED"


def test_a_listener_without_h2_serves_no_grpc(edge: Edge) -> None:
    """Finding GW366."""
    assert edge.call("old", SAYS, "hello", gateway="old").code == "UNAVAILABLE"


def test_tls_is_passed_through_by_name(edge: Edge) -> None:
    """The client meets the backend's own certificate, and trusts that alone."""
    target = f"{edge.addresses['calls']}:8443"

    def passed() -> bool:
        return called(target, "vault.lab.test", SAYS, "hello", authority=edge.vault) == SAID

    until("the backend to be heard", passed)
    other = called(target, "other.lab.test", SAYS, "hello", authority=edge.vault)
    assert other.code == "UNAVAILABLE"


def test_datagrams_come_back(edge: Edge) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.settimeout(1)

        def answered() -> bool:
            stream.sendto(b"hello", (edge.addresses["calls"], 9999))
            with suppress(TimeoutError, ConnectionRefusedError):
                return stream.recv(100) == b"you said hello"
            return False

        until("an answer", answered)


def test_a_backend_of_tls(edge: Edge) -> None:
    assert edge.call("vault", SAYS, "hello") == SAID


def test_argo_cd_browsers_and_command_line_on_one_host(edge: Edge) -> None:
    for _ in range(5):
        answer, page = edge.ask("argo")
        assert (answer.status, page) == (200, serving.PAGE)
        assert edge.call("argo", SAYS, "hello") == SAID


def test_grpc_web(edge: Edge) -> None:
    """What browsers and `argocd --grpc-web` send: HTTP/1, and the status within the body."""
    kind = "application/grpc-web+proto"
    answer, body = edge.ask("argo", SAYS, frame(b"hello"), kind)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    messages = list(frames(body))
    assert messages[0] == (0, b"you said hello")
    assert messages[1][0] == 0x80
    assert b"grpc-status:0" in messages[1][1].replace(b" ", b"")


def test_h2c_for_all_of_a_port_keeps_browsers_out(edge: Edge) -> None:
    """Finding GW364: the interface of Argo CD speaks HTTP/1."""
    apply(edge.fleet, serving.objects("argo", serving.ARGO, edge.outside, "kubernetes.io/h2c"))
    until("the interface not to be served", lambda: edge.ask("argo")[0].status != 200)
    assert edge.call("argo", SAYS, "hello") == SAID
    patch = '[{"op": "remove", "path": "/spec/ports/0/appProtocol"}]'
    service = ("patch", "service", "argo", "--namespace", "demo", "--type", "json", "--patch")
    edge.fleet.kubectl(edge.fleet.names[0], *service, patch)
    until("the interface to be served", lambda: edge.ask("argo")[0].status == 200)


def test_a_grpc_route_without_a_match_takes_part_by_chance(edge: Edge) -> None:
    """
    Finding GW365: beside an HTTPRoute for all paths of the host, one of both never gets a request.
    """
    path = '[{"op": "remove", "path": "/spec/rules/0/matches"}]'
    changed = ("patch", "grpcroute", "argo-cli", "--namespace", "demo", "--type", "json", "--patch")
    edge.fleet.kubectl(edge.fleet.names[0], *changed, path)

    def broken() -> bool:
        return edge.call("argo", SAYS, "hello") != SAID or edge.ask("argo")[0].status != 200

    until("one of both to be without requests", broken)


def frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        yield flag, body[5 : 5 + length]
        body = body[5 + length :]

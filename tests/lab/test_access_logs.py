"""
Access logs of real proxies: Envoy takes every operator, each field is filled in some scene, and
what signs in is in no line. Turning them on replaces no proxy.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tasks.plans.access_logs import CONNECTION, REQUEST
from tests.lab.fleet import Fleet, opened
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

Object = dict[str, Any]
#: A Service that speaks gRPC, if not OTLP: what counts here is that proxies send to it.
COLLECTOR = "demo/grpc:8080"
PROXIES = "app.kubernetes.io/component=proxy"
SECRET = "b3-n0b0dys-bus1ness"
#: Seconds: Envoy writes its files out every ten.
WRITTEN = 40


def logs(collector: str) -> tuple[str, str]:
    """Arguments of a run."""
    said = {"logs": {"enabled": True, "otel": collector}}
    return ("--data", f"monitoring={json.dumps(said)}")


def route(kind: str, name: str, port: int) -> Object:
    """Of the test's own, to a Service of its name."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": f"log-{name}", "namespace": "demo"},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "http"}],
            "hostnames": [f"{name}.lab.test"],
            "rules": [{"backendRefs": [{"name": name, "port": port}]}],
        },
    }


OBJECTS = [
    route("GRPCRoute", "grpc", 8080),
    route("HTTPRoute", "refused", 80),
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "refused", "namespace": "demo"},
        "spec": {"selector": {"app": "blue"}, "ports": [{"port": 80, "targetPort": 9}]},
    },
]


@dataclass(frozen=True)
class Edge:
    """The Gateway of one cluster. + before, after: uids of its proxies, as logs were turned on"""

    fleet: Fleet
    cluster: str
    address: str
    before: frozenset[str]
    after: frozenset[str]

    def curl(self, host: str, path: str = "/", *more: str, port: int = 80) -> int:
        """The status that a client saw, 0 for none."""
        scheme = "https" if port == 443 else "http"
        there = ("--connect-to", f"{host}:{port}:{self.address}:{port}")
        said = ("--header", f"authorization: Bearer {SECRET}", "--header", f"cookie: id={SECRET}")
        command = ["curl", "--silent", "--insecure", "--max-time", "10", "--output", "/dev/null"]
        command += ["--write-out", "%{http_code}", *there, *said, *more]
        url = f"{scheme}://{host}{path}?token={SECRET}"
        done = subprocess.run([*command, url], capture_output=True, text=True, timeout=30)
        return int(done.stdout or 0)

    def handshake(self, trusted: bool = False) -> None:
        """A client that trusts no certificate of the lab. + trusted: it does, and says no more"""
        context = ssl.create_default_context()
        with socket.create_connection((self.address, 443), 5) as plain:
            if not trusted:
                with suppress(ssl.SSLError):
                    context.wrap_socket(plain, server_hostname="blue.lab.test").close()
                return
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
            shaking = context.wrap_bio(come, go, server_hostname="blue.lab.test")
            with suppress(ssl.SSLWantReadError):
                shaking.do_handshake()
            plain.sendall(go.read())
            plain.settimeout(20)
            while plain.recv(4096):
                pass

    def text(self) -> str:
        place = ("--namespace", "envoy-gateway-system", "--selector", PROXIES)
        more = ("--container", "envoy", "--tail=-1", "--prefix=false")
        return self.fleet.kubectl(self.cluster, "logs", *place, *more)

    def lines(self) -> list[Object]:
        every = [it for it in self.text().splitlines() if it.startswith('{"')]
        return [it for it in map(json.loads, every) if "log" in it]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    fleet = opened(tmp_path_factory.mktemp("logs"))
    sample = run("sample", name=fleet.lab.name)
    assert sample.returncode == 0, sample.stdout + sample.stderr
    cluster = fleet.names[0]
    only = ("-y", "--limit", cluster, "--data", "ring=0")
    install(fleet, *only)  # what other tests left of settings goes here
    before = proxies(fleet, cluster)
    install(fleet, *only, *logs(COLLECTOR))
    after = proxies(fleet, cluster)
    objects = {"apiVersion": "v1", "kind": "List", "items": OBJECTS}
    fleet.lab.kubectl("--context", cluster, "apply", "-f", "-", text=json.dumps(objects))
    one = Edge(fleet, cluster, fleet.address(cluster), before, after)
    hurries(one, "2s")
    try:
        until("the routes", lambda: one.curl("refused.lab.test") == 503)
        yield one
    finally:
        names = [f"{it['kind']}/{it['metadata']['name']}" for it in OBJECTS]
        fleet.kubectl(cluster, "delete", *names, "--namespace", "demo")
        hurries(one, None)
        install(fleet, *only)


def hurries(edge: Edge, time: str | None) -> None:
    """How long a handshake may take; None is for ever, as it is where nobody asked."""
    patch = json.dumps({"spec": {"timeout": time and {"tcp": {"tlsHandshakeTimeout": time}}}})
    policy = ("patch", "clienttrafficpolicy", "public", "--namespace", "edge", "--type", "merge")
    edge.fleet.kubectl(edge.cluster, *policy, "--patch", patch)


def install(fleet: Fleet, *more: str) -> None:
    ended = fleet.pyinfra("install", *more)
    assert ended.code == 0, ended.text


def proxies(fleet: Fleet, cluster: str) -> frozenset[str]:
    path = "jsonpath={.items[*].metadata.uid}"
    place = ("--namespace", "envoy-gateway-system", "--selector", PROXIES, "--output", path)
    return frozenset(fleet.kubectl(cluster, "get", "pods", *place).split())


def test_no_proxy_is_replaced(edge: Edge) -> None:
    assert edge.after == edge.before


def test_a_collector_that_is_not_there_is_refused_before_anything_is_changed(edge: Edge) -> None:
    """Envoy Gateway would accept the Gateway no longer, and take its address out of its status."""
    only = ("-y", "--limit", edge.cluster, "--data", "ring=0")
    ended = edge.fleet.pyinfra("install", *only, *logs("demo/nobody:4317"))
    assert ended.code == 1, ended.text
    line = (
        "Service demo/nobody, monitoring.logs.otel of the inventory, does not exist: make it "
        "first, or take otel out: Envoy Gateway would accept no Gateway any more"
    )
    assert line in ended.text
    assert edge.fleet.address(edge.cluster) == edge.address


def test_every_field_is_filled_in_some_scene(edge: Edge) -> None:
    body = ("--data", "x" * 1000)
    assert edge.curl("blue.lab.test", "/", *body) == 200
    assert edge.curl("blue.lab.test", port=443) == 200
    assert edge.curl("nobody.lab.test") == 404
    assert edge.curl("refused.lab.test") == 503
    grpc = ("--http2-prior-knowledge", "--header", "content-type: application/grpc")
    assert edge.curl("grpc.lab.test", "/a.B/C", *grpc, "--request", "POST") == 200
    socket.create_connection((edge.address, 9000), 5).close()
    assert edge.curl("other.test", port=443) == 0
    edge.handshake()
    edge.handshake(trusted=True)

    def missing() -> list[str]:
        return empty(edge.lines(), "request", REQUEST) + empty(
            edge.lines(), "connection", CONNECTION
        )

    with suppress(AssertionError):
        until("the lines", lambda: not missing(), WRITTEN)
    assert missing() == []
    for line in edge.lines():
        assert set(line) == set(REQUEST if line["log"] == "request" else CONNECTION)
    assert said(edge) >= {
        ("request", 200, "-", "via_upstream"),
        ("request", 404, "NR", "route_not_found"),
        ("request", 503, "UF", "upstream_reset_before_response_started"),
        ("connection", None, "NR", "filter_chain_not_found"),
        ("connection", None, "-", "TLS"),
        ("connection", None, "-", "timeout"),
        ("request", 0, "-", "None"),  # a connection of the TCPRoute
    }
    assert SECRET not in edge.text()


def test_a_collector_gets_them_too(edge: Edge) -> None:
    """Of requests, and of connections that came to nothing."""
    place = ("--namespace", "envoy-gateway-system", "--selector", PROXIES)
    path = "jsonpath={.items[0].metadata.name}"
    pod = edge.fleet.kubectl(edge.cluster, "get", "pods", *place, "--output", path)
    base = f"/api/v1/namespaces/envoy-gateway-system/pods/{pod}:19001/proxy/stats/prometheus"

    def sent() -> set[str]:
        stats = edge.fleet.kubectl(edge.cluster, "get", "--raw", base)
        found = re.findall(
            r'^envoy_cluster_upstream_rq_total\{.*"(accesslog_otel[^"]*)"', stats, re.M
        )
        return set(found)

    until("lines for the collector", lambda: len(sent()) == 2)


def empty(lines: list[Object], log: str, fields: Any) -> list[str]:
    """Fields that no line has, or that are null in all."""
    mine = [it for it in lines if it["log"] == log]
    return [f"{log} {it}" for it in fields if all(one.get(it) is None for one in mine)]


def said(edge: Edge) -> set[tuple[str, int | None, str, str]]:
    """What each line says of why it ended, also of what our own runs asked."""
    found = set()
    for line in edge.lines():
        details = str(line["response_code_details"]).partition("{")[0]
        if line.get("downstream_transport_failure_reason"):
            details = "TLS"
        elif line.get("connection_termination_details"):
            details = "timeout"
        found.add((line["log"], line.get("response_code"), line["response_flags"], details))
    return found

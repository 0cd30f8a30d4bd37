"""A cluster with a resolver and servers, as the document about dynamic routing has it."""

from __future__ import annotations

import http.client
import json
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lab import catalogue
from tests.lab.fleet import NEW, Fleet
from tests.routing import resolver
from tests.routing.resolver import Places

HOST = "join.lab.test"
RESOLVER, DEAD = 7400, 7499
#: A resolver that is a Pod, as an entry names it.
INSIDE = {"service": "inside", "port": 80}


@dataclass(frozen=True)
class Said:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def pod(self) -> str:
        """Of the echo server that answered."""
        return str(json.loads(self.body)["pod"])


def ask(address: str, port: int, path: str, **headers: str) -> Said:
    connection = http.client.HTTPConnection(address, port, timeout=30)
    connection.request("GET", path, headers={"Host": HOST, "Connection": "close", **headers})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return Said(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body)


def entry(**more: Any) -> dict[str, Any]:
    return {
        "name": "join",
        "namespace": "demo",
        "gateway": "edge/public",
        "listener": "http",
        "hostnames": [HOST],
        "resolver": {"service": "resolver", "port": 80},
        "servers": {"service": "servers", "port": 8081},
        "client": "client-1",
        **more,
    }


def wanted(*entries: dict[str, Any]) -> tuple[str, str]:
    return "--data", f"dynamic_routing={json.dumps(entries)}"


@dataclass(frozen=True)
class Joined:
    """+ pods: name by place"""

    fleet: Fleet
    address: str
    places: Places
    pods: dict[str, str]

    def ask(self, path: str, **headers: str) -> Said:
        return ask(self.address, 80, path, **headers)

    def kubectl(self, *arguments: str, **more: Any) -> str:
        return self.fleet.lab.kubectl("--context", self.fleet.names[0], *arguments, **more)

    def clean(self) -> None:
        """As it was before: nothing is pruned."""
        kinds = "httproute,envoyextensionpolicy,backendtrafficpolicy,securitypolicy"
        names = ("join", "join-resolver", "-n", "demo", "--ignore-not-found")
        self.kubectl("delete", kinds, *names)


@contextmanager
def with_resolver(fleet: Fleet) -> Iterator[Joined]:
    """Its first cluster, with Envoy Gateway that runs Lua; what was made goes at the end."""
    installed = fleet.pyinfra("install", "-y", *wanted(entry()))
    assert installed.code == 0, installed.text
    bridge = fleet.lab.data["registry"].partition(":")[0]

    def pods(app: str) -> dict[str, str]:
        listed = json.loads(
            fleet.kubectl(
                fleet.names[0], "get", "pods", "-n", "demo", "-l", f"app={app}", "-o", "json"
            )
        )
        return {f"{it['status']['podIP']}:3000": it["metadata"]["name"] for it in listed["items"]}

    blue, address = pods("blue"), fleet.address(fleet.names[0])
    first, second = sorted(blue)
    places = Places((first, second), f"{address}:80", min(pods("green")), f"{bridge}:{DEAD}")
    text = string.Template((Path(__file__).parent / "dynamic_routing.yaml").read_text()).substitute(
        bridge=bridge, first=first.partition(":")[0], second=second.partition(":")[0]
    )
    found = Joined(fleet, address, places, blue)
    found.clean()
    fleet.lab.kubectl("--context", fleet.names[0], "apply", "--filename", "-", text=text)
    with resolver.running(bridge, RESOLVER, places):
        yield found
    found.clean()
    fleet.lab.kubectl("--context", fleet.names[0], "delete", "--filename", "-", text=text)


@contextmanager
def with_resolver_pod(joined: Joined) -> Iterator[str]:
    """Its address, asked at port 8080."""
    first, second = joined.places.servers
    template = string.Template((Path(__file__).parent / "dynamic_routing_pod.yaml").read_text())
    image = catalogue.NAMES.envoy(NEW)
    text = template.substitute(first=first, second=second, image=image)
    joined.kubectl("apply", "--filename", "-", text=text)
    joined.kubectl("rollout", "status", "deployment/inside", "-n", "demo", "--timeout=180s")
    path = "jsonpath={.items[0].status.podIP}"
    yield joined.kubectl("get", "pods", "-n", "demo", "-l", "app=inside", "-o", path)
    joined.kubectl("delete", "--filename", "-", text=text)

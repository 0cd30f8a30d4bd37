"""
Gateways of the inventory on one cluster of the lab, with the applications of this machine behind
them: asked as clients ask, and looked into by their proxies' own admin ports.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tasks.connectors import kubeconfig
from tasks.connectors.api import Api
from tasks.lab import state
from tasks.operations import admin
from tests.lab import serving
from tests.lab.fleet import Fleet
from tests.lab.running import until

Json = dict[str, Any]
SYSTEM = "envoy-gateway-system"
HTTP = [{"name": "http", "port": 80}]
#: Where Envoy's dump of its configuration holds things of each kind, and what a thing is there.
KINDS = {
    "listeners": ("dynamic_listeners", ("active_state", "listener")),
    "clusters": ("dynamic_active_clusters", ("cluster",)),
    "routes": ("dynamic_route_configs", ("route_config",)),
}


@dataclass(frozen=True)
class Edge:
    """+ addresses: of Gateways by name; the first is asked where none is named"""

    fleet: Fleet
    addresses: dict[str, str]

    def ask(
        self,
        host: str,
        path: str = "/",
        gateway: str | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> tuple[int, Json]:
        """The status, and what the application says of the request, where it was asked."""
        status, _, said = self.answer(host, path, self.address(gateway), body, **headers)
        return status, json.loads(said) if said.startswith(b"{") else {"text": said.decode()}

    def answer(
        self, host: str, path: str, address: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. + address: that of a Gateway, or with a port of one proxy"""
        name, _, port = address.partition(":")
        connection = http.client.HTTPConnection(name, int(port or 80), timeout=60)
        more = {key.replace("_", "-"): it for key, it in headers.items()}
        try:
            there = {"Host": f"{host}.lab.test", "Connection": "close", **more}
            connection.request("POST" if body else "GET", path, body or None, there)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        return answer.status, {key.lower(): it for key, it in answer.getheaders()}, said

    def address(self, gateway: str | None = None) -> str:
        return self.addresses[gateway or next(iter(self.addresses))]

    def node_port(self, gateway: str) -> str:
        """
        Where a node takes what is for its listener on port 80. Azure's load balancer sends it to a
        node, whose kube-proxy hides the client or not; that of the lab sends it to Pods.
        """
        label = f"gateway.envoyproxy.io/owning-gateway-name={gateway}"
        command = (
            "get",
            "services",
            "--selector",
            label,
            "--namespace",
            SYSTEM,
            "--output",
            "json",
        )
        [service] = json.loads(self.fleet.kubectl(self.fleet.names[0], *command))["items"]
        [port] = [it["nodePort"] for it in service["spec"]["ports"] if it["port"] == 80]
        return f"{self.fleet.lab.cluster['node_address']}:{port}"

    def seen(self, path: str, host: str = "plain") -> int:
        """How many requests for this path the application had."""
        return int(self.ask(host, f"/seen{path}")[1]["seen"])

    def pods(self, gateway: str | None = None) -> dict[str, str]:
        """Its proxies that serve and stay: name and address."""
        label = f"gateway.envoyproxy.io/owning-gateway-name={gateway or next(iter(self.addresses))}"
        command = ("get", "pods", "--selector", label, "--namespace", SYSTEM, "--output", "json")
        return {
            it["metadata"]["name"]: it["status"]["podIP"]
            for it in json.loads(self.fleet.kubectl(self.fleet.names[0], *command))["items"]
            if "deletionTimestamp" not in it["metadata"]
            and all(one["ready"] for one in it["status"].get("containerStatuses", [{"ready": ""}]))
        }

    def stats(self, gateway: str | None = None) -> dict[str, float]:
        """Of a Gateway's one proxy; of each series, all its labels summed."""
        [pod] = self.pods(gateway)
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:19001/proxy/stats/prometheus"
        found: Counter[str] = Counter()
        for line in self.fleet.kubectl(self.fleet.names[0], "get", "--raw", path).splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name.partition("{")[0]] += float(value)  # type: ignore[assignment]
        return dict(found)

    def config(self, kind: str, gateway: str | None = None) -> list[Json]:
        """What a Gateway's first proxy runs: its "listeners", "clusters" or "routes"."""
        pod = next(iter(self.pods(gateway)))
        whole = kubeconfig.one_context(self.fleet.names[0], self.fleet.lab.data["kubeconfig"])
        [(_, dump)] = admin.read(Api(whole, 60.0), SYSTEM, pod, ["config_dump.json"])
        assert isinstance(dump, bytes), dump
        part, keys = KINDS[kind]
        found = [it for one in json.loads(dump)["configs"] for it in one.get(part, ())]
        for key in keys:
            found = [it[key] for it in found]
        return found

    def logged(self, path: str, gateway: str | None = None) -> Json:
        """The line of the access log of the newest request for this path; up to 10 s later."""
        lines: list[Json] = []

        def written() -> bool:
            for pod in self.pods(gateway):
                place = ("--container", "envoy", "--namespace", SYSTEM)
                text = self.fleet.kubectl(self.fleet.names[0], "logs", pod, *place)
                said = [json.loads(it) for it in text.splitlines() if it.startswith('{"')]
                lines.extend(it for it in said if it.get("x-envoy-origin-path") == path)
            return bool(lines)

        until(f"{path} in the access log", written)
        return lines[-1]


def values(thing: Any, key: str) -> list[Any]:
    """Whatever stands under this key, however deep."""
    if isinstance(thing, list):
        return [found for it in thing for found in values(it, key)]
    if not isinstance(thing, dict):
        return []
    here = [thing[key]] if key in thing else []
    return here + [found for it in thing.values() for found in values(it, key)]


@contextmanager
def served(
    fleet: Fleet, gateways: Sequence[Json], routes: Sequence[Json], *more: str
) -> Iterator[Edge]:
    """
    Both on the fleet's first cluster, for as long as the block runs, and Service "obeys" in front
    of the application of this machine. + more: arguments of the run that installs them
    """
    cluster, outside = fleet.names[0], state.running(fleet.lab.name).gateway
    apply(fleet, serving.objects("obeys", serving.OBEYS, outside))
    with serving.serving(outside):
        ended = fleet.pyinfra("install", "-y", "--limit", cluster, *data(gateways, routes), *more)
        assert ended.code == 0, ended.text
        yield Edge(fleet, {it["name"]: address(fleet, it["name"]) for it in gateways})
    for kind in {it.get("kind", "HTTPRoute") for it in routes}:
        names = [it["name"] for it in routes if it.get("kind", "HTTPRoute") == kind]
        delete(fleet, kind, "demo", *names)
    delete(fleet, "service", "demo", "obeys")
    delete(fleet, "backendtrafficpolicy", "demo", "--all")
    for kind in ("gateway", "clienttrafficpolicy", "backendtrafficpolicy", "envoyproxy"):
        delete(fleet, kind, "edge", *(it["name"] for it in gateways))
    delete(fleet, "envoyproxy", "edge", "--all")  # of Gateways with a proxy of their own


def route(name: str, gateway: str, limits: Json | None = None) -> Json:
    """Of the inventory: host name ``<name>.lab.test`` to the application of this machine."""
    return {
        "name": name,
        "namespace": "demo",
        "gateway": f"edge/{gateway}",
        "hostnames": [f"{name}.lab.test"],
        "backends": [{"service": "obeys", "port": serving.OBEYS}],
        **({"limits": limits} if limits else {}),
    }


def data(gateways: Sequence[Json], routes: Sequence[Json]) -> tuple[str, ...]:
    """Arguments of a run. No probe: nothing of it is heard where PROXY protocol is wanted."""
    said = {"gateways": gateways, "routes": routes, "probe": {"enabled": False}}
    return tuple(it for key in said for it in ("--data", f"{key}={json.dumps(said[key])}"))


def apply(fleet: Fleet, things: Sequence[Json]) -> None:
    every = {"apiVersion": "v1", "kind": "List", "items": list(things)}
    context = ("--context", fleet.names[0])
    fleet.lab.kubectl(*context, "apply", "-f", "-", text=json.dumps(every))


def delete(fleet: Fleet, kind: str, namespace: str, *names: str) -> None:
    place = ("--namespace", namespace, "--ignore-not-found")
    fleet.kubectl(fleet.names[0], "delete", kind, *place, *names)


def address(fleet: Fleet, name: str) -> str:
    """That of a Gateway, waited for."""
    path = "{.status.addresses[0].value}"
    place = ("--namespace", "edge", "--output", f"jsonpath={path}")
    found = ""

    def has() -> bool:
        nonlocal found
        found = fleet.kubectl(fleet.names[0], "get", "gateway", name, *place)
        return bool(found)

    until(f"an address of Gateway {name}", has)
    return found

"""The lab's cluster as the gym uses it: objects, its load balancer's addresses, proxies."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from tasks.lab import faults, state
from tasks.lab.api import Api, ApiError
from tasks.lab.network import NAMESPACES
from tasks.plans import kinds
from tests.gym.fault import Object, Thing

SYSTEM = "envoy-gateway-system"
CONTROLLER = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/envoy-gateway"
#: Kinds of the gym that envoyfleet itself does not work on.
MORE = {
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
}
VERSIONS = {
    "EndpointSlice": "discovery.k8s.io/v1",
    "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    **dict.fromkeys(("Service", "Secret", "ConfigMap", "Namespace", "Pod"), "v1"),
}
BLOCKED = "envoyfleet-gym"


class Cluster:
    """One cluster of a lab that is up, with Envoy Gateway installed."""

    def __init__(self, lab: str) -> None:
        self.lab = state.running(lab)
        self.member = self.lab.cluster(1)
        self.api = Api(self.member)

    def apply(self, *manifests: Object) -> None:
        """In the order of what they refer to; a busy API server is asked again."""
        for it in sorted(manifests, key=rank):
            _again(lambda it=it: self.api.apply(path_of(it), it))  # type: ignore[misc]

    def put(self, manifest: Object) -> None:
        """As it is said and no more: what server-side apply would leave of others goes."""
        path = path_of(manifest)
        try:
            now = self.api.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            self.apply(manifest)
            return
        version = {"resourceVersion": now["metadata"]["resourceVersion"]}
        whole = {**manifest, "metadata": {**manifest["metadata"], **version}}
        _again(lambda: self.api.request("PUT", path, whole))

    def delete(self, *things: Thing) -> None:
        for kind, namespace, name in things:
            path = path_of(identity(kind, namespace, name))
            with suppress(ApiError):
                self.api.request("DELETE", f"{path}?propagationPolicy=Background")

    def get(self, path: str) -> Object | None:
        try:
            return self.api.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def listed(self, paths: Iterable[str]) -> dict[str, list[Object]]:
        """Objects by the path of their list; a kind that is not served has none."""

        def one(path: str) -> tuple[str, list[Object]]:
            found = self.get(path) or {}
            kind = str(found.get("kind", "")).removesuffix("List")
            version = found.get("apiVersion")
            return path, [
                {"apiVersion": version, "kind": kind, **it} for it in found.get("items", ())
            ]

        with ThreadPoolExecutor(4) as pool:
            return dict(pool.map(one, paths))

    def address(self, gateway: str) -> str:
        """Of the load balancer of a Gateway such as "edge/public", "" where it has none."""
        found = self.proxy_objects("services", gateway)
        ingress = [
            it for one in found for it in one["status"].get("loadBalancer", {}).get("ingress", ())
        ]
        return ingress[0]["ip"] if ingress else ""

    def proxy_objects(self, plural: str, gateway: str) -> list[Object]:
        namespace, _, name = gateway.partition("/")
        label = "gateway.envoyproxy.io/owning-gateway"
        chosen = f"{label}-name%3D{name},{label}-namespace%3D{namespace}"
        found = self.api.get(f"/api/v1/namespaces/{SYSTEM}/{plural}?labelSelector={chosen}")
        items: list[Object] = found["items"]
        return items

    def proxies(self, gateway: str) -> list[Object]:
        """Pods that run and do not leave."""
        every = self.proxy_objects("pods", gateway)
        stay = [it for it in every if "deletionTimestamp" not in it["metadata"]]
        return [it for it in stay if it["status"].get("phase") == "Running"]

    def log(self, pod: str, container: str, since: str = "", previous: bool = False) -> str:
        """+ since: RFC 3339"""
        query = f"container={container}" + ("&previous=true" if previous else "")
        query += f"&sinceTime={since}" if since else "&tailLines=2000"
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}/log?{query}"
        pool: Any = self.api._pool
        answer = pool.request("GET", path, headers=pool.headers, timeout=20)
        return answer.data.decode(errors="replace") if answer.status == 200 else ""

    def scale(self, replicas: int) -> None:
        """The controller."""
        self.api.patch(CONTROLLER, {"spec": {"replicas": replicas}})

    def leads(self) -> bool:
        """Whether a controller that runs holds a Lease that it has just renewed."""
        pods = self.api.get(f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector=control-plane")
        names = [
            it["metadata"]["name"]
            for it in pods["items"]
            if "deletionTimestamp" not in it["metadata"]
        ]
        leases = self.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases")
        held = [it["spec"] for it in leases["items"]]
        return any(
            str(it.get("holderIdentity", "")).startswith(name) and seconds_since(it) < 5
            for it in held
            for name in names
        )

    def fault(self, name: str, on: bool, value: str | None = None) -> None:
        """One of the lab's own."""
        faults.switch(self.lab, self.member, name, value, on=on)

    def inside(self, *command: str, text: str | None = None) -> str:
        """A command in the node's network."""
        enter = ["nsenter", f"--net={NAMESPACES / self.member.namespace}", *command]
        done = subprocess.run(enter, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def block(self, *rules: str) -> None:
        """Packets between Pods that match are dropped, as a CNI that enforces policies does it."""
        self.unblock()
        dropped = "\n".join(f"{it} drop;" for it in rules)
        chain = f"chain passing {{ type filter hook forward priority -20;\n{dropped}\n}}"
        self.inside("nft", "-f", "-", text=f"table ip {BLOCKED} {{\n{chain}\n}}\n")

    def unblock(self) -> None:
        text = f"table ip {BLOCKED} {{}}\ndelete table ip {BLOCKED}\n"
        self.inside("nft", "-f", "-", text=text)


def seconds_since(lease: Object) -> float:
    from datetime import UTC, datetime

    renewed = datetime.fromisoformat(lease["renewTime"].replace("Z", "+00:00"))
    return (datetime.now(UTC) - renewed).total_seconds()


def identity(kind: str, namespace: str, name: str) -> Object:
    version = VERSIONS.get(kind) or next(
        f"{group}/{version}"
        for group, version in ((kinds.GATEWAY_API, "v1"), (kinds.ENVOY_GATEWAY, "v1alpha1"))
        if (group, kind) in kinds.KINDS
    )
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def path_of(it: Object) -> str:
    if it["kind"] in MORE:
        return f"{MORE[it['kind']].format(it['metadata']['namespace'])}/{it['metadata']['name']}"
    return kinds.path_of(it)


def rank(it: Object) -> int:
    if it["kind"] in MORE:
        return 50
    return kinds.kind_of(it["apiVersion"], it["kind"]).rank


def _again(do: Callable[[], object]) -> None:
    for left in (2, 1, 0):
        try:
            do()
            return
        except ApiError as error:
            if error.status not in (0, 409, 500, 503, 504) or not left:
                raise
            time.sleep(0.5)


def until(what: str, check: Callable[[], object], seconds: float = 120, every: float = 0.2) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        with suppress(ApiError, OSError):
            if check():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)

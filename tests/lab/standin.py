"""
A stand-in for what the clusters of ``python -m tasks.lab up N --without-nodes`` lack: it says that
Pods run and Jobs are done, and plays the controller of Envoy Gateway, so that a deploy with
``probe={"enabled": False}`` runs through on API servers alone, with the real helm.

    python -m tests.lab.standin LAB      until it is ended

It shows how a run deals with a cluster, never that anything serves: no Pod runs, no request is
answered.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import yaml

from tasks.lab import state
from tasks.lab.api import Api, ApiError, now
from tasks.lab.loadbalancer import Watched
from tasks.lab.state import Cluster

Object = dict[str, Any]

NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEADER = "5b9825d2.gateway.envoyproxy.io"
CONFIG = f"/api/v1/namespaces/{NAMESPACE}/configmaps/envoy-gateway-config"
GATEWAY_API = "/apis/gateway.networking.k8s.io"
#: Of a documentation range (RFC 5737): nothing answers there.
ADDRESS = "192.0.2.10"
#: Routes of a kind that not every CRD serves in "v1" are watched in both versions.
WATCHED = {
    "pods": "/api/v1/pods",
    "classes": f"{GATEWAY_API}/v1/gatewayclasses",
    "gateways": f"{GATEWAY_API}/v1/gateways",
    "proxies": "/apis/gateway.envoyproxy.io/v1alpha1/envoyproxies",
    "httproutes": f"{GATEWAY_API}/v1/httproutes",
    "tcproutes": f"{GATEWAY_API}/v1/tcproutes",
    "old tcproutes": f"{GATEWAY_API}/v1alpha2/tcproutes",
    "grpcroutes": f"{GATEWAY_API}/v1/grpcroutes",
    "tlsroutes": f"{GATEWAY_API}/v1/tlsroutes",
    "udproutes": f"{GATEWAY_API}/v1/udproutes",
    "old udproutes": f"{GATEWAY_API}/v1alpha2/udproutes",
}
ROUTES = (
    *("old tcproutes", "tcproutes", "httproutes", "grpcroutes", "tlsroutes"),
    *("old udproutes", "udproutes"),
)
POLICIES = {
    "backendtlspolicies": f"{GATEWAY_API}/v1/backendtlspolicies",
    **{
        it: f"/apis/gateway.envoyproxy.io/v1alpha1/{it}"
        for it in (
            *("clienttrafficpolicies", "backendtrafficpolicies", "securitypolicies"),
            *("envoyextensionpolicies", "envoypatchpolicies"),
        )
    },
}
#: Seconds after which a leader renews, and between two looks where nothing changes.
RENEWAL, PAUSE = 5.0, 0.5


class StandIn:
    """What one cluster lacks."""

    def __init__(self, cluster: Cluster) -> None:
        self._api = Api(cluster)
        self._changed = threading.Event()
        self._watched = {
            name: Watched(Api(cluster), path, self._changed)
            for name, path in {**WATCHED, **POLICIES}.items()
        }
        self._applied: dict[str, tuple[str, str]] = {}

    def run(self) -> None:
        """Go on for ever."""
        while True:
            self._changed.wait(PAUSE)
            self._changed.clear()
            try:
                self.act()
            except ApiError:  # gone or changed meanwhile, or the server is away: look again
                time.sleep(0.2)

    def act(self) -> None:
        """One look at everything."""
        pods = self._all("pods")
        for pod in pods:
            self._put_status(pod, "pods", pod_status(pod))
        images = self._images(self._leader(pods))
        if images is None:
            return
        classes = [it for it in self._all("classes") if it["spec"]["controllerName"] == CONTROLLER]
        names = {it["metadata"]["name"] for it in classes}
        gateways = [it for it in self._all("gateways") if it["spec"]["gatewayClassName"] in names]
        routes = self._routes()
        for it in classes:
            self._put_status(it, "gatewayclasses", {"conditions": conditions(it, "Accepted")})
        for gateway in gateways:
            self._make_proxies(gateway, images)
            self._put_status(gateway, "gateways", gateway_status(gateway, routes))
        for route in routes:
            self._put_status(route, f"{route['kind'].lower()}s", route_status(route))
        for plural in POLICIES:
            for policy in self._all(plural):
                self._put_status(policy, plural, policy_status(policy))

    def _all(self, name: str) -> list[Object]:
        return self._watched[name].objects() or []

    def _routes(self) -> list[Object]:
        """Each once, in the newest version that is served."""
        every = (it for name in ROUTES for it in self._all(name))
        return list({it["metadata"]["uid"]: it for it in every}.values())

    def _leader(self, pods: Sequence[Object]) -> Object | None:
        """The controller's Pod that leads; the newest takes over where the holder is gone."""
        running = [it for it in pods if is_controller(it) and is_ready(it)]
        if not running:
            return None
        lease = self._found(f"{LEASE}/{LEADER}")
        spec = (lease or {}).get("spec") or {}
        holder = str(spec.get("holderIdentity") or "").rpartition("_")[0]
        newest = max(running, key=lambda it: it["metadata"]["creationTimestamp"])
        leads = next((it for it in running if it["metadata"]["name"] == holder), None)
        if leads is None:
            self._lead(newest, lease)
        elif age(spec.get("renewTime")) > RENEWAL:
            self._api.patch(f"{LEASE}/{LEADER}", {"spec": {"renewTime": micro_now()}})
        return leads or newest

    def _lead(self, pod: Object, lease: Object | None) -> None:
        spec = {
            "holderIdentity": f"{pod['metadata']['name']}_{uuid4()}",
            "leaseDurationSeconds": 15,
            "acquireTime": micro_now(),
            "renewTime": micro_now(),
        }
        if lease is not None:
            self._api.patch(f"{LEASE}/{LEADER}", {"spec": spec})
            return
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEADER, "namespace": NAMESPACE},
            "spec": spec,
        }
        self._api.request("POST", LEASE, body)

    def _images(self, leader: Object | None) -> tuple[str, str] | None:
        """
        Of Envoy and of the shutdown manager, as the release that leads names them; None as long as
        none leads, or an older one.
        """
        found = self._found(CONFIG) if leader is not None else None
        if leader is None or found is None:
            return None
        config = yaml.safe_load(found["data"]["envoy-gateway.yaml"])
        own = config["provider"]["kubernetes"]["shutdownManager"]["image"]
        if leader["spec"]["containers"][0]["image"] != own:
            return None
        proxy = config["envoyProxy"]["provider"]["kubernetes"]["envoyDeployment"]
        return proxy["container"]["image"], own

    def _make_proxies(self, gateway: Object, images: tuple[str, str]) -> None:
        wanted = proxies(gateway, images, self._replicas())
        name = wanted["metadata"]["name"]
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
        if self._applied.get(name) != images or self._found(path) is None:
            query = "fieldManager=envoy-gateway&force=true"
            kind = "application/apply-patch+yaml"
            self._api.request("PATCH", f"{path}?{query}", wanted, kind)
            self._applied[name] = images

    def _replicas(self) -> int:
        for it in self._all("proxies"):
            provider = (it["spec"].get("provider") or {}).get("kubernetes") or {}
            return int((provider.get("envoyDeployment") or {}).get("replicas") or 1)
        return 1

    def _found(self, path: str) -> Object | None:
        try:
            return self._api.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _put_status(self, thing: Object, plural: str, wanted: Object | None) -> None:
        """Write a status that differs from what the object has, but for its times."""
        if wanted is None or within(timeless(wanted), timeless(thing.get("status") or {})):
            return
        meta = thing["metadata"]
        group = f"/apis/{thing['apiVersion']}" if "/" in thing.get("apiVersion", "") else "/api/v1"
        place = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
        try:
            path = f"{group}{place}/{plural}/{meta['name']}/status"
            self._api.patch(path, {"status": wanted})
        except ApiError as error:
            if error.status != 404:
                raise


def pod_status(pod: Object) -> Object | None:
    """
    What a kubelet would say at last: done, for a Pod of a Job, else Ready. None for a Pod that
    goes, and for one whose image, tagged "missing", cannot be had.
    """
    if pod["metadata"].get("deletionTimestamp"):
        return None
    if any(it["image"].endswith(":missing") for it in pod["spec"]["containers"]):
        return None
    owners = {it["kind"] for it in pod["metadata"].get("ownerReferences") or ()}
    done = "Job" in owners
    word = "False" if done else "True"
    kinds = ("Initialized", "PodScheduled") if done else ("Initialized", "PodScheduled", "Ready")
    found = [{"type": it, "status": "True", "lastTransitionTime": now()} for it in kinds]
    found.append({"type": "ContainersReady", "status": word, "lastTransitionTime": now()})
    return {"phase": "Succeeded" if done else "Running", "conditions": found}


def is_controller(pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return (
        pod["metadata"].get("namespace") == NAMESPACE
        and labels.get("control-plane") == "envoy-gateway"
        and not pod["metadata"].get("deletionTimestamp")
    )


def is_ready(pod: Object) -> bool:
    found = (pod.get("status") or {}).get("conditions") or ()
    return any(it["type"] == "Ready" and it["status"] == "True" for it in found)


def conditions(thing: Object, *kinds: str) -> list[Object]:
    """Each True, for the generation that is there now."""
    return [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "said by a stand-in",
            "observedGeneration": thing["metadata"]["generation"],
            "lastTransitionTime": now(),
        }
        for kind in kinds
    ]


def gateway_status(gateway: Object, routes: Iterable[Object]) -> Object:
    every = list(routes)
    listeners = [
        {
            "name": it["name"],
            "supportedKinds": [
                {"group": "gateway.networking.k8s.io", "kind": kind_for(it["protocol"])}
            ],
            "attachedRoutes": sum(attaches(route, gateway, it) for route in every),
            "conditions": conditions(gateway, "Accepted", "ResolvedRefs", "Programmed"),
        }
        for it in gateway["spec"]["listeners"]
    ]
    return {
        "addresses": [{"type": "IPAddress", "value": ADDRESS}],
        "conditions": conditions(gateway, "Accepted", "Programmed"),
        "listeners": listeners,
    }


def kind_for(protocol: str) -> str:
    return "HTTPRoute" if protocol in ("HTTP", "HTTPS") else f"{protocol}Route"


def attaches(route: Object, gateway: Object, listener: Mapping[str, Any]) -> bool:
    """Whether a route sends through this listener, by kind and parentRef alone."""
    meta = gateway["metadata"]
    return route["kind"] == kind_for(listener["protocol"]) and any(
        (it.get("namespace", route["metadata"]["namespace"]), it["name"])
        == (meta["namespace"], meta["name"])
        and it.get("sectionName") in (None, listener["name"])
        for it in route["spec"].get("parentRefs") or ()
    )


def route_status(route: Object) -> Object:
    return {
        "parents": [
            {
                "parentRef": it,
                "controllerName": CONTROLLER,
                "conditions": conditions(route, "Accepted", "ResolvedRefs"),
            }
            for it in route["spec"].get("parentRefs") or ()
        ]
    }


def policy_status(policy: Object) -> Object:
    """Accepted by one ancestor, whatever its targets are."""
    ancestor = {
        "ancestorRef": {"name": policy["metadata"]["name"]},
        "controllerName": CONTROLLER,
        "conditions": conditions(policy, "Accepted"),
    }
    return {"ancestors": [ancestor]}


def proxies(gateway: Object, images: tuple[str, str], replicas: int) -> Object:
    """
    The Deployment behind a Gateway, cut down to its name, labels, containers and images (Envoy
    Gateway 1.9 source, internal/infrastructure/kubernetes/proxy).
    """
    namespace, name = gateway["metadata"]["namespace"], gateway["metadata"]["name"]
    digest = sha256(f"{namespace}/{name}".encode()).hexdigest()[:8]
    labels = {
        "app.kubernetes.io/name": "envoy",
        "app.kubernetes.io/component": "proxy",
        "app.kubernetes.io/managed-by": "envoy-gateway",
        "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
        "gateway.envoyproxy.io/owning-gateway-name": name,
    }
    containers = zip(("envoy", "shutdown-manager"), images, strict=True)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"envoy-{namespace}-{name}-{digest}",
            "namespace": NAMESPACE,
            "labels": labels,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": it, "image": image} for it, image in containers]},
            },
        },
    }


def timeless(thing: Any) -> Any:
    """Without the times of conditions."""
    if isinstance(thing, Mapping):
        return {key: timeless(it) for key, it in thing.items() if key != "lastTransitionTime"}
    return [timeless(it) for it in thing] if isinstance(thing, list) else thing


def within(wanted: Any, there: Any) -> bool:
    """Whether ``there`` says all that ``wanted`` says; lists are compared whole, maps are not."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return all(key in there and within(it, there[key]) for key, it in wanted.items())
    if isinstance(wanted, list) and isinstance(there, list):
        return len(wanted) == len(there) and all(map(within, wanted, there))
    return bool(wanted == there)


def age(moment: object) -> float:
    """Seconds since a time as Kubernetes writes it."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(moment))).total_seconds()
    except ValueError:
        return float("inf")


def micro_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main(lab: str) -> None:
    """Serve every cluster of a lab; ends when the lab is gone, also where another has its name."""
    one = state.running(lab)
    for cluster in one.members():
        threading.Thread(target=StandIn(cluster).run, daemon=True).start()
    authority = one.root / "ca.crt"
    made = authority.stat().st_mtime_ns
    while authority.exists() and authority.stat().st_mtime_ns == made:
        time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])

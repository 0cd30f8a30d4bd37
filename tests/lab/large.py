"""
A cluster of the size that the bounds of backup and restore are for: 30 Gateways with listeners of
their own, 300 routes to the sample application, 100 TLS Secrets.

    python -m tests.lab.large LAB CLUSTER      the CRDs must be there
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tasks.lab import state
from tasks.lab.api import Api
from tasks.plans.kinds import path
from tests.objects import certificate

Object = dict[str, Any]

NAMESPACE, BACKENDS = "large", "demo"
GATEWAYS, ROUTES, SECRETS = 30, 300, 100
AT_A_TIME = 8
ROUTES_OF_ONE = ROUTES // GATEWAYS
#: Gateways with a GRPCRoute and a TCPRoute among their routes, and with a certificate more.
WITH_OTHER_ROUTES, WITH_ONE_MORE = 20, SECRETS % GATEWAYS
FIRST_PORT = 10000


def fill(api: Api, gateway_class: str = "envoy") -> float:
    """Apply all of it; the seconds it took. Again is as good as once."""
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for some in (namespaces(), secrets(), gateways(gateway_class), routes()):
            list(pool.map(lambda it: _applied(api, it), some))
    return time.monotonic() - begun


def _applied(api: Api, thing: Object) -> None:
    meta = thing["metadata"]
    api.apply(path(thing["apiVersion"], thing["kind"], meta.get("namespace"), meta["name"]), thing)


def namespaces() -> Iterable[Object]:
    for name in (NAMESPACE, BACKENDS):
        yield _object("v1", "Namespace", name)


def secrets() -> Iterable[Object]:
    for number in range(GATEWAYS):
        for listener in range(certificates_of(number)):
            public, private = certificate(f"s{listener}.g{number}.lab.test")
            yield {
                **_object("v1", "Secret", f"tls-{number}-{listener}", NAMESPACE),
                "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": public, "tls.key": private},
            }


def certificates_of(number: int) -> int:
    """How many HTTPS listeners a Gateway has, each with a Secret of its own."""
    return SECRETS // GATEWAYS + (number < WITH_ONE_MORE)


def gateways(gateway_class: str) -> Iterable[Object]:
    """No two have the same listener, so they can share one proxy too (mergeGateways)."""
    for number in range(GATEWAYS):
        listeners = [_listener("http", 80, "HTTP", hostname=f"*.g{number}.lab.test")]
        listeners += [
            _listener(
                f"https-{it}",
                443,
                "HTTPS",
                hostname=f"s{it}.g{number}.lab.test",
                tls={"certificateRefs": [{"name": f"tls-{number}-{it}"}]},
            )
            for it in range(certificates_of(number))
        ]
        if number < WITH_OTHER_ROUTES:
            listeners.append(_listener("tcp", FIRST_PORT + number, "TCP"))
        yield {
            **_object("gateway.networking.k8s.io/v1", "Gateway", f"g{number}", NAMESPACE),
            "spec": {"gatewayClassName": gateway_class, "listeners": listeners},
        }


def _listener(name: str, port: int, protocol: str, **more: Any) -> Object:
    allowed = {"namespaces": {"from": "All"}}
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": allowed, **more}


def routes() -> Iterable[Object]:
    for number in range(GATEWAYS):
        for route in range(ROUTES_OF_ONE):
            yield _route(number, route)


def _route(number: int, route: int) -> Object:
    """The last two of a Gateway may be a GRPCRoute and a TCPRoute, the others are HTTPRoutes."""
    others = {ROUTES_OF_ONE - 2: "GRPCRoute", ROUTES_OF_ONE - 1: "TCPRoute"}
    kind = others.get(route, "HTTPRoute") if number < WITH_OTHER_ROUTES else "HTTPRoute"
    version = "v1alpha2" if kind == "TCPRoute" else "v1"
    parent = {"name": f"g{number}", "namespace": NAMESPACE}
    backend = {"name": "grpc" if kind == "GRPCRoute" else "blue", "port": 8080}
    spec: Object = {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]}
    if kind == "TCPRoute":
        parent["sectionName"] = "tcp"
    else:
        prefix = "s" if route < certificates_of(number) else "r"
        spec["hostnames"] = [f"{prefix}{route}.g{number}.lab.test"]
    api_version = f"gateway.networking.k8s.io/{version}"
    return {**_object(api_version, kind, f"r{number}-{route}", BACKENDS), "spec": spec}


def _object(api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def main(lab: str, cluster: str) -> None:
    seconds = fill(Api(state.running(lab).member(cluster)))
    print(f"{cluster}: {GATEWAYS} Gateways, {ROUTES} routes, {SECRETS} Secrets in {seconds:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""
Gateways of Istio's own kind (networking.istio.io) as listeners, beside those of the Gateway API:
on a cluster with both, each has names and certificates that the other does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.plans.listeners import Listener, SecretRef

Object = Mapping[str, Any]
API = "networking.istio.io"
#: With these a proxy shows a certificate of a Secret; ISTIO_MUTUAL is the mesh's own.
ENDING = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
PASSING = ("PASSTHROUGH", "AUTO_PASSTHROUGH")


def of_istio(
    cluster: str, gateways: Iterable[Object], pods: Iterable[Object], services: Iterable[Object]
) -> list[Listener]:
    """
    A listener for each server with TLS, each of its hosts, and each workload that the selector
    takes. The hosts of one server are one filter chain: they have owner and name in common.

    + gateways: v1, v1beta1 or v1alpha3; + pods: all that their selectors take, at least
    + services: all of the namespaces of these Pods; the addresses are theirs
    """
    running = [*pods]
    found: list[Listener] = []
    for gateway in sorted(gateways, key=_age):
        selector = gateway["spec"].get("selector") or {}
        workloads = {_workload(it): it for it in reversed(running) if _takes(selector, it)}
        for workload, pod in sorted(workloads.items()):
            found += _of_workload(cluster, gateway, workload, pod, services)
    return found


def _of_workload(
    cluster: str, gateway: Object, workload: str, pod: Object, services: Iterable[Object]
) -> Iterator[Listener]:
    meta = gateway["metadata"]
    name, namespace = f"{meta['namespace']}/{meta['name']}", pod["metadata"]["namespace"]
    for number, server in enumerate(gateway["spec"].get("servers") or ()):
        tls, port = server.get("tls") or {}, server["port"]
        mode = tls.get("mode", "SIMPLE" if tls.get("credentialName") else "PASSTHROUGH")
        if port["protocol"] not in ("HTTPS", "TLS") or mode not in (*ENDING, *PASSING):
            continue
        passing = mode in PASSING
        for hostname in dict.fromkeys(_hostname(it) for it in server.get("hosts") or ()):
            yield Listener(
                cluster=cluster,
                owner=f"Gateway {name} (Istio)",
                gateway=name,
                name=port.get("name") or f"server {number}",
                port=port["number"],
                hostname=hostname,
                addresses=_addresses(pod, services, port["number"]),
                workload=workload,
                secrets=() if passing else _secrets(tls, namespace),
                passthrough=passing,
                protocol="TLS" if passing else port["protocol"],
                falls_back=False,
            )


def _secrets(tls: Object, namespace: str) -> tuple[SecretRef, ...]:
    """In the namespace of the workload, wherever the Gateway is (Istio docs, Secure Gateways)."""
    names = [*(tls.get("credentialNames") or ())] or [tls.get("credentialName")]
    return tuple(SecretRef(namespace, it) for it in names if it)


def _hostname(host: str) -> str | None:
    """Of "shop/*.example.com": the namespace says whose VirtualServices may use it."""
    name = host.rpartition("/")[2].lower()
    return None if name == "*" else name


def _takes(selector: Mapping[str, str], pod: Object) -> bool:
    """In every namespace (Istio docs, Gateway); a selector without labels takes every gateway."""
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == it for key, it in selector.items())


def _workload(pod: Object) -> str:
    """Such as "istio-system/istio-ingressgateway": its Pods are equal."""
    meta = pod["metadata"]
    owner = next((it["name"] for it in meta.get("ownerReferences") or ()), meta["name"])
    of_revision = (meta.get("labels") or {}).get("pod-template-hash")
    return f"{meta['namespace']}/{owner.removesuffix(f'-{of_revision}')}"


def _addresses(pod: Object, services: Iterable[Object], port: int) -> tuple[str, ...]:
    return tuple(
        it.get("ip") or it["hostname"]
        for service in services
        if service["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and service["spec"].get("selector")
        and _takes(service["spec"]["selector"], pod)
        and any(it["port"] == port for it in service["spec"].get("ports") or ())
        for it in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    )


def _age(thing: Object) -> tuple[str, str]:
    meta = thing["metadata"]
    return str(meta.get("creationTimestamp", "")), f"{meta['namespace']}/{meta['name']}"

"""
Every proxy Pod by itself: an address hides that one of several Pods lacks a listener or serves
another certificate.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tasks.connectors.api import Api, ApiError
from tasks.connectors.forward import forwarded
from tasks.facts.kube import KubeObject, KubeObjects
from tasks.fleet.guard import FactFailed, fact, session
from tasks.operations import probe
from tasks.plans import probes, proxies
from tasks.plans.probes import Answer, Request
from tasks.plans.proxies import Proxy

Object = Mapping[str, Any]
Place = tuple[Proxy, Request]
#: Pods that are asked at the same time.
AT_A_TIME = 8
#: How often a Pod must fail before it counts as broken, and seconds between.
LOOKS, BETWEEN_LOOKS = 3, 5.0
#: Seconds in which the API server would say that nothing in a Pod takes a connection.
REFUSAL = 0.5


@dataclass
class Asked:
    """
    + answers: what each listener of each Pod said; + failed: why it did not answer; + unreached:
    why it could not be asked this time; + denied: why Pods cannot be asked at all, or None
    """

    answers: dict[Place, Answer] = field(default_factory=dict)
    failed: dict[Place, str] = field(default_factory=dict)
    unreached: dict[Place, str] = field(default_factory=dict)
    denied: str | None = None

    @property
    def problems(self) -> list[str]:
        silent = self.failed | self.unreached
        found = [f"{pod.title}, {it.text}: {why}" for (pod, it), why in silent.items()]
        for (pod, request), answer in self.answers.items():
            unproven = probes.problem(request, answer)
            if unproven:
                found.append(f"{pod.title}, {unproven}")
        return sorted(found)

    @property
    def text(self) -> str:
        """Such as "2 Pods, 6 listeners answered one by one, Envoy distroless-v1.39.1"."""
        pods = {pod for pod, _ in self.answers}
        envoys = ", ".join(sorted({it.envoy for it in pods}))
        count = f"{len(pods)} Pod{'' if len(pods) == 1 else 's'}"
        return f"{count}, {len(self.answers)} listeners answered one by one, Envoy {envoys}"


@dataclass(frozen=True)
class Behind:
    """
    Whose Pods are meant. + namespace: where they run, None where each is beside its Gateway
    """

    gateways: Sequence[Object]
    requests: Sequence[Request]
    namespace: str | None

    def pods(self) -> list[Proxy]:
        """Two requests."""
        where = {"api_version": "v1", "namespace": self.namespace, "labels": proxies.LABELS}
        pods = fact(KubeObjects, kind="Pod", **where)
        services = fact(KubeObjects, kind="Service", **where)
        return proxies.proxies(pods, services, self.gateways, self.requests)


def look(behind: Behind) -> Asked:
    """Ask all Pods, where they may be listed."""
    try:
        return ask(behind.pods())
    except FactFailed as error:
        if not error.forbidden:
            raise
        return Asked(denied="no right to list pods and services")


def leaving(namespace: str | None) -> list[str]:
    """
    Names of the proxy Pods that are told to go and have not gone, none where the cluster cannot be
    read. One request.
    """
    try:
        pods = fact(
            KubeObjects, api_version="v1", kind="Pod", namespace=namespace, labels=proxies.LABELS
        )
    except FactFailed:
        return []
    return [it["metadata"]["name"] for it in pods if it["metadata"].get("deletionTimestamp")]


def ask(pods: Iterable[Proxy]) -> Asked:
    """One request through each listener of each Pod, over one port forward a Pod."""
    from gevent.pool import Pool

    api, asked = session(), Asked()
    Pool(AT_A_TIME).map(lambda it: _ask_one(api, it, asked), pods)
    return asked


def _ask_one(api: Api, pod: Proxy, asked: Asked) -> None:
    try:
        with forwarded(api, pod.namespace, pod.name, [port for port, _ in pod.asks]) as forward:
            for (_, request), stream in zip(pod.asks, forward.sockets, strict=True):
                try:
                    asked.answers[pod, request] = probe.exchange(request, stream)
                except (OSError, http.client.HTTPException) as error:
                    asked.failed[pod, request] = probe.reason(error)
            if any(request.scheme == "tcp" for _, request in pod.asks):
                time.sleep(REFUSAL)
            for number in forward.refused:
                port, request = pod.asks[number]
                asked.answers.pop((pod, request), None)
                asked.failed[pod, request] = f"nothing listens on port {port} of the Pod"
    except ApiError as error:
        if error.status == 403:
            asked.denied = "no right to pods/portforward"
        elif error.status != 404:  # it has gone since
            asked.unreached |= {(pod, request): f"port forward: {error}" for _, request in pod.asks}


def secrets(gateways: Iterable[Object]) -> dict[tuple[str, str], dict[str, Object | None]]:
    """
    The TLS Secrets of each HTTPS listener, by their names: {("edge/public", "https"):
    {"edge/shop-tls": {...}}}; a listener whose Secrets may not be read has none. One request each.
    """
    read: dict[tuple[str, str], Object | None] = {}
    found_ = {}
    for place, names in proxies.secrets_of(gateways).items():
        try:
            for namespace, name in names:
                if (namespace, name) not in read:
                    read[namespace, name] = fact(
                        KubeObject,
                        api_version="v1",
                        kind="Secret",
                        resource=name,
                        namespace=namespace,
                    )
        except FactFailed:
            names = []
        found_[place] = {f"{it[0]}/{it[1]}": read[it] for it in names}
    return found_


def differing(asked: Asked, gateways: Iterable[Object]) -> list[str]:
    """Certificates that are not what their Secret holds, a line each."""
    wanted = {
        place: {print_ for it in held.values() if it and (print_ := proxies.fingerprint(it))}
        for place, held in secrets(gateways).items()
    }
    served = {place: it.certificate for place, it in asked.answers.items() if it.certificate}
    return proxies.differing(served, wanted)


def without_handshake(behind: Behind, now: datetime) -> list[Proxy]:
    """
    The Pods that complete no handshake for a listener whose Secret a proxy can serve, each time
    they are asked; none where Pods may not be asked.
    """
    held = secrets(behind.gateways)
    handshakes = [
        replace(it, scheme="tls")
        for it in behind.requests
        if it.scheme == "https"
        and any(
            not proxies.unusable(secret, now) for secret in held[it.gateway, it.listener].values()
        )
    ]
    every = replace(behind, requests=handshakes)
    broken = {pod for pod, _ in look(every).failed} if handshakes else set()
    for _ in range(LOOKS - 1):
        if broken:
            time.sleep(BETWEEN_LOOKS)
            broken &= {pod for pod, _ in look(every).failed}
    return sorted(broken, key=lambda it: it.name)


def unreplaced(before: Sequence[Proxy], behind: Behind) -> list[str]:
    """What is still missing after one of the Pods of ``before`` was deleted, a line each."""
    known = {it.name for it in before}
    now = behind.pods()
    new = [it for it in now if it.name not in known]
    if len(now) < len(before) or not new:
        return [f"{len(now)} of {len(before)} proxies are there"]
    return ask(new).problems

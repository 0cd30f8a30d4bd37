"""
Every proxy Pod by itself: an address hides that one of several Pods lacks a listener or serves
another certificate.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    + answers: what each listener of each Pod said; + failed: why it did not answer; + denied: why
    Pods cannot be reached at all from here, or None
    """

    answers: dict[Place, Answer] = field(default_factory=dict)
    failed: dict[Place, str] = field(default_factory=dict)
    denied: str | None = None

    @property
    def problems(self) -> list[str]:
        found = [f"{pod.title}, {it.text}: {why}" for (pod, it), why in self.failed.items()]
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


def found(gateways: Sequence[Object], requests: Sequence[Request]) -> list[Proxy]:
    """The Pods behind these Gateways. Two requests."""
    pods = fact(KubeObjects, api_version="v1", kind="Pod", labels=proxies.LABELS)
    services = fact(KubeObjects, api_version="v1", kind="Service", labels=proxies.LABELS)
    return proxies.proxies(pods, services, gateways, requests)


def leaving() -> list[str]:
    """Names of the proxy Pods that are told to go and have not gone. One request."""
    pods = fact(KubeObjects, api_version="v1", kind="Pod", labels=proxies.LABELS)
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
            asked.failed |= {(pod, request): f"port forward: {error}" for _, request in pod.asks}


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


def without_handshake(
    gateways: Sequence[Object], requests: Sequence[Request], now: datetime
) -> list[Proxy]:
    """
    The Pods that complete no handshake for a listener whose Secret a proxy can serve, each time
    they are asked.
    """
    held = secrets(gateways)
    good = [
        it
        for it in requests
        if any(
            not proxies.unusable(secret, now) for secret in held[it.gateway, it.listener].values()
        )
    ]
    pods = found(gateways, good) if good else []
    for number in range(LOOKS):
        if pods and number:
            time.sleep(BETWEEN_LOOKS)
        failed = {pod.name for pod, _ in ask(pods).failed} if pods else set()
        pods = [it for it in pods if it.name in failed]
    return pods


def unreplaced(
    before: Sequence[Proxy], gateways: Sequence[Object], requests: Sequence[Request]
) -> list[str]:
    """What is still missing after one of the Pods of ``before`` was deleted, a line each."""
    known = {it.name for it in before}
    now = found(gateways, requests)
    new = [it for it in now if it.name not in known]
    if len(now) < len(before) or not new:
        return [f"{len(now)} of {len(before)} proxies are there"]
    return ask(new).problems

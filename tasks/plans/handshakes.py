"""Which names are said to which ports, so that every certificate that is served is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans.listeners import Handshake, Listener
from tasks.plans.probes import concrete, covered
from tasks.plans.proxies import container_port, container_ports, owner

Object = Mapping[str, Any]
#: Names that a listener is asked for at most, where one name does not show all that it serves.
NAMES = 8
#: How the reason begins where a Pod was not asked at all.
UNREACHED = "port forward: "


@dataclass(frozen=True)
class Ask:
    """+ sni: such as "shop.example.com", "" says no name; + port: of the Pod or the address"""

    listener: Listener
    sni: str
    port: int


@dataclass(frozen=True)
class Pod:
    """One proxy Pod that is ready."""

    namespace: str
    name: str
    asks: tuple[Ask, ...]

    @property
    def title(self) -> str:
        return f"Pod {self.namespace}/{self.name}"


def to_pods(
    pods: Iterable[Object], services: Iterable[Object], listeners: Iterable[Listener]
) -> list[Pod]:
    """
    What to ask each Pod that is ready and stays. Pods and Services are those that the controller
    generated; a Service knows the port of its Pods for each listener.
    """
    ports = {owner(it): container_ports(it) for it in services}
    names = names_to_ask(listeners)
    found = []
    for pod in pods:
        meta, own = pod["metadata"], owner(pod)
        asks = tuple(
            Ask(it, sni, ports.get(own, {}).get(it.port) or container_port(it.port))
            for it, said in names.items()
            if it.workload == own
            for sni in said
        )
        if asks and not meta.get("deletionTimestamp") and _ready(pod):
            found.append(Pod(meta["namespace"], meta["name"], asks))
    return found


def to_addresses(listeners: Iterable[Listener]) -> dict[str, list[Ask]]:
    """By address what to ask it."""
    found: dict[str, list[Ask]] = {}
    for it, said in names_to_ask(listeners).items():
        for address in it.addresses:
            found.setdefault(address, []).extend(Ask(it, sni, it.port) for sni in said)
    return found


def by_name(handshakes: Iterable[Handshake]) -> dict[tuple[Listener, str], list[Handshake]]:
    """What was served for each name of each listener."""
    found: dict[tuple[Listener, str], list[Handshake]] = {}
    for it in handshakes:
        found.setdefault((it.listener, it.sni), []).append(it)
    return found


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((it["type"], it["status"]) == ("Ready", "True") for it in conditions)


def names_to_ask(listeners: Iterable[Listener]) -> dict[Listener, tuple[str, ...]]:
    """
    For each listener the names to say in a handshake: real ones where routes have them, "" for an
    address without a name. One is enough but for several Secrets, which are chosen by name, and for
    a listener that hands TLS through to its backends.
    """
    every = list(listeners)
    beside: dict[tuple[str, int], set[str]] = {}
    for it in every:
        if it.hostname:
            beside.setdefault((it.workload, it.port), set()).add(it.hostname)
    return {it: _names_of(it, beside.get((it.workload, it.port), set())) for it in every}


def _names_of(listener: Listener, beside: set[str]) -> tuple[str, ...]:
    if listener.hostname and not listener.hostname.startswith("*"):
        return (listener.hostname,)
    taken = {it for it in beside if it != listener.hostname and covered(it, listener.hostname)}
    hosts = [str(concrete(it)) for it in listener.hosts]
    free = [it for it in dict.fromkeys(hosts) if not any(covered(it, other) for other in taken)]
    several = listener.passthrough or len(listener.secrets) > 1
    return tuple(free[: NAMES if several else 1]) or (concrete(listener.hostname) or "",)

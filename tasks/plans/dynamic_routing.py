"""
Requests of one client to the one server that a resolver names: what the script is told, and what
the proxies have of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from packaging.version import Version

from tasks.plans.ours import is_ours

Object = Mapping[str, Any]
#: What no resolver may name, whatever the inventory allows: this network, loopback, link-local (the
#: cloud's metadata), multicast, reserved and broadcast.
REFUSED = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
#: Tells what this deploy applied from what others did.
DEPLOY = "dynamic-routing"
#: Routes before the policies that watch over them, when they are taken away.
KINDS = ("HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy", "SecurityPolicy")
#: Envoy Gateway 1.9 release notes, extensionApis.enableLua.
LUA_IS_OFF = Version("1.9")
#: What the names of clusters are made of; one with anything else is not put into a script.
NAME = re.compile(r"[\w./:-]{1,253}", re.ASCII)


@dataclass(frozen=True)
class InForce:
    """
    A route as the proxies run it. + objects: what it was made of, such as ("HTTPRoute", "shop",
    "join-resolver"); + clusters: where it sends, none where it answers by itself
    """

    objects: frozenset[tuple[str, str, str]]
    clusters: tuple[str, ...]


def asks_for_lua(version: str) -> bool:
    """Whether this Envoy Gateway, such as "1.9.1", runs no Lua unless it is told to."""
    return Version(version) >= LUA_IS_OFF


def resolver_route(name: str) -> str:
    """The HTTPRoute through which Envoy knows the resolver."""
    return f"{name}-resolver"


def left_over(
    live: Iterable[Object], entries: Iterable[tuple[str, str, bool]], prune: bool
) -> list[Object]:
    """
    What of our objects is to go, routes first: with ``prune`` all that no entry has, else only what
    keeps clients from a resolver that they may ask by now.

    + entries: namespace and name of each, and whether its resolver is open
    """
    wanted: set[tuple[str, str, str]] = set()
    opened: set[tuple[str, str, str]] = set()
    for namespace, name, is_open in entries:
        resolver = resolver_route(name)
        wanted |= {(kind, namespace, name) for kind in KINDS[:3]}
        wanted |= {(kind, namespace, resolver) for kind in ("HTTPRoute", "BackendTrafficPolicy")}
        (opened if is_open else wanted).add(("SecurityPolicy", namespace, resolver))
    found = []
    for it in live:
        key = (it["kind"], it["metadata"]["namespace"], it["metadata"]["name"])
        if is_ours(it, DEPLOY) and (key in opened or (prune and key not in wanted)):
            found.append(it)
    return sorted(found, key=lambda it: KINDS.index(it["kind"]))


def ranges(cidrs: Iterable[str]) -> list[tuple[int, int]]:
    """First and last address of each as numbers, such as [(167772160, 184549375)]."""
    networks = map(IPv4Network, cidrs)
    return [(int(it.network_address), int(it.broadcast_address)) for it in networks]


def pattern(key: str) -> str:
    """Of Lua: the text of this key in a JSON object."""
    return f'"{key}"%s*:%s*"([^"]*)"'


def mark(cluster: str, namespace: str, name: str) -> str:
    """What a request carries that was sent on, such as "weu-1/shop/join"."""
    return re.sub(r"[^\w./-]", "_", f"{cluster}/{namespace}/{name}", flags=re.ASCII)


def cluster_of(routes: Iterable[InForce], namespace: str, name: str) -> str | None:
    """
    What the proxies call the one cluster of an HTTPRoute; None where they have none: it is not
    known to them yet, or its Service has no ready endpoint. Raises ValueError, in one line.
    """
    mine = [it for it in routes if ("HTTPRoute", namespace, name) in it.objects]
    found = {cluster for it in mine for cluster in it.clusters}
    if len(found) > 1:
        raise ValueError(f"HTTPRoute {namespace}/{name} has {len(found)} clusters in the proxies")
    for cluster in found:
        if not NAME.fullmatch(cluster):
            raise ValueError(f"the proxies call HTTPRoute {namespace}/{name} {cluster!r}")
    return next(iter(found), None)


def named(script: str) -> str | None:
    """The cluster that a script asks, None where it is none of ours."""
    found = re.search(r'^local RESOLVER = "([^"]+)"', script, flags=re.M)
    return found[1] if found else None


def script_of(policy: Object | None) -> str:
    """The first inline script of an EnvoyExtensionPolicy."""
    scripts: Sequence[Object] = ((policy or {}).get("spec") or {}).get("lua") or ()
    return str(scripts[0].get("inline") or "") if scripts else ""


def contradictions(entries: Iterable[tuple[str, str, str]], routes: Iterable[str]) -> list[str]:
    """
    What an inventory rules out, a line each. + entries: title, path, and path of the resolver;
    + routes: titles of its own HTTPRoutes
    """
    found, taken = [], dict.fromkeys(routes, "routes")
    for title, path, resolver in entries:
        for it in (title, resolver_route(title)):
            if it in taken:
                found.append(f"dynamic_routing {title}: HTTPRoute {it} is of {taken[it]} too")
            taken[it] = f"dynamic_routing {title}"
        if path.rstrip("/") == resolver.rstrip("/"):
            found.append(f"dynamic_routing {title}: path and resolver.path are both {path}")
    return found


def unproven(asked: str, wanted: int, answer: Any) -> list[str]:
    """
    + asked: such as "edge/public:http http://join.lab.test:80/join"; + wanted: 400 is the script's
      own, 200 any answer of a server; + answer: an Answer, or why there is none
    """
    status = getattr(answer, "status", None)
    if status is None:
        return [f"{asked}: {answer}"]
    if wanted == 400 and status != 400:
        return [f"{asked}: {status}, not the 400 of the script, which is not in force"]
    if wanted != 400 and (status >= 500 or status in (400, 404)):
        return [f"{asked}: {status}, not the answer of a server"]
    return []

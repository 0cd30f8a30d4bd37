"""Things of an Envoy's configuration, called by what they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
#: Where a listener takes a request: its port, "TCP" or "UDP", and names of the handshake.
Place = tuple[int, str, tuple[str, ...]]


@dataclass(frozen=True)
class Thing:
    """
    + what: "route", "virtual host", "cluster", "listener", "secret"
    + title: for people, such as "HTTPRoute shop/cart, rule 0"
    + keys: by which it is known again under another release, the surest first; of one kind each
    + says: what it does, in its one form; + asks: names of clusters that it sends to
    """

    what: str
    title: str
    keys: tuple[Any, ...]
    says: Mapping[str, Any]
    asks: tuple[str, ...] = ()


def objects(value: Any) -> Iterator[Object]:
    """Items of a list that are objects."""
    if isinstance(value, list):
        yield from (it for it in value if isinstance(it, Mapping))


def mapping(value: Any, *path: str) -> Object:
    """What is under a path, empty where nothing is."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any, default: float = 0) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


_KINDS = {
    "httproute": "HTTPRoute",
    "grpcroute": "GRPCRoute",
    "tcproute": "TCPRoute",
    "udproute": "UDPRoute",
    "tlsroute": "TLSRoute",
    "securitypolicy": "SecurityPolicy",
    "envoyextensionpolicy": "EnvoyExtensionPolicy",
    "backendtrafficpolicy": "BackendTrafficPolicy",
    "clienttrafficpolicy": "ClientTrafficPolicy",
}
_OBJECT = re.compile(r"(?P<kind>[a-z]+)/(?P<namespace>[^/]+)/(?P<name>[^/]+)(?:/(?P<rest>.*))?")
_RULE = re.compile(r"rule/(\d+)(?:/match/(\d+))?(?:/.*)?")


def title(name: str) -> str | None:
    """
    Such as "HTTPRoute shop/cart, rule 0" of "httproute/shop/cart/rule/0/match/0/shop_test", the
    name that both schemes of Envoy Gateway give; None for names that are not made of an object.
    """
    found = _OBJECT.fullmatch(name)
    if found is None or found["kind"] not in _KINDS:
        return None
    said = f"{_KINDS[found['kind']]} {found['namespace']}/{found['name']}"
    rest = found["rest"] or ""
    rule = _RULE.fullmatch(rest)
    if rule is not None:
        return f"{said}, rule {rule[1]}"
    return f"{said}, {rest.replace('/', ' ')}" if rest and rest != "rule/-1" else said


def short(one: Object) -> str:
    """The kind of a filter by its type, such as "ext_authz", or by its name without one."""
    parts = text(mapping(one, "typed_config").get("@type")).rpartition("/")[2].split(".")
    if len(parts) >= 3 and re.fullmatch(r"v\d+\w*", parts[-2]):
        return parts[-3]
    return text(one.get("name")).partition("/")[0].rpartition(".")[2]


def without_resources(said: dict[str, Any]) -> None:
    """Metadata of Envoy Gateway only tell what a thing was made of."""
    held = mapping(said, "metadata", "filter_metadata")
    rest = {k: v for k, v in held.items() if k != "envoy-gateway"}
    if "metadata" in said and not (rest or {*said["metadata"]} - {"filter_metadata"}):
        del said["metadata"]
    elif held:
        said["metadata"] = {**said["metadata"], "filter_metadata": rest}

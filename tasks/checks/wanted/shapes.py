"""
The shape of what checks read of a spec, so that none of them meets a number where a list belongs.
Everything else is the API server's to judge, in the dry run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: A name with "!" must be there. {} is any map, [shape] a list.
_REF = {
    "name!": str,
    "group": str,
    "kind": str,
    "namespace": str,
    "sectionName": str,
    "port": int,
}
_KIND = {"kind!": str, "group": str, "namespace": str, "name": str}
_SELECTOR = {
    "matchLabels": {},
    "matchExpressions": [{"key!": str, "operator!": str, "values": [str]}],
}
_NAMESPACES = {"namespaces": {"from": str, "selector": _SELECTOR}}
_LISTENER = {
    "name!": str,
    "port!": int,
    "protocol!": str,
    "hostname": str,
    "tls": {"mode": str, "certificateRefs": [_REF]},
    "allowedRoutes": {**_NAMESPACES, "kinds": [_KIND]},
}
_MATCH = {"path": {"type": str, "value": str}, "headers": [{}], "queryParams": [{}]}
SPEC: Mapping[str, Any] = {
    "gatewayClassName": str,
    "infrastructure": {"parametersRef": _REF},
    "parametersRef": _REF,
    "listeners": [_LISTENER],
    "allowedListeners": _NAMESPACES,
    "parentRef": _REF,
    "parentRefs": [_REF],
    "hostnames": [str],
    "rules": [{"name": str, "matches": [_MATCH], "filters": [{}], "backendRefs": [_REF]}],
    "targetRef": _REF,
    "targetRefs": [_REF],
    "targetSelectors": [{"kind": str, **_SELECTOR}],
    "from": [{**_KIND, "namespace!": str}],
    "to": [_KIND],
}
_WORDS = {str: "text", int: "a whole number"}


def problem(thing: Any, shape: Any = SPEC, at: str = "spec") -> str | None:
    """Such as "spec.listeners[0].port is 'web', not a whole number"; None where all fits."""
    if isinstance(shape, type):
        good = isinstance(thing, shape) and not (shape is int and isinstance(thing, bool))
        return None if good else f"{at} is {thing!r:.40}, not {_WORDS[shape]}"
    if isinstance(shape, list):
        if not isinstance(thing, list):
            return f"{at} is {thing!r:.40}, not a list"
        found = (problem(it, shape[0], f"{at}[{index}]") for index, it in enumerate(thing))
        return next(filter(None, found), None)
    if not isinstance(thing, Mapping):
        return f"{at} is {thing!r:.40}, not a map"
    for key, below in shape.items():
        name = key.removesuffix("!")
        if name in thing:
            wrong = problem(thing[name], below, f"{at}.{name}")
            if wrong:
                return wrong
        elif name != key:
            return f"{at} has no {name}"
    return None

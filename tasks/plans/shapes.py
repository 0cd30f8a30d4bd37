"""
What checks of traffic read of a spec, and of which type each part is: what the API server has not
seen yet may hold anything, and what is of another type is left to it to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: A key of a shape: those that a map must have, else it is left out as a whole.
NEEDED: Any = object()

_REF: Mapping[Any, Any] = {
    NEEDED: ("name",),
    **dict.fromkeys(("group", "kind", "name", "namespace", "sectionName"), str),
    "port": int,
}
_TARGET = {**_REF, NEEDED: ("kind", "name")}
_SELECTOR = {
    NEEDED: ("kind",),
    "kind": str,
    "matchLabels": Mapping,
    "matchExpressions": [
        {NEEDED: ("key", "operator"), "key": str, "operator": str, "values": list}
    ],
}
_HEADER = {NEEDED: ("name", "value"), "name": str, "value": str}
_RULE = {
    "matches": [{"headers": [_HEADER], "path": {"type": str, "value": str}, "method": Mapping}],
    "backendRefs": [_REF],
    "timeouts": {"request": str, "backendRequest": str},
    "retry": {"attempts": int, "codes": [int]},
}
_LISTENER = {
    NEEDED: ("name", "port", "protocol"),
    "name": str,
    "port": int,
    "protocol": str,
    "tls": {"certificateRefs": [_REF]},
}
_LIMITED = {"rules": [{"clientSelectors": [Mapping]}]}
_KUBERNETES = {
    "envoyDeployment": {"container": {"resources": {"limits": Mapping}}},
    "envoyService": {"annotations": Mapping},
}
_SPEC: Mapping[Any, Any] = {
    # routes, Gateways and their class
    "parentRefs": [_REF],
    "hostnames": [str],
    "rules": [_RULE],
    "gatewayClassName": str,
    "listeners": [_LISTENER],
    "infrastructure": {"annotations": Mapping, "parametersRef": _REF},
    "parametersRef": _REF,
    "provider": {"kubernetes": _KUBERNETES},
    # policies
    "targetRef": _TARGET,
    "targetRefs": [_TARGET],
    "targetSelectors": [_SELECTOR],
    "timeout": {
        "tcp": {"connectTimeout": str},
        "http": dict.fromkeys(
            ("requestTimeout", "streamIdleTimeout", "maxStreamDuration", "idleTimeout"), str
        ),
    },
    "retry": {
        "numRetries": int,
        "perRetry": {"timeout": str},
        "retryOn": {"triggers": [str], "httpStatusCodes": [int]},
    },
    "rateLimit": {"local": _LIMITED, "global": _LIMITED},
    "connection": {"connectionLimit": {"value": int}},
    "tcpKeepalive": {"idleTime": str},
    "tls": {"alpnProtocols": [str]},
    "authorization": {"rules": [Mapping]},
    # Services
    "ports": [{NEEDED: ("port",), "port": int, "appProtocol": str}],
}


def shaped(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object without those parts of its spec that are not of the type they must be."""
    return {**thing, "spec": _shaped(thing.get("spec"), _SPEC) or {}}


def _shaped(value: Any, shape: Any) -> Any:
    """None where it is of another type; what the shape does not name stays as it is."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return None
        return [it for each in value if (it := _shaped(each, shape[0])) is not None]
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return None
        every = {key: _shaped(it, shape[key]) if key in shape else it for key, it in value.items()}
        found = {key: it for key, it in every.items() if it is not None}
        return None if any(it not in found for it in shape.get(NEEDED, ())) else found
    right = isinstance(value, shape) and not isinstance(value, bool)
    return value if right else None

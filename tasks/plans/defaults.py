"""
What the API server fills into routes where a manifest leaves it out, so that a short manifest needs
no dry run to be told from a changed one. A default that is not in here costs a dry run, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GATEWAY_API = "gateway.networking.k8s.io"
_ROOT = {"type": "PathPrefix", "value": "/"}
_SERVICE = {"group": "", "kind": "Service"}
#: By the field that holds them, or a list of them (Gateway API 1.6 CRDs, both channels).
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "parentRefs": {"group": _GATEWAY_API, "kind": "Gateway"},
    "backendRefs": {**_SERVICE, "weight": 1},
    "backendRef": _SERVICE,
    "certificateRefs": {"group": "", "kind": "Secret"},
    "path": _ROOT,
    "headers": {"type": "Exact"},
    "queryParams": {"type": "Exact"},
    "method": {"type": "Exact"},
    "matches": {"path": _ROOT},
    "rules": {"matches": [{"path": _ROOT}]},
    "requestRedirect": {"statusCode": 302},
}


def without_defaults(thing: Any, field: str) -> Any:
    """
    What a field holds, without what the server would fill in there all the same.

    + field: its name, such as "rules"
    """
    if isinstance(thing, list):
        return [without_defaults(it, field) for it in thing]
    if not isinstance(thing, Mapping):
        return thing
    defaults = _DEFAULTS.get(field, {})
    kept = {key: it for key, it in thing.items() if key not in defaults or it != defaults[key]}
    return {key: without_defaults(it, key) for key, it in kept.items()}

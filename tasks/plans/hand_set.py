"""
Helm values that somebody set by hand: an upgrade with the inventory's values alone would undo them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.plans.preflight import Reason, listed

Values = Mapping[str, Any]


def differences(values: Values, rendered: Sequence[Values], ours: bool) -> list[str]:
    """
    What a release holds that none of the inventory's renderings says, as lines of a diff, such as
    "config.envoyGateway.extensionApis.enableLua: true → not set".

    A text that the inventory does not have too is not shown: it may be a password.

    + rendered: values of the inventory for the new version first, then for the installed one
    + ours: envoyfleet itself applied these values, so what differs is a change of the inventory
    """
    if ours:
        return []
    known = [dict(_leaves(it)) for it in rendered]
    found = []
    for path, value in _leaves(values):
        if any(path in it and it[path] == value for it in known):
            continue
        there = known[0].get(path)
        if path in known[0]:
            found.append(f"{path}: {json.dumps(value)} → {json.dumps(there)}")
        else:
            found.append(f"{path}: {_veiled(value)} → not set")
    return found


def reasons(release: str, differences: Sequence[str]) -> list[Reason]:
    """+ release: such as "envoy-gateway-system/eg"."""
    if not differences:
        return []
    return [
        Reason(
            f"Helm release {release} has values that the inventory does not know, and this change "
            f"would undo them: {listed(differences, 8)}: bring them into the inventory or the "
            "template templates/envoy-gateway/values.yaml.j2",
            "values",
        )
    ]


def _leaves(values: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """
    Each value that is no mapping by its path; an empty mapping says nothing, and neither does an
    empty list.
    """
    if isinstance(values, Mapping):
        for key, below in values.items():
            yield from _leaves(below, f"{at}.{key}" if at else str(key))
    elif values != []:
        yield at, values


def _veiled(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return json.dumps(value) if isinstance(value, bool | int | float) or value is None else "a list"

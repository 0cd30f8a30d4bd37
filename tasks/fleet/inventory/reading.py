"""An inventory is read: what is wrong with it, a line each, before anything is connected to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tasks.fleet.inventory.cluster import Cluster
from tasks.plans import aks, windows
from tasks.plans.pem import printable

#: Signs of what was given, in a line that says that it is wrong.
LONGEST = 120
#: Keys that are pyinfra's or another connector's own, not the fleet's.
FOREIGN_PREFIXES = ("ssh_", "aks_", "_")


def problems(name: str, data: Mapping[str, Any]) -> list[str]:
    """
    What is wrong with one cluster's data, a line each, such as "weu-1: ring: must be a whole
    number of at least 0, not 'one'"; empty where nothing is.
    """
    try:
        parsed(data)
    except ValidationError as error:
        lines = [_of_tag(it, data) or _line(it) for it in error.errors()]
        return [printable(f"{name}: {it}") for it in lines]
    return []


def past(name: str, cluster: Cluster, now: datetime) -> list[str]:
    """A line where the window of a cluster is over for good."""
    window = cluster.window
    if window is None or not windows.past(window, now):
        return []
    return [f"{name}: window: it closed at {window.closes} {window.zone}: set one to come"]


def parsed(data: Mapping[str, Any]) -> Cluster:
    """
    Raises pydantic's ValidationError; ``problems`` has said so before any cluster was connected to.
    """
    own = {key: value for key, value in data.items() if not key.startswith(FOREIGN_PREFIXES)}
    return Cluster.model_validate(own)


def duplicates(clusters: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Two hosts that are one context of one kubeconfig, a line each."""
    seen: dict[tuple[str, str], str] = {}
    found = []
    for name, data in clusters:
        if "kube_context" not in data or "aks_tenant" in data:  # claim_name saw those of Azure
            continue
        key = (str(data["kube_context"]), str(data.get("kube_config")))
        if key in seen:
            found.append(f"{name}: the same context as {seen[key]} ({key[0]}): remove one of them")
        seen.setdefault(key, name)
    return found


def together(reasons: Mapping[str, list[str]]) -> list[str]:
    """
    One line a reason, however many clusters have it: "weu-1 (and 59 more): backup has no ...".
    """
    return [
        f"{names[0]}{f' (and {len(names) - 1} more)' if len(names) > 1 else ''}: {reason}"
        for reason, names in reasons.items()
    ]


def _of_tag(error: Any, data: Mapping[str, Any]) -> str | None:
    """Where it was a tag in Azure that said so, and nothing beside the entry."""
    key = str(error["loc"][0]) if error["loc"] else ""
    text = (data.get("aks_tags") or {}).get(key)
    if text is None or data.get(key) != aks.value(key, text):
        return None
    return aks.tag_problem(data["aks_id"], key, text)


def _key(part: str | int) -> str:
    text = str(part)
    return text if text.isprintable() else repr(text)


def _shown(given: Any) -> str:
    """What was given, as Python writes it, cut where it is long."""
    try:
        text = repr(given)
    except ValueError:  # a number of more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _line(error: Any) -> str:
    where = ".".join(_key(it) for it in error["loc"])
    given = _shown(error.get("input"))
    match error["type"]:
        case "extra_forbidden":
            known = [*Cluster.model_fields] if len(error["loc"]) == 1 else []
            near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/inventory.md for the keys"
            return f"{where}: unknown key: {hint}"
        case "missing":
            return f"{where}: missing: set it beside the host or in group_data"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case "string_pattern_mismatch":
            return f"{where}: {given} is not a valid name here"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{where}: must be a whole number, not {given}"
        case "string_type":
            return f"{where}: must be text in quotes, not {given}"
        case "string_too_short" | "too_short":
            return f"{where}: must not be empty"
        case "model_type" | "dict_type":
            return f"{where}: must be a dictionary, not {given}"
    message = error["msg"].replace("Input should be", "must be").replace("Input", "it")
    return f"{where}: {message[0].lower()}{message[1:]}, not {given}"

"""
What the schema of a CustomResourceDefinition refuses, and what it would drop without a word.

Structural schemas are a dialect of JSON Schema (Kubernetes docs, Extend the Kubernetes API with
CustomResourceDefinitions, "Specifying a structural schema"): ``translated`` makes plain JSON
Schema of one. CEL rules are not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.plans.preflight import Reason, listed

Schema = Mapping[str, Any]
#: Keywords that mean the same in both dialects.
_SAME = frozenset(
    {
        "type",
        "enum",
        "maximum",
        "minimum",
        "maxLength",
        "minLength",
        "maxItems",
        "minItems",
        "maxProperties",
        "minProperties",
        "multipleOf",
        "uniqueItems",
    }
)
_ANYTHING = "x-kubernetes-preserve-unknown-fields"
_EITHER = "x-kubernetes-int-or-string"


def schema_of(crd: Mapping[str, Any], version: str) -> Schema | None:
    """The schema of one version of a CRD, or None where the CRD does not have that version."""
    for it in crd["spec"]["versions"]:
        if it["name"] == version:
            found: Schema = it["schema"]["openAPIV3Schema"]
            return found
    return None


def translated(schema: Schema) -> dict[str, Any]:
    """
    Plain JSON Schema that refuses what the API server refuses. A required field with a default is
    not required of an object, and a field that is not specified is no error: the server fills in
    the first and drops the second.
    """
    out: dict[str, Any] = {key: schema[key] for key in _SAME if key in schema}
    for limit in ("Maximum", "Minimum"):
        if schema.get(f"exclusive{limit}"):
            out[f"exclusive{limit}"] = out.pop(limit.lower())
    if schema.get(_EITHER):
        out["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in out:
        types = out["type"] if isinstance(out["type"], list) else [out["type"]]
        out["type"] = [*types, "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
    if schema.get("x-kubernetes-list-type") == "set":
        out["uniqueItems"] = True
    if _compiles(schema.get("pattern")):
        out["pattern"] = schema["pattern"]
    fields = schema.get("properties") or {}
    if fields:
        out["properties"] = {name: translated(it) for name, it in fields.items()}
    required = [
        it for it in schema.get("required") or () if "default" not in (fields.get(it) or {})
    ]
    if required:
        out["required"] = required
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), Mapping):
            out[key] = translated(schema[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if schema.get(key):
            out[key] = [translated(it) for it in schema[key]]
    return out


def pruned(schema: Schema, value: Any, at: str = "") -> Iterator[str]:
    """
    Paths in ``value`` that the schema does not specify, such as
    "spec.rules[0].sessionPersistence.idleTimeout": the API server drops them when the object is
    next written (same page, "Field pruning").
    """
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, Mapping):
            for index, it in enumerate(value):
                yield from pruned(items, it, f"{at}[{index}]")
        return
    if not isinstance(value, Mapping):
        return
    fields = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key, below in value.items():
        path = f"{at}.{key}" if at else str(key)
        if not at and key in ("apiVersion", "kind", "metadata"):
            continue
        if key in fields:
            yield from pruned(fields[key], below, path)
        elif isinstance(others, Mapping):
            yield from pruned(others, below, path)
        elif (
            not others
            and not schema.get(_ANYTHING)
            and not schema.get("x-kubernetes-embedded-resource")
        ):
            yield path


def own(thing: Mapping[str, Any]) -> dict[str, Any]:
    """
    What of an object the schema is held against: no metadata, no status (the controller's own), and
    no nulls, which the server drops.
    """
    own = {key: without_nulls(it) for key, it in thing.items() if key != "status"}
    return {**own, "metadata": {}}


def without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_nulls(it) for key, it in value.items() if it is not None}
    if isinstance(value, list):
        return [without_nulls(it) for it in value]
    return value


def reasons(crd: str, version: str, refused: Sequence[str], dropped: Sequence[str]) -> list[Reason]:
    """
    + crd: its name; + version: of the chart that brings it
    + refused, dropped: a line an object, such as "HTTPRoute demo/blue: spec.rules has 20 items, at
      most 16 are allowed"
    """
    found = []
    if refused:
        found.append(
            Reason(
                f"the {crd} of {version} refuse what is there: {listed(refused)}: correct it first",
                "behaviour",
            )
        )
    if dropped:
        found.append(
            Reason(
                f"the {crd} of {version} no longer have fields that are set, and they are lost "
                f"when the object is next written: {listed(dropped)}: take them out, or write what "
                "replaces them",
                "behaviour",
            )
        )
    return found


def path(parts: Any) -> str:
    """("spec", "rules", 0, "name") is "spec.rules[0].name"."""
    text = ""
    for it in parts:
        text += f"[{it}]" if isinstance(it, int) else f".{it}" if text else str(it)
    return text


def said(keyword: str, limit: Any, value: Any) -> str:
    """
    What is wrong with a value, without the value itself, which may be a secret: ("maxItems", 1,
    [..., ...]) is "has 2 items, at most 1 are allowed".
    """
    match keyword:
        case "maxItems" | "minItems":
            most = "at most" if keyword == "maxItems" else "at least"
            return f"has {len(value)} items, {most} {limit} are allowed"
        case "maxLength" | "minLength":
            most = "at most" if keyword == "maxLength" else "at least"
            return f"has {len(value)} characters, {most} {limit} are allowed"
        case "maxProperties" | "minProperties":
            most = "at most" if keyword == "maxProperties" else "at least"
            return f"has {len(value)} entries, {most} {limit} are allowed"
        case "maximum" | "minimum" | "exclusiveMaximum" | "exclusiveMinimum":
            return f"is {value}, the {keyword} is {limit}"
        case "required":
            lacks = [it for it in limit if it not in value]
            return f"lacks {', '.join(lacks)}"
        case "enum":
            return f"is none of {', '.join(map(str, limit))}"
        case "type":
            return f"is not of type {limit if isinstance(limit, str) else ' or '.join(limit)}"
        case "uniqueItems":
            return "has an item twice"
        case "pattern":
            return f"does not match {limit}"
    return f"does not fit {keyword}"


def _compiles(pattern: object) -> bool:
    """Patterns are Go's; one that Python does not know is left out."""
    if not isinstance(pattern, str):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True

"""
Whether an object of a cluster says what the one of an archive said: equal but for what the API
server owns, and for defaults that it or a newer CRD fills in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.objects import cleaned
from tasks.plans.schemas import without_nulls

Object = Mapping[str, Any]
Schema = Mapping[str, Any]
#: Set by the API server on every namespace.
NAMESPACE_NAME = "kubernetes.io/metadata.name"
#: Of a Service: given by the cluster that it is in, and none of another cluster's business.
SERVICE_OWN = (
    "clusterIP",
    "clusterIPs",
    "healthCheckNodePort",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
)
_DEFAULT_SERVICE = {"sessionAffinity": "None", "type": "ClusterIP"}


def differences(archived: Object, live: Object | None, schema: Schema | None = None) -> list[str]:
    """
    What differs, a line each, such as "HTTPRoute shop/cart: spec.rules[0].timeouts is missing"; of
    texts that differ, only that they do, for any may be a secret.

    + schema: of the live object's version in its CRD, with its defaults
    """
    if live is None:
        return [f"{title(archived)}: is missing"]
    before, after = essence(archived, schema), essence(live, schema)
    lines = _compared(before, after, schema or {}, "")
    return [f"{title(archived)}: {line}" for line in lines]


def equal(archived: Object, live: Object, schema: Schema | None = None) -> bool:
    """Whether there is no difference."""
    return not differences(archived, live, schema)


def essence(thing: Object, schema: Schema | None = None) -> dict[str, Any]:
    """
    What an object says by itself: labels, annotations, owners by name, and its own fields with the
    defaults of ``schema``.
    """
    said = cleaned(thing) or {}
    meta = said.pop("metadata")
    own = without_nulls({k: v for k, v in said.items() if k not in ("apiVersion", "kind")})
    labels = dict(meta.get("labels") or {})
    match thing["kind"]:
        case "Namespace":
            own.pop("spec", None)
            labels.pop(NAMESPACE_NAME, None)
        case "Service":
            own["spec"] = _service(own.get("spec") or {})
        case "Secret":
            own = _secret(own)
        case "ConfigMap":
            own = {key: it for key, it in own.items() if it not in ({}, False)}
    owners = sorted(f"{it['kind']} {it['name']}" for it in meta.get("ownerReferences") or ())
    about = {"labels": labels, "annotations": meta.get("annotations") or {}, "owners": owners}
    return {"metadata": about, **(filled(schema, own) if schema else own)}


def filled(schema: Schema, value: Any) -> Any:
    """
    ``value`` with the defaults of a structural schema (Kubernetes docs, Extend the Kubernetes API
    with CustomResourceDefinitions, "Defaulting").
    """
    if isinstance(value, list):
        items = schema.get("items")
        return [filled(items, it) for it in value] if isinstance(items, Mapping) else value
    if not isinstance(value, Mapping):
        return value
    fields = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    found = dict(value)
    for name, below in fields.items():
        if name not in found and below.get("default") is not None:
            found[name] = deepcopy(below["default"])
    for name, it in found.items():
        below = fields.get(name, others)
        if isinstance(below, Mapping):
            found[name] = filled(below, it)
    return found


def _service(spec: Object) -> dict[str, Any]:
    """A headless Service stays one: that it has no address is its own doing."""
    own = {key: it for key, it in spec.items() if key not in SERVICE_OWN}
    if spec.get("clusterIP") == "None":
        own["clusterIP"] = "None"
    ports = []
    for it in own.get("ports") or ():
        port = {"protocol": "TCP", "targetPort": it["port"], **it}
        port.pop("nodePort", None)
        ports.append(port)
    return {**_DEFAULT_SERVICE, **own, "ports": ports}


def _secret(own: Object) -> dict[str, Any]:
    texts = own.get("stringData") or {}
    encoded = {key: base64.b64encode(str(it).encode()).decode() for key, it in texts.items()}
    found = {"type": own.get("type", "Opaque"), "data": {**(own.get("data") or {}), **encoded}}
    return {**found, **({"immutable": True} if own.get("immutable") else {})}


def _compared(before: Any, after: Any, schema: Schema, at: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        fields = schema.get("properties") or {}
        others = schema.get("additionalProperties")
        for key in sorted({*before, *after}):
            path = f"{at}.{key}" if at else str(key)
            below = fields.get(key, others)
            if key not in after:
                yield f"{path} is missing"
            elif key not in before:
                yield f"{path} is not in the archive"
            else:
                known = below if isinstance(below, Mapping) else {}
                yield from _compared(before[key], after[key], known, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, schema, at)
    elif type(before) is not type(after) or before != after:
        shown = all(isinstance(it, bool | int | float) for it in (before, after))
        values = f" ({json.dumps(before)} in the archive, {json.dumps(after)} here)"
        yield f"{at} differs{values if shown else ''}"


def _lists(before: Sequence[Any], after: Sequence[Any], schema: Schema, at: str) -> Iterator[str]:
    items = schema.get("items")
    below = items if isinstance(items, Mapping) else {}
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if keys:
        named = {_key(it, keys): it for it in before}, {_key(it, keys): it for it in after}
        for name in dict.fromkeys([*named[0], *named[1]]):
            place = f"{at}[{name}]"
            if name not in named[1]:
                yield f"{place} is missing"
            elif name not in named[0]:
                yield f"{place} is not in the archive"
            else:
                yield from _compared(named[0][name], named[1][name], below, place)
        return
    if schema.get("x-kubernetes-list-type") == "set":
        before, after = (sorted(it, key=json.dumps) for it in (before, after))
    if len(before) != len(after):
        yield f"{at} has {len(after)} items, {len(before)} in the archive"
        return
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from _compared(one, other, below, f"{at}[{index}]")


def _key(item: Any, keys: Sequence[str]) -> str:
    values = [item.get(key) for key in keys] if isinstance(item, Mapping) else [item]
    return ", ".join(str(it) for it in values if it is not None)

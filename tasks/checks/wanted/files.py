"""What is wrong with a file of objects before anybody looks at what the objects mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.checks.findings import Finding, Where
from tasks.checks.wanted import shapes
from tasks.plans import kinds
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS

#: Of a name (Kubernetes, Object Names and IDs).
LONGEST = 253
CORRECT = "correct the template or the inventory"
#: What files may hold: the kinds that Gateways and traffic are made of, and what stands behind.
SUPPORTED = frozenset(
    it
    for it in KINDS
    if it[0] in (GATEWAY_API, ENVOY_GATEWAY)
    or it in {("", "Namespace"), ("", "Service"), ("", "ConfigMap"), ("apps", "Deployment")}
)


def unreadable(cluster: str, path: str, why: str) -> Finding:
    """+ why: such as "line 3: 'host' is undefined" """
    return Finding("GW310", "error", Where(cluster, path), why, CORRECT)


def problem(cluster: str, path: str, number: int, document: Any) -> Finding | None:
    """
    Why a document of a file is no object that can be applied, or None. + number: of the document
    in its file, from 1
    """
    if not isinstance(document, Mapping):
        return unreadable(cluster, path, f"document {number} is {document!r:.40}, no object")
    meta = document.get("metadata")
    said = {"apiVersion": document.get("apiVersion"), "kind": document.get("kind")}
    said["metadata.name"] = meta.get("name") if isinstance(meta, Mapping) else None
    for field, value in said.items():
        if not isinstance(value, str) or not value:
            return unreadable(cluster, path, f"document {number} has no {field}")
        if not value.isprintable() or len(value) > LONGEST:
            what = f"document {number}: {field} {value!r:.60} is no name"
            return unreadable(cluster, path, what)
    group, kind = str(said["apiVersion"]).rpartition("/")[0], str(said["kind"])
    where = Where(cluster, title(document), path)
    if (group, kind) == ("", "Secret"):
        what = "is a Secret, and files of an inventory are no place for secrets"
        return Finding("GW311", "error", where, what, "keep it in a vault: docs/gateways.md")
    if (group, kind) not in SUPPORTED:
        what = f"{said['apiVersion']} {kind} is no kind that an inventory applies"
        return Finding("GW311", "error", where, what, "see docs/gateways.md for the kinds")
    if KINDS[group, kind].namespaced != bool(document["metadata"].get("namespace")):
        needs = "has no namespace" if KINDS[group, kind].namespaced else "has a namespace"
        fix = "set metadata.namespace" if "no" in needs else "take metadata.namespace away"
        return Finding("GW310", "error", where, needs, fix)
    return _odd_values(where, document)


def _odd_values(where: Where, document: Mapping[str, Any]) -> Finding | None:
    """Where a namespace, label or annotation is no text, or the spec no map."""
    meta = document["metadata"]
    texts = {"namespace": meta.get("namespace") or ""}
    for field in ("labels", "annotations"):
        if not isinstance(meta.get(field) or {}, Mapping):
            return Finding("GW310", "error", where, f"metadata.{field} is no map", CORRECT)
        texts |= {f"{field}.{key}": it for key, it in (meta.get(field) or {}).items()}
    for field, value in texts.items():
        if not isinstance(value, str):
            what = f"metadata.{field} is {value!r}, not text"
            return Finding("GW310", "error", where, what, "put it in quotes")
    of_gateways = str(document["apiVersion"]).startswith((GATEWAY_API, ENVOY_GATEWAY))
    if not isinstance(document.get("spec"), Mapping) and (of_gateways or document.get("spec")):
        return Finding("GW310", "error", where, "has no spec that is a map", CORRECT)
    wrong = shapes.problem(document["spec"]) if of_gateways else None
    if wrong:
        return Finding("GW310", "error", where, wrong, CORRECT)
    return None


def twice(cluster: str, thing: Mapping[str, Any], first: str, path: str) -> Finding:
    what = f"is in {first} too" if first != path else "is there twice"
    return Finding("GW312", "error", Where(cluster, title(thing), path), what, "remove one of them")


def title(document: Mapping[str, Any]) -> str:
    return kinds.title(document)

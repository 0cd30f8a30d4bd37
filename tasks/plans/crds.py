"""
Which CustomResourceDefinitions differ from those of a chart, decided from their metadata alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from packaging.version import InvalidVersion, Version

from tasks.plans.owners import owner

#: The digest of what was applied, and the generation that the server gave it: any later change of
#: the specification, by whomever, raises the generation (Kubernetes API conventions,
#: "metadata.generation").
DIGEST, GENERATION = "envoyfleet.dev/digest", "envoyfleet.dev/generation"

Object = Mapping[str, Any]


def marked(crd: Object) -> dict[str, Any]:
    """
    A chart's CRD as it is applied, without status, with the digest of all that in its annotations.
    Computed once a chart: the CRDs of Envoy Gateway are 5 MB of JSON.
    """
    metadata = {k: v for k, v in crd["metadata"].items() if k != "creationTimestamp"}
    manifest = {**{k: v for k, v in crd.items() if k != "status"}, "metadata": metadata}
    digest = sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    metadata["annotations"] = {**(metadata.get("annotations") or {}), DIGEST: digest}
    return manifest


def changed(wanted: Iterable[Object], live: Iterable[Object]) -> list[Object]:
    """
    Those of ``wanted`` (see ``marked``) that the cluster lacks, has in another form, or had
    changed by somebody since. ``live`` are the cluster's CRDs, metadata is enough.
    """
    known = {it["metadata"]["name"]: it["metadata"] for it in live}
    return [it for it in wanted if not _as_applied(it, known.get(it["metadata"]["name"]))]


def stamped(crd: Object, generation: int) -> dict[str, Any]:
    """
    The manifest to apply, so that ``changed`` recognises it; ``generation`` is the one it will get.
    """
    notes = {**crd["metadata"]["annotations"], GENERATION: str(generation)}
    return {**crd, "metadata": {**crd["metadata"], "annotations": notes}}


def not_established(names: Iterable[str], live: Iterable[Object]) -> list[str]:
    """Which CRDs the API server does not serve yet, a line each. ``live`` are whole CRDs."""
    known = {it["metadata"]["name"]: it for it in live}
    found = []
    for name in names:
        conditions = known.get(name, {}).get("status", {}).get("conditions") or ()
        true = {it["type"] for it in conditions if it["status"] == "True"}
        if not {"Established", "NamesAccepted"} <= true:
            found.append(f"CustomResourceDefinition {name}: not Established yet")
    return found


def bundle(live: Sequence[Object]) -> tuple[str, str]:
    """
    The Gateway API bundle and channel of a cluster's CRDs, such as ("v1.6.1", "experimental");
    several are joined with "+", ("", "") means none. Read off each CRD: policies and leftovers
    carry other versions.
    """
    prefix = "gateway.networking.k8s.io"
    own = [
        it["metadata"].get("annotations") or {}
        for it in live
        if it["metadata"]["name"].endswith(f".{prefix}")
        and not it["metadata"]["name"].startswith("x")
    ]
    versions = sorted({it.get(f"{prefix}/bundle-version", "") for it in own} - {""})
    channels = sorted({it.get(f"{prefix}/channel", "") for it in own} - {""})
    return "+".join(versions), "+".join(channels)


def kept_by_others(wanted: Iterable[Object], live: Iterable[Object]) -> list[str]:
    """
    CRDs of the cluster that something keeps up to date by itself, a line each, such as
    "CustomResourceDefinition gateways.gateway.networking.k8s.io belongs to aks" (AKS docs, Managed
    Gateway API: an AKS upgrade writes these CRDs anew). Helm never updates CRDs, so its are free.
    """
    known = {it["metadata"]["name"]: it for it in live}
    names = [it["metadata"]["name"] for it in wanted]
    return [
        f"CustomResourceDefinition {name} belongs to {owner(known[name])}"
        for name in names
        if name in known and owner(known[name]) in ("aks", "argocd", "flux")
    ]


def downgrades(wanted: Iterable[Object], live: Iterable[Object]) -> list[str]:
    """
    CRDs of the cluster that are of a newer Gateway API bundle than the wanted ones, a line each: a
    storage version that moved on cannot move back (Gateway API docs, CRD Management: "Avoid moving
    backwards").
    """
    note = "gateway.networking.k8s.io/bundle-version"
    known = {it["metadata"]["name"]: it["metadata"].get("annotations") or {} for it in live}
    found = []
    for crd in wanted:
        name = crd["metadata"]["name"]
        new, old = (
            (crd["metadata"].get("annotations") or {}).get(note),
            known.get(name, {}).get(note),
        )
        try:
            if new and old and Version(old) > Version(new):
                found.append(f"{name} is of bundle {old}, newer than {new}")
        except InvalidVersion:
            found.append(f"{name} has the unreadable bundle version {old}")
    return found


def _as_applied(crd: Object, live: Mapping[str, Any] | None) -> bool:
    notes = (live or {}).get("annotations") or {}
    return (
        live is not None
        and notes.get(DIGEST) == crd["metadata"]["annotations"][DIGEST]
        and notes.get(GENERATION) == str(live.get("generation"))
    )

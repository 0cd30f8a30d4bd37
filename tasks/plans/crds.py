"""
Which CustomResourceDefinitions differ from those of a chart, decided from their metadata alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from packaging.version import InvalidVersion, Version

from tasks.plans.objects import MANAGER
from tasks.plans.owners import owner

#: The digest of what was applied, and the generation that the server gave it: any later change of
#: the specification, by whomever, raises the generation (Kubernetes API conventions,
#: "metadata.generation").
DIGEST, GENERATION = "envoyfleet.dev/digest", "envoyfleet.dev/generation"
#: The chart version that a CRD was last written by: those of Envoy Gateway carry none themselves.
VERSION = "envoyfleet.dev/version"
#: The generation for which nothing but the storage version is stored. Another storage version is
#: another specification, and raises the generation.
STORED = "envoyfleet.dev/stored"
#: The Gateway API bundle of a CRD, or of the safe-upgrades policy.
BUNDLE = "gateway.networking.k8s.io/bundle-version"
#: What never differs between two releases of a CRD; who has set nothing else loses nothing.
_FIXED = frozenset({"f:group", "f:names", "f:scope"})

Object = Mapping[str, Any]


def marked(crd: Object) -> dict[str, Any]:
    """
    An object of a chart as it is applied, without status, with the digest of all that in its
    annotations. Computed once a chart: the CRDs of Envoy Gateway are 5 MB of JSON.
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


def stamped(thing: Object, version: str, generation: int, proven: bool) -> dict[str, Any]:
    """
    The manifest to apply, so that ``changed``, ``downgrades`` and ``unproven`` know it again.

    + version: of the chart, such as "1.9.1"
    + generation: the one it will get
    + proven: a CRD for which nothing but the storage version will be stored
    """
    notes = {**thing["metadata"]["annotations"], VERSION: version, GENERATION: str(generation)}
    if proven:
        notes[STORED] = str(generation)
    return {**thing, "metadata": {**thing["metadata"], "annotations": notes}}


def in_order(wanted: Iterable[Object]) -> list[Object]:
    """
    The Gateway API first: its CRDs are those that a cluster may refuse, for the safe-upgrades
    policy or for a stored version.
    """
    return sorted(wanted, key=lambda it: (not _of_gateway_api(it), it["metadata"]["name"]))


def not_served(wanted: Iterable[Object], served: Mapping[str, Collection[str]]) -> list[str]:
    """
    Which versions the API server does not serve yet, a line each CRD. ``served`` is what discovery
    says, such as {"tcproutes.gateway.networking.k8s.io": ["v1alpha2"]}.
    """
    found = []
    for crd in wanted:
        name = crd["metadata"]["name"]
        versions = {it["name"] for it in crd["spec"]["versions"] if it["served"]}
        late = sorted(versions - set(served.get(name, ())))
        if late:
            found.append(f"CustomResourceDefinition {name}: {', '.join(late)} is not served yet")
    return found


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


def foreign_managers(
    wanted: Iterable[Object], live: Iterable[Object], allowed: Collection[str]
) -> list[str]:
    """
    Objects of the cluster that a manager wrote whom nobody allowed us to overwrite, a line each,
    such as "CustomResourceDefinition gateways.gateway.networking.k8s.io: somebody manages its
    spec: ask who that is, then let it stop, or add "somebody" to crd_managers".

    + wanted: the objects that would be written; + live: metadata is enough
    + allowed: field managers, such as ["helm", "kubectl"]; "kubectl" stands for every
      "kubectl-..." too
    """
    kinds = {it["metadata"]["name"]: it["kind"] for it in wanted}
    found = []
    for it in live:
        name = it["metadata"]["name"]
        if name not in kinds:
            continue
        others = [who for who in _spec_managers(it) if who != MANAGER and not _is_in(who, allowed)]
        if others:
            keys = " and ".join(f'"{who}"' for who in others)
            found.append(
                f"{kinds[name]} {name}: {' and '.join(others)} manages its spec: ask who that is, "
                f"then let it stop, or add {keys} to crd_managers"
            )
    return found


def downgrades(wanted: Iterable[Object], live: Iterable[Object], version: str) -> list[str]:
    """
    CRDs of the cluster that are newer than the wanted ones, a line each, by Gateway API bundle, or
    by the chart ``version`` that envoyfleet wrote on it: a storage version that moved on cannot
    move back (Gateway API docs, CRD Management: "Avoid moving backwards").
    """
    known = {it["metadata"]["name"]: it["metadata"].get("annotations") or {} for it in live}
    found = []
    for crd in wanted:
        name = crd["metadata"]["name"]
        notes = {**(crd["metadata"].get("annotations") or {}), VERSION: version}
        for what, key in (("bundle", BUNDLE), ("chart", VERSION)):
            new, old = notes.get(key), known.get(name, {}).get(key)
            try:
                if new and old and Version(old) > Version(new):
                    found.append(f"{name} is of {what} {old}, newer than {new}")
                    break
            except InvalidVersion:
                found.append(f"{name} has the unreadable {what} version {old}")
    return found


def unproven(wanted: Iterable[Object], live: Iterable[Object]) -> list[str]:
    """
    Names of those CRDs of ``wanted`` whose objects may be stored in more than one version, by the
    mark of ``stamped``; a CRD of one version can hold no other. ``live``: metadata is enough.
    """
    known = {it["metadata"]["name"]: it["metadata"] for it in live}
    several = [it["metadata"]["name"] for it in wanted if len(it["spec"]["versions"]) > 1]
    return [
        name
        for name in several
        if name in known
        and (known[name].get("annotations") or {}).get(STORED) != str(known[name].get("generation"))
    ]


def storage_version(crd: Object) -> str:
    """Such as "v1"."""
    return next(str(it["name"]) for it in crd["spec"]["versions"] if it["storage"])


def collection(crd: Object) -> str:
    """The path of all objects of a CRD, at a version that is served, the stored one if it is."""
    spec = crd["spec"]
    served = [it["name"] for it in spec["versions"] if it["served"]]
    stored = storage_version(crd)
    version = stored if stored in served or not served else served[0]
    return f"/apis/{spec['group']}/{version}/{spec['names']['plural']}"


def item(crd: Object, thing: Object) -> str:
    """The path of one object of a CRD; of ``thing`` metadata is enough."""
    root, _, plural = collection(crd).rpartition("/")
    meta = thing["metadata"]
    place = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
    return f"{root}{place}/{plural}/{meta['name']}"


def _spec_managers(thing: Object) -> list[str]:
    """Who has set fields of the spec that may differ between releases, by name."""
    return sorted(
        {
            str(it.get("manager", "unknown"))
            for it in thing["metadata"].get("managedFields") or ()
            if not it.get("subresource")
            and set((it.get("fieldsV1") or {}).get("f:spec") or ()) - _FIXED
        }
    )


def _is_in(manager: str, allowed: Collection[str]) -> bool:
    return manager in allowed or ("kubectl" in allowed and manager.startswith("kubectl-"))


def _of_gateway_api(crd: Object) -> bool:
    return str(crd["metadata"]["name"]).endswith("k8s.io")


def _as_applied(crd: Object, live: Mapping[str, Any] | None) -> bool:
    notes = (live or {}).get("annotations") or {}
    return (
        live is not None
        and notes.get(DIGEST) == crd["metadata"]["annotations"][DIGEST]
        and notes.get(GENERATION) == str(live.get("generation"))
    )

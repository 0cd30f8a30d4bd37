"""Objects that Argo CD or Flux keep: what says so, and where they differ from what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans import arm

Object = Mapping[str, Any]
_FLUX = {
    "kustomize.toolkit.fluxcd.io/name": "Flux Kustomization",
    "helm.toolkit.fluxcd.io/name": "Flux HelmRelease",
}
#: Field managers whose objects are theirs even where no mark is on them.
_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def keeper(thing: Object) -> str | None:
    """
    Who keeps an object of a cluster as it is, such as "Argo CD application shop" or "Flux
    Kustomization apps", or None. ``app.kubernetes.io/instance`` counts only where Argo CD is named
    beside it, for most charts set it too (Argo CD docs, Resource Tracking; Flux docs,
    Kustomization and HelmRelease).
    """
    meta = thing["metadata"]
    labels, notes = arm.pairs(meta, "labels"), arm.pairs(meta, "annotations")
    tracking = notes.get("argocd.argoproj.io/tracking-id")
    if tracking:
        return f"Argo CD application {tracking.partition(':')[0]}"
    for key, what in _FLUX.items():
        if key in labels:
            return f"{what} {labels[key]}"
    managers = [
        _MANAGERS[it["manager"]]
        for it in meta.get("managedFields") or ()
        if it.get("manager") in _MANAGERS and not it.get("subresource")
    ]
    instance = labels.get("argocd.argoproj.io/instance")
    if instance is None and (
        "Argo CD" in managers or labels.get("app.kubernetes.io/managed-by", "").lower() == "argocd"
    ):
        instance = labels.get("app.kubernetes.io/instance")
    if instance:
        return f"Argo CD application {instance}"
    return managers[0] if managers else None

"""Who brings an object up to date, read off the marks that tools leave on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Field managers whose name is not the tool's.
_MANAGERS = {
    "argocd-controller": "argocd",
    "kustomize-controller": "flux",
    "helm-controller": "flux",
    "helm": "chart",
}


def owner(thing: Mapping[str, Any]) -> str:
    """
    "aks", "argocd", "flux", "helm" (a release holds it), "chart" (Helm made it once, from a chart's
    crds/ folder, and leaves it alone since), "envoyfleet", "kubectl", another field manager's name,
    or "unknown".

    A mark counts before the newest field manager (AKS docs, Managed Gateway API; Argo CD docs,
    Resource Tracking; Flux docs, Kustomization; Helm docs, Labels and Annotations).
    ``app.kubernetes.io/instance`` does not count: Argo CD can be told to use it, but most charts
    set it too.
    """
    meta = thing["metadata"]
    marks = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    managed_by = str(marks.get("app.kubernetes.io/managed-by", "")).lower()
    if managed_by == "aks":
        return "aks"
    if any(key.startswith("argocd.argoproj.io/") for key in marks):
        return "argocd"
    if any(key.partition("/")[0].endswith(".toolkit.fluxcd.io") for key in marks):
        return "flux"
    if managed_by == "helm" or "meta.helm.sh/release-name" in marks:
        return "helm"
    return _newest_manager(meta)


def _newest_manager(meta: Mapping[str, Any]) -> str:
    entries = [it for it in meta.get("managedFields") or () if not it.get("subresource")]
    if not entries:
        return "unknown"
    newest = str(max(entries, key=lambda it: str(it.get("time", ""))).get("manager", "unknown"))
    return "kubectl" if newest.startswith("kubectl") else _MANAGERS.get(newest, newest)

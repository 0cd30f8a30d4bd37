from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.owners import owner


def managed(*managers: tuple[str, str]) -> dict[str, Any]:
    return {"managedFields": [{"manager": name, "time": time} for name, time in managers]}


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        pytest.param({"labels": {"app.kubernetes.io/managed-by": "aks"}}, "aks", id="aks"),
        pytest.param(
            {"annotations": {"argocd.argoproj.io/tracking-id": "edge:x/y:z"}}, "argocd", id="argocd"
        ),
        pytest.param(
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "edge"}}, "flux", id="flux, kustomize"
        ),
        pytest.param(
            {
                "labels": {
                    "app.kubernetes.io/managed-by": "Helm",
                    "helm.toolkit.fluxcd.io/name": "eg",
                }
            },
            "flux",
            id="flux drives helm",
        ),
        pytest.param({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "helm", id="release"),
        pytest.param(managed(("helm", "2026-01-01T00:00:00Z")), "chart", id="crds/ of a chart"),
        pytest.param(
            managed(("helm", "2026-01-01T00:00:00Z"), ("envoyfleet", "2026-02-01T00:00:00Z")),
            "envoyfleet",
            id="the newest manager counts",
        ),
        pytest.param(
            managed(("kubectl-client-side-apply", "2026-01-01T00:00:00Z")), "kubectl", id="kubectl"
        ),
        pytest.param(managed(("Go-http-client", "")), "Go-http-client", id="another manager"),
        pytest.param(
            {"managedFields": [{"manager": "kube-apiserver", "subresource": "status"}]},
            "unknown",
            id="the API server's own status does not count",
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "edge"}}, "unknown", id="too common a label"
        ),
    ],
)
def test_owner(meta: dict[str, Any], name: str) -> None:
    assert owner({"metadata": {"name": "x", **meta}}) == name

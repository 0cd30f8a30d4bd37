"""Who keeps an object, by the marks that Argo CD and Flux leave."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.gitops import keeper


def managed(manager: str, **more: Any) -> dict[str, Any]:
    return {"managedFields": [{"manager": manager, "operation": "Apply", **more}]}


@pytest.mark.parametrize(
    ("meta", "who"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param(
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:/Service:shop/cart"}},
            "Argo CD application shop",
            id="Argo CD's tracking annotation",
        ),
        pytest.param(
            {"labels": {"argocd.argoproj.io/instance": "shop"}},
            "Argo CD application shop",
            id="Argo CD's own label",
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "shop"}}, None, id="a chart's label alone"
        ),
        pytest.param(
            {
                "labels": {
                    "app.kubernetes.io/instance": "shop",
                    "app.kubernetes.io/managed-by": "argocd",
                }
            },
            "Argo CD application shop",
            id="a chart's label, and Argo CD named",
        ),
        pytest.param(
            {"labels": {"app.kubernetes.io/instance": "shop"}, **managed("argocd-controller")},
            "Argo CD application shop",
            id="a chart's label, and Argo CD's field manager",
        ),
        pytest.param(
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}},
            "Flux Kustomization apps",
            id="Flux, kustomize",
        ),
        pytest.param(
            {"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux HelmRelease shop", id="Flux"
        ),
        pytest.param(managed("kustomize-controller"), "Flux", id="Flux's field manager"),
        pytest.param(
            managed("kustomize-controller", subresource="status"), None, id="of its status alone"
        ),
        pytest.param(managed("envoyfleet"), None, id="ours"),
    ],
)
def test_says_who_keeps_it(meta: dict[str, Any], who: str | None) -> None:
    assert keeper({"kind": "Service", "metadata": {"name": "cart", **meta}}) == who

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.preflight import (
    Reason,
    bundle_reasons,
    installations,
    listed,
    moving,
    served_after,
    settled,
    stored_versions,
    unserved,
    version_reasons,
    warning,
    written,
)
from tasks.plans.served import Missing

TCP = "tcproutes.gateway.networking.k8s.io"


def test_what_stops_and_what_the_inventory_accepts() -> None:
    reasons = [
        Reason("held by another run"),
        Reason("Gateway edge/a is not Programmed", "sick"),
        Reason("values differ", "values"),
        warning("one proxy"),
        warning("one proxy"),
    ]
    assert settled(reasons, ["values"]) == (
        (
            "held by another run",
            'Gateway edge/a is not Programmed (or accept "sick")',
        ),
        ("accepted (values): values differ", "one proxy"),
    )


def test_listed() -> None:
    assert listed(["a", "b"]) == "a; b"
    assert listed(["a", "b", "c", "d", "e"]) == "a; b; c (and 2 more)"


MATRIX = "Kubernetes 1.36 is outside of 1.32 to 1.35, which Envoy Gateway 1.8 supports"


@pytest.mark.parametrize(
    ("installed", "wanted", "kubernetes", "upgrading", "reasons"),
    [
        pytest.param("1.8.3", "1.9.1", "1.35.4", True, [], id="may go"),
        pytest.param(
            "1.7.5",
            "1.9.1",
            "1.35.4",
            True,
            [
                Reason(
                    "Envoy Gateway 1.7.5 cannot go to 1.9.1 in one step: upgrade to 1.8.3, then "
                    "1.9.1"
                )
            ],
            id="skips a line",
        ),
        pytest.param(
            None,
            "1.9.1",
            "1.35.4",
            True,
            [Reason("Envoy Gateway is not installed: deploys/install.py installs it")],
            id="nothing to upgrade",
        ),
        pytest.param(None, "1.9.1", "1.35.4", False, [], id="installs"),
        pytest.param(
            "1.8.3",
            "1.9.1",
            "1.35.4",
            False,
            [Reason("Envoy Gateway 1.8.3 is installed: go to 1.9.1 with deploys/upgrade.py")],
            id="install is no upgrade",
        ),
        pytest.param(None, "1.8.3", "1.36.2", False, [Reason(MATRIX)], id="outside, new"),
        pytest.param(
            "1.8.3", "1.8.3", "1.36.2", True, [warning(MATRIX)], id="what runs is warned of"
        ),
        pytest.param(
            "1.8.3", "1.9.1", "1.36.2", True, [warning(f"now: {MATRIX}")], id="gets better"
        ),
    ],
)
def test_version_reasons(
    installed: str | None, wanted: str, kubernetes: str, upgrading: bool, reasons: list[Reason]
) -> None:
    assert version_reasons(installed, wanted, kubernetes, upgrading) == reasons


def deployment(namespace: str, release: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "gateway-helm",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/version": "v1.7.5",
    }
    return {"metadata": {"name": "envoy-gateway", "namespace": namespace, "labels": labels}}


@pytest.mark.parametrize(
    ("found", "installed", "reasons"),
    [
        pytest.param(deployment("eg-system", "eg"), True, [], id="ours"),
        pytest.param(
            deployment("eg-system", "gateway"),
            False,
            [
                Reason(
                    "Deployment eg-system/envoy-gateway belongs to release gateway, not to eg: set "
                    "release and namespace in the inventory to what is installed"
                )
            ],
            id="another release in our place",
        ),
        pytest.param(
            deployment("eg-system", "eg"),
            False,
            [
                Reason(
                    "Deployment eg-system/envoy-gateway belongs to release eg, whose record is "
                    "gone: set release and namespace in the inventory to what is installed"
                )
            ],
            id="its record is gone",
        ),
        pytest.param(
            deployment("old", "eg"),
            True,
            [
                warning(
                    "Deployment old/envoy-gateway is another Envoy Gateway v1.7.5 (release eg): it "
                    "shares the CRDs with this one, so upgrade it in the same run"
                )
            ],
            id="elsewhere",
        ),
        pytest.param(
            {"metadata": {"name": "envoy-edge", "namespace": "eg-system"}}, True, [], id="a proxy"
        ),
    ],
)
def test_installations(found: dict[str, Any], installed: bool, reasons: list[Reason]) -> None:
    assert installations([found], "eg", "eg-system", installed) == reasons


def test_unserved() -> None:
    missing = [
        Missing(TCP, "v1", ("v1alpha2",), crashes=False),
        Missing("udproutes.gateway.networking.k8s.io", "v1", None, crashes=False),
        Missing("gateways.gateway.networking.k8s.io", "v1", None, crashes=True),
    ]
    assert unserved("1.9.1", missing, {TCP: 2}) == [
        Reason(
            f"CustomResourceDefinition {TCP} serves v1alpha2 after this change, and Envoy Gateway "
            "1.9.1 needs v1, or its 2 objects are left out in silence: let its owner bring that "
            "version first"
        ),
        warning(
            "CustomResourceDefinition udproutes.gateway.networking.k8s.io is not installed after "
            "this change, and Envoy Gateway 1.9.1 needs v1; no object of it is there"
        ),
        Reason(
            "CustomResourceDefinition gateways.gateway.networking.k8s.io is not installed after "
            "this change, and Envoy Gateway 1.9.1 needs v1 to start: let its owner bring that "
            "version first"
        ),
    ]


def crd(
    name: str, *versions: tuple[str, bool, bool], labels: dict[str, str] | None = None, **notes: str
) -> dict[str, Any]:
    """+ versions: name, served, storage"""
    prefix = "gateway.networking.k8s.io/"
    return {
        "metadata": {
            "name": name,
            "labels": labels or {},
            "annotations": {f"{prefix}{key.replace('_', '-')}": it for key, it in notes.items()},
        },
        "spec": {
            "versions": [{"name": n, "served": s, "storage": st} for n, s, st in versions],
        },
    }


NEW_TCP = crd(TCP, ("v1", True, True), ("v1alpha2", True, False))


def test_moving() -> None:
    assert moving([NEW_TCP], {TCP: ["v1alpha2"]}) == [TCP]
    assert moving([NEW_TCP], {TCP: ["v1alpha2", "v1"]}) == []
    assert moving([NEW_TCP], {}) == []


def test_stored_versions() -> None:
    live = {"metadata": {"name": TCP}, "status": {"storedVersions": ["v1alpha1", "v1alpha2"]}}
    assert stored_versions([live], [NEW_TCP]) == [
        Reason(
            f"CustomResourceDefinition {TCP}: objects are stored as v1alpha1, which the new one "
            "does not have: rewrite them and mend status.storedVersions"
        )
    ]
    assert stored_versions([live], []) == []


def test_written_is_nothing_where_newer_crds_are_there() -> None:
    chart = [crd(TCP, bundle_version="v1.5.1"), crd("other.x")]
    for it in chart:
        it["metadata"]["annotations"]["envoyfleet.dev/digest"] = "1"
    assert written(chart, [crd(TCP, bundle_version="v1.6.1")], "1.8.3") == []
    assert written(chart, [crd(TCP, bundle_version="v1.4.1")], "1.8.3") == chart


def test_served_after_leaves_what_aks_keeps() -> None:
    chart = [NEW_TCP, crd("gateways.x", ("v1", True, True), ("v1beta1", False, False))]
    live = [crd(TCP, labels={"app.kubernetes.io/managed-by": "aks"}), crd("gateways.x")]
    served = {TCP: ["v1alpha2"], "gateways.x": ["v1", "v1beta1"], "other": ["v1"]}
    assert served_after(served, chart, live) == {
        TCP: ["v1alpha2"],
        "gateways.x": ["v1"],
        "other": ["v1"],
    }


GATEWAYS = "gateways.gateway.networking.k8s.io"


@pytest.mark.parametrize(
    ("live", "reasons"),
    [
        pytest.param([crd(GATEWAYS, bundle_version="v1.5.1", channel="experimental")], [], id="ok"),
        pytest.param(
            [crd(GATEWAYS, bundle_version="v1.4.1", channel="standard")],
            [
                "Gateway API CRDs go from channel standard to experimental, which the policy "
                "safe-upgrades refuses where it is installed: delete that policy first",
                "Envoy Gateway 1.8.3 runs with Gateway API v1.4.1, and was built with v1.5.1",
            ],
            id="standard and old",
        ),
        pytest.param(
            [
                crd(GATEWAYS, bundle_version="v1.5.1", channel="experimental"),
                crd(TCP, bundle_version="v1.6.1", channel="experimental"),
            ],
            [
                "Gateway API CRDs are of several bundle versions (v1.5.1, v1.6.1): this change "
                "makes them one"
            ],
            id="mixed",
        ),
    ],
)
def test_bundle_reasons(live: list[dict[str, Any]], reasons: list[str]) -> None:
    chart = [crd(GATEWAYS, bundle_version="v1.6.1", channel="experimental")]
    assert bundle_reasons(live, chart, "1.8.3") == [warning(it) for it in reasons]

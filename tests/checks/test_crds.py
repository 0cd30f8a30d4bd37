from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from tasks.checks.crds import crd_findings
from tasks.checks.findings import Finding, Severity, Where, in_order
from tasks.plans.served import needed_crds

GATEWAY_API = "gateway.networking.k8s.io"
UPGRADE = "apply the CRDs of this release first, deploys/upgrade.py does"


def crd(
    name: str,
    served: Collection[str] = ("v1",),
    bundle: str = "v1.6.1",
    channel: str = "experimental",
    **labels: str,
) -> dict[str, Any]:
    """A CustomResourceDefinition with what counts of it; Envoy Gateway's own carry no bundle."""
    notes = {f"{GATEWAY_API}/bundle-version": bundle, f"{GATEWAY_API}/channel": channel}
    return {
        "metadata": {
            "name": name,
            "annotations": notes if name.endswith(GATEWAY_API) else {},
            "labels": labels,
            "managedFields": [{"manager": "envoyfleet", "time": "2026-11-21T14:00:00Z"}],
        },
        "spec": {
            "versions": [
                *({"name": it, "served": True} for it in served),
                {"name": "v0", "served": False},
            ]
        },
    }


def metadata(thing: Mapping[str, Any]) -> dict[str, Any]:
    """As a PartialObjectMetadata."""
    return {"metadata": thing["metadata"]}


def cluster(release: str, bundle: str = "v1.6.1", **changes: Any) -> dict[str, dict[str, Any]]:
    """What a release's own chart brings, by name of CRD."""
    return {it: crd(it, [v], bundle, **changes) for it, v in needed_crds(release).items()}


def without(crds: dict[str, dict[str, Any]], plural: str) -> list[dict[str, Any]]:
    return [it for name, it in crds.items() if name != f"{plural}.{GATEWAY_API}"]


def of(code: str, severity: Severity, what: str, fix: str, plural: str = "") -> Finding:
    thing = f"CustomResourceDefinition {plural}.{GATEWAY_API}" if plural else "Gateway API CRDs"
    return Finding(code, severity, Where("weu-1", thing), what, fix)


def found(crds: Any, controller: str = "1.9.1", **read: Any) -> list[Finding]:
    return in_order(crd_findings("weu-1", crds, controller, **read))


def test_all_there() -> None:
    assert found(cluster("1.9.1").values()) == []


@pytest.mark.parametrize(
    ("used", "severity"),
    [
        pytest.param(None, "warning", id="objects were not counted"),
        pytest.param({}, "info", id="no objects"),
        pytest.param({f"tcproutes.{GATEWAY_API}": 4}, "error", id="four objects without traffic"),
    ],
)
def test_version_not_served(used: Mapping[str, int] | None, severity: Severity) -> None:
    crds = cluster("1.9.1")
    crds[f"tcproutes.{GATEWAY_API}"] = crd(f"tcproutes.{GATEWAY_API}", ["v1alpha2", "v1alpha1"])
    what = (
        "serves v1alpha1, v1alpha2, not v1, and Envoy Gateway 1.9.1 leaves its objects out silently"
    )
    assert found(crds.values(), used=used) == [of("GW102", severity, what, UPGRADE, "tcproutes")]


@pytest.mark.parametrize(
    ("controller", "plural", "severity", "what"),
    [
        pytest.param(
            "1.8.3",
            "grpcroutes",
            "error",
            "is not installed, and Envoy Gateway 1.8.3 does not start without it",
            id="1.8 crashes",
        ),
        pytest.param(
            "1.9.1",
            "grpcroutes",
            "warning",
            "is not installed, and Envoy Gateway 1.9.1 leaves its objects out silently",
            id="1.9 goes on",
        ),
        pytest.param(
            "1.9.1",
            "referencegrants",
            "error",
            "is not installed, and Envoy Gateway 1.9.1 does not start without it",
            id="every release crashes",
        ),
    ],
)
def test_crd_not_installed(controller: str, plural: str, severity: Severity, what: str) -> None:
    crds = without(cluster(controller), plural)
    assert found(crds, controller) == [of("GW101", severity, what, UPGRADE, plural)]


def test_own_crd_not_installed() -> None:
    crds = cluster("1.9.1")
    del crds["securitypolicies.gateway.envoyproxy.io"]
    assert [(it.code, it.where.object) for it in found(crds.values())] == [
        ("GW101", "CustomResourceDefinition securitypolicies.gateway.envoyproxy.io")
    ]


@pytest.mark.parametrize(
    ("served", "findings"),
    [
        pytest.param({it: [v] for it, v in needed_crds("1.9.1").items()}, [], id="from discovery"),
        pytest.param(
            None,
            [
                Finding(
                    code="GW100",
                    severity="warning",
                    where=Where("weu-1"),
                    what="the served versions of 18 CRDs were not read, "
                    "such as backends.gateway.envoyproxy.io",
                    fix="run the audit again",
                )
            ],
            id="says only that it could not read",
        ),
    ],
)
def test_metadata_alone(
    served: Mapping[str, Collection[str]] | None, findings: list[Finding]
) -> None:
    assert found(map(metadata, cluster("1.9.1").values()), served=served) == findings


def test_release_not_known() -> None:
    assert found([], "1.10.0") == [
        Finding(
            code="GW100",
            severity="warning",
            where=Where("weu-1"),
            what="which CRDs Envoy Gateway 1.10.0 needs is not known",
            fix="update envoyfleet",
        )
    ]


@pytest.mark.parametrize(
    ("plural", "change", "code", "what"),
    [
        pytest.param(
            "httproutes",
            {"bundle": "v1.5.1"},
            "GW103",
            "are of several bundle versions: v1.5.1 (1), v1.6.1 (9)",
            id="an apply that stopped half way",
        ),
        pytest.param(
            "gateways",
            {"channel": "standard"},
            "GW104",
            "are of several channels: experimental (9), standard (1)",
            id="channels",
        ),
    ],
)
def test_mixed(plural: str, change: dict[str, str], code: str, what: str) -> None:
    crds = cluster("1.9.1")
    crds[f"{plural}.{GATEWAY_API}"] = crd(f"{plural}.{GATEWAY_API}", **change)
    fix = "apply one whole bundle, server-side, deploys/upgrade.py does"
    assert found(crds.values()) == [of(code, "warning", what, fix)]


def test_leftovers_of_older_bundles_are_normal() -> None:
    old = [
        crd(f"backendlbpolicies.{GATEWAY_API}", bundle="v1.2.1"),
        crd("xlistenersets.gateway.networking.x-k8s.io", bundle="v1.4.1"),
    ]
    assert found([*cluster("1.9.1").values(), *old]) == []


@pytest.mark.parametrize(
    ("controller", "bundle", "codes"),
    [
        pytest.param("1.8.3", "v1.5.1", ["GW105"], id="not in this standard bundle"),
        pytest.param("1.9.1", "v1.6.1", [], id="in channel standard by now"),
    ],
)
def test_channel_standard(controller: str, bundle: str, codes: list[str]) -> None:
    crds = cluster(controller, bundle, channel="standard")
    findings = found(crds.values(), controller, used={f"tcproutes.{GATEWAY_API}": 4})
    assert [it.code for it in findings] == codes
    if codes:
        assert findings[0] == of(
            "GW105",
            "warning",
            "4 objects need it, and channel standard of v1.5.1 does not have it, "
            "only from v1.6.0 on",
            "apply the experimental channel of this bundle, or a newer bundle",
            "tcproutes",
        )


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        pytest.param(
            {"app.kubernetes.io/managed-by": "aks"},
            of(
                "GW106",
                "warning",
                "1 of 10 belong to AKS, whose upgrades replace them",
                "turn off the managed Gateway API of this cluster, then run deploys/upgrade.py",
            ),
            id="AKS",
        ),
        pytest.param(
            {"argocd.argoproj.io/instance": "edge"},
            of(
                "GW107",
                "info",
                "1 of 10 belong to Argo CD, which undoes other changes",
                "change them there, or take them out of it before deploys/upgrade.py runs",
            ),
            id="Argo CD",
        ),
    ],
)
def test_owned_elsewhere(label: dict[str, str], expected: Finding) -> None:
    crds = cluster("1.9.1")
    crds[f"gateways.{GATEWAY_API}"] = crd(f"gateways.{GATEWAY_API}", **label)
    assert found(crds.values()) == [expected]

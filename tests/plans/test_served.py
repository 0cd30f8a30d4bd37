from __future__ import annotations

from collections.abc import Collection

import pytest

from tasks.plans.releases import LINES
from tasks.plans.served import Missing, missing_served, needed_crds


@pytest.mark.parametrize(
    ("version", "needed"),
    [
        pytest.param("1.5.9", ["v1alpha2", "v1alpha2", "v1alpha3", None], id="1.5"),
        pytest.param("1.6.7", ["v1alpha3", "v1alpha2", "v1", None], id="1.6"),
        pytest.param("1.7.5", ["v1alpha3", "v1alpha2", "v1", None], id="1.7"),
        pytest.param("1.8.3", ["v1", "v1alpha2", "v1", "v1"], id="1.8"),
        pytest.param("1.9.1", ["v1", "v1", "v1", "v1"], id="1.9"),
    ],
)
def test_needed_crds_that_differ_by_line(version: str, needed: list[str | None]) -> None:
    crds = needed_crds(version)
    plurals = ("tlsroutes", "tcproutes", "backendtlspolicies", "listenersets")
    assert [crds.get(f"{it}.gateway.networking.k8s.io") for it in plurals] == needed


def test_needed_crds_that_every_line_needs() -> None:
    common = set.intersection(*(set(needed_crds(f"{it}.0").items()) for it in LINES))
    assert sorted(common) == [
        ("backends.gateway.envoyproxy.io", "v1alpha1"),
        ("backendtrafficpolicies.gateway.envoyproxy.io", "v1alpha1"),
        ("clienttrafficpolicies.gateway.envoyproxy.io", "v1alpha1"),
        ("envoyextensionpolicies.gateway.envoyproxy.io", "v1alpha1"),
        ("envoypatchpolicies.gateway.envoyproxy.io", "v1alpha1"),
        ("envoyproxies.gateway.envoyproxy.io", "v1alpha1"),
        ("gatewayclasses.gateway.networking.k8s.io", "v1"),
        ("gateways.gateway.networking.k8s.io", "v1"),
        ("grpcroutes.gateway.networking.k8s.io", "v1"),
        ("httproutefilters.gateway.envoyproxy.io", "v1alpha1"),
        ("httproutes.gateway.networking.k8s.io", "v1"),
        ("referencegrants.gateway.networking.k8s.io", "v1beta1"),
        ("securitypolicies.gateway.envoyproxy.io", "v1alpha1"),
    ]


def test_needed_crds_of_a_line_that_is_not_known() -> None:
    with pytest.raises(ValueError, match=r"^which CRDs Envoy Gateway 1\.10\.0 needs is not known"):
        needed_crds("1.10.0")


def served_by(version: str) -> dict[str, Collection[str]]:
    return {name: [served] for name, served in needed_crds(version).items()}


@pytest.mark.parametrize(
    ("controller", "served", "missing"),
    [
        pytest.param("1.9.1", served_by("1.9.1"), [], id="all there"),
        pytest.param(
            "1.9.1",
            served_by("1.8.3"),
            [
                Missing("tcproutes.gateway.networking.k8s.io", "v1", ("v1alpha2",), crashes=False),
                Missing("udproutes.gateway.networking.k8s.io", "v1", ("v1alpha2",), crashes=False),
            ],
            id="controller before its CRDs: TCPRoutes are left out",
        ),
        pytest.param(
            "1.8.3",
            served_by("1.7.5"),
            [
                Missing("listenersets.gateway.networking.k8s.io", "v1", None, crashes=True),
                Missing("tlsroutes.gateway.networking.k8s.io", "v1", ("v1alpha3",), crashes=True),
            ],
            id="controller before its CRDs: 1.8 does not start",
        ),
        pytest.param(
            "1.7.5",
            served_by("1.9.1"),
            [
                Missing("tcproutes.gateway.networking.k8s.io", "v1alpha2", ("v1",), crashes=False),
                Missing("tlsroutes.gateway.networking.k8s.io", "v1alpha3", ("v1",), crashes=False),
                Missing("udproutes.gateway.networking.k8s.io", "v1alpha2", ("v1",), crashes=False),
            ],
            id="rolled back onto channel standard, which serves v1 alone",
        ),
    ],
)
def test_missing_served(
    controller: str, served: dict[str, Collection[str]], missing: list[Missing]
) -> None:
    assert missing_served(controller, served) == missing


def test_missing_served_on_an_empty_cluster() -> None:
    crashing = [it.crd for it in missing_served("1.9.1", {}) if it.crashes]
    assert crashing == [
        "gatewayclasses.gateway.networking.k8s.io",
        "gateways.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
        "referencegrants.gateway.networking.k8s.io",
    ]

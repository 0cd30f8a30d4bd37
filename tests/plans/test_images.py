"""Which images a cluster is to run."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.fleet.inventory import Cluster
from tasks.plans.images import Images, moved, tcproute_api, wanted


def data(**given: Any) -> Cluster:
    return Cluster.model_validate({"ring": 0, "envoy_gateway_version": "1.9.1", **given})


@pytest.mark.parametrize(
    ("given", "images"),
    [
        pytest.param(
            {},
            Images(
                "docker.io/envoyproxy/gateway:v1.9.1",
                "docker.io/envoyproxy/envoy:distroless-v1.39.1",
                None,
            ),
            id="the release's own",
        ),
        pytest.param(
            {"image_registry": "weu.azurecr.io/mirror"},
            Images(
                "weu.azurecr.io/mirror/envoyproxy/gateway:v1.9.1",
                "weu.azurecr.io/mirror/envoyproxy/envoy:distroless-v1.39.1",
                None,
            ),
            id="a mirror",
        ),
        pytest.param(
            {
                "images": {
                    "envoy_gateway": "acr.io/gw:{version}",
                    "envoy": "acr.io/envoy:{envoy}-{version}",
                    "ratelimit": "acr.io/ratelimit:1",
                }
            },
            Images("acr.io/gw:1.9.1", "acr.io/envoy:1.39.1-1.9.1", "acr.io/ratelimit:1"),
            id="references with versions filled in",
        ),
        pytest.param(
            {"envoy_gateway_version": "1.8.4", "images": {"envoy": "acr.io/envoy:1.38.4"}},
            Images("docker.io/envoyproxy/gateway:v1.8.4", "acr.io/envoy:1.38.4", None),
            id="an Envoy that is not known, given",
        ),
    ],
)
def test_wanted(given: dict[str, Any], images: Images) -> None:
    assert wanted(data(**given)) == images


def test_an_envoy_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="Envoy Gateway") as error:
        wanted(data(envoy_gateway_version="1.8.4"))
    assert str(error.value) == (
        "the Envoy of Envoy Gateway 1.8.4 is not known: set images.envoy to a full reference"
    )


def test_moved_keeps_tag_and_digest() -> None:
    reference = "docker.io/envoyproxy/gateway:v1.9.1@sha256:abc"
    assert moved(reference, "acr.io") == "acr.io/envoyproxy/gateway:v1.9.1@sha256:abc"
    assert moved(reference, None) == reference


@pytest.mark.parametrize(
    ("version", "api"),
    [("1.8.3", "v1alpha2"), ("1.9.0", "v1"), ("1.10.0", "v1")],
)
def test_tcproute_api(version: str, api: str) -> None:
    assert tcproute_api(version) == api

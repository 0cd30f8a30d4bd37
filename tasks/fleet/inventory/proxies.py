"""The proxies of a cluster, its controller, and their images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tasks.fleet.inventory.base import Reference, Strict, Text


class Proxy(Strict):
    """
    The data plane of every Gateway of the class; durations look like "10s".

    + external_traffic_policy: "Cluster" lets nodes without a proxy take part, and hides who the
      client is; None is Envoy Gateway's, "Local"
    """

    replicas: Annotated[int, Field(ge=1)] = 2
    cpu: Text = "100m"
    memory: Text = "256Mi"
    min_drain: Text = "20s"
    drain_timeout: Text = "60s"
    external_traffic_policy: Literal["Local", "Cluster"] | None = None


class Controller(Strict):
    replicas: Annotated[int, Field(ge=1)] = 2
    cpu: Text = "100m"
    memory: Text = "256Mi"


class Images(Strict):
    """
    References with the placeholders ``{version}`` (of Envoy Gateway) and ``{envoy}``, such as
    "weu.azurecr.io/envoyproxy/gateway:v{version}"; None keeps what the release itself names.
    """

    envoy_gateway: Reference | None = None
    envoy: Reference | None = None
    ratelimit: Reference | None = None

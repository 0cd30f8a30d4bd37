"""The proxies of a cluster, its controller, and their images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tasks.fleet.inventory.base import Name, Reference, Strict, Text
from tasks.plans import profiles

Percent = Annotated[int, Field(ge=1, le=1000)]


class Hpa(Strict):
    """
    As many proxies as the load wants, by a HorizontalPodAutoscaler.

    + min, max: how many there are at least and at most
    + cpu, memory: percent of the request that is in use on average; with more there are more
      proxies. None does not look at it
    """

    min: Annotated[int, Field(ge=1)] = 2
    max: Annotated[int, Field(ge=1)]
    cpu: Percent | None = 70
    memory: Percent | None = None

    @model_validator(mode="after")
    def _decides(self) -> Hpa:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        if self.cpu is None and self.memory is None:
            raise ValueError("neither cpu nor memory says when there are to be more proxies")
        return self


class Proxy(Strict):
    """
    The data plane of every Gateway of the class, or of one Gateway; durations look like "10s".

    + profile: the other keys for a load, see docs/scaling.md; a key that is set wins
    + hpa: instead of replicas; needs metrics-server, which AKS has
    + cpu, memory: requests of each; + cpu_limit: None is none, which is right nearly always
    + concurrency: worker threads of each Envoy, None is one for each CPU of the node
    + priority_class: a PriorityClass that is there, so that proxies are the last to be put out
    + external_traffic_policy: "Cluster" lets nodes without a proxy take part, and hides who the
      client is; None is Envoy Gateway's, "Local"
    """

    profile: Literal["small", "medium", "large"] | None = None
    replicas: Annotated[int, Field(ge=1)] = 2
    hpa: Hpa | None = None
    cpu: Text = "100m"
    memory: Text = "256Mi"
    cpu_limit: Text | None = None
    memory_limit: Text = "1Gi"
    concurrency: Annotated[int, Field(ge=1, le=1024)] | None = None
    priority_class: Name | None = None
    min_drain: Text = "20s"
    drain_timeout: Text = "60s"
    external_traffic_policy: Literal["Local", "Cluster"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, given: Any) -> Any:
        return profiles.filled(given) if isinstance(given, dict) else given

    @property
    def least(self) -> int:
        """How many proxies there are when nothing happens."""
        return self.replicas if self.hpa is None else self.hpa.min

    @property
    def most(self) -> int:
        """How many proxies there may be."""
        return self.replicas if self.hpa is None else self.hpa.max


class Controller(Strict):
    """+ priority_class: a PriorityClass that is there, such as "system-cluster-critical" """

    replicas: Annotated[int, Field(ge=1)] = 2
    cpu: Text = "100m"
    memory: Text = "256Mi"
    priority_class: Name | None = None


class Images(Strict):
    """
    References with the placeholders ``{version}`` (of Envoy Gateway) and ``{envoy}``, such as
    "weu.azurecr.io/envoyproxy/gateway:v{version}"; None keeps what the release itself names.
    """

    envoy_gateway: Reference | None = None
    envoy: Reference | None = None
    ratelimit: Reference | None = None

"""Which rights a run needs on a cluster, so that a missing one is known before the first write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Right:
    """
    + resource: "gateways.gateway.networking.k8s.io", a core one without its dot; + namespace: None
      is everywhere.
    """

    verb: str
    resource: str
    namespace: str | None = None

    @property
    def text(self) -> str:
        """Such as "patch deployments.apps in envoy-gateway-system"."""
        return f"{self.verb} {self.resource}" + (f" in {self.namespace}" if self.namespace else "")


def needed(namespace: str) -> list[Right]:
    """
    What install and upgrade do themselves, and what the chart's objects need; ``namespace`` is the
    controller's.
    """
    gateway_api, envoy = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
    everywhere = [
        ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "namespaces"),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
        ("list", "deployments.apps"),
        ("patch", f"gatewayclasses.{gateway_api}"),
        ("patch", f"gateways.{gateway_api}"),
        ("patch", f"httproutes.{gateway_api}"),
        ("patch", f"envoyproxies.{envoy}"),
        ("patch", f"clienttrafficpolicies.{envoy}"),
    ]
    inside = [
        ("list", "secrets"),
        ("create", "secrets"),
        ("patch", "deployments.apps"),
        ("create", "jobs.batch"),
    ]
    return [
        *(Right(verb, resource) for verb, resource in everywhere),
        *(Right(verb, resource, namespace) for verb, resource in inside),
    ]


def review(right: Right) -> dict[str, Any]:
    """
    The SelfSubjectAccessReview that asks for it (Kubernetes API reference,
    authorization.k8s.io/v1).
    """
    resource, _, group = right.resource.partition(".")
    about = {"verb": right.verb, "resource": resource, "group": group}
    if right.namespace:
        about["namespace"] = right.namespace
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }


def granted(answer: Mapping[str, Any]) -> bool:
    """Whether the API server said yes; a review that it could not finish is a no."""
    return bool((answer.get("status") or {}).get("allowed"))

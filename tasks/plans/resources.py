"""The resources that an API server serves, as its discovery tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """
    One resource in one version. + plural: the path's word, such as "httproutes"; + verbs: such as
    {"list", "patch"}
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset({"list", "get", "patch", "delete"})

    @property
    def api_version(self) -> str:
        """Such as "gateway.networking.k8s.io/v1", "v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """
        Such as "/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/public". Without
        ``namespace`` a list over all namespaces, without ``name`` the list.
        """
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")


def resources(document: Mapping[str, Any]) -> list[Resource]:
    """
    What aggregated discovery answers (Kubernetes API reference, APIGroupDiscoveryList): every
    resource in every version, the preferred version of each first.
    """
    return [
        Resource(
            group["metadata"].get("name", ""),
            version["version"],
            it["resource"],
            it["responseKind"]["kind"],
            it["scope"] == "Namespaced",
            frozenset(it["verbs"]),
        )
        for group in document.get("items") or ()
        for version in group.get("versions") or ()
        for it in version.get("resources") or ()
        if (it.get("responseKind") or {}).get("kind")
    ]


#: Of the core group, which has a discovery document of its own: what backups hold of it.
CORE = (
    Resource("", "v1", "namespaces", "Namespace", False),
    Resource("", "v1", "secrets", "Secret", True),
    Resource("", "v1", "configmaps", "ConfigMap", True),
    Resource("", "v1", "services", "Service", True),
)

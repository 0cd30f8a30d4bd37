"""Objects of a cluster as its API server returns them."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import AGGREGATED, APPLY, METADATA_ONLY, KubeCommand
from tasks.plans import kinds
from tasks.plans.objects import MANAGER
from tasks.plans.resources import Resource, resources


class Manifest(dict[str, Any]):
    """
    An object that is printed by its name alone: pyinfra prints a fact's arguments, and this may be
    a Secret.
    """

    @override
    def __str__(self) -> str:
        return kinds.title(self)

    __repr__ = __str__


class KubeObjects(FactBase[list[dict[str, Any]]]):
    """
    All objects of a kind, or ``[]`` where there are none or the cluster does not know the kind.
    One request.

    + api_version: such as ``"gateway.networking.k8s.io/v1"``
    + kind: such as ``"Gateway"``
    + namespace: None means all namespaces
    + labels: a label selector such as ``"owner=helm,name=eg"``
    + metadata_only: leave spec and status on the server (PartialObjectMetadata)
    """

    @override
    def command(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        labels: str | None = None,
        metadata_only: bool = False,
    ) -> KubeCommand:
        return KubeCommand(
            "GET",
            kinds.path(api_version, kind, namespace),
            query={"labelSelector": labels} if labels else None,
            accept=METADATA_ONLY if metadata_only else None,
            ok=[404],
        )

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        return items("\n".join(output))

    @override
    @staticmethod
    def default() -> list[dict[str, Any]]:
        return []


class KubeObject(FactBase[dict[str, Any] | None]):
    """
    One object, or ``None`` where it does not exist or the cluster does not know the kind. One
    request.

    + resource: its name (pyinfra keeps ``name`` for itself)
    """

    @override
    def command(
        self, api_version: str, kind: str, resource: str, namespace: str | None = None
    ) -> KubeCommand:
        return KubeCommand("GET", kinds.path(api_version, kind, namespace, resource), ok=[404])

    @override
    def process(self, output: list[str]) -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads("\n".join(output))
        return found

    @override
    @staticmethod
    def default() -> None:
        return None


class KubeApplyPlan(FactBase[dict[str, Any] | None]):
    """
    What the server would store for a manifest (server-side apply, dry run), or ``None`` where its
    namespace or its kind does not exist yet. One request.

    + force: take fields over from other managers
    """

    @override
    def command(self, manifest: Manifest, force: bool = False) -> KubeCommand:
        return apply_command(manifest, force=force, dry_run=True)

    @override
    def process(self, output: list[str]) -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads("\n".join(output))
        return found

    @override
    @staticmethod
    def default() -> None:
        return None


class ServedVersions(FactBase[dict[str, list[str]]]):
    """
    Which versions of each resource the API server serves: ``{"gateways.gateway.networking.k8s.io":
    ["v1", "v1beta1"], ...}``. One request (aggregated discovery, Kubernetes 1.30 and newer).
    """

    @override
    def command(self) -> KubeCommand:
        return KubeCommand("GET", "/apis", accept=AGGREGATED)

    @override
    def process(self, output: list[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for group in _discovered(output)["items"]:
            for version in group.get("versions") or ():
                for resource in version.get("resources") or ():
                    name = f"{resource['resource']}.{group['metadata']['name']}"
                    found.setdefault(name, []).append(version["version"])
        return found


class ServedApi(FactBase[bool]):
    """
    Whether an API of the API server answers. One that another server serves may be registered with
    nobody behind it, and is listed by ``ServedVersions`` all the same. One request.

    + api: such as ``"metrics.k8s.io/v1beta1"``
    """

    @override
    def command(self, api: str) -> KubeCommand:
        return KubeCommand("GET", f"/apis/{api}", ok=[404, 503])

    @override
    def process(self, output: list[str]) -> bool:
        return True

    @override
    @staticmethod
    def default() -> bool:
        return False


class Resources(FactBase[list[Resource]]):
    """
    Every resource that the API server serves outside the core group, the preferred version of each
    first. The same request as ``ServedVersions``.
    """

    @override
    def command(self) -> KubeCommand:
        return KubeCommand("GET", "/apis", accept=AGGREGATED)

    @override
    def process(self, output: list[str]) -> list[Resource]:
        return resources(_discovered(output))


def _discovered(output: list[str]) -> dict[str, Any]:
    """Raises ValueError for an answer without a group: every API server has some of its own."""
    found: dict[str, Any] = json.loads("\n".join(output))
    if not found.get("items"):
        raise ValueError("GET /apis names no group at all: is it an API server that answers?")
    return found


def apply_command(
    manifest: dict[str, Any],
    force: bool = False,
    dry_run: bool = False,
    manager: str = MANAGER,
) -> KubeCommand:
    """
    One server-side apply (Kubernetes docs, Server-Side Apply); a dry run answers 404 with no
    output.
    """
    query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    return KubeCommand(
        "PATCH",
        kinds.path_of(manifest),
        query=query,
        body=dict(manifest),
        content_type=APPLY,
        ok=[404] if dry_run else [],
    )


def items(text: str) -> list[dict[str, Any]]:
    """
    The items of a list answer, each with the apiVersion and kind that the API server leaves out.
    """
    return listed(json.loads(text))


def listed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """``items`` of an answer that was parsed already."""
    kind = str(document.get("kind", "")).removesuffix("List")
    named = (
        {}
        if kind == "PartialObjectMetadata"
        else {"apiVersion": document["apiVersion"], "kind": kind}
    )
    found = document.get("items") or ()
    if not all(isinstance(it, dict) and isinstance(it.get("metadata"), dict) for it in found):
        raise ValueError(f"{kind}List with an item without metadata: is it an API server's answer?")
    return [{**named, **item} for item in found]

"""Secrets without what they keep: the type of one, or the certificates alone."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.facts.kube import items
from tasks.plans import kinds

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class SecretType(FactBase[str | None]):
    """
    The type of one Secret, such as "Opaque", or ``None`` where it does not exist. One request, for
    the columns that ``kubectl get`` prints: nothing that it holds leaves the API server.

    + resource: its name (pyinfra keeps ``name`` for itself)
    """

    @override
    def command(self, resource: str, namespace: str) -> KubeCommand:
        return KubeCommand(
            "GET",
            kinds.path("v1", "Secret", namespace, resource),
            query={"includeObject": "None"},
            accept=TABLE,
            ok=[404],
        )

    @override
    def process(self, output: list[str]) -> str | None:
        table = json.loads("\n".join(output))
        column = [it["name"] for it in table["columnDefinitions"]].index("Type")
        return str(table["rows"][0]["cells"][column])

    @override
    @staticmethod
    def default() -> None:
        return None


class PublicParts(FactBase[list[dict[str, Any]]]):
    """
    The certificates in Secrets of type kubernetes.io/tls, without their keys: ``[{"metadata":
    {"namespace": "edge", "name": "shop-tls"}, "data": {"tls.crt": "LS0t...", "ca.crt": ""}}]``. One
    request, which reads no Secret of another type.

    + namespace: None means all; + resource: one name, None means all of the namespace
    """

    @override
    def command(self, namespace: str | None, resource: str | None = None) -> KubeCommand:
        named = f",metadata.name={resource}" if resource else ""
        return KubeCommand(
            "GET",
            kinds.path("v1", "Secret", namespace),
            query={"fieldSelector": f"type=kubernetes.io/tls{named}"},
        )

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "metadata": {key: it["metadata"][key] for key in ("namespace", "name")},
                "data": {
                    key: (it.get("data") or {}).get(key) or "" for key in ("tls.crt", "ca.crt")
                },
            }
            for it in items("\n".join(output))
        ]

    @override
    @staticmethod
    def default() -> list[dict[str, Any]]:
        return []

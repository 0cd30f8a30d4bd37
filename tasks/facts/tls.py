"""Certificates as a cluster keeps them."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.facts.kube import items


class TlsSecrets(FactBase[list[dict[str, Any]]]):
    """
    The Secrets of type kubernetes.io/tls, without their keys: ``[{"metadata": {...}, "data":
    {"tls.crt": "LS0t..."}}]``. One request.

    + namespace: None means all namespaces
    """

    @override
    def command(self, namespace: str | None = None) -> KubeCommand:
        place = f"/namespaces/{namespace}" if namespace else ""
        return KubeCommand(
            "GET",
            f"/api/v1{place}/secrets",
            query={"fieldSelector": "type=kubernetes.io/tls"},
        )

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "metadata": {key: it["metadata"][key] for key in ("namespace", "name")},
                "data": {"tls.crt": (it.get("data") or {}).get("tls.crt", "")},
            }
            for it in items("\n".join(output))
        ]

    @override
    @staticmethod
    def default() -> list[dict[str, Any]]:
        return []

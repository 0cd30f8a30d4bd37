"""Certificates as a cluster keeps them."""

from __future__ import annotations

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.facts.kube import items
from tasks.plans.chains import Held, of_secret


class TlsSecrets(FactBase[list[Held]]):
    """
    The Secrets of type kubernetes.io/tls: their certificates, whether the key is theirs, and who
    keeps them; neither key nor bytes. One request, which reads no Secret of another type.

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
    def process(self, output: list[str]) -> list[Held]:
        return [of_secret(it) for it in items("\n".join(output))]

    @override
    @staticmethod
    def default() -> list[Held]:
        return []

"""Secrets by what a table says of them: nothing that they hold leaves the API server."""

from __future__ import annotations

import json

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.plans import kinds

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class SecretType(FactBase[str | None]):
    """
    The type of one Secret, such as "Opaque", or ``None`` where it does not exist. One request, for
    the columns that ``kubectl get`` prints.

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

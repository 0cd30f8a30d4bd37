"""Helm releases as their own records tell them, without a helm process."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import METADATA_ONLY, KubeCommand
from tasks.facts.kube import items
from tasks.plans.helm import Release, decode


class HelmRecords(FactBase[list[dict[str, Any]]]):
    """
    The records of one release without their contents, one a revision: ``[{"metadata": {"name":
    "sh.helm.release.v1.eg.v3", "labels": {"status": "deployed", "version": "3", ...}}}]``; ``[]``
    where it was never installed. One request of a few hundred bytes a revision; a whole record can
    have 1 MB.

    + release: such as ``"eg"``
    + namespace: where it is installed; None means everywhere
    """

    @override
    def command(self, release: str | None = None, namespace: str | None = None) -> KubeCommand:
        place = f"/namespaces/{namespace}" if namespace else ""
        selector = "owner=helm" + (f",name={release}" if release else "")
        return KubeCommand(
            "GET",
            f"/api/v1{place}/secrets",
            query={"labelSelector": selector},
            accept=METADATA_ONLY,
        )

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        return items("\n".join(output))

    @override
    @staticmethod
    def default() -> list[dict[str, Any]]:
        return []


class HelmRelease(FactBase[Release | None]):
    """
    One revision of a release, or ``None`` where its record is gone. One request.

    + record: name of the Secret, such as ``"sh.helm.release.v1.eg.v3"``
    + namespace: where it is installed
    """

    @override
    def command(self, record: str, namespace: str) -> KubeCommand:
        return KubeCommand("GET", f"/api/v1/namespaces/{namespace}/secrets/{record}", ok=[404])

    @override
    def process(self, output: list[str]) -> Release | None:
        return decode(json.loads("\n".join(output)))

    @override
    @staticmethod
    def default() -> None:
        return None

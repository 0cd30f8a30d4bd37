"""
What Helm knows about a release, read from its own record, and what is to be done about it.

The record is the Secret ``sh.helm.release.v1.<release>.v<revision>``: base64 in base64 of gzipped
JSON (Helm source, pkg/storage/driver/secrets.go and util.go; the same in Helm 3 and 4).
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

#: Helm says that another operation is under way as long as the newest record has one of these.
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")


@dataclass(frozen=True)
class Release:
    """
    + status: Helm's word, such as "deployed" or "pending-upgrade"
    + chart_version, app_version: such as "1.9.1" and "v1.9.1"
    + values: those given by the user, never the chart's own defaults
    + content: digest of the chart's templates and default values, see ``content``
    """

    name: str
    namespace: str
    revision: int
    status: str
    chart: str
    chart_version: str
    app_version: str
    values: Mapping[str, Any] = field(repr=False)
    content: str

    @property
    def version(self) -> str:
        """The Envoy Gateway release without its "v", such as "1.9.1"."""
        return (self.app_version or self.chart_version).lstrip("v")

    def holds(self, chart_version: str, content: str, values: Mapping[str, Any]) -> bool:
        """Whether this release is deployed, of exactly this chart, with exactly these values."""
        return (
            self.status == "deployed"
            and self.chart_version == chart_version
            and self.content == content
            and dict(self.values) == dict(values)
        )


def newest(records: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """
    The Secret with the highest revision of some release Secrets (metadata is enough), or None.
    """
    return max(records, key=lambda it: int(it["metadata"]["labels"]["version"]), default=None)


def decode(secret: Mapping[str, Any]) -> Release:
    """Raises ValueError, in one line, for a record that cannot be read."""
    name = secret["metadata"]["name"]
    try:
        record = json.loads(
            gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"])))
        )
        chart = record["chart"]
        metadata = chart["metadata"]
        return Release(
            name=record["name"],
            namespace=record["namespace"],
            revision=int(record["version"]),
            status=record["info"]["status"],
            chart=metadata["name"],
            chart_version=metadata["version"],
            app_version=metadata.get("appVersion", ""),
            values=record.get("config") or {},
            content=content(
                {it["name"]: base64.b64decode(it["data"]) for it in chart.get("templates") or ()},
                chart.get("values") or {},
            ),
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"Secret {name} is not a Helm release record ({type(error).__name__}): "
            "look at it with helm history, and restore or delete it"
        ) from error


def content(templates: Mapping[str, bytes], values: Mapping[str, Any]) -> str:
    """
    A digest of what makes a chart install what it installs: its templates by name, such as
    ``{"templates/service.yaml": b"..."}``, and its default values. The same for the archive and
    for the record of a release, so a chart re-packed under an old version is found.
    """
    digest = sha256()
    for name in sorted(templates):
        digest.update(f"{name}\0{sha256(templates[name]).hexdigest()}\n".encode())
    digest.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
    return digest.hexdigest()


def stuck(release: Release) -> str | None:
    """Why Helm would refuse to touch this release, or None."""
    if release.status in PENDING:
        return (
            f"Helm release {release.namespace}/{release.name} revision {release.revision} is "
            f"{release.status}: a helm process was killed or still runs; when none runs, go back "
            f"with helm rollback {release.name} <good revision> -n {release.namespace}"
        )
    if release.status in ("uninstalling", "uninstalled"):
        return (
            f"Helm release {release.namespace}/{release.name} is {release.status}: "
            "finish with helm uninstall, then install"
        )
    return None

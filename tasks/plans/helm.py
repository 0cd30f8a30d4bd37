"""
What Helm knows about a release, read from its own record, and what is to be done about it.

The record is the Secret ``sh.helm.release.v1.<release>.v<revision>``: base64 in base64 of gzipped
JSON (Helm source, pkg/storage/driver/secrets.go and util.go; the same in Helm 3 and 4).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

#: Helm says that another operation is under way as long as the newest record has one of these.
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
#: Left by a helm process that was killed; the last one by ``helm uninstall``.
STUCK = (*PENDING, "uninstalling")
#: Of revisions that were whole once.
FINISHED = ("deployed", "superseded")


#: What reading a document of another form raises.
WRONG = (LookupError, TypeError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Release:
    """
    + status: Helm's word, such as "deployed" or "pending-upgrade"
    + chart_version, app_version: such as "1.9.1" and "v1.9.1"
    + values: those given by the user, never the chart's own defaults
    + changed: when Helm began with this revision
    + images: those that the release itself names, such as {"envoyGateway":
      "docker.io/envoyproxy/gateway:v1.9.1", "registry": "weu.azurecr.io"}
    + content: digest of the chart's templates and default values, see ``content``
    + manifest: what it installed, as YAML; without hooks and CRDs
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
    manifest: str = field(default="", repr=False, compare=False)
    changed: datetime | None = field(default=None, compare=False)
    images: Mapping[str, str] = field(default_factory=dict, compare=False)

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


def finished(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """
    Names of the records of revisions that Helm finished, the best to go back to first. The revision
    before the newest may be one that failed, so that is no state to go back to; deployed is, and
    superseded was (Helm docs, release statuses).
    """
    good = [it for it in records if it["metadata"]["labels"].get("status") in FINISHED]
    good.sort(key=lambda it: int(it["metadata"]["labels"]["version"]), reverse=True)
    good.sort(key=lambda it: it["metadata"]["labels"]["status"] != "deployed")
    return [it["metadata"]["name"] for it in good]


def finished_since(records: Iterable[Mapping[str, Any]]) -> str | None:
    """
    When Helm began with the revision that is deployed, such as "2026-11-21T14:02:11Z", or None
    where none is.
    """
    found = newest(it for it in records if it["metadata"]["labels"].get("status") == "deployed")
    return str(found["metadata"]["creationTimestamp"]) if found else None


def failed(secret: Mapping[str, Any]) -> dict[str, Any]:
    """
    The record of a release whose helm process is dead, as that process would have left it on
    SIGTERM: failed, so that the next helm goes on. Raises ValueError as ``decode`` does.
    """
    record = _record(secret)
    said = f"helm was killed while the release was {record['info']['status']}"
    record["info"] |= {"status": "failed", "description": said}
    packed = gzip.compress(json.dumps(record, separators=(",", ":")).encode(), mtime=0)
    meta = secret["metadata"]
    return {
        **secret,
        "metadata": {**meta, "labels": {**meta["labels"], "status": "failed"}},
        "data": {"release": base64.b64encode(base64.b64encode(packed)).decode()},
    }


def may_still_run(release: Release, now: datetime, seconds: float) -> str | None:
    """
    Why a helm process may still work on a pending release, or None. + seconds: a helm that waits
    longer than that ends by itself.
    """
    if release.status not in STUCK or release.changed is None:
        return None
    left = release.changed + timedelta(seconds=seconds) - now
    if left <= timedelta(0):
        return None
    return (
        f"Helm release {release.namespace}/{release.name} revision {release.revision} is "
        f"{release.status} since {release.changed:%H:%M:%S} UTC: a helm process may still work on "
        f"it: run again in {left.seconds + 1} s"
    )


def _record(secret: Mapping[str, Any]) -> dict[str, Any]:
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        found = json.loads(gzip.decompress(packed))
        found["info"]["status"]
    except (*WRONG, OSError, EOFError, zlib.error) as error:
        raise _unreadable(secret) from error
    return dict(found)


def decode(secret: Mapping[str, Any]) -> Release:
    """Raises ValueError, in one line, for a record that cannot be read."""
    record = _record(secret)
    try:
        chart = record["chart"]
        metadata = chart["metadata"]
        return Release(
            name=record["name"],
            namespace=record["namespace"],
            revision=int(record["version"]),
            status=record["info"]["status"],
            images=_images(record.get("config") or {}, chart.get("values") or {}),
            changed=_moment(record["info"].get("last_deployed")),
            chart=metadata["name"],
            chart_version=metadata["version"],
            app_version=metadata.get("appVersion", ""),
            values=record.get("config") or {},
            content=content(
                {it["name"]: base64.b64decode(it["data"]) for it in chart.get("templates") or ()},
                chart.get("values") or {},
            ),
            manifest=str(record.get("manifest") or ""),
        )
    except WRONG as error:
        raise _unreadable(secret) from error


def _unreadable(secret: Mapping[str, Any]) -> ValueError:
    return ValueError(
        f"Secret {secret['metadata']['name']} is not a Helm release record: look at it with helm "
        "history, and restore or delete it"
    )


def _images(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """global.images and global.imageRegistry of the values, the user's before the chart's."""
    found: dict[str, str] = {}
    for values in (defaults, given):
        about = values.get("global") or {}
        for name, entry in (about.get("images") or {}).items():
            if isinstance(entry, Mapping) and entry.get("image"):
                found[name] = str(entry["image"])
        if about.get("imageRegistry"):
            found["registry"] = str(about["imageRegistry"])
    return found


def _moment(text: object) -> datetime | None:
    """Helm writes nanoseconds, "2026-11-21T14:02:11.123456789Z"; the fraction is left out."""
    match = re.match(r"([^.]+?)(\.\d+)?(Z|[-+]\d\d:\d\d)$", str(text or ""))
    try:
        return datetime.fromisoformat(match[1] + match[3]) if match else None
    except ValueError:
        return None


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
    """What a run that changes this release has to recover first, or None."""
    if release.status not in STUCK:
        return None
    return (
        f"Helm release {release.namespace}/{release.name} revision {release.revision} is "
        f"{release.status}: its helm process was killed, and Helm refuses to touch it"
    )

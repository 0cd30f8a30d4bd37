"""
What a diagnosis and its reader need of a cluster, in a folder, with secrets removed: the same
diagnosis can be made from it elsewhere, without the cluster.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import controller, diagnose
from tasks.checks.support_bundles import findings
from tasks.connectors.api import Api, ApiError
from tasks.diagnosis import cluster as cluster_causes
from tasks.diagnosis import partial_json
from tasks.diagnosis.evidence import Evidence, Exchange, Gap
from tasks.diagnosis.folders import CONTROLLER, MANIFEST, PROXIES, SCHEMA
from tasks.fleet import archives, audits
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import FactFailed, Steps, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.operations import admin, evidence
from tasks.operations.pace import Pace
from tasks.plans.redaction import Redaction

FOLDER = Path("bundles")
COLUMNS = ("cluster", "bundle", "proxies", "objects", "log lines", "removed", "not read")
#: How Envoy's own lines begin in the log of its container, beside those of its access log.
_OWN = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+\]\[")

_rows: dict[str, dict[str, Any]] = {}


@dataclass
class Bundle:
    """
    + files: by name, secrets removed; + gaps: what of them had to be left out
    + places: of each proxy, such as {"Pod edge/envoy-1": "proxies/envoy-1"}, "." where it is the
      only one
    """

    redaction: Redaction
    files: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def add(self, name: str, content: bytes) -> None:
        """What of JSON cannot be read cannot be looked through, so it stays out."""
        try:
            self.files[name] = self.redaction.file(name.rpartition("/")[2], content)
        except ValueError:
            value, cut = partial_json.read(content.decode("utf-8", "replace"))
            self.add_document(name, value)
            self.gaps.append(Gap(name, cut or "not JSON", "what comes behind"))

    def add_document(self, name: str, document: Any) -> None:
        self.files[name] = _text(self.redaction.data(document))


def of_the_fleet() -> None:
    """
    Deploy code: one bundle a cluster, a table of them at the end, exit 3 where one is no use.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    collect(name="Support bundle", data=fleet_run.cluster())


@fleet_operation(is_idempotent=False)
def collect(data: Cluster) -> Steps:
    """One cluster. Reads only, as ``diagnose.read`` does, with all that proxies say and wrote."""
    yield from ()
    now = fleet_run.now()
    kept: dict[str, dict[str, bytes]] = {}
    look = diagnose.look(data)
    seen = evidence.evidence(
        session(),
        host.name,
        look,
        now.timestamp(),
        lambda proxy, name, content: kept.setdefault(proxy, {}).__setitem__(name, content),
    )
    gaps = [*seen.gaps, *_read_logs(session(), seen, look, kept)]
    bundle = Bundle(Redaction(secrets.token_bytes(16)))
    fill(bundle, seen, kept)
    gaps += bundle.gaps
    try:
        bundle.add_document("helm.json", _release(data))
    except (FactFailed, ValueError) as error:
        gaps.append(Gap("helm.json", str(error), "which release is installed, and its values"))
    bundle.files[MANIFEST] = _text(manifest(bundle, seen, gaps, now))
    place = written(archives.folder_of(FOLDER, host.name), now, bundle.files, data.pack)
    _rows[host.name] = {
        "ring": data.ring,
        "installed": cluster_causes.installed(seen),
        "bundle": str(place),
        "proxies": len(bundle.places),
        "objects": len(seen.objects or ()),
        "log_lines": sum(
            it.count(b"\n")
            for name, it in bundle.files.items()
            if name.endswith(".log") or name.rpartition("/")[2].startswith("access")
        ),
        "removed": dict(sorted(bundle.redaction.counts.items())),
        "not_read": [vars(it) for it in gaps],
    }
    told = [name for name, files in kept.items() if "config_dump.json" in files]
    missing = {it.what: f"{it.why}; not known without it: {it.cost}" for it in gaps}
    running = [it.name for it in seen.proxies]
    fleet_run.current().findings += findings(host.name, running, told, missing)


def _read_logs(
    api: Api, seen: Evidence, look: evidence.Look, kept: dict[str, dict[str, bytes]]
) -> Iterator[Gap]:
    """Logs of proxies that the diagnosis did not ask for: nobody asked about a request."""
    pace = Pace(look.rate, before=look.rate)
    for it in seen.proxies:
        files = kept.setdefault(it.name, {})
        if "access.log" in files:
            continue
        namespace, _, pod = it.name.removeprefix("Pod ").partition("/")
        read = partial(admin.log, api, namespace, pod, "envoy")
        try:
            with pace.turn():
                lines = read(lines=look.lines, seconds=look.seconds)
        except ApiError as error:
            gap = Gap(f"access log of {it.name}", str(error), "which requests failed, and why")
            if gap not in seen.gaps:
                yield gap
            continue
        files["access.log"] = "".join(f"{one}\n" for one in lines).encode()


def fill(bundle: Bundle, seen: Evidence, kept: Mapping[str, Mapping[str, bytes]]) -> None:
    """
    Put what was read into a bundle. + kept: files of each proxy; "access.log" is what its container
    wrote, its own lines too
    """
    alone = len(kept) == 1
    names = [it.rpartition("/")[2] for it in kept]
    for proxy, files in kept.items():
        pod = proxy.rpartition("/")[2]
        folder = pod if names.count(pod) == 1 else proxy.removeprefix("Pod ").replace("/", "_")
        bundle.places[proxy] = "." if alone else f"{PROXIES}/{folder}"
        begin = "" if alone else f"{PROXIES}/{folder}/"
        for name, content in files.items():
            if name == "access.log":
                access, own = parted(content.decode("utf-8", "replace"))
                bundle.add(begin + access_name(access), access.encode())
                bundle.add(f"{begin}envoy.log", own.encode())
            else:
                bundle.add(begin + name, content)
    items = bundle.redaction.objects(seen.objects or ())
    bundle.files["k8s.json"] = _text({"apiVersion": "v1", "kind": "List", "items": items})
    if seen.exchanges:
        bundle.add_document("client.json", [_exchange(it) for it in seen.exchanges])
    for name, document in (("served.json", seen.served), ("names.json", seen.names or None)):
        if document is not None:
            bundle.add_document(name, document)
    for name, lines in seen.logs.items():
        path = f"{CONTROLLER}/{name.replace('/previous', '.previous')}.log"
        bundle.add(path, "".join(f"{it}\n" for it in lines).encode())


def parted(text: str) -> tuple[str, str]:
    """The lines of an access log, and those that Envoy wrote of itself, with what follows them."""
    access: list[str] = []
    own: list[str] = []
    into = access
    for line in text.splitlines():
        if _OWN.match(line):
            into = own
        elif line.startswith(("{", "[")):
            into = access
        into.append(f"{line}\n")
    return "".join(access), "".join(own)


def access_name(text: str) -> str:
    """What a bundle calls an access log of this format."""
    first = text.partition("\n")[0]
    if first.startswith("["):
        return "access.default.log"
    if '"response_code_details"' in first or '":authority"' in first:
        return "access.eg.jsonl"
    return "access.guide.jsonl" if first.startswith("{") else "access.log"


def _exchange(it: Exchange) -> dict[str, Any]:
    asked = it.request
    return {
        "request": {
            "method": asked.method,
            "scheme": asked.scheme,
            "host": asked.host,
            "path": asked.path,
            "headers": dict(asked.headers),
            "http_version": asked.version,
            "reused_connection": asked.reused,
            **({} if asked.sni is None else {"sni": asked.sni or None}),
        },
        "status": it.status,
        "headers": dict(it.headers),
        "body": it.body,
        "error": it.error,
    }


def _release(data: Cluster) -> dict[str, Any] | None:
    it = controller.newest_release(data)
    if it is None:
        return None
    return {
        "name": it.name,
        "namespace": it.namespace,
        "revision": it.revision,
        "status": it.status,
        "chart": it.chart,
        "chart_version": it.chart_version,
        "app_version": it.app_version,
        "changed": it.changed.isoformat() if it.changed else None,
        "values": dict(it.values),
    }


def manifest(bundle: Bundle, seen: Evidence, gaps: Sequence[Gap], now: datetime) -> dict[str, Any]:
    """What is in a bundle, what is not and why, and how much was removed."""
    return {
        "schema": SCHEMA,
        "cluster": seen.cluster,
        "taken": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "now": seen.now,
        "live": seen.live,
        "controller": seen.controller,
        "proxies": dict(bundle.places),
        "files": {
            name: {"bytes": len(it), "sha256": sha256(it).hexdigest()}
            for name, it in sorted(bundle.files.items())
        },
        "not_read": [vars(it) for it in gaps],
        "skipped": [vars(it) for it in seen.skipped],
        "removed": dict(sorted(bundle.redaction.counts.items())),
    }


def _text(document: Any) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def written(folder: Path, now: datetime, files: Mapping[str, bytes], pack: bool) -> Path:
    """
    The bundle as a folder named for its time, for its owner alone, whole or not at all.

    + pack: as ``<time>.tar.gz`` beside it as well. Raises DeployError, in one line.
    """
    place = folder / f"{now:%Y%m%dT%H%M%SZ}"
    part = place.with_name(f".{place.name}.part")
    try:
        for it in (folder.parent, folder):
            it.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
        for name, content in files.items():
            path = part / name
            for parent in reversed(path.relative_to(part).parents[:-1]):
                (part / parent).mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(content)
        part.replace(place)
        if pack:
            _pack(place.with_name(f"{place.name}.tar.gz"), place.name, files, now)
    except OSError as error:
        _emptied(part)
        raise DeployError(
            f"{place} cannot be written ({error.strerror}): make room, or remove what is in the way"
        ) from error
    return place


def _pack(path: Path, top: str, files: Mapping[str, bytes], now: datetime) -> None:
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    with tarfile.open(part, "w:gz") as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(now.timestamp())
            archive.addfile(member, io.BytesIO(content))
    part.replace(path)


def _emptied(part: Path) -> None:
    with suppress(OSError):
        for it in sorted(part.rglob("*"), reverse=True):
            it.rmdir() if it.is_dir() else it.unlink()
        part.rmdir()


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, "envoyfleet.support_bundles/1", COLUMNS, _line)


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreachable" in row:
        return (name, f"not read: {row['unreachable']}", "", "", "", "", "")
    where = row["bundle"] + ("" if row["installed"] else " (no Envoy Gateway)")
    return (
        name,
        where,
        str(row["proxies"]),
        str(row["objects"]),
        str(row["log_lines"]),
        str(sum(row["removed"].values())),
        str(len(row["not_read"])),
    )

"""
A bundle folder as evidence. Any file may be absent or cut: then the evidence says what that costs.

``client.json`` (requests in order, the last one is the question), ``access.eg.jsonl``,
``access.guide.jsonl``, ``access.default.log`` (and any other ``access.*``), ``config_dump.json``,
``clusters.json``, ``clusters.txt``, ``listeners.json``, ``certs.json``, ``server_info.json``,
``stats.txt``, ``stats_prometheus.txt``, ``k8s.json``, ``envoy.log``.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from tasks.diagnosis import access_logs, config, folders, partial_json, prometheus, stats
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Gap, Proxy, Request, Skipped

Object = Mapping[str, Any]

#: Files of a bundle, and what cannot be told without them.
COSTS: Mapping[str, str] = {
    "client.json": "no request to explain: the newest failure of the access log is taken for it",
    "access log": "who answered is told by status, headers and body alone",
    "config_dump.json": "which virtual host and route match, and why others do not, is not known",
    "clusters.json": "health of endpoints is not known: only what the configuration lists",
    "certs.json": "when certificates expire is not known",
    "stats.txt": "counters that confirm a cause (panic, overflow, health checks) are not known",
    "k8s.json": "objects are named after Envoy's own names; conditions and policies are not known",
}
#: Entries of one log: a hundred megabytes of memory.
MOST_ENTRIES = 100_000
#: What a support bundle has of a cluster beside its objects.
OF_CLUSTER = ("names.json", "served.json")


def read(folder: Path) -> Evidence:
    """
    A folder of one proxy, of several as deploys/support_bundle.py writes it, of ``egctl
    experimental collect``, or of dumps of any name. Raises OSError where it cannot be read.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(folder))
    layout = folders.layout(folder)
    common = _Reading(layout.common)
    asked = layout.manifest is None or "client.json" in layout.common
    of_proxies = [_Reading(files, name) for name, files in (layout.proxies or {"": {}}).items()]
    proxies = [it.proxy(it.name or folder.name) for it in of_proxies]
    exchanges = tuple(_exchanges(common.json("client.json")))
    entries = common.entries(layout) if asked else ()
    objects = common.objects(layout.objects)
    manifest = _manifest(layout, common) if layout.manifest is not None else {}
    return Evidence(
        exchanges=exchanges,
        entries=entries,
        proxies=tuple(it for it in proxies if it is not None),
        objects=objects,
        gaps=(*manifest.pop("gaps", ()), *_gaps([common, *of_proxies], layout)),
        skipped=(
            *(Skipped(layout.kind, 1, it) for it in layout.problems),
            *(one for it in (common, *of_proxies) for one in it.skipped),
        ),
        logs={name: common.lines(path) for name, path in layout.logs.items()},
        **{"now": _newest(exchanges, entries), **manifest},
    )


def _manifest(layout: folders.Layout, reading: _Reading) -> dict[str, Any]:
    """What deploys/support_bundle.py knew when it read a cluster."""
    it = layout.manifest or {}
    names, served = (reading.object(name) if name in layout.common else None for name in OF_CLUSTER)
    return {
        "cluster": _text(it, "cluster", ""),
        "live": it.get("live") is True,
        "now": it["now"] if isinstance(it.get("now"), int | float) else None,
        "controller": _text(it, "controller", Evidence().controller),
        "names": {key: one for key, one in (names or {}).items() if isinstance(one, dict)},
        "served": None
        if served is None
        else {key: one for key, one in served.items() if isinstance(one, list)},
        "gaps": tuple(
            Gap(_text(one, "what", ""), _text(one, "why", ""), _text(one, "cost", ""))
            for one in _objects_in(it.get("not_read"))
        ),
    }


def _objects_in(value: Any) -> list[Object]:
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []


def _gaps(readings: Sequence[_Reading], layout: folders.Layout) -> Iterable[Gap]:
    """What is missing; of a support bundle what its manifest does not tell."""
    for name, cost in COSTS.items():
        for it in readings:
            if name not in it.missing:
                continue
            if layout.manifest is not None and it.missing[name] == "absent":
                continue
            of_one = f"{it.name}, {name}" if len(readings) > 2 and it.name else name
            yield Gap(of_one, it.missing[name], cost)


class _Reading:
    """
    Files of one proxy, or of all together: what was there, and what was wrong with it.

    + files: by their name in a bundle of one proxy; + name: of the proxy, "" for all together
    """

    def __init__(self, files: Mapping[str, Path], name: str = "") -> None:
        self.files, self.name = files, name
        self.skipped: list[Skipped] = []
        self.missing: dict[str, str] = {}

    def bytes(self, name: str, path: Path | None = None) -> bytes | None:
        path = path or self.files.get(name)
        try:
            if path is None:
                self.missing[name] = "absent"
                return None
            return path.read_bytes()
        except OSError as error:
            self.missing[name] = error.strerror or "cannot be read"
            return None

    def text(self, name: str, path: Path | None = None) -> str | None:
        found = self.bytes(name, path)
        return None if found is None else found.decode("utf-8", "replace")

    def json(self, name: str, path: Path | None = None) -> Any:
        text = self.text(name, path)
        if text is None:
            return None
        if not text.strip():
            self.missing[name] = "empty"
            return None
        value, cut = partial_json.read(text.lstrip("\ufeff"))
        if cut is not None:
            self.skipped.append(Skipped(name, 1, cut))
        return value

    def object(self, name: str) -> Object | None:
        value = self.json(name)
        if value is None or isinstance(value, dict):
            return value
        self.skipped.append(Skipped(name, 1, "not a JSON object"))
        self.missing[name] = "not a JSON object"
        return None

    def entries(self, layout: folders.Layout) -> tuple[Entry, ...]:
        """Of all proxies, oldest first; of one, in the order of its log."""
        read = {
            name: [self._entries(it, layout, name) for it in files]
            for name, files in layout.access.items()
        }
        found = [joined(it) for it in read.values() if it]
        if not any(read.values()):
            self.missing["access log"] = "absent"
        elif not any(found):
            self.missing["access log"] = "no line of it is in a known format, or it is empty"
        if len(found) == 1:
            return found[0]
        return tuple(sorted((one for it in found for one in it), key=lambda it: it.at))

    def _entries(self, path: Path, layout: folders.Layout, name: str) -> list[Entry]:
        source = name if layout.manifest is not None and name else path.name
        found: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        count = 0
        try:
            with path.open("rb") as file:
                for it in access_logs.entries(access_logs.lines_of(file), source):
                    if isinstance(it, Entry):
                        found.append(it)
                        count += 1
                    else:
                        self.skipped.append(it)
        except OSError as error:
            self.missing["access log"] = error.strerror or "cannot be read"
        if count > len(found):
            why = f"older than the newest {len(found)}: tasks.diagnosis.log_report sums all up"
            self.skipped.append(Skipped(source, count - len(found), why))
        return list(found)

    def lines(self, path: Path) -> tuple[str, ...]:
        try:
            return tuple(path.read_text("utf-8", "replace").splitlines())
        except OSError as error:
            self.skipped.append(Skipped(path.name, 1, error.strerror or "cannot be read"))
            return ()

    def proxy(self, name: str) -> Proxy | None:
        dump = self.bytes("config_dump.json")
        configuration = config.read(dump) if dump is not None and dump.strip() else None
        if dump is not None and configuration is None:
            self.missing["config_dump.json"] = "empty"
        if configuration is not None:
            self.skipped += [Skipped("config_dump.json", 1, it) for it in configuration.partial]
        text = self.text("stats.txt")
        metrics = self.text("stats_prometheus.txt")
        counted = stats.read(text) if text is not None else None
        if text is not None:
            self.skipped += stats.skipped(text, "stats.txt")
        elif metrics is not None:
            counted = prometheus.stats(metrics)
            self.missing.pop("stats.txt", None)
        clusters_text = self.text("clusters.txt")
        log = self.text("envoy.log")
        it = Proxy(
            name=name,
            config=configuration,
            clusters=self.object("clusters.json"),
            clusters_text=clusters_text,
            listeners=self.object("listeners.json"),
            certs=self.object("certs.json"),
            server_info=self.object("server_info.json"),
            stats=counted,
            prometheus=metrics,
            log=None if log is None else tuple(log.splitlines()),
        )
        if clusters_text is not None:
            self.missing.pop("clusters.json", None)
        known = (it.config, it.clusters, it.clusters_text, it.listeners, it.certs, it.stats)
        return it if any(one is not None for one in known) or it.log is not None else None

    def objects(self, files: Sequence[Path]) -> tuple[Object, ...] | None:
        """None where there is no file of them."""
        if not files:
            self.missing["k8s.json"] = "absent"
            return None
        read = [self._objects(it) for it in files]
        known = [it for it in read if it is not None]
        return tuple(one for it in known for one in it) if known else None

    def _objects(self, path: Path) -> list[Object] | None:
        """Of one file: JSON, also where it is cut, or YAML."""
        text = self.text("k8s.json", path)
        if text is not None and text.lstrip("\ufeff \t\r\n")[:1] not in ("{", "[", ""):
            return self._yaml(text, path.name)
        value = None if text is None else self.json("k8s.json", path)
        if value is None:
            return None
        items = value.get("items", [value]) if isinstance(value, dict) else value
        found = [it for it in items if _is_object(it)] if isinstance(items, list) else []
        wrong = len(items) - len(found) if isinstance(items, list) else 1
        if wrong:
            self.skipped.append(Skipped(path.name, wrong, "no objects with kind and metadata"))
        return found

    def _yaml(self, text: str, name: str) -> list[Object] | None:
        try:
            found, wrong = folders.objects(text)
        except ValueError as error:
            self.skipped.append(Skipped(name, 1, str(error)))
            return None
        if wrong:
            self.skipped.append(Skipped(name, wrong, "no objects with kind and metadata"))
        return found


def _is_object(it: Any) -> bool:
    return (
        isinstance(it, dict)
        and isinstance(it.get("kind"), str)
        and isinstance(it.get("metadata"), dict)
    )


def _exchanges(value: Any) -> Iterable[Exchange]:
    items = value.get("client", [value]) if isinstance(value, dict) else value
    for it in items if isinstance(items, list) else ():
        if isinstance(it, dict):
            yield _exchange(it)


def _exchange(it: Object) -> Exchange:
    asked = it.get("request")
    return Exchange(
        request=_request(asked if isinstance(asked, dict) else it),
        status=_status(it.get("status")),
        headers={**_texts(it.get("headers")), **_texts(it.get("trailers"))}
        if isinstance(asked, dict)
        else {},
        body=it["body"] if isinstance(it.get("body"), str) else "",
        error=it["error"] if isinstance(it.get("error"), str) and it["error"] else None,
    )


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 100 <= value <= 999 else None


def _request(it: Object) -> Request:
    sni = it.get("sni")
    return Request(
        method=_text(it, "method", "GET").upper(),
        scheme=_text(it, "scheme", "http").lower(),
        host=_text(it, "host", ""),
        path=_text(it, "path", "/"),
        headers=_texts(it.get("headers")),
        version=_text(it, "http_version", "1.1"),
        sni=sni if isinstance(sni, str) else "" if "sni" in it and sni is None else None,
        reused=it.get("reused_connection") is True,
    )


def _text(it: Object, key: str, default: str) -> str:
    value = it.get(key)
    return value if isinstance(value, str) and value else default


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(k): v if isinstance(v, str) else str(v) for k, v in value.items()}


def joined(logs: Sequence[Sequence[Entry]]) -> tuple[Entry, ...]:
    """
    Lines of several formats about the same requests as one entry each, the fuller format first;
    those that only one log has stay as they are.
    """
    if not logs:
        return ()
    first, *others = logs
    found = list(first)
    for other in others:
        places = {key: at for at, key in enumerate(_keys(found))}
        for entry, key in zip(other, _keys(other), strict=True):
            at = places.get(key)
            if at is None:
                found.append(entry)
            else:
                found[at] = _filled(found[at], entry)
    return tuple(sorted(found, key=lambda it: it.at)) if others else tuple(found)


def _keys(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """What is the same in each format: the request's id, or time, method and count of such."""
    seen: dict[tuple[str, ...], int] = {}
    keys = []
    for it in entries:
        key = (it.request_id,) if it.request_id else (it.at, it.method or "", str(it.status))
        seen[key] = seen.get(key, 0) + 1
        keys.append((*key, str(seen[key])))
    return keys


def _filled(it: Entry, other: Entry) -> Entry:
    empty = [one.name for one in fields(Entry) if getattr(it, one.name) is None]
    return replace(it, **{name: getattr(other, name) for name in empty})


def _newest(exchanges: Sequence[Exchange], entries: Sequence[Entry]) -> float | None:
    times = [one for it in entries[-50:] if (one := _seconds(it.at)) is not None]
    for it in exchanges:
        sent = next((v for k, v in it.headers.items() if k.lower() == "date"), "")
        try:
            times.append(parsedate_to_datetime(sent).timestamp())
        except (ValueError, TypeError):
            continue
    return max(times, default=None)


def _seconds(at: str) -> float | None:
    try:
        return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None

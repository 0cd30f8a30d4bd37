"""
What differs between a dashboard as we want it and as Grafana has it, and whether it was changed by
hand since we wrote it.

Every dashboard that is written carries a digest of its content among its tags. With the digest of
what is wanted now, all that differs was done by hand; with another one of ours, the content tells
whether it is still what was written then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Json = Mapping[str, Any]
#: Tag of our dashboards and of annotations of our runs, and the uid of our folder.
OURS = "envoyfleet"
#: The variable that says which data source a dashboard asks.
SOURCE = "datasource"
#: Title of the link to what an operator does about an alert.
RUNBOOKS = "Runbooks"
#: Grafana's own, in a dashboard that it has kept.
ADDED = ("id", "version", "schemaVersion", "iteration")
#: What a user chose last, which is saved with a dashboard.
CHOSEN = ("current", "options")
#: What tells the items of a list apart, the first that each of them has for itself.
NAMES = ("id", "refId", "name", "title")
#: Lines of a difference that are shown.
SHOWN = 5


@dataclass(frozen=True)
class Change:
    """
    A dashboard that is to be written.

    + lines: what differs, such as 'panel "Error rate": fieldConfig.defaults.unit: "short" instead
      of "percentunit"'; empty where only a new version of ours is written
    + absent: Grafana does not have it; + by_hand: somebody changed it since we wrote it, or made it
    """

    uid: str
    title: str
    lines: tuple[str, ...] = ()
    absent: bool = False
    by_hand: bool = False

    def told(self) -> list[str]:
        """
        For people: such as ["dashboard Envoy: Gateway was changed by hand, which is overwritten:",
        "  description is missing"].
        """
        if self.absent:
            return [f"dashboard {self.title} is not there yet"]
        if not self.by_hand:
            return [f"dashboard {self.title} is of an earlier version"]
        left = len(self.lines) - SHOWN
        return [
            f"dashboard {self.title} was changed by hand, which is overwritten:",
            *(f"  {line}" for line in self.lines[:SHOWN]),
            *([f"  and {left} more"] if left > 0 else []),
        ]


def wanted(dashboard: Json, source: str, uid: str | None, runbooks: str) -> dict[str, Any]:
    """
    A dashboard as it is written: it asks a data source, and has its digest among its tags.

    + source: the data source's name; + uid: its own, None where it could not be read
    + runbooks: where docs/alerts.md can be read; what is no URL leads nowhere from there
    """
    it = deepcopy(dict(dashboard))
    it["links"] = [
        {**link, "url": runbooks} if link["title"] == RUNBOOKS else link
        for link in it["links"]
        if link["title"] != RUNBOOKS or runbooks.startswith(("http://", "https://"))
    ]
    for variable in it["templating"]["list"]:
        if variable["name"] == SOURCE and uid is not None:
            variable["current"] = {"selected": True, "text": source, "value": uid}
    it["tags"] = [*it["tags"], _tag(it)]
    return it


def change(dashboard: Json, found: Json | None, folder: str) -> Change | None:
    """
    What is to be written, or None where nothing is.

    + dashboard: of ``wanted``; + folder: uid of the one it belongs into
    + found: what GET /api/dashboards/uid/<uid> answers: {"dashboard": {...}, "meta": {...}}
    """
    uid, title = str(dashboard["uid"]), str(dashboard["title"])
    if found is None:
        return Change(uid, title, absent=True)
    theirs = found["dashboard"]
    lines = tuple(_differences(dashboard, found, folder))
    tags = [str(it) for it in theirs.get("tags") or ()]
    if _tag(dashboard) in tags:  # what we write now is what we wrote last
        return Change(uid, title, lines, by_hand=True) if lines else None
    return Change(uid, title, lines, by_hand=_tag(theirs) not in tags)


def saved(dashboard: Json, found: Json | None, folder: str, message: str) -> dict[str, Any]:
    """
    The body of POST /api/dashboards/db. It names the version that was looked at, so that Grafana
    refuses it where somebody saved meanwhile (Grafana docs, Dashboard HTTP API: 412).
    """
    theirs = found["dashboard"] if found else {}
    known = {"id": theirs.get("id"), "version": theirs.get("version", 0)}
    return {
        "dashboard": {**dashboard, **known},
        "folderUid": folder,
        "message": message,
        "overwrite": False,
    }


def own_folder(folders: Sequence[Json], title: str) -> Json | None:
    """The folder for our dashboards: the one of our uid, or else one of that title."""
    by_uid = (it for it in folders if it.get("uid") == OURS)
    by_title = (it for it in folders if it.get("title") == title)
    return next(by_uid, None) or next(by_title, None)


def conflict(status: str) -> str:
    """
    Why Grafana answers 412 to a dashboard, and what to do (Grafana docs, Dashboard HTTP API).

    + status: of the answer's body, such as "version-mismatch"
    """
    if status == "name-exists":
        return "another dashboard of this folder has its title: rename or delete that one"
    if status == "plugin-dashboard":
        return "it belongs to a plugin there: delete it, or use another Grafana"
    return "somebody saved it while we looked at it: run again"


def source_body(name: str, url: str, found: Json | None) -> dict[str, Any]:
    """
    A data source of Prometheus to be made; or ``found`` with this URL, as it is written back whole.
    """
    if found is not None:
        kept = {k: v for k, v in found.items() if k not in ("accessControl", "typeLogoUrl")}
        return {**kept, "url": url}
    return {
        "name": name,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST"},
    }


def digest(dashboard: Json) -> str:
    """Of its content, whatever Grafana has added and whatever was chosen last in its variables."""
    content = {k: v for k, v in dashboard.items() if k not in (*ADDED, "tags")}
    content["tags"] = sorted(it for it in dashboard.get("tags") or () if not _is_mark(it))
    content["templating"] = {"list": [_unchosen(it) for it in _variables(dashboard)]}
    text = json.dumps(_without_nulls(content), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:12]


def _tag(dashboard: Json) -> str:
    return f"{OURS}:{digest(dashboard)}"


def _is_mark(tag: object) -> bool:
    return str(tag).startswith(f"{OURS}:")


def _variables(dashboard: Json) -> list[Json]:
    found = (dashboard.get("templating") or {}).get("list") or []
    return [it for it in found if isinstance(it, Mapping)]


def _unchosen(variable: Json) -> dict[str, Any]:
    """Without what users chose. Which data source is asked is ours to say."""
    kept = {k: v for k, v in variable.items() if k not in CHOSEN}
    if variable.get("name") == SOURCE:
        kept["current"] = {"value": (variable.get("current") or {}).get("value")}
    return kept


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(it) for it in value] if isinstance(value, list) else value


def _differences(dashboard: Json, found: Json, folder: str) -> Iterator[str]:
    theirs, meta = found["dashboard"], found.get("meta") or {}
    if (meta.get("folderUid") or "") != folder:
        yield f"it is in folder {meta.get('folderTitle') or 'Dashboards'}"
    skipped = (*ADDED, "tags", "templating")
    yield from _compared({k: v for k, v in dashboard.items() if k not in skipped}, theirs, "")
    ours = [_unchosen(it) for it in _variables(dashboard)]
    yield from _compared(ours, [_unchosen(it) for it in _variables(theirs)], "variables")
    for tag in dashboard["tags"]:
        if tag not in (theirs.get("tags") or ()) and not _is_mark(tag):
            yield f"tag {tag} is missing"


def _compared(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    """What of ours they do not have; what they have besides in a map was filled in by Grafana."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key, value in ours.items():
            place = f"{where}.{key}" if where else str(key)
            if key not in theirs:
                if value is not None:
                    yield f"{place} is missing"
            else:
                yield from _compared(value, theirs[key], place)
    elif isinstance(ours, list) and isinstance(theirs, list) and _name_of(ours) is not None:
        yield from _items(ours, theirs, where)
    elif ours != theirs:
        yield f"{where}: {_short(theirs)} instead of {_short(ours)}"


def _items(ours: list[Any], theirs: list[Any], where: str) -> Iterator[str]:
    name = str(_name_of(ours))
    left = {it.get(name): it for it in theirs if isinstance(it, Mapping)}
    for it in ours:
        their = left.pop(it[name], None)
        if their is None:
            yield f"{_title(it, where)} is missing"
        else:
            for line in _compared(it, their, ""):
                yield f"{_title(it, where)}: {line}"
    for it in left.values():
        yield f"{_title(it, where)} was added"


def _name_of(items: list[Any]) -> str | None:
    """None for a list whose items have no names, so that their order matters."""
    if not items or not all(isinstance(it, Mapping) for it in items):
        return None
    for name in NAMES:
        if len({it.get(name) for it in items} - {None}) == len(items):
            return name
    return None


def _title(item: Json, where: str) -> str:
    """Such as 'panel "Error rate"' or 'query A'."""
    kind = {"panels": "panel", "targets": "query", "variables": "variable"}
    last = where.rsplit(".", 1)[-1]
    named = item.get("title") or item.get("name") or item.get("refId") or item.get("id")
    return f"{kind.get(last, last.removesuffix('s'))} {_short(named)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:57]}..."

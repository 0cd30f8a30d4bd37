"""
A Grafana in this process: the few requests that we send, answered as its published API says. No
Grafana is among the packages that can be had here, so that none ran; ``PUBLISHED`` is what the
stand-in and our requests are held against.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from typing_extensions import override

TOKEN = "glsa_of-the-stand-in"
Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One of Grafana's: + fields: that a body may have; + statuses: that it may answer"""

    fields: frozenset[str]
    statuses: frozenset[int]


def _call(fields: str, statuses: str) -> Call:
    return Call(frozenset(fields.split()), frozenset(int(it) for it in statuses.split()))


#: Read out of Grafana's own description of its API (github.com/grafana/grafana-openapi-client-go at
#: 6029e6c, 2026-07-24, which is generated from public/api-merged.json of Grafana): by method and
#: path, what a body may have and what is answered. 409 and 412 of folders are not met by us.
PUBLISHED: Mapping[str, Call] = {
    "GET /api/folders": _call("", "200 401 403 500"),
    "POST /api/folders": _call("uid title description parentUid", "200 400 401 403 409 500"),
    "PUT /api/folders/{uid}": _call(
        "title description version overwrite", "200 400 401 403 404 409 500"
    ),
    "GET /api/datasources/name/{name}": _call("", "200 401 403 404 500"),
    "POST /api/datasources": _call(
        "access basicAuth basicAuthUser database isDefault jsonData name secureJsonData type uid "
        "url user withCredentials",
        "200 401 403 409 500",
    ),
    "PUT /api/datasources/uid/{uid}": _call(
        "access basicAuth basicAuthUser database isDefault jsonData name secureJsonData type uid "
        "url user version withCredentials",
        "200 401 403 409 500",
    ),
    "GET /api/dashboards/uid/{uid}": _call("", "200 401 403 404 406 500"),
    "POST /api/dashboards/db": _call(
        "dashboard folderUid message overwrite", "200 400 401 403 404 412 422 500"
    ),
    "POST /api/annotations": _call(
        "dashboardUID data panelId tags text time timeEnd", "200 400 401 403 500"
    ),
    "PATCH /api/annotations/{id}": _call("data tags text time timeEnd", "200 401 403 404 500"),
}


@dataclass
class Grafana:
    """
    + role: of the token: "Admin", "Editor" (no data sources), "Viewer" (writes nothing)
    + asked: such as "GET /api/folders"; + bodies: of the requests that write
    + meanwhile: called before a dashboard is saved, as if somebody else did something
    """

    url: str = ""
    role: str = "Admin"
    folders: dict[str, Json] = field(default_factory=dict)
    sources: dict[str, Json] = field(default_factory=dict)
    dashboards: dict[str, Json] = field(default_factory=dict)
    annotations: dict[int, Json] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    provisioned: set[str] = field(default_factory=set)
    broken: tuple[int, str] | None = None
    meanwhile: Any = None

    @property
    def writes(self) -> list[str]:
        return [it for it in self.asked if not it.startswith("GET")]

    def source(self, name: str = "Prometheus", kind: str = "prometheus", url: str = "") -> Json:
        uid = f"P{len(self.sources) + 1}"
        self.sources[name] = {
            "id": len(self.sources) + 1,
            "uid": uid,
            "orgId": 1,
            "name": name,
            "type": kind,
            "access": "proxy",
            "url": url,
            "jsonData": {},
            "version": 1,
            "readOnly": False,
        }
        return self.sources[name]

    def by_hand(self, uid: str, change: Any) -> None:
        """Save a dashboard as a user does who changed it: ``change`` gets it."""
        change(self.dashboards[uid]["dashboard"])
        self.dashboards[uid]["dashboard"]["version"] += 1

    def answer(self, method: str, path: str, body: Json) -> tuple[int, Any]:
        what = f"{method} {re.sub(r'[?].*', '', path)}"
        if method != "GET" and (self.role == "Viewer" or self._is_above_editor(what)):
            return 403, {
                "accessErrorId": "ACE0000000001",
                "message": "You'll need additional permissions to perform this action.",
                "title": "Access denied",
            }
        if what.startswith("GET /api/datasources") and self.role != "Admin":
            return 403, {"message": "You'll need additional permissions to perform this action."}
        name = unquote(what.rsplit("/", 1)[-1])
        if what == "GET /api/folders":
            return 200, [{k: it[k] for k in ("id", "uid", "title")} for it in self.folders.values()]
        if what == "POST /api/folders":
            return self._make_folder(body)
        if what.startswith("PUT /api/folders/"):
            return self._rename(name, body)
        if what.startswith("GET /api/datasources/name/"):
            found = self.sources.get(name)
            return (200, found) if found else (404, {"message": "Data source not found"})
        if what == "POST /api/datasources":
            return self._make_source(body)
        if what.startswith("PUT /api/datasources/uid/"):
            return self._change_source(name, body)
        if what.startswith("GET /api/dashboards/uid/"):
            found = self.dashboards.get(name)
            return (200, found) if found else (404, {"message": "Dashboard not found"})
        if what == "POST /api/dashboards/db":
            return self._save(body)
        if what == "POST /api/annotations":
            self.annotations[len(self.annotations) + 1] = body
            return 200, {"message": "Annotation added", "id": len(self.annotations)}
        if what.startswith("PATCH /api/annotations/"):
            if int(name) not in self.annotations:
                return 404, {"message": "Annotation not found"}
            self.annotations[int(name)] |= body
            return 200, {"message": "Annotation patched"}
        return 404, {"message": "Not found"}

    def _is_above_editor(self, what: str) -> bool:
        return self.role == "Editor" and "/api/datasources" in what

    def _make_folder(self, body: Json) -> tuple[int, Any]:
        if body["uid"] in self.folders:
            return 409, {"message": "a folder with the same UID already exists"}
        self.folders[body["uid"]] = {"id": len(self.folders) + 1, "version": 1, **body}
        return 200, self.folders[body["uid"]]

    def _rename(self, uid: str, body: Json) -> tuple[int, Any]:
        if uid not in self.folders:
            return 404, {"status": "not-found", "message": "folder not found"}
        self.folders[uid]["title"] = body["title"]
        return 200, self.folders[uid]

    def _make_source(self, body: Json) -> tuple[int, Any]:
        if body["name"] in self.sources:
            return 409, {"message": "data source with the same name already exists"}
        made = self.source(body["name"], body["type"], body["url"])
        made["jsonData"] = body["jsonData"]
        return 200, {"datasource": made, "id": made["id"], "message": "Datasource added"}

    def _change_source(self, uid: str, body: Json) -> tuple[int, Any]:
        for it in self.sources.values():
            if it["uid"] == uid:
                it |= {k: v for k, v in body.items() if k in it}
                it["version"] += 1
                return 200, {"datasource": it, "message": "Datasource updated"}
        return 404, {"message": "Data source not found"}

    def _save(self, body: Json) -> tuple[int, Any]:
        if self.meanwhile is not None:
            self.meanwhile()
        new, uid = deepcopy(body["dashboard"]), body["dashboard"]["uid"]
        if not new.get("title"):
            return 400, {"message": "Dashboard title cannot be empty", "status": "empty-name"}
        if uid in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found", "status": "not-found"}
        old = self.dashboards.get(uid, {}).get("dashboard")
        if old is not None and new.get("version") != old["version"] and not body["overwrite"]:
            return 412, {
                "message": "The dashboard has been changed by someone else",
                "status": "version-mismatch",
            }
        if old is None and new.get("id") is not None:
            return 404, {"message": "Dashboard not found", "status": "not-found"}
        new |= {
            "id": old["id"] if old else len(self.dashboards) + 1,
            "version": old["version"] + 1 if old else 1,
        }
        folder = self.folders[body["folderUid"]]
        self.dashboards[uid] = {
            "dashboard": new,
            "meta": {
                "folderUid": folder["uid"],
                "folderTitle": folder["title"],
                "provisioned": False,
                "version": new["version"],
                "url": f"/d/{uid}/x",
            },
        }
        return 200, {
            "id": new["id"],
            "uid": uid,
            "url": f"/d/{uid}/x",
            "status": "success",
            "version": new["version"],
            "slug": "x",
        }


def published(method: str, path: str) -> Call | None:
    """What is published of a request."""
    for known, it in PUBLISHED.items():
        verb, pattern = known.split()
        if verb == method and re.fullmatch(
            re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern)), urlsplit(path).path
        ):
            return it
    return None


@contextmanager
def standing_grafana() -> Iterator[Grafana]:
    """A Grafana with a data source "Prometheus" and nothing else."""
    grafana = Grafana()
    grafana.source()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(grafana))
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(grafana: Grafana) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm, wbufsize = True, -1

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_PUT = do_PATCH = do_GET

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else {}
            grafana.asked.append(f"{self.command} {unquote(self.path)}")
            if self.command != "GET":
                grafana.bodies.append(body)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._say(401, {"message": "Invalid API key"})
            elif grafana.broken is not None:
                self._say(*grafana.broken)
            else:
                self._say(*grafana.answer(self.command, self.path, body))

        def _say(self, status: int, body: Any) -> None:
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "/login")
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler

"""
Grafana over its HTTP API: our folder, the data source, dashboards, and annotations of our runs.

Clusters share a Grafana, so that each is read and written once a run, whichever cluster asks first
(Grafana docs, HTTP API: Dashboard, Folder, Data source and Annotations).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import DeployError
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.connectors import azure
from tasks.connectors.azure import SignInError
from tasks.connectors.once import Once
from tasks.fleet import environment
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Grafana
from tasks.fleet.render import TEMPLATES, render
from tasks.plans import grafana as plans
from tasks.plans.grafana import OURS, Change

Json = dict[str, Any]
#: Azure Managed Grafana's own application in Entra ID, which the azure-cli extension amg asks for;
#: Microsoft Learn ("Authenticate to data plane APIs") calls the audience https://dashboard.azure.com.
AZURE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f"
#: Seconds to connect, and to wait for an answer.
TIMEOUT = (5, 20)
#: Folders that are listed at once, which is what Grafana gives at most.
FOLDERS = 1000
DASHBOARDS = TEMPLATES / "monitoring" / "dashboards"


class Refused(DeployError):
    """Grafana does not let this token do that; the message is one line that says what to do."""


class Failed(DeployError):
    """Grafana cannot be reached, or does not answer as it should; one line too."""


@dataclass(frozen=True)
class Source:
    """The data source. + found: None is absent; + readable: this token may read data sources"""

    found: Json | None
    readable: bool = True


@dataclass(frozen=True)
class Written:
    """+ lines: what was written, such as "dashboard Envoy: Gateway"; + problems: what was not"""

    lines: Sequence[str] = ()
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class State:
    """
    What a Grafana has of ours, and what is to be written.

    + folder: None is absent; + found: by uid, what Grafana answers for a dashboard
    + wanted: dashboards as they are written, by uid; + changes: those of them that differ
    + makes: lines for folder and data source, such as "folder Envoy Gateway is not there yet"
    """

    folder: Mapping[str, Any] | None
    source: Source
    found: Mapping[str, Json]
    wanted: Mapping[str, Json]
    changes: Sequence[Change]
    makes: Sequence[str]

    def told(self) -> list[str]:
        """What is to be written, a line each; empty where nothing is."""
        return [*self.makes, *(line for it in self.changes for line in it.told())]


_read: Once[tuple[Any, ...], State] = Once()
_written: Once[tuple[Any, ...], Written] = Once()
_after: Once[tuple[Any, ...], State] = Once()


@cache
def dashboards() -> tuple[Json, ...]:
    """The dashboards that are delivered, by file name. ``python -m tasks.dashboards`` made them."""
    paths = sorted(DASHBOARDS.glob("*.json"))
    return tuple(json.loads(it.read_text(encoding="utf-8")) for it in paths)


def read(settings: Grafana, runbooks: str = "") -> State:
    """
    What differs there; a request for folders, one for the data source and one a dashboard, once a
    run. Raises Refused or Failed.

    + runbooks: where docs/alerts.md can be read, such as "https://.../docs/alerts.md"
    """
    key = (*_key(settings), runbooks)
    return _read.get(key, lambda: _state(_Api.of(settings), settings, runbooks))


def read_again(settings: Grafana, runbooks: str = "") -> State:
    """
    As ``read``, after ``write``, which is once a run as well. Raises Refused or Failed.
    """
    key = (*_key(settings), runbooks)
    found = _after.get(key, lambda: _state(_Api.of(settings), settings, runbooks))
    _read.put(key, found)
    return found


def write(settings: Grafana, runbooks: str = "") -> Written:
    """
    Make it as wanted; whoever asks first gets what was written, others nothing. Reads again, and
    writes only what differs; one dashboard that Grafana refuses does not stop the others.

    Raises Refused or Failed where nothing can be written at all.
    """
    found: list[Written] = []

    def now() -> Written:
        found.append(_write(_Api.of(settings), settings, runbooks))
        return found[0]

    _written.get((*_key(settings), runbooks), now)
    return found[0] if found else Written()


def config_maps(
    cluster: str, namespace: str, settings: Grafana, runbooks: str = ""
) -> list[dict[str, Any]]:
    """
    The dashboards as objects that Grafana's sidecar reads, one each; written to ``rendered`` too.

    + runbooks: see ``read``
    """
    found = []
    for it in dashboards():
        wanted = plans.wanted(it, settings.data_source, None, runbooks)
        found += render(
            "monitoring/dashboard.yaml.j2",
            cluster,
            part=it["uid"],
            name=it["uid"],
            namespace=namespace,
            labels={**settings.labels, "app.kubernetes.io/managed-by": OURS},
            folder=settings.folder,
            file=f"{it['uid']}.json",
            text=json.dumps(wanted, separators=(",", ":"), ensure_ascii=False),
        )
    return found


def annotate(
    settings: Grafana,
    text: str,
    tags: Sequence[str],
    begin: float,
    end: float | None = None,
    annotation: int | None = None,
) -> int:
    """
    A region on our dashboards for something that our run does; its id. One request.

    + tags: such as ["upgrade", "weu-1"]; ours is put before them
    + begin, end: seconds since 1970; without end it is a line until it is ended
    + annotation: the id of the one that ends now; None makes one

    Raises Refused or Failed.
    """
    body: Json = {"text": text, "tags": [OURS, *tags], "time": int(begin * 1000)}
    if end is not None:
        body["timeEnd"] = int(end * 1000)
    api = _Api.of(settings)
    if annotation is not None:
        api.ask("PATCH", f"/api/annotations/{annotation}", body, "end an annotation")
        return annotation
    return int(api.ask("POST", "/api/annotations", body, "make an annotation")["id"])


class Write(StringCommand):
    """
    ``write`` as one command; afterwards ``problems`` has what was refused. Prints as ``grafana
    write``.
    """

    def __init__(self, settings: Grafana, runbooks: str) -> None:
        super().__init__("grafana", "write", str(settings.url))
        self.settings, self.runbooks = settings, runbooks
        self.problems: list[str] = []

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        host.connector.last_error = None  # of a command before this one
        try:
            self.problems += write(self.settings, self.runbooks).problems
        except (Refused, Failed) as error:
            self.problems.append(str(error))
        return True, CommandOutput([])


def _key(settings: Grafana) -> tuple[Any, ...]:
    return (
        settings.url,
        settings.token_env,
        settings.folder,
        settings.data_source,
        settings.prometheus,
    )


def _state(api: _Api, settings: Grafana, runbooks: str) -> State:
    folders = api.ask("GET", f"/api/folders?limit={FOLDERS}", None, "list folders")
    folder = plans.own_folder(folders, settings.folder)
    source = _source(api, settings)
    uid = source.found["uid"] if source.found else None
    wanted = {
        it["uid"]: plans.wanted(it, settings.data_source, uid, runbooks) for it in dashboards()
    }
    found = {}
    for name in wanted:
        answer = api.ask(
            "GET", f"/api/dashboards/uid/{name}", None, f"read dashboard {name}", absent=True
        )
        if answer is not None:
            found[name] = answer
    place = str(folder["uid"]) if folder else OURS
    changes = [plans.change(it, found.get(name), place) for name, it in wanted.items()]
    return State(
        folder,
        source,
        found,
        wanted,
        [it for it in changes if it is not None],
        _makes(settings, folder, source),
    )


def _source(api: _Api, settings: Grafana) -> Source:
    path = f"/api/datasources/name/{quote(settings.data_source, safe='')}"
    try:
        found = api.ask("GET", path, None, "read data sources", absent=True)
    except Refused:
        if settings.prometheus is not None:
            raise
        return Source(None, readable=False)
    if found is None and settings.prometheus is None:
        raise Failed(
            f"Grafana {settings.url} has no data source {settings.data_source}: correct "
            "monitoring.grafana.data_source, or say with monitoring.grafana.prometheus which one "
            "is to be made"
        )
    if found is not None and found.get("type") != "prometheus":
        raise Failed(
            f"data source {settings.data_source} of Grafana {settings.url} is of type "
            f"{found.get('type')}: name one of Prometheus in monitoring.grafana.data_source"
        )
    return Source(found)


def _makes(settings: Grafana, folder: Mapping[str, Any] | None, source: Source) -> list[str]:
    lines = []
    if folder is None:
        lines.append(f"folder {settings.folder} is not there yet")
    elif folder["title"] != settings.folder:
        lines.append(f"folder {folder['title']} becomes {settings.folder}")
    if settings.prometheus is not None:
        if source.found is None:
            lines.append(f"data source {settings.data_source} is not there yet")
        elif source.found.get("url") != settings.prometheus:
            lines.append(f"data source {settings.data_source} asks {source.found.get('url')}")
    return lines


def _write(api: _Api, settings: Grafana, runbooks: str) -> Written:
    state = _state(api, settings, runbooks)
    lines, problems = [], []
    if settings.prometheus is not None and (
        state.source.found is None or state.source.found.get("url") != settings.prometheus
    ):
        _write_source(api, settings, state.source.found)
        lines.append(f"data source {settings.data_source}")
    if state.folder is None or state.folder["title"] != settings.folder:
        _write_folder(api, settings, state.folder)
        lines.append(f"folder {settings.folder}")
    if lines:  # dashboards name the data source, and are compared with where they belong
        state = _state(api, settings, runbooks)
    for it in state.changes:
        try:
            _save(api, state, it.uid)
            lines.append(f"dashboard {it.title}")
        except (Refused, Failed) as error:
            problems.append(str(error))
    return Written(lines, problems)


def _write_folder(api: _Api, settings: Grafana, found: Mapping[str, Any] | None) -> None:
    if found is None:
        new: Json = {"uid": OURS, "title": settings.folder}
        api.ask("POST", "/api/folders", new, "make a folder")
    else:
        changed: Json = {"title": settings.folder, "overwrite": True}
        api.ask("PUT", f"/api/folders/{found['uid']}", changed, "rename a folder")


def _write_source(api: _Api, settings: Grafana, found: Json | None) -> None:
    body = plans.source_body(settings.data_source, str(settings.prometheus), found)
    if found is None:
        api.ask("POST", "/api/datasources", body, "make a data source")
    else:
        path = f"/api/datasources/uid/{found['uid']}"
        api.ask("PUT", path, body, f"change data source {settings.data_source}")


def _save(api: _Api, state: State, uid: str) -> None:
    wanted = state.wanted[uid]
    folder = str(state.folder["uid"]) if state.folder else OURS
    message = f"envoyfleet {fleet_run.current().id}"
    body = plans.saved(wanted, state.found.get(uid), folder, message)
    api.ask("POST", "/api/dashboards/db", body, f"write dashboard {wanted['title']}")


@dataclass(frozen=True)
class _Api:
    """+ url: without a slash at its end; + session: with the token in its headers"""

    url: str
    session: Any

    @classmethod
    def of(cls, settings: Grafana) -> _Api:
        import requests

        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {_token(settings)}"
        return cls(str(settings.url).rstrip("/"), session)

    def ask(
        self, method: str, path: str, body: Json | None, doing: str, absent: bool = False
    ) -> Any:
        """
        The answer. + doing: such as "list folders"; + absent: None instead of a refusal where it is
        not there. Raises Refused or Failed.
        """
        import requests

        try:
            answer = self.session.request(
                method, f"{self.url}{path}", json=body, timeout=TIMEOUT, allow_redirects=False
            )
        except (requests.RequestException, OSError) as error:
            raise Failed(
                f"Grafana {self.url} cannot be reached ({type(error).__name__}): correct "
                "monitoring.grafana.url, or let this machine reach it"
            ) from None
        if absent and answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise self._refusal(answer, doing)
        try:
            return answer.json()
        except ValueError:
            raise Failed(
                f"{self.url} does not answer as Grafana: correct monitoring.grafana.url"
            ) from None

    def _refusal(self, answer: Any, doing: str) -> DeployError:
        status, said = answer.status_code, _said(answer)
        if status == 401:
            return Refused(
                f"Grafana {self.url} takes no such token: make a new one for the service account "
                "and put it where monitoring.grafana.token_env says"
            )
        if status == 403:
            return Refused(
                f"Grafana {self.url} does not let this token {doing}{said}: give its service "
                "account the role Editor (Admin where it makes the data source)"
            )
        if status == 412:
            why = plans.conflict(_field(answer, "status"))
            return Failed(f"Grafana {self.url} does not {doing}: {why}")
        if answer.is_redirect:
            return Failed(
                f"Grafana {self.url} sends this somewhere else: put the address that it has now "
                "into monitoring.grafana.url"
            )
        return Failed(f"Grafana {self.url} answers {status} to {doing}{said}")


def _said(answer: Any) -> str:
    """Such as " (Dashboard title cannot be empty)": what Grafana says in a refusal."""
    text = _field(answer, "message")
    return f" ({' '.join(text.split())[:120]})" if text else ""


def _field(answer: Any, name: str) -> str:
    """Of an answer that may be anything."""
    try:
        return str(answer.json().get(name) or "")
    except (ValueError, AttributeError):
        return ""


def _token(settings: Grafana) -> str:
    if settings.token_env is None:
        try:
            return azure.token(None, azure.scope(AZURE))
        except SignInError as error:
            raise Refused(f"Grafana {settings.url}: {error}") from None
    found = environment.secret(settings.token_env).strip()
    if not found:
        raise Refused(
            f"Grafana {settings.url}: the environment variable {settings.token_env} is not set: "
            "put a token of a service account into it"
        )
    return found

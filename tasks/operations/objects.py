"""
Many objects of any kind: listed page by page, a kind or a namespace at a time, and written in
batches, several at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.connectors.api import Api, ApiError, anew
from tasks.connectors.command import APPLY, Call
from tasks.facts.kube import listed as items_of
from tasks.fleet.guard import session
from tasks.plans import kinds
from tasks.plans.kinds import title
from tasks.plans.objects import MANAGER
from tasks.plans.resources import Resource

JSON = "application/json"
#: Requests at once, and attempts at one that others write too.
AT_ONCE, ATTEMPTS = 8, 5
#: Helm's records have a megabyte each, and are nobody's to restore.
NO_RECORDS = {"fieldSelector": "type!=helm.sh/release.v1"}

Object = Mapping[str, Any]


def listed(places: Iterable[tuple[Resource, str | None]]) -> list[dict[str, Any]]:
    """
    All objects of some resources, ``AT_ONCE`` lists at a time; nothing of a resource that is not
    served.

    + places: resources, each with its namespace, None is everywhere

    Raises OperationError where one cannot be read.
    """
    from gevent.pool import Pool

    api = session()
    found: list[dict[str, Any]] = []
    for them in Pool(AT_ONCE).map(lambda it: _listed(api, *it), list(dict.fromkeys(places))):
        if isinstance(them, ApiError):
            raise OperationError(f"the objects that are there cannot be read: {them}")
        found += them
    return found


def _listed(api: Api, resource: Resource, namespace: str | None) -> list[dict[str, Any]] | ApiError:
    path = resource.path(namespace)
    query = NO_RECORDS if (resource.group, resource.kind) == ("", "Secret") else {}
    try:
        return anew(lambda: [it for page in api.pages(path, **query) for it in items_of(page)])
    except ApiError as error:
        return [] if error.status == 404 else ApiError(0, f"GET {path}: {error}")


class Batch(StringCommand):
    """
    Writes that can be done at the same time, as one command. Every one is tried.

    + writes: by title; each returns nothing, or raises ApiError
    + refused: gets a line for each that was refused; whoever yields this fails in the end
    """

    def __init__(
        self, writes: Sequence[tuple[str, Callable[[Api], object]]], refused: list[str]
    ) -> None:
        super().__init__("kube", "write", f"{len(writes)} objects")
        self.writes, self.refused = writes, refused

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        from gevent.pool import Pool

        api: Api = host.connector.api
        host.connector.last_error = None  # of a command before this one
        tried = Pool(AT_ONCE).map(lambda it: _tried(api, *it), self.writes)
        self.refused += [it for it in tried if it is not None]
        return True, CommandOutput([])


def _tried(api: Api, name: str, write: Callable[[Api], object]) -> str | None:
    try:
        write(api)
    except ApiError as error:
        # What the server says of a Secret may quote it.
        why = f"status {error.status}" if name.startswith("Secret ") else str(error)
        return f"{name}: refused by the API server: {why}"
    return None


def applied(api: Api, path: str, manifest: Object) -> dict[str, Any]:
    """Server-side apply of one object, over whoever owns its fields. Raises ApiError."""
    query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Warn"}
    answer = api.text(Call("PATCH", path, query, dict(manifest), APPLY, None, frozenset()))
    found: dict[str, Any] = json.loads(answer)
    return found


def replaced(api: Api, path: str, manifest: Object, live: Object) -> dict[str, Any]:
    """
    An object without what the manifest does not say: server-side apply leaves fields that others
    own. Finalizers stay. Raises ApiError.

    + live: as it was applied
    """
    query = {"fieldManager": MANAGER, "fieldValidation": "Warn"}
    for attempt in range(1, ATTEMPTS + 1):
        kept = {k: v for k, v in live["metadata"].items() if k in ("resourceVersion", "finalizers")}
        body = {**manifest, "metadata": {**manifest["metadata"], **kept}}
        try:
            answer = api.text(Call("PUT", path, query, body, JSON, None, frozenset()))
        except ApiError as error:
            if error.status != 409 or attempt == ATTEMPTS:
                raise
            live = api.json("GET", path)
            continue
        found: dict[str, Any] = json.loads(answer)
        return found
    raise AssertionError("unreachable")


def as_new(things: Sequence[Object]) -> list[dict[str, Any] | None]:
    """
    What the server would store for each if it were new, ``AT_ONCE`` at a time: with its defaults,
    and without the fields of anybody else. None for one that it refuses. Nothing is stored.

    Raises OperationError where that may not be asked.
    """
    from gevent.pool import Pool

    api = session()
    found = Pool(AT_ONCE).map(lambda it: _as_new(api, it), things)
    for thing, it in zip(things, found, strict=True):
        if isinstance(it, ApiError) and it.status in (401, 403):
            raise OperationError(f"{title(thing)}: it cannot be compared: {it}: allow create on it")
    return [None if isinstance(it, ApiError) else it for it in found]


def _as_new(api: Api, thing: Object) -> dict[str, Any] | ApiError:
    meta = {key: it for key, it in thing["metadata"].items() if key != "name"}
    body = {**thing, "metadata": {**meta, "generateName": f"{MANAGER}-"}}
    path = kinds.path(thing["apiVersion"], thing["kind"], meta.get("namespace"))
    query = {"dryRun": "All", "fieldManager": MANAGER, "fieldValidation": "Strict"}
    try:
        found: dict[str, Any] = json.loads(
            api.text(Call("POST", path, query, body, JSON, None, frozenset()))
        )
    except ApiError as error:
        return error
    return found


def deleted(api: Api, path: str) -> None:
    """One object that may be gone already. Raises ApiError."""
    try:
        api.text(Call("DELETE", path, {}, None, JSON, None, frozenset()))
    except ApiError as error:
        if error.status != 404:
            raise


def path_of(resource: Resource, thing: Object) -> str:
    """The path of one object, such as "/api/v1/namespaces/edge/secrets/tls"."""
    return resource.path(thing["metadata"].get("namespace"), thing["metadata"]["name"])


def named(things: Iterable[Object]) -> list[str]:
    """Their titles."""
    return [title(it) for it in things]

"""
What a runbook changes, one object at a time: shown as the API server would make it, with what
brings it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra.api.exceptions import OperationError

from tasks.connectors.api import Api, ApiError
from tasks.connectors.command import APPLY, Call, KubeCommand
from tasks.fleet.guard import Steps, session
from tasks.plans import kinds, objects
from tasks.plans.objects import MANAGER
from tasks.plans.runbooks import actions
from tasks.plans.runbooks.source import Action, Target

Object = Mapping[str, Any]
JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
#: Verbs that are done here; nouns of their own do the others.
OWN = ("patch", "delete", "apply")


@dataclass(frozen=True)
class Planned:
    """
    + diff: lines, none for what is deleted or made elsewhere; + undo: what brings back what was
    there, as the journal keeps it; empty where nothing can
    """

    diff: tuple[str, ...] = ()
    undo: tuple[dict[str, Any], ...] = ()


def planned(action: Action) -> Planned:
    """What an action would do now; a dry run. Raises OperationError where it would be refused."""
    if action.verb == "restore":
        return Planned(undo=(actions.undo("delete", action.target),))
    if action.verb not in ("patch", "apply"):
        return Planned()
    api = session()
    live = _live(api, action.target)
    if live is None and action.verb == "patch":
        raise OperationError(f"{action.target.text} does not exist any more: look again")
    after = json.loads(_call(api, _call_of(action, dry=True), action.target))
    if live is None:
        return Planned(tuple(objects.diff(None, after)), (actions.undo("delete", action.target),))
    diff = tuple(objects.diff(live, after))
    if action.verb == "patch":
        back = actions.inverse(live, action.body)
    else:
        was, now = objects.cleaned(live) or {}, objects.cleaned(after) or {}
        back = actions.difference(was, now)
    return Planned(diff, (actions.undo("patch", action.target, back),))


def steps(action: Action) -> Steps:
    """Do it."""
    if action.verb == "delete":
        for it in (action.target, *action.also):
            yield KubeCommand("DELETE", _path(it), ok=[404])
        return
    call = _call_of(action, dry=False)
    yield KubeCommand(
        call.method,
        call.path,
        query=call.query,
        body=call.body,
        content_type=call.content_type,
    )


def _call_of(action: Action, dry: bool) -> Call:
    query = {"fieldManager": MANAGER, **({"dryRun": "All"} if dry else {})}
    kind = MERGE_PATCH
    if action.verb == "apply":
        query |= {"force": "true", "fieldValidation": "Strict"}
        kind = APPLY
    path, body = _path(action.target), dict(action.body)
    return Call("PATCH", path, query, body, kind, None, frozenset())


def _live(api: Api, target: Target) -> dict[str, Any] | None:
    call = Call("GET", _path(target), {}, None, JSON, None, frozenset({404}))
    text = _call(api, call, target)
    return json.loads(text) if text else None


def _call(api: Api, call: Call, target: Target) -> str:
    try:
        return api.text(call)
    except ApiError as error:
        if error.status in call.ok:
            return ""
        raise OperationError(f"{target.text}: refused by the API server: {error}") from error


def _path(it: Target) -> str:
    return kinds.path(it.api_version, it.kind, it.namespace or None, it.name)

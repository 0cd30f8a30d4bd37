"""Take out of objects of ours what others have set in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api.exceptions import OperationError

from tasks.connectors.api import ApiError
from tasks.connectors.command import JSON_PATCH, Call, KubeCommand
from tasks.fleet.guard import Steps, session
from tasks.operations.kube import live_objects, show
from tasks.plans import added, kinds, objects
from tasks.plans.objects import MANAGER, Path
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]


def planned(
    todo: Mapping[Reference, Sequence[Path]],
    live: Mapping[Reference, Object],
    written: Sequence[Object],
) -> None:
    """
    Show what is taken out, and ask the server whether it would take that. Raises OperationError.

    + written: objects that are applied before that, which nobody can ask about yet
    """
    before = {to(it) for it in written}
    for key, paths in todo.items():
        there = live[key]
        lines = objects.diff(there, added.without(there, paths))
        show(f"Will take out of {key.title} what others have set", lines)
        if key in before:
            continue
        query = {"fieldManager": MANAGER, "dryRun": "All"}
        patch = added.removal(there, paths)
        call = Call("PATCH", kinds.path_of(there), query, patch, JSON_PATCH, None, frozenset())
        try:
            session().text(call)
        except ApiError as error:
            said = ", ".join(map(objects.spelt, paths))
            raise OperationError(
                f"{key.title}: refused by the API server: {said} cannot be taken out: {error}"
            ) from error


def taken_out(todo: Mapping[Reference, Sequence[Path]], live: Mapping[Reference, Object]) -> Steps:
    """As the objects are by now: an apply may have been before. What is gone already is left."""
    now = {to(it): it for it in live_objects([live[key] for key in todo]).values()}
    for key, paths in todo.items():
        patch = added.removal(now[key], paths) if key in now else []
        if len(patch) > 1:
            path = kinds.path_of(now[key])
            query = {"fieldManager": MANAGER}
            yield KubeCommand("PATCH", path, query=query, body=patch, content_type=JSON_PATCH)

"""The tags of a resource, as a resource of their own (Azure REST API reference, Tags)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.lab.azure import authorization, ids, shapes
from tasks.lab.azure.answers import Answer, Refused

if TYPE_CHECKING:
    from tasks.lab.azure.calls import Call

TAGS = "Microsoft.Resources/tags"


def answer(call: Call) -> Answer:
    """GET, PUT (replaces), PATCH (Merge, Replace or Delete) or DELETE; raises `Refused`."""
    azure, scope = call.azure, call.target.scope
    resource = azure.held(scope)
    method = call.request.method
    if method not in ("GET", "PUT", "PATCH", "DELETE") or call.target.collection:
        raise Refused(405, "MethodNotAllowed", "The requested resource does not support it.")
    shapes.check(call.request.body or {})
    call.need({"GET": "read", "DELETE": "delete"}.get(method, "write"))
    if resource is None:
        raise Refused(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")
    tags = _changed(method, resource.get("tags") or {}, call.request.body or {})
    if method != "GET":
        authorization.check_locks(azure, ids.target(scope), "write")
        azure.keep({**resource, "tags": tags})
    if method == "DELETE":
        return Answer(200)
    return Answer(body={**azure.named(call.target), "properties": {"tags": tags}})


def _changed(method: str, had: Mapping[str, str], body: Mapping[str, object]) -> dict[str, str]:
    properties = body.get("properties")
    said = properties.get("tags") if isinstance(properties, Mapping) else None
    given: dict[str, str] = dict(said or {})
    operation = str(body.get("operation", "Replace" if method == "PUT" else "")).lower()
    if method == "GET":
        return dict(had)
    if method == "DELETE" or operation == "delete":
        return {key: it for key, it in had.items() if method != "DELETE" and key not in given}
    return given if operation == "replace" else {**had, **given}

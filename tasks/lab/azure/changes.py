"""What ARM does with a resource that a caller wants to create, change or delete."""

from __future__ import annotations

from typing import Any

from tasks.lab.azure import authorization, calls, ids, roles, shapes, types
from tasks.lab.azure.answers import Answer, Refused
from tasks.lab.azure.calls import Call
from tasks.lab.azure.rules import Resource, properties, with_properties
from tasks.lab.azure.state import Operation


def put(call: Call) -> Answer:
    azure, target = call.azure, call.target
    call.need("write")
    old = types.find(azure, target)
    if target.group and call.kind.name != "resourceGroups" and not _group_is_there(call):
        raise calls.missing(call)
    _check_match(call, old)
    _check_body(call, old)
    return _write(call, old, dict(call.request.body))


def patch(call: Call) -> Answer:
    """Tags, and for what has no tags its properties."""
    call.need("write")
    old = calls.there(call)
    _check_match(call, old)
    body = call.request.body or {}
    shapes.check(body)
    said = {**properties(old), **(body.get("properties") or {})}
    return _write(call, old, {**old, **body, "properties": said}, always=True)


def _write(call: Call, old: Resource | None, body: Resource, always: bool = False) -> Answer:
    """
    Keep a resource; where that is a long-running operation it is "Updating" until that ends.

    + always: the answer is 200, for it was there
    """
    azure, target = call.azure, call.target
    _check_busy(call)
    authorization.check_locks(azure, target, "write")
    _check_rules(call, body)
    _check_links(call, body)
    resource = types.put(azure, target, body)
    status = 200 if old or always else 201
    if not call.kind.long:
        azure.keep(resource)
        return Answer(status, types.find(azure, target))
    azure.keep(with_properties(resource, provisioningState="Updating"))

    def done(operation: Operation) -> None:
        kept = azure.held(resource["id"])
        if kept is not None and kept["etag"] == resource["etag"]:
            state = "Failed" if operation.error else "Succeeded"
            azure.keep(with_properties(kept, provisioningState=state))

    operation = azure.begin(target, f"{call.request.method} {target.path}", done)
    return Answer(status, types.find(azure, target), calls.asynchronous(call, operation))


def _check_body(call: Call, old: Resource | None) -> None:
    """Raises `Refused` for a body that cannot be one of a resource."""
    body = call.request.body
    shapes.check(body)
    if not call.kind.tracked:
        return
    place = body.get("location")
    if not place:
        raise Refused(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
        )
    if old is not None and _spot(old.get("location")) != _spot(place):
        raise Refused(
            409,
            "InvalidResourceLocation",
            f"The resource '{call.target.name}' already exists in location '{old.get('location')}' "
            f"in resource group '{call.target.group}'. A resource with the same name cannot be "
            f"created in location '{place}'. Please select a new resource name.",
        )


def _spot(location: Any) -> str:
    """ "West Europe" and "westeurope" are one."""
    return str(location).replace(" ", "").lower()


def _check_rules(call: Call, body: Resource) -> None:
    """What ARM would not take of this type; for what lives inside another, of that one."""
    azure, target = call.azure, call.target
    if call.kind.inside and azure.held(target.parent) is None:
        raise Refused(
            404,
            "ParentResourceNotFound",
            f"Failed to perform 'write' on resource(s) of type '{call.kind.word}', because the "
            f"parent resource '{target.parent}' could not be found.",
        )
    on_something = call.kind.namespace == "Microsoft.Authorization" and target.scope
    if on_something and types.find(azure, ids.target(target.scope)) is None:
        raise Refused(404, "ResourceNotFound", f"The Resource '{target.scope}' was not found.")
    holder, whole = types.whole(azure, target, body)
    types.rules(holder.type).check(
        azure, types.given(azure, holder, whole), azure.held(holder.path)
    )


def _check_links(call: Call, body: Resource) -> None:
    """Raises `Refused` where the caller may not use what the resource refers to."""
    holder, whole = types.whole(call.azure, call.target, body)
    resource = types.given(call.azure, holder, whole)
    for action, id in types.rules(holder.type).links(resource):
        if not roles.permits(call.azure, call.caller.principals, action, id):
            raise roles.forbidden_link(
                call.caller.client,
                call.caller.principal,
                (call.action("write"), call.target.path),
                (action, id),
            )


def _check_busy(call: Call) -> None:
    """AKS does one thing at a time with a cluster; raises `Refused` while it does."""
    running = call.azure.busy(call.target.key)
    if running is not None and call.kind.namespace == "Microsoft.ContainerService":
        raise Refused(
            409,
            "OperationNotAllowed",
            f"Operation is not allowed: Another operation (Updating) is in progress with "
            f"{call.target.path}, please wait for it to finish before starting a new operation. "
            "See https://aka.ms/aks-pending-operation for more details",
        )


def _group_is_there(call: Call) -> bool:
    return call.azure.held(ids.group_of(call.target.path)) is not None


def delete(call: Call) -> Answer:
    azure, target = call.azure, call.target
    call.need("delete")
    old = types.find(azure, target)
    if old is None:
        if call.kind.name == "resourceGroups":
            raise calls.missing(call)
        return Answer(204)
    _check_match(call, old)
    _check_busy(call)
    authorization.check_locks(azure, target, "delete")
    held = azure.held(target.path)
    if held is not None:
        types.rules(call.kind.name).needed(azure, held)
    if not call.kind.long:
        types.delete(azure, target)
        return Answer(200)

    def done(operation: Operation) -> None:
        if not operation.error:
            types.delete(azure, target)

    operation = azure.begin(target, f"DELETE {target.path}", done)
    return Answer(202, None, calls.asynchronous(call, operation))


def _check_match(call: Call, old: Resource | None) -> None:
    wanted = call.request.headers.get("if-match")
    etag = (old or {}).get("etag")
    none = call.request.headers.get("if-none-match")
    if (wanted and wanted != "*" and wanted != etag) or (none == "*" and old is not None):
        raise Refused(
            412,
            "PreconditionFailed",
            f"The condition {wanted or none} in the request headers is not satisfied by the "
            f"resource {call.target.path}: its ETag is {etag}.",
        )

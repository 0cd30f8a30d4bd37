"""
Azure Resource Manager: who asks, for what, in which version of the API, and the answer (Azure REST
API reference; "Common error codes" for the words of refusals).
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from tasks.lab.azure import calls, changes, ids, lists, tags, throttling, types
from tasks.lab.azure.answers import Answer, Refused, Request
from tasks.lab.azure.calls import Call, Caller
from tasks.lab.azure.catalogue import NAMESPACES, TYPES, Type
from tasks.lab.azure.entra import Entra
from tasks.lab.azure.state import Azure
from tasks.lab.azure.tokens import BadToken


def caller(entra: Entra, request: Request) -> Caller:
    """Raises `Refused` for a token that is none, or is not for ARM."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthenticated(
            entra,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
    try:
        claims = entra.caller(token)
    except BadToken as problem:
        code, text = _BAD_TOKEN.get(str(problem), _BAD_TOKEN[""])
        raise _unauthenticated(entra, code, text) from None
    return Caller(claims["oid"], claims["appid"], claims["tid"], tuple(claims.get("groups") or ()))


_BAD_TOKEN = {
    "": ("InvalidAuthenticationToken", "The access token is invalid."),
    "expired": ("ExpiredAuthenticationToken", "The access token expiry UTC time has passed."),
    "audience": (
        "InvalidAuthenticationTokenAudience",
        "The access token has been obtained for wrong audience or resource. It should exactly "
        "match with one of the allowed audiences 'https://management.core.windows.net/',"
        "'https://management.azure.com/'.",
    ),
}


def _unauthenticated(entra: Entra, code: str, text: str) -> Refused:
    where = f'authorization_uri="{entra.base}/{entra.azure.tenant}", error="invalid_token"'
    said = f'Bearer {where}, error_description="{text}"'
    return Refused(401, code, text, WWW_Authenticate=said)


def answer(azure: Azure, caller: Caller, request: Request) -> Answer:
    """Raises `Refused` for all that ARM refuses."""
    with azure.lock:
        azure.settle()
        target = ids.target(request.path)
        version = request.query.get("api-version")
        if not version:
            raise Refused(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        words = [it.lower() for it in target.path.split("/")]
        if "operations" in words or "operationresults" in words:
            return _operation(azure, words)
        kind, action = _kind(target, request.method)
        _check_version(kind, version)
        left = _take(azure, target, caller, request.method)
        _check_subscription(azure, target, caller)
        call = Call(azure, request, target, kind, caller)
        given = _act(call, action) if action else _method(call)(call)
        return Answer(given.status, given.body, {**left, **given.headers})


def _take(azure: Azure, target: ids.Target, caller: Caller, method: str) -> dict[str, str]:
    """
    The header that says how many calls are left; raises `Refused` where that is none, and limits
    hold.
    """
    kind = throttling.KINDS.get(method, "writes")
    left = azure.buckets.take(target.subscription, caller.principal, kind, azure.clock())
    name = "subscription" if target.subscription else "tenant"
    if left < 0 and azure.faults.buckets:
        raise Refused(
            429,
            "SubscriptionRequestsThrottled",
            f"Number of '{kind.removesuffix('s')}' requests for {name} '{target.subscription}' "
            f"actor '{caller.principal}' exceeded. Please try again after '{-left}' seconds after "
            "additional tokens are available. Refer to https://aka.ms/arm-throttling for "
            "additional information.",
            Retry_After=str(-left),
        )
    return {f"x-ms-ratelimit-remaining-{name}-{kind}": str(max(left, 0))}


def _kind(target: ids.Target, method: str) -> tuple[Type, str | None]:
    """What is asked for, and which action of it, if one is."""
    kind = TYPES.get(target.type.lower()) or lists.KINDS.get(target.type.lower())
    if not target.key.startswith(("/subscriptions", "/providers/")):
        raise Refused(404, "NotFound", f"No HTTP resource was found that matches '{target.path}'.")
    if kind is not None:
        return kind, None
    name, _, action = target.type.rpartition("/")
    if method == "POST" and target.collection and name.lower() in TYPES:
        return TYPES[name.lower()], action
    namespace, _, word = target.type.partition("/")
    if "." not in namespace:
        raise Refused(404, "NotFound", f"No HTTP resource was found that matches '{target.path}'.")
    if namespace.lower() not in NAMESPACES:
        raise Refused(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{namespace}' is invalid.",
        )
    raise Refused(
        404,
        "InvalidResourceType",
        f"The resource type '{word}' could not be found in the namespace '{namespace}'.",
    )


def _check_version(kind: Type, version: str) -> None:
    if version in kind.versions:
        return
    known = ", ".join(kind.versions)
    if "." not in kind.name:
        raise Refused(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are '{known}'.",
        )
    raise Refused(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location 'westeurope' and API version "
        f"'{version}' for type '{kind.word}'. The supported api-versions are '{known}'. The "
        "supported locations are 'westeurope, northeurope'.",
    )


def _check_subscription(azure: Azure, target: ids.Target, caller: Caller) -> None:
    if target.subscription is None:
        return
    found = azure.held(f"/subscriptions/{target.subscription}")
    if found is None:
        raise Refused(
            404,
            "SubscriptionNotFound",
            f"The subscription '{target.subscription}' could not be found.",
        )
    if found["tenantId"].lower() != caller.tenant.lower():
        raise Refused(
            401,
            "InvalidAuthenticationTokenTenant",
            f"The access token is from the wrong issuer 'https://sts.windows.net/{caller.tenant}/'"
            f". It must match the tenant 'https://sts.windows.net/{found['tenantId']}/' associated "
            "with this subscription. Please use the authority (URL) "
            f"'https://login.windows.net/{found['tenantId']}' to get the token.",
        )


def _method(call: Call) -> Callable[[Call], Answer]:
    if call.kind.name == tags.TAGS:
        return tags.answer
    methods: Mapping[str, Callable[[Call], Answer]]
    if call.target.collection:
        methods = {"GET": _list}
    elif call.kind.name == "subscriptions":
        methods = {"GET": _get}
    else:
        methods = {
            "GET": _get,
            "HEAD": _head,
            "PUT": changes.put,
            "PATCH": changes.patch,
            "DELETE": changes.delete,
        }
    found = methods.get(call.request.method)
    if found is None:
        raise Refused(
            405,
            "MethodNotAllowed",
            f"The requested resource does not support http method '{call.request.method}'.",
        )
    return found


def _act(call: Call, action: str) -> Answer:
    """The answer to a POST on a resource; raises `Refused`."""
    resource = call.azure.held(call.target.parent)
    call.need(f"{action}/action", call.target.parent)
    if resource is None:
        raise calls.missing(replace(call, target=ids.target(call.target.parent)))
    act = types.rules(call.kind.name).actions.get(action.lower())
    if act is None:
        raise Refused(404, "NotFound", f"There is no action '{action}' of {call.kind.name}.")
    return act(call, resource)


def _list(call: Call) -> Answer:
    """One page."""
    query, azure = call.request.query, call.azure
    found = [*lists.entries(call)]
    try:
        size = min(int(query.get("$top") or azure.page), azure.page)
        after = int(base64.urlsafe_b64decode(query.get("$skiptoken") or "MA=="))
    except ValueError:
        raise Refused(400, "InvalidQueryParameter", "$top or $skiptoken is wrong.") from None
    size, after = max(size, 1), max(after, 0)
    page: dict[str, Any] = {"value": [lists.shown(call, it) for it in found[after : after + size]]}
    if after + size < len(found):
        token = base64.urlsafe_b64encode(str(after + size).encode()).decode()
        asked = urlencode({**query, "$skiptoken": token}, safe="$")
        page["nextLink"] = f"{call.request.base}{quote(call.target.path)}?{asked}"
    return Answer(body=page)


def _get(call: Call) -> Answer:
    """Who has any role in a subscription may read what it is called."""
    if call.kind.name != "subscriptions" or not lists.has_role(call, call.target.path):
        call.need("read")
    return Answer(body=calls.there(call))


def _head(call: Call) -> Answer:
    call.need("read")
    return Answer(404 if types.find(call.azure, call.target) is None else 204)


def _operation(azure: Azure, words: Iterable[str]) -> Answer:
    *_, kind, id = words
    operation = azure.operations.get(id)
    if operation is None:
        raise Refused(404, "NotFound", f"Operation {id} was not found.")
    wait = {"Retry-After": str(azure.faults.poll_after)}
    running = operation.status == "InProgress"
    if kind == "operationresults":
        return Answer(202, None, wait) if running else Answer(200, azure.get(operation.resource))
    body: dict[str, Any] = {"id": operation.id, "name": operation.id, "status": operation.status}
    if operation.error:
        body["error"] = {"code": operation.error, "message": "The operation did not succeed."}
    return Answer(200, body, wait if running else {})


def identified(answer: Answer) -> Answer:
    """With the headers that every answer of ARM has."""
    id = str(uuid.uuid4())
    more = {"x-ms-request-id": id, "x-ms-correlation-request-id": id}
    return Answer(answer.status, answer.body, {**more, **answer.headers}, answer.hang_up)

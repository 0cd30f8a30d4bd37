"""
Tokens for whoever runs on a machine of Azure's: the instance metadata service, and the endpoint
that App Service and its kin have (Entra docs, "How to use managed identities to acquire an access
token"; App Service docs, "REST endpoint reference"). Both speak plain HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.lab.azure.answers import Answer, Request
from tasks.lab.azure.entra import Entra
from tasks.lab.azure.proofs import Aadsts
from tasks.lab.azure.state import Azure, Identity

METADATA, APP_SERVICE = "/metadata/identity/oauth2/token", "/msi/token"


def answer(azure: Azure, entra: Entra, request: Request) -> Answer:
    """+ azure.machine: the name of the identity that is asked for where no other is named"""
    if request.path == METADATA:
        return _metadata(azure, entra, request)
    if request.path == APP_SERVICE:
        return _app_service(azure, entra, request)
    return Answer(404, {"error": "not_found", "error_description": "There is no such endpoint"})


def _metadata(azure: Azure, entra: Entra, request: Request) -> Answer:
    if request.headers.get("metadata", "").lower() != "true":
        return _bad("Required metadata header not specified")
    if "resource" not in request.query:
        return _bad("Required query variable 'resource' is missing")
    found = _identity(azure, request.query)
    if found is None:
        return _bad("Identity not found")
    try:
        audience = entra.audience(found.tenant, f"{request.query['resource']}/.default")
    except Aadsts as refusal:
        return refusal.answer(azure.clock())
    now = int(azure.clock())
    return Answer(
        body={
            "access_token": entra.access(found, audience),
            "client_id": found.client_id,
            "expires_in": str(entra.lifetime),
            "expires_on": str(now + entra.lifetime),
            "ext_expires_in": str(entra.lifetime),
            "not_before": str(now),
            "resource": request.query["resource"],
            "token_type": "Bearer",
        }
    )


def _app_service(azure: Azure, entra: Entra, request: Request) -> Answer:
    if not request.headers.get("x-identity-header"):
        return Answer(401, {"statusCode": 401, "message": "Unauthorized"})
    metadata = Request("GET", METADATA, request.query, {"metadata": "true"})
    found = _metadata(azure, entra, metadata)
    if found.status != 200:
        message = found.body["error_description"]
        return Answer(found.status, {"statusCode": found.status, "message": message})
    kept = ("access_token", "client_id", "expires_on", "resource", "token_type")
    return Answer(body={key: found.body[key] for key in kept})


def _identity(azure: Azure, query: Mapping[str, str]) -> Identity | None:
    if "client_id" in query:
        return azure.by_client(query["client_id"])
    if "object_id" in query:
        return azure.by_object(query["object_id"])
    id = query.get("msi_res_id") or query.get("mi_res_id")
    if id:
        resource = azure.held(id) or {}
        client = (resource.get("properties") or {}).get("clientId", "")
        return azure.by_client(client)
    return azure.identities.get(azure.machine or "")


def _bad(text: str) -> Answer:
    return Answer(400, {"error": "invalid_request", "error_description": text})

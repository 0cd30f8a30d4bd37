"""Authentication and authorization: who was denied, by which policy."""

from __future__ import annotations

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import OF_POLICY, at, listed, namespace, target
from tasks.diagnosis.owners import carrier, policy_of


def jwt_denied(case: Case) -> Found | None:
    if not _is(case, "jwt_authn_access_denied", "jwt_authn.denied", (401, 403), "jwt_authn", "jwt"):
        return None
    why = case.details.partition("{")[2].rstrip("}").replace("_", " ")
    if not why and case.exchange is not None:
        why = case.exchange.body.strip()
    it = policy_of(case, "SecurityPolicy", "jwt") or carrier(case, "jwt_authn")
    return case.found(
        "jwt_denied",
        it,
        "spec.jwt",
        f"{it.text} denied the request: {why or 'its token was not accepted'}.",
        "send a token of a provider in spec.jwt.providers (issuer, audiences, not expired), or "
        "correct the provider",
        answered_by="envoy",
        confidence=_sure(case),
    )


def credentials_denied(case: Case) -> Found | None:
    """A password or an API key."""
    key = _credentials(case.details)
    it = policy_of(case, "SecurityPolicy", key) if key else None
    if case.answered_by != "envoy" or not key:
        return None
    it = it or carrier(case, "basic_auth" if key == "basicAuth" else "api_key_auth")
    what = "user and password" if key == "basicAuth" else "API key"
    return case.found(
        "credentials_denied",
        it,
        f"spec.{key}",
        f"{it.text} denied the request: {case.details.replace('_', ' ')}.",
        f"send the {what} of somebody who is in the Secret that spec.{key} names, or add them",
        answered_by="envoy",
        confidence=_sure(case),
    )


def _credentials(details: str) -> str:
    """The field of a SecurityPolicy whose filter writes these details."""
    if details.endswith("_for_basic_auth"):
        return "basicAuth"
    of_keys = ("missing_api_key", "unkonwn_api_key", "client_not_allowed")
    return "apiKeyAuth" if details in of_keys else ""


def rbac_denied(case: Case) -> Found | None:
    if not _is(case, "rbac_access_denied", "rbac.denied", (403,), "rbac", "authorization"):
        return None
    rule = case.details.partition("[")[2].rstrip("]")
    it = policy_of(case, "SecurityPolicy", "authorization") or carrier(case, "rbac")
    return case.found(
        "rbac_denied",
        it,
        "spec.authorization",
        f"{it.text} denied the request"
        f"{f' by rule {rule}' if rule and rule != 'none' else ': no rule allows it'}.",
        "nothing, where that is wanted; else add the client to a rule in spec.authorization.rules "
        "(clientCIDRs count from what Envoy takes for the client's address)",
        answered_by="envoy",
        confidence=_sure(case),
    )


def ext_authz(case: Case) -> Found | None:
    details = case.details
    if "UAEX" not in case.flags and not details.startswith("ext_authz"):
        return None
    it = policy_of(case, "SecurityPolicy", "extAuth") or _named(case) or carrier(case, "ext_authz")
    if details.startswith("ext_authz_error") or (
        not _logged(case) and (_service_failed(case) or _empty(case))
    ):
        return _error(case, it)
    return case.found(
        "ext_authz_denied",
        it,
        "spec.extAuth",
        f"The external authorization service of {it.text} said no.",
        "ask the authorization service why (its own log); Envoy passed its answer on",
        answered_by="envoy",
        confidence=_sure(case),
    )


def _error(case: Case, policy: Ref) -> Found:
    service = _service(case, policy)
    return case.found(
        "ext_authz_error",
        policy,
        "spec.extAuth",
        f"The external authorization service of {policy.text}"
        f"{f' ({service.text})' if service else ''} could not be asked, and the policy does not "
        "fail open: everybody is denied.",
        (
            f"kubectl -n {service.namespace} get svc,endpointslices,pods: bring {service.name} back"
            if service
            else f"bring the service in spec.extAuth of {policy.text} back"
        )
        + ", or set spec.extAuth.failOpen: true if that is safe",
        *_failures(case),
        answered_by="envoy",
        confidence=_sure(case),
    )


def _service(case: Case, policy: Ref) -> Ref | None:
    """The Service that a SecurityPolicy asks."""
    found = case.objects.get(policy)
    for way in ("http", "grpc"):
        known = at(found, "spec", "extAuth", way)
        refs = listed(at(known, "backendRefs")) or listed([at(known, "backendRef")])
        if refs and found is not None:
            return target(refs[0], namespace(found), "Service")
    for it in _clusters(case):
        parts = it.split("/")
        if len(parts) >= 5:
            return Ref("Service", parts[4], parts[3])
    return None


def _clusters(case: Case) -> list[str]:
    names = case.configuration.clusters if case.configuration is not None else {}
    return [it for it in names if it.startswith("securitypolicy/")]


def _service_failed(case: Case) -> bool:
    errors = case.counted(r"^cluster\..*ext_authz[._]error$|^http\..*ext_authz[._]error$")
    denied = case.counted(r"^cluster\..*ext_authz[._]denied$|^http\..*ext_authz[._]denied$")
    return errors > 0 and denied == 0


def _failures(case: Case) -> list[str]:
    return [
        f"/clusters: {name}: {it.address} {'/'.join(it.failed) or 'connect failures'}"
        for name in _clusters(case)
        for it in case.endpoints_of(name) or ()
        if it.failed or it.stats.get("cx_connect_fail")
    ]


def _is(
    case: Case, details: str, stat: str, statuses: tuple[int, ...], filter: str, key: str
) -> bool:
    """By details; without those by a response of Envoy's own and the one filter that gives it."""
    if case.details:
        return case.details.startswith(details)
    if case.answered_by != "envoy" or case.status not in statuses or case.flags:
        return False
    if case.exchange is not None and case.status is not None:
        return False  # its body would tell
    counted = case.counted(rf"^http\..*{stat.replace('.', '[._]')}$")
    if counted:
        return True
    used = any(filter in it for it in case.filters_of_route)
    return used or policy_of(case, "SecurityPolicy", key) is not None


def _logged(case: Case) -> bool:
    return case.entry is not None and bool(case.entry.details)


def _sure(case: Case) -> float:
    return 0.97 if _logged(case) else 0.8


def _empty(case: Case) -> bool:
    """Whether the response is none that a service over HTTP would have sent on."""
    if case.exchange is None or case.exchange.body:
        return False
    manager = str(case.chain.manager) if case.chain is not None else ""
    http = "'http_service'" in manager or any(
        at(it, "spec", "extAuth", "http") for it in case.objects.of("SecurityPolicy")
    )
    own = {"date", "content-length", "server", "connection"}
    return http and {it.lower() for it in case.exchange.headers} <= own


def _named(case: Case) -> Ref | None:
    """By the name that Envoy Gateway gives a filter of its own for a policy."""
    for it in case.chain.filters if case.chain is not None else ():
        found = OF_POLICY.search(it)
        if found is not None and found[1] == "securitypolicy":
            return Ref("SecurityPolicy", found[3], found[2])
    return None

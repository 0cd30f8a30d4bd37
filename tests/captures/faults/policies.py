"""Faults of policies: who may pass, how often, and what Envoy does on purpose."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from functools import partial

from tests.captures.faults.answers import HTTP2
from tests.captures.faults.routing import prefix
from tests.captures.table import GATEWAY, fault
from tests.captures.world import Answer, Json, Rule, Service, World
from tests.scenes.gateway import typed

HTTP = "extensions.filters.http"
KEY = b"not-a-real-key-of-anybody-0123456789"
JWT = "envoy.filters.http.jwt_authn"
RBAC = "envoy.filters.http.rbac"
LOCAL, GLOBAL = "envoy.filters.http.local_ratelimit", "envoy.filters.http.ratelimit"
ABORT = "envoy.filters.http.fault"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(
    world: World, claims: Mapping[str, str] | None = None, *, key: bytes = KEY, age: int = 0
) -> dict[str, str]:
    """An Authorization header: + age: seconds since the token ended, less than nothing before."""
    head = {"alg": "HS256", "kid": "k7", "typ": "JWT"}
    said = {
        "iss": f"https://login.{world.domain}",
        "aud": world.main.name,
        "sub": "u-7",
        **(claims or {}),
    }
    body = {**said, "exp": int(time.time()) + 3600 if age <= 0 else int(time.time()) - age}
    text = ".".join(_base64(json.dumps(it).encode()) for it in (head, body))
    signed = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return {"Authorization": f"Bearer {text}.{_base64(signed)}"}


def require_token(world: World) -> Json:
    """A token of the login, and how Envoy checks it."""
    key = {"kty": "oct", "alg": "HS256", "kid": "k7", "k": _base64(KEY)}
    issuer = f"https://login.{world.domain}"
    keys = json.dumps({"keys": [key]})
    provider: Json = {
        "issuer": issuer,
        "audiences": [world.main.name],
        "local_jwks": {"inline_string": keys},
        "forward": True,
    }
    config = typed(
        f"{HTTP}.jwt_authn.v3.JwtAuthentication",
        providers={"login_0": provider},
        requirement_map={"req_0": {"provider_name": "login_0"}},
    )
    world.filters.append({"name": JWT, "typed_config": config})
    per_route = typed(f"{HTTP}.jwt_authn.v3.PerRouteConfig", requirement_name="req_0")
    world.rule.per_filter[JWT] = per_route
    said = {
        "name": "login",
        "issuer": issuer,
        "audiences": [world.main.name],
        "localJWKS": {"type": "Inline", "inline": keys},
    }
    name = f"{world.route.name}-login"
    if not world.plain:
        world.policy("SecurityPolicy", "login", {"jwt": {"providers": [said]}})
    world.blame("SecurityPolicy", name)
    return provider


def _denied(why: str) -> str:
    return rf"re:jwt_authn_access_denied\{{{why}\}}"


@fault("jwt_denied", 401, "-", _denied("Jwt_is_missing"), "there is no token", subcause="missing")
def jwt_none(world: World, faulty: bool) -> None:
    require_token(world)
    world.ask("/", 1, headers=token(world))
    world.ask("/", 3, headers={} if faulty else token(world))


@fault("jwt_denied", 401, "-", _denied("Jwt_is_expired"), "the token ended", subcause="expired")
def jwt_old(world: World, faulty: bool) -> None:
    require_token(world)
    world.ask("/", 3, headers=token(world, age=600 if faulty else 0))


@fault(
    "jwt_denied",
    403,
    "-",
    _denied("Audiences_in_Jwt_are_not_allowed"),
    "the token is for another audience",
    subcause="audience",
)
def jwt_audience(world: World, faulty: bool) -> None:
    require_token(world)
    claims = {"aud": "backoffice"} if faulty else {}
    world.ask("/", 3, headers=token(world, claims))


@fault(
    "jwt_denied",
    401,
    "-",
    _denied("Jwt_verification_fails"),
    "the token was signed with another key",
    subcause="signature",
)
def jwt_signature(world: World, faulty: bool) -> None:
    require_token(world)
    key = b"somebody-elses-key-0123456789abcdef" if faulty else KEY
    world.ask("/", 3, headers=token(world, key=key))


@fault(
    "jwt_denied",
    401,
    "-",
    _denied("Jwt_issuer_is_not_configured"),
    "the token is of another issuer",
    subcause="issuer",
)
def jwt_issuer(world: World, faulty: bool) -> None:
    require_token(world)
    claims = {"iss": "https://old-login.example"} if faulty else {}
    world.ask("/", 3, headers=token(world, claims))


def _matcher(predicate: Json) -> Json:
    allow = typed("config.rbac.v3.Action", name="ALLOW")
    deny = typed("config.rbac.v3.Action", name="DENY", action="DENY")
    one = {
        "predicate": {"single_predicate": predicate},
        "on_match": {"action": {"name": "allow-known", "typed_config": allow}},
    }
    return {
        "matcher_list": {"matchers": [one]},
        "on_no_match": {"action": {"name": "default", "typed_config": deny}},
    }


def _rbac(world: World, predicate: Json, principal: Json) -> None:
    world.filters.append({"name": RBAC, "typed_config": typed(f"{HTTP}.rbac.v3.RBAC")})
    rules = {"matcher": _matcher(predicate)}
    world.rule.per_filter[RBAC] = typed(f"{HTTP}.rbac.v3.RBACPerRoute", rbac=rules)
    rule = {"name": "allow-known", "action": "Allow", "principal": principal}
    spec = {"authorization": {"defaultAction": "Deny", "rules": [rule]}}
    if not world.plain:
        world.policy("SecurityPolicy", "access", spec)
    world.blame("SecurityPolicy", f"{world.route.name}-access")


RULED = r"re:rbac_access_denied_matched_policy\[.*\]"


@fault("rbac_denied", 403, "-", RULED, "the address of the client is not allowed")
def address_denied(world: World, faulty: bool) -> None:
    """The proxy sees what the machine calls itself, or what a load balancer passed on."""
    base = "extensions.matching"
    source = typed(f"{base}.common_inputs.network.v3.SourceIPInput")
    network = {"address_prefix": "203.0.113.0", "prefix_len": 24}
    networks = [network] if faulty else [network, {"address_prefix": "127.0.0.0", "prefix_len": 8}]
    ranges = typed(f"{base}.input_matchers.ip.v3.Ip", cidr_ranges=networks, stat_prefix="client_ip")
    predicate = {
        "input": {"name": "client_ip", "typed_config": source},
        "custom_match": {"name": "ip_matcher", "typed_config": ranges},
    }
    cidrs = [f"{it['address_prefix']}/{it['prefix_len']}" for it in networks]
    _rbac(world, predicate, {"clientCIDRs": cidrs})
    world.ask("/", 3)


@fault("rbac_denied", 403, "-", RULED, "the header of the client is not one that is allowed")
def header_denied(world: World, faulty: bool) -> None:
    only_header(world)
    world.ask("/", 1, headers={"X-Team": "billing"})
    world.ask("/", 3, headers={"X-Team": "sales" if faulty else "billing"})


def only_header(world: World) -> None:
    """Who says that it is of team "billing" may pass."""
    kind = "type.matcher.v3.HttpRequestHeaderMatchInput"
    source = typed(kind, header_name="x-team")
    predicate = {
        "input": {"name": "http_header", "typed_config": source},
        "value_match": {"exact": "billing"},
    }
    _rbac(world, predicate, {"headers": [{"name": "x-team", "values": ["billing"]}]})


def _asked(world: World, *, grpc: bool = False, timeout: str = "10s") -> Service:
    """An authorization service that the route asks; the service comes back."""
    service = Service("auth", "gatekeeper", target=9191 if grpc else 8181)
    policy = f"{world.route.name}-extauth"
    place = f"securitypolicy/{world.route.namespace}/{policy}"
    cluster = f"{place}/auth/gatekeeper"
    world.helpers[cluster] = service
    config = typed(f"{HTTP}.ext_authz.v3.ExtAuthz", transport_api_version="V3")
    place_ = {"group": "", "kind": "Service", "name": "gatekeeper", "namespace": "auth"}
    reference: Json = {**place_, "port": service.target if grpc else 80}
    if grpc:
        service.port = 9191
        service.answer = Answer(grpc=0, message=b"\x0a\x00")
        service.protocol = "kubernetes.io/h2c"
        envoy = {"cluster_name": cluster, "authority": "gatekeeper.auth:9191"}
        config["grpc_service"] = {"envoy_grpc": envoy, "timeout": timeout}
        fields = {"typed_extension_protocol_options": HTTP2}
        world.extra.append({"name": cluster, "fields": fields})
    else:
        uri = {"uri": "http://gatekeeper.auth:80/", "cluster": cluster, "timeout": timeout}
        config["http_service"] = {"server_uri": uri}
    name = f"envoy.filters.http.ext_authz/{place}"
    world.filters.append({"name": name, "typed_config": config, "disabled": True})
    world.rule.per_filter[name] = typed("config.route.v3.FilterConfig", config={})
    kind = "grpc" if grpc else "http"
    spec = {"extAuth": {"failOpen": False, kind: {"backendRefs": [reference]}}}
    if not world.plain:
        world.policy("SecurityPolicy", "extauth", spec)
    world.blame("SecurityPolicy", policy)
    return service


@fault("ext_authz_denied", 403, "UAEX", "ext_authz_denied", "the authorization service answers 403")
def authz_says_no(world: World, faulty: bool) -> None:
    service = _asked(world)
    service.answer.status = 403 if faulty else 200
    world.ask("/", 3)


@fault(
    "ext_authz_denied",
    401,
    "UAEX",
    "ext_authz_denied",
    "the authorization service wants a login",
)
def authz_wants_login(world: World, faulty: bool) -> None:
    service = _asked(world)
    service.answer.paths = {"/private": 401}
    world.ask("/", 1)
    world.ask("/private/1" if faulty else "/public/1", 3)


@fault(
    "ext_authz_denied",
    403,
    "UAEX",
    "ext_authz_denied",
    "the authorization service says over gRPC that permission is denied",
)
def authz_grpc_says_no(world: World, faulty: bool) -> None:
    service = _asked(world, grpc=True)
    if faulty:
        service.answer.message = b"\x0a\x02\x08\x07"
    world.ask("/", 3)


def _authz_at_fault(world: World) -> None:
    world.truth.also_objects = [("Service", "auth", "gatekeeper")]


_authz_error = partial(fault, "ext_authz_error", 403, "UAEX", "ext_authz_error")


@_authz_error(
    "nothing listens where the authorization service is, and the policy does not fail open"
)
def authz_down(world: World, faulty: bool) -> None:
    service = _asked(world)
    if faulty:
        service.answer.how = "refuse"
    world.ask("/", 3)
    _authz_at_fault(world)


@_authz_error("the authorization service does not answer in time")
def authz_slow(world: World, faulty: bool) -> None:
    service = _asked(world, timeout="0.300s")
    service.answer.delay = 1.5 if faulty else 0.02
    world.ask("/", 2)
    _authz_at_fault(world)


@_authz_error("the authorization service answers 500")
def authz_fails(world: World, faulty: bool) -> None:
    service = _asked(world)
    service.answer.status = 500 if faulty else 200
    world.ask("/", 3)
    _authz_at_fault(world)


@_authz_error("the authorization service has no endpoint")
def authz_gone(world: World, faulty: bool) -> None:
    service = _asked(world, grpc=True)
    service.selected = not faulty
    world.ask("/", 3)
    _authz_at_fault(world)


def _faulty(world: World, config: Json, spec: Json) -> None:
    config = typed(f"{HTTP}.fault.v3.HTTPFault", **config)
    world.filters.append({"name": ABORT, "typed_config": typed(f"{HTTP}.fault.v3.HTTPFault")})
    world.rule.per_filter[ABORT] = config
    if not world.plain:
        world.policy("BackendTrafficPolicy", "chaos", {"faultInjection": spec})
    world.blame("BackendTrafficPolicy", f"{world.route.name}-chaos")


def _share(share: int) -> Json:
    return {"numerator": share * 10000, "denominator": "MILLION"}


@fault(
    "fault_injected",
    503,
    "FI",
    "fault_filter_abort",
    "the policy aborts every request with 503, as if the backend failed",
)
def aborted(world: World, faulty: bool) -> None:
    share = 100 if faulty else 0
    _faulty(
        world,
        {"abort": {"http_status": 503, "percentage": _share(share)}},
        {"abort": {"httpStatus": 503, "percentage": share}},
    )
    world.ask("/", 3)


@fault(
    "fault_injected",
    200,
    "DI",
    "via_upstream",
    "the policy holds every request for half a second",
    by="upstream",
    degraded=True,
)
def delayed(world: World, faulty: bool) -> None:
    share = 100 if faulty else 0
    _faulty(
        world,
        {"delay": {"fixed_delay": "0.500s", "percentage": _share(share)}},
        {"delay": {"fixedDelay": "500ms", "percentage": share}},
    )
    world.ask("/", 3)


def limit_locally(world: World, count: int) -> None:
    prefix_ = {"stat_prefix": "http_local_rate_limiter"}
    config = typed(f"{HTTP}.local_ratelimit.v3.LocalRateLimit", **prefix_)
    world.filters.append({"name": LOCAL, "typed_config": config})
    always = {"default_value": {"numerator": 100}}
    world.rule.per_filter[LOCAL] = typed(
        f"{HTTP}.local_ratelimit.v3.LocalRateLimit",
        **prefix_,
        token_bucket={"max_tokens": count, "tokens_per_fill": count, "fill_interval": "60s"},
        filter_enabled=always,
        filter_enforced=always,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        always_consume_default_token_bucket=False,
    )
    rule = {"limit": {"requests": count, "unit": "Minute"}}
    spec = {"rateLimit": {"type": "Local", "local": {"rules": [rule]}}}
    if not world.plain:
        world.policy("BackendTrafficPolicy", "limit", spec)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-limit")


@fault("rate_limited", 429, "RL", "local_rate_limited", "three requests a minute are allowed")
def limited(world: World, faulty: bool) -> None:
    limit_locally(world, 3)
    world.ask("/", 6 if faulty else 3)


@fault(
    "rate_limited",
    429,
    "RL",
    "request_rate_limited",
    "the rate limit service says that the limit of all proxies is used up",
)
def limited_globally(world: World, faulty: bool) -> None:
    service = Service("envoy-gateway-system", "envoy-ratelimit", target=8081, port=8081)
    said = b"\x08\x02" if faulty else b"\x08\x01"
    service.answer = Answer(grpc=0, message=said)
    world.helpers["ratelimit_cluster"] = service
    fields = {"typed_extension_protocol_options": HTTP2}
    world.extra.append({"name": "ratelimit_cluster", "fields": fields})
    domain = "/".join((*world.gateway, "http"))
    envoy = {"envoy_grpc": {"cluster_name": "ratelimit_cluster"}}
    config = typed(
        f"{HTTP}.ratelimit.v3.RateLimit",
        domain=domain,
        rate_limit_service={"grpc_service": envoy, "transport_api_version": "V3"},
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        disable_x_envoy_ratelimited_header=True,
    )
    world.filters.append({"name": GLOBAL, "typed_config": config})
    key = f"{world.route.cluster(0)}/match/0/{world.host}"
    action = {"generic_key": {"descriptor_key": key, "descriptor_value": "rule-0-match--1"}}
    world.rule.action["rate_limits"] = [{"actions": [action]}]
    rule = {"limit": {"requests": 100, "unit": "Hour"}}
    spec = {"rateLimit": {"type": "Global", "global": {"rules": [rule]}}}
    if not world.plain:
        world.policy("BackendTrafficPolicy", "quota", spec)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-quota")
    world.ask("/", 3)


@fault(
    "envoy_internal_error",
    500,
    "-",
    r"re:ext_proc_error_gRPC_error_14.*",
    "the external processor cannot be reached, and the policy does not fail open",
    also=("ext_authz_error",),
)
def processor_down(world: World, faulty: bool) -> None:
    service = Service("plugins", "rewriter", target=9002, port=9002)
    policy = f"{world.route.name}-extension"
    place = f"envoyextensionpolicy/{world.route.namespace}/{policy}"
    cluster = f"{place}/0/rewriter"
    service.answer = Answer(grpc=0)
    service.protocol = "kubernetes.io/h2c"
    if faulty:
        service.answer.how = "refuse"
    world.helpers[cluster] = service
    fields = {"typed_extension_protocol_options": HTTP2}
    world.extra.append({"name": cluster, "fields": fields})
    skip = ("request_header", "response_header", "request_trailer", "response_trailer")
    mode = {f"{it}_mode": "SKIP" for it in skip}
    if faulty or world.plain:
        mode["request_header_mode"] = "SEND"
    envoy = {"cluster_name": cluster, "authority": "rewriter.plugins:9002"}
    config = typed(
        f"{HTTP}.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": envoy, "timeout": "10s"},
        message_timeout="0.500s",
        failure_mode_allow=not faulty,
        processing_mode=mode,
    )
    name = f"envoy.filters.http.ext_proc/{place}/extproc/0"
    world.filters.append({"name": name, "typed_config": config, "disabled": True})
    world.rule.per_filter[name] = typed("config.route.v3.FilterConfig", config={})
    reference = {"group": "", "kind": "Service", "name": "rewriter", "namespace": "plugins"}
    one = {"backendRefs": [{**reference, "port": 9002}], "failOpen": not faulty}
    if not world.plain:
        world.policy("EnvoyExtensionPolicy", "extension", {"extProc": [one]})
    world.blame("EnvoyExtensionPolicy", policy)
    world.truth.also_objects = [("Service", "plugins", "rewriter")]
    world.ask("/", 3)


@fault(
    "ok",
    200,
    "-",
    "via_upstream",
    "the login is only for another rule of the route",
    by="upstream",
    alike=False,
    shapes=GATEWAY,
)
def login_elsewhere(world: World, faulty: bool) -> None:
    require_token(world)
    world.rule.matches = [prefix("/private")]
    world.route.rules.append(Rule([(world.main, 1)], [prefix("/")]))
    world.truth.must_not = ["jwt_denied"]
    world.truth.obj = None
    world.ask("/private", 1)
    world.ask("/", 2)

"""Policies of Envoy Gateway: what they deny, limit, eject and break."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import replace
from functools import cache

from tests.authorities import rsa_key
from tests.gym import backends
from tests.gym.fault import Ask, Fault, Object, Truth
from tests.gym.objects import (
    SHOP,
    backend,
    endpoints,
    on_gateway,
    policy,
    route,
    rule,
    service,
    service_thing,
)

CART = Ask("http://cart.lab.test/cart/1")
SECURITY, TRAFFIC = ("SecurityPolicy", SHOP, "cart"), ("BackendTrafficPolicy", SHOP, "cart")
SERVICE = service_thing()
WELL = route()


def secures(**what: object) -> Object:
    return policy("SecurityPolicy", "cart", what)


def traffic(**what: object) -> Object:
    return policy("BackendTrafficPolicy", "cart", what)


def encoded(it: bytes) -> str:
    return base64.urlsafe_b64encode(it).rstrip(b"=").decode()


@cache
def token(audience: str = "shop", ends: int = 3600) -> str:
    """Signed by the key that the policies know."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    claims = {"iss": "https://issuer.lab.test", "aud": audience, "exp": int(time.time()) + ends}
    head = {"alg": "RS256", "typ": "JWT", "kid": "gym"}
    parts = [encoded(json.dumps(it).encode()) for it in (head, claims)]
    text = ".".join(parts).encode()
    return f"{text.decode()}.{encoded(rsa_key().sign(text, padding.PKCS1v15(), hashes.SHA256()))}"


def jwt() -> Object:
    numbers = rsa_key().public_key().public_numbers()
    key = {
        "kty": "RSA",
        "alg": "RS256",
        "use": "sig",
        "kid": "gym",
        "n": encoded(numbers.n.to_bytes(256, "big")),
        "e": "AQAB",
    }
    provider = {
        "name": "lab",
        "issuer": "https://issuer.lab.test",
        "audiences": ["shop"],
        "localJWKS": {"type": "Inline", "inline": json.dumps({"keys": [key]})},
    }
    return secures(jwt={"providers": [provider]})


def bearing(it: str) -> Ask:
    return replace(CART, headers={"authorization": f"Bearer {it}"})


def denied(name: str, asks: Ask, shows: int = 401) -> Fault:
    truth = Truth("jwt_denied", SECURITY)
    well = bearing(token())
    return Fault(name, "policy", truth, well, shows, well=[WELL, jwt()], asks=asks)


def guarded(port: int) -> list[Object]:
    """Each request is shown to a service first."""
    refs = {"http": {"backendRefs": [{"name": "guard", "port": 8080}]}, "failOpen": False}
    guard = service("guard", app=None, target=port)
    return [WELL, guard, endpoints("guard", port), secures(extAuth=refs)]


def only_from(*ranges: str) -> Object:
    rules = [{"name": "known", "action": "Allow", "principal": {"clientCIDRs": list(ranges)}}]
    return secures(authorization={"defaultAction": "Deny", "rules": rules})


def kept_secret(name: str, data: dict[str, bytes]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": SHOP},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


USERS = kept_secret(
    "users",
    {".htpasswd": b"gym:{SHA}" + base64.b64encode(hashlib.sha1(b"not-a-secret").digest())},
)
KEYS = kept_secret("keys", {"gym": b"not-a-secret-either"})
BASIC = base64.b64encode(b"gym:not-a-secret").decode()


def checked(path: str, panic: int) -> Object:
    """Health checks of this path; + panic: percent of endpoints that must be healthy"""
    active = {
        "type": "HTTP",
        "timeout": "1s",
        "interval": "1s",
        "unhealthyThreshold": 1,
        "healthyThreshold": 1,
        "http": {"path": path, "expectedStatuses": [200]},
    }
    return traffic(healthCheck={"active": active, "panicThreshold": panic})


PASSIVE = traffic(
    healthCheck={
        "passive": {
            "consecutive5XxErrors": 2,
            "interval": "1s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 100,
        },
        "panicThreshold": 0,
    }
)
RETRIES = traffic(retry={"numRetries": 2, "retryOn": {"triggers": ["5xx"]}})


def limited(requests: int) -> Object:
    rules = [{"limit": {"requests": requests, "unit": "Hour"}}]
    return traffic(rateLimit={"type": "Local", "local": {"rules": rules}})


def extended(port: int) -> Object:
    """Each request is shown to a service that does not exist, or to one that does."""
    name = "guard" if port else "nobody"
    processor = {"backendRefs": [{"name": name, "port": 8080}], "failOpen": False}
    return policy("EnvoyExtensionPolicy", "cart", {"extProc": [processor]})


EVERY = [
    denied("jwt-missing", CART),
    denied("jwt-of-another-audience", bearing(token("warehouse")), 403),
    denied("jwt-ended", bearing(token(ends=-3600))),
    Fault(
        "address-not-allowed",
        "policy",
        Truth("rbac_denied", SECURITY, "authorization"),
        CART,
        403,
        well=[WELL, only_from("10.0.0.0/8", "127.0.0.0/8")],
        wrong=[only_from("203.0.113.0/24")],
    ),
    Fault(
        "guard-says-no",
        "policy",
        Truth("ext_authz_denied", SECURITY, "extAuth"),
        CART,
        403,
        well=guarded(backends.GRANTS),
        wrong=guarded(backends.DENIES),
    ),
    Fault(
        "guard-refuses-connections",
        "policy",
        Truth(
            *("ext_authz_error", SECURITY, "extAuth"),
            also=[("ext_authz_error", service_thing("guard"))],
        ),
        CART,
        403,
        well=guarded(backends.GRANTS),
        wrong=guarded(7399),
    ),
    Fault(
        "guard-absent",
        "policy",
        Truth("policy_not_attached", SECURITY, "extAuth", also=[("ext_authz_error", SECURITY)]),
        CART,
        500,
        well=guarded(backends.GRANTS),
        gone=[("Service", SHOP, "guard"), ("EndpointSlice", SHOP, "guard-outside")],
    ),
    Fault(
        "password-missing",
        "policy",
        Truth("credentials_denied", SECURITY, "basicAuth"),
        replace(CART, headers={"authorization": f"Basic {BASIC}"}),
        401,
        well=[WELL, USERS, secures(basicAuth={"users": {"name": "users"}})],
        asks=CART,
    ),
    Fault(
        "api-key-missing",
        "policy",
        Truth("credentials_denied", SECURITY, "apiKeyAuth"),
        replace(CART, headers={"x-api-key": "not-a-secret-either"}),
        401,
        well=[
            WELL,
            KEYS,
            secures(
                apiKeyAuth={
                    "credentialRefs": [{"name": "keys"}],
                    "extractFrom": [{"headers": ["x-api-key"]}],
                }
            ),
        ],
        asks=CART,
    ),
    Fault(
        "rate-limited",
        "policy",
        Truth("rate_limited", TRAFFIC, "rateLimit"),
        CART,
        429,
        well=[WELL, limited(100000)],
        wrong=[limited(2)],
        asks=replace(CART, times=4),
    ),
    Fault(
        "one-connection",
        "policy",
        Truth("circuit_breaker_overflow", TRAFFIC, "circuitBreaker"),
        replace(CART, url="http://cart.lab.test/cart/1?delay=300ms", at_once=5),
        503,
        well=[WELL, traffic(circuitBreaker={"maxConnections": 100})],
        wrong=[
            traffic(
                circuitBreaker={
                    "maxConnections": 1,
                    "maxPendingRequests": 0,
                    "maxParallelRequests": 1,
                }
            )
        ],
        warms=True,
    ),
    Fault(
        "health-check-of-another-path",
        "policy",
        Truth(
            *("health_check_failing", TRAFFIC, "healthCheck"),
            also=[
                ("no_healthy_endpoints", TRAFFIC),
                ("health_check_failing", SERVICE),
                ("no_healthy_endpoints", SERVICE),
            ],
        ),
        CART,
        503,
        well=[WELL, checked("/status/200", 0)],
        wrong=[checked("/status/404", 0)],
        warms=True,
    ),
    Fault(
        "panic",
        "policy",
        Truth(
            "panic_routing",
            SERVICE,
            "",
            "upstream",
            also=[("panic_routing", TRAFFIC), ("health_check_failing", TRAFFIC)],
        ),
        CART,
        200,
        well=[WELL, checked("/status/200", 50)],
        wrong=[checked("/status/404", 50)],
        needs=3,
        warms=True,
    ),
    Fault(
        "all-ejected",
        "policy",
        Truth("all_endpoints_ejected", SERVICE, "", also=[("all_endpoints_ejected", TRAFFIC)]),
        CART,
        503,
        well=[WELL, PASSIVE],
        asks=replace(CART, url="http://cart.lab.test/status/500", times=6),
        warms=True,
    ),
    Fault(
        "retries-in-vain",
        "policy",
        Truth("backend_5xx", SERVICE, "", "upstream"),
        CART,
        500,
        well=[WELL, RETRIES],
        asks=replace(CART, url="http://cart.lab.test/status/500"),
    ),
    Fault(
        "fault-injected",
        "policy",
        Truth("fault_injected", TRAFFIC, "faultInjection"),
        CART,
        503,
        well=[WELL, traffic(retry={"numRetries": 1})],
        wrong=[traffic(faultInjection={"abort": {"httpStatus": 503, "percentage": 100}})],
    ),
    Fault(
        "header-with-underscore",
        "policy",
        Truth(
            *("rejected_underscore_header", ("ClientTrafficPolicy", "edge", "public"), ""),
            also=[("rejected_underscore_header", ("Gateway", "edge", "public"))],
        ),
        replace(CART, headers={"x-tenant": "1"}),
        400,
        well=[WELL],
        asks=replace(CART, headers={"x_tenant": "1"}),
    ),
    Fault(
        "timeout-of-the-policy",
        "policy",
        Truth("upstream_timeout", TRAFFIC, "timeout"),
        replace(CART, url="http://cart.lab.test/cart/1?delay=1500ms"),
        504,
        well=[WELL, traffic(timeout={"http": {"requestTimeout": "10s"}})],
        wrong=[traffic(timeout={"http": {"requestTimeout": "500ms"}})],
    ),
    Fault(
        "processor-absent",
        "policy",
        Truth("policy_not_attached", ("EnvoyExtensionPolicy", SHOP, "cart"), "extProc"),
        CART,
        500,
        well=[WELL],
        wrong=[extended(0)],
    ),
    Fault(
        "password-file-absent",
        "policy",
        Truth("policy_not_attached", SECURITY, "basicAuth"),
        CART,
        500,
        well=[WELL],
        wrong=[secures(basicAuth={"users": {"name": "nobody"}})],
    ),
    Fault(
        "two-of-one-kind",
        "policy",
        Truth(
            *("policy_conflict", ("BackendTrafficPolicy", SHOP, "second"), "targetRefs", None),
            also=[("policy_conflict", TRAFFIC)],
        ),
        CART,
        well=[WELL, traffic(retry={"numRetries": 1})],
        wrong=[policy("BackendTrafficPolicy", "second", {"retry": {"numRetries": 3}})],
        shows=200,
        needs=1.5,
    ),
    Fault(
        "policy-of-no-route",
        "policy",
        Truth("policy_not_attached", ("SecurityPolicy", SHOP, "cart"), "targetRefs", None),
        CART,
        200,
        well=[WELL, only_from("10.0.0.0/8", "127.0.0.0/8")],
        wrong=[
            policy(
                "SecurityPolicy",
                "cart",
                {"authorization": {"defaultAction": "Deny"}},
                route="kart",
            )
        ],
        needs=1.5,
    ),
    Fault(
        "policy-above-and-below",
        "look-alike",
        None,
        Ask("http://door.doors.test/", gateway="shop/doors"),
        well=[
            route(name="door", hosts=["door.doors.test"], gateway="shop/doors"),
            on_gateway("BackendTrafficPolicy", "doors", {"retry": {"numRetries": 1}}),
            policy("BackendTrafficPolicy", "door", {"retry": {"numRetries": 3}}, route="door"),
        ],
        notes="the policy of a route stands in for the one of its Gateway",
    ),
    Fault(
        "retried-with-success",
        "look-alike",
        None,
        replace(CART, times=4),
        well=[
            service("half", app=None, target=backends.SHOP),
            endpoints("half", backends.GRANTS),
            {
                **endpoints("half", backends.CLOSES),
                "metadata": {
                    "name": "half-closes",
                    "namespace": SHOP,
                    "labels": {"kubernetes.io/service-name": "half"},
                },
            },
            route(rule(backends=[backend("half")])),
            traffic(retry={"numRetries": 5, "retryOn": {"triggers": ["reset", "connect-failure"]}}),
        ],
        notes="one of two endpoints closes; retries go to the other",
    ),
]

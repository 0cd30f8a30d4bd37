"""Faults between Envoy and endpoints: connections, TLS, protocols, time, limits."""

from __future__ import annotations

import base64
from functools import partial

from tests.authorities import Pair, issued
from tests.captures.faults.answers import HTTP2
from tests.captures.table import fault
from tests.captures.world import Json, World
from tests.scenes.gateway import typed

STATS = ("access_log", "stats")
BEFORE = r"re:upstream_reset_before_response_started\{"


@fault(
    "upstream_connection_refused",
    503,
    "UF",
    BEFORE + "remote_connection_failure.*",
    "the Service's targetPort is not the one that the container listens on",
    needs=(*STATS, "kubernetes"),
)
def wrong_target_port(world: World, faulty: bool) -> None:
    if faulty:
        world.main.listens = world.main.target
        world.main.target += 1
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "upstream_connection_refused",
    503,
    "URX,UF",
    BEFORE + "remote_connection_failure.*",
    "nothing listens in the Pods, and no other try helped",
    needs=STATS,
)
def nothing_listens(world: World, faulty: bool) -> None:
    world.main.pods = 2
    retries(world, "connect-failure", 2)
    if faulty:
        world.main.answer.how = "refuse"
    world.ask("/", 3)
    world.blame("Service")


def retries(world: World, when: str, count: int, **more: object) -> None:
    world.rule.action["retry_policy"] = {"retry_on": when, "num_retries": count, **more}
    if not world.plain:
        spec: Json = {"numRetries": count, "retryOn": {"triggers": when.split(",")}}
        if "per_try_timeout" in more:
            spec["perRetry"] = {"timeout": more["per_try_timeout"]}
        world.policy("BackendTrafficPolicy", "retry", {"retry": spec})


@fault("ok", 200, "-", "via_upstream", "a second try was answered", by="upstream", alike=False)
def retried(world: World, faulty: bool) -> None:
    world.main.pods = 2
    retries(world, "5xx", 2)
    world.main.answer.first = [503]
    world.truth.must_not = ["backend_5xx", "upstream_connection_refused"]
    world.ask("/", 3)


@fault(
    "upstream_connect_timeout",
    503,
    "UF",
    r"re:upstream_reset_before_response_started\{connection_timeout\}",
    "packets to the endpoint are dropped, so no connection is made in time",
    needs=STATS,
)
def dropped(world: World, faulty: bool) -> None:
    world.rule.cluster["connect_timeout"] = "0.400s"
    if not world.plain:
        timeout = {"timeout": {"tcp": {"connectTimeout": "400ms"}}}
        world.policy("BackendTrafficPolicy", "timeout", timeout)
    if faulty:
        world.main.answer.how = "silent"
    world.ask("/", 3)
    world.blame("Service")
    world.truth.also_objects = [
        ("BackendTrafficPolicy", world.route.namespace, f"{world.route.name}-timeout")
    ]


def trust_backend(world: World, authority: Pair, name: str) -> None:
    """TLS to the backend, as a BackendTLSPolicy wants it."""
    ca = base64.b64encode(authority.pem).decode()
    matcher = {"san_type": "DNS", "matcher": {"exact": name}}
    validation = {
        "trusted_ca": {"inline_bytes": ca},
        "match_typed_subject_alt_names": [matcher],
    }
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={"validation_context": validation},
        sni=name,
    )
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    world.rule.cluster["transport_socket"] = socket
    reference = {"group": "", "kind": "ConfigMap", "name": "backend-ca"}
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": world.main.name}],
        "validation": {"hostname": name, "caCertificateRefs": [reference]},
    }
    if not world.plain:
        said = {"kind": "BackendTLSPolicy", "name": f"{world.main.name}-tls", "spec": spec}
        world.policies.append(said)
    world.blame("BackendTLSPolicy", f"{world.main.name}-tls")


def _inside(world: World) -> str:
    return f"{world.main.name}.{world.main.namespace}.svc.cluster.local"


FAILED = BEFORE + "remote_connection_failure.*"
VERIFY = FAILED + "CERTIFICATE_VERIFY_FAILED.*"


_tls = partial(fault, "upstream_tls_failure", 503, "UF", VERIFY, needs=STATS)


@_tls("the certificate of the backend is of another authority than the BackendTLSPolicy trusts")
def untrusted(world: World, faulty: bool) -> None:
    old, new = (issued(f"{it} CA", authority=True, end=900) for it in ("old", "new"))
    name = _inside(world)
    world.main.answer.pair = issued(name, [name], new)
    trust_backend(world, old if faulty else new, name)
    world.ask("/", 3)


@_tls("the certificate of the backend is not for the hostname of the BackendTLSPolicy")
def wrong_name(world: World, faulty: bool) -> None:
    authority = issued("backends CA", authority=True, end=900)
    name = _inside(world)
    shown = f"{world.main.name}.internal" if faulty else name
    world.main.answer.pair = issued(shown, [shown], authority)
    trust_backend(world, authority, name)
    world.ask("/", 3)


@_tls("the certificate of the backend ended")
def backend_expired(world: World, faulty: bool) -> None:
    authority = issued("backends CA", authority=True, end=900)
    name = _inside(world)
    world.main.answer.pair = issued(name, [name], authority, begin=-90, end=-3 if faulty else 20)
    trust_backend(world, authority, name)
    world.ask("/", 3)
    world.truth.also_objects = [("Service", world.main.namespace, world.main.name)]


@fault(
    "upstream_tls_failure",
    503,
    "UF",
    FAILED + "TLS_error.*",
    "Envoy speaks TLS to a backend that does not",
    needs=STATS,
)
def tls_to_plain(world: World, faulty: bool) -> None:
    authority = issued("backends CA", authority=True, end=900)
    name = _inside(world)
    if not faulty:
        world.main.answer.pair = issued(name, [name], authority)
    trust_backend(world, authority, name)
    world.ask("/", 3)
    world.truth.also_objects = [("Service", world.main.namespace, world.main.name)]


@fault(
    "upstream_closed_connection",
    503,
    "UC",
    r"re:upstream_reset_before_response_started\{connection_termination\}",
    "the application closes the connection without an answer",
    needs=STATS,
)
def closed(world: World, faulty: bool) -> None:
    if faulty:
        world.main.answer.how = "close"
    else:
        world.main.answer.headers = {"connection": "close"}
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "upstream_closed_connection",
    None,
    "UPE",
    r"re:upstream_reset_after_response_started\{protocol_error\}",
    "the application closes the connection in the middle of its answer",
    needs=STATS,
    also=("upstream_protocol_error",),
)
def cut_short(world: World, faulty: bool) -> None:
    if faulty:
        world.main.answer.how = "cut"
    world.ask("/report.csv", 3)
    world.blame("Service")


@fault(
    "upstream_closed_connection",
    None,
    "UC",
    r"re:upstream_reset_after_response_started\{connection_termination.*",
    "the application, which speaks HTTP/2, is killed in the middle of its answer",
    needs=STATS,
)
def killed(world: World, faulty: bool) -> None:
    world.main.answer.http2 = True
    world.main.protocol = "kubernetes.io/h2c"
    world.rule.cluster["typed_extension_protocol_options"] = HTTP2
    if faulty:
        world.main.answer.how = "reset"
    world.ask("/report.csv", 3)
    world.blame("Service")


PROTOCOL = r"re:upstream_reset_before_response_started\{protocol_error.*"


@fault(
    "upstream_protocol_error",
    502,
    "UPE",
    PROTOCOL,
    "the port of the backend speaks something that is not HTTP",
    needs=STATS,
)
def no_http(world: World, faulty: bool) -> None:
    if faulty:
        world.main.answer.how = "banner"
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "upstream_protocol_error",
    502,
    "UPE",
    PROTOCOL,
    "the backend speaks HTTP/2 alone, and its Service does not say so: Envoy speaks HTTP/1.1",
    needs=(*STATS, "kubernetes"),
)
def http2_only(world: World, faulty: bool) -> None:
    world.main.answer.http2 = True
    if not faulty:
        world.main.protocol = "kubernetes.io/h2c"
        world.rule.cluster["typed_extension_protocol_options"] = HTTP2
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "upstream_protocol_error",
    502,
    "UPE",
    PROTOCOL,
    "the Service says h2c, and the backend speaks HTTP/1.1",
    needs=(*STATS, "kubernetes"),
)
def http1_only(world: World, faulty: bool) -> None:
    if faulty:
        world.main.protocol = "kubernetes.io/h2c"
        world.rule.cluster["typed_extension_protocol_options"] = HTTP2
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "upstream_timeout",
    504,
    "UT",
    "response_timeout",
    "the application takes longer than the route allows",
)
def too_slow(world: World, faulty: bool) -> None:
    world.rule.timeouts = {"request": "400ms"}
    world.rule.action["timeout"] = "0.400s"
    world.main.answer.delay = 1.2 if faulty else 0.1
    world.ask("/report", 2)
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Service", world.main.namespace, world.main.name)]


@fault(
    "upstream_timeout",
    504,
    "URX,UT",
    "upstream_per_try_timeout",
    "every try took longer than one may",
)
def every_try_too_slow(world: World, faulty: bool) -> None:
    world.main.pods = 2
    retries(world, "5xx,reset", 1, per_try_timeout="0.250s")
    world.main.answer.delay = 1.2 if faulty else 0.05
    world.ask("/report", 2)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-retry")
    world.truth.also_objects = [
        ("HTTPRoute", world.route.namespace, world.route.name),
        ("Service", world.main.namespace, world.main.name),
    ]


@fault(
    "upstream_timeout",
    504,
    "SI",
    "stream_idle_timeout",
    "the stream was silent for longer than it may be",
)
def silent_stream(world: World, faulty: bool) -> None:
    world.rule.action.update(timeout="0s", idle_timeout="0.400s")
    world.main.answer.delay = 1.2 if faulty else 0.1
    world.ask("/events", 2)
    if not world.plain:
        timeout = {"timeout": {"http": {"requestTimeout": "0s", "streamIdleTimeout": "400ms"}}}
        world.policy("BackendTrafficPolicy", "timeout", timeout)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-timeout")
    world.truth.also_objects = [
        ("HTTPRoute", world.route.namespace, world.route.name),
        ("Service", world.main.namespace, world.main.name),
    ]


@fault(
    "circuit_breaker_overflow",
    503,
    "UO",
    BEFORE + "overflow.*",
    "one connection, one request that waits, and the clients come all at once",
    needs=STATS,
)
def overflow(world: World, faulty: bool) -> None:
    limits = {"max_connections": 1, "max_pending_requests": 1, "max_requests": 1}
    _broken(world, {**limits}, ("maxConnections", "maxPendingRequests", "maxParallelRequests"))
    world.main.answer.delay = 0.9 if faulty else 0
    world.ask("/item/{n}", 8 if faulty else 6, together=faulty)


@fault(
    "circuit_breaker_overflow",
    503,
    "UO",
    BEFORE + "overflow.*",
    "no request may wait for a connection, and there are two connections",
    needs=STATS,
)
def no_queue(world: World, faulty: bool) -> None:
    limits = {"max_connections": 2, "max_pending_requests": 0}
    _broken(world, {**limits}, ("maxConnections", "maxPendingRequests"))
    world.main.pods = 2
    if faulty:
        world.main.answer.delay = 0.9
    else:
        world.rule.cluster["circuit_breakers"]["thresholds"][0]["max_pending_requests"] = 4
    world.ask("/item/{n}", 7 if faulty else 4, together=faulty)


def _broken(world: World, limits: Json, names: tuple[str, ...]) -> None:
    thresholds = [{**limits, "max_retries": 1024}]
    world.rule.cluster["circuit_breakers"] = {"thresholds": thresholds}
    spec = {"circuitBreaker": dict(zip(names, limits.values(), strict=True))}
    if not world.plain:
        world.policy("BackendTrafficPolicy", "limits", spec)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-limits")
    world.plain_object = ("Cluster", world.main.name)


@fault(
    "upstream_closed_connection",
    503,
    "UC",
    r"re:upstream_reset_before_response_started\{connection_termination\}",
    "the backend wants TLS, and no BackendTLSPolicy says so",
    needs=STATS,
    also=("upstream_tls_failure", "upstream_protocol_error"),
)
def plain_to_tls_backend(world: World, faulty: bool) -> None:
    authority = issued("backends CA", authority=True, end=900)
    name = _inside(world)
    world.main.answer.pair = issued(name, [name], authority)
    if not faulty:
        trust_backend(world, authority, name)
    world.ask("/", 3)
    world.blame("Service")

"""The scenes: faults of real Envoys with the alerts that fire, and their quiet neighbours."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any, get_args

from tasks.plans.alerts import Settings
from tasks.plans.metrics import Exporter
from tests.scenes import certificates, faults
from tests.scenes.backends import Backend
from tests.scenes.gateway import Json, Route, at, typed
from tests.scenes.stage import Act, Scene, Stage
from tests.scenes.stated import STATED

#: Limits of another size, for clients are few here.
SETTINGS = Settings(
    cluster="scenes",
    thresholds={
        "EnvoyProxyConnections.limit": 500,
        "EnvoyScrapeLarge.series": 5000,
        "EnvoyScrapeSlow.seconds": 0.5,
    },
    exporters=frozenset(get_args(Exporter)),
)
#: Requests of a route that fail are requests of its Gateway.
FAIL = ("EnvoyGatewayErrorsBurnFast", "EnvoyRouteErrorsBurnFast", "EnvoyBackendErrorsBurnFast")
LATE = (
    "EnvoyGatewayLatencyBurnsFast",
    "EnvoyRouteLatencyBurnsFast",
    "EnvoyBackendLatencyBurnsFast",
)
#: A fault that is short on a cluster is a long one here, where an hour is a minute.
SLOWLY = (
    "EnvoyGatewayErrorsBurnSlowly",
    "EnvoyRouteErrorsBurnSlowly",
    "EnvoyGatewayLatencyBurnsSlowly",
    "EnvoyRouteLatencyBurnsSlowly",
)


def checked(panic: float) -> dict[str, Any]:
    """A cluster with active health checks; + panic: percent"""
    check = {
        "interval": "0.5s",
        "no_traffic_interval": "0.5s",
        "timeout": "0.3s",
        "healthy_threshold": 1,
        "unhealthy_threshold": 2,
        "http_health_check": {"host": "*", "path": "/healthz"},
    }
    return {
        "health_checks": [check],
        "common_lb_config": {"healthy_panic_threshold": {"value": panic}},
    }


def ejecting() -> dict[str, Any]:
    return {
        "outlier_detection": {
            "consecutive_5xx": 5,
            "interval": "1s",
            "base_ejection_time": "3s",
            "max_ejection_percent": 100,
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def limited(**limits: int) -> dict[str, Any]:
    return {"circuit_breakers": {"thresholds": [{"max_retries": 1024, **limits}]}}


def retried(on: str, times: int) -> dict[str, Any]:
    """As Envoy Gateway writes retries: an endpoint that was tried is not taken again."""
    return {
        "retry_policy": {
            "retry_on": on,
            "num_retries": times,
            "retry_back_off": {"base_interval": "0.025s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": typed(
                        "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    ),
                }
            ],
            "host_selection_retry_max_attempts": 5,
        }
    }


def over_tls(stage: Stage) -> None:
    """Backends that speak TLS, and a BackendTLSPolicy that trusts their authority."""
    made = certificates.pair(60)
    for it in stage.backends:
        it.tls = certificates.serving(made)
    stage.route.cluster = trusting(made.pem.decode())


def trusting(authority: str) -> dict[str, Any]:
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni="shop.lab.test",
        common_tls_context={"validation_context": {"trusted_ca": {"inline_string": authority}}},
    )
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


async def trust_another(stage: Stage) -> None:
    stage.before = stage.route.cluster
    stage.route.cluster = trusting(certificates.pair(60).pem.decode())
    stage.tell()


async def trust_again(stage: Stage) -> None:
    stage.route.cluster = stage.before
    stage.tell()


def retrying_little(stage: Stage) -> None:
    stage.route.action = retried("5xx", 2)
    stage.route.cluster = limited(max_retries=1)


def three_of_them(stage: Stage) -> None:
    stage.backends.append(Backend(stage.address(102)))
    stage.route.endpoints.append(stage.backends[2].place)
    stage.route.cluster = checked(0)


async def trust_one_that_ends(stage: Stage) -> None:
    """One more authority, which ends in five days; Envoy counts the first of a list alone."""
    stage.before = stage.route.cluster
    context = stage.before["transport_socket"]["typed_config"]["common_tls_context"]
    now = context["validation_context"]["trusted_ca"]["inline_string"]
    stage.route.cluster = trusting(certificates.pair(5).pem.decode() + now)
    stage.tell()


async def disagree(stage: Stage) -> None:
    """One proxy is told of a second route, the other is not."""
    first = stage.gateways[0]
    stage.before = {"routes": first.routes}
    places = [it.place for it in stage.backends]
    first.routes = [Route("cart", places, path="/cart"), *first.routes]
    stage.tell()


async def know_less(stage: Stage) -> None:
    """One proxy is told that an endpoint has gone, the other is not."""
    first = stage.gateways[0]
    stage.before = {"routes": first.routes}
    first.routes = [replace(stage.route, endpoints=stage.route.endpoints[:1])]
    stage.tell()


async def agree(stage: Stage) -> None:
    stage.gateways[0].routes = stage.before["routes"]
    stage.tell()


async def repeat_a_host(stage: Stage) -> None:
    """Two virtual hosts of one name, which a patch can make."""
    places = [it.place for it in stage.backends]
    hosts = ("shop.lab.test", "shop.lab.test")
    stage.gateway.routes.append(Route("patched", places, hostnames=hosts))
    stage.tell()


async def repeat_no_host(stage: Stage) -> None:
    stage.gateway.routes.pop()
    stage.tell()


def waiting(stage: Stage) -> Json:
    """A listener whose Secret the controller never sends: its stream carries nothing."""
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_certificate_sds_secret_configs": [{"name": "edge/never", "sds_config": source}]
        },
    )
    proxy = typed(
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="tcp-10444",
        cluster="prometheus_stats",
    )
    chain = {
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }
    return typed(
        "config.listener.v3.Listener",
        name="edge/public/waiting",
        address=at(stage.gateway.address, 10444),
        filter_chains=[chain],
    )


async def leave_out_a_secret(stage: Stage) -> None:
    await faults.one_more("more_listeners", waiting(stage))(stage)


def restarted_with(**fields: Any) -> Act:
    """A proxy that comes again with another bootstrap."""
    return faults.each(faults.said(**fields), faults.restarted(0))


BACKENDS = (
    Scene(
        "backend-refuses",
        "every endpoint refuses connections",
        faults.refuse(0, 1),
        faults.serve(0, 1),
        (*FAIL, "EnvoyBackendUnreachable"),
        SLOWLY,
        sample=True,
    ),
    Scene(
        "backend-half-refuses",
        "one of two endpoints refuses connections, and nothing retries",
        faults.refuse(0),
        faults.serve(0),
        (*FAIL, "EnvoyBackendUnreachable"),
        SLOWLY,
    ),
    Scene(
        "backend-half-retried",
        "one of two endpoints refuses connections, and Envoy tries the other one",
        faults.refuse(0),
        faults.serve(0),
        ("EnvoyBackendUnreachable",),
        before=faults.with_action(**retried("connect-failure,refused-stream", 5)),
    ),
    Scene(
        "backend-fails",
        "every answer of the application is 500",
        faults.answer(status=500),
        faults.answer(),
        (*FAIL, "EnvoyBackendAnswersErrors"),
        SLOWLY,
    ),
    Scene(
        "backend-fails-rarely",
        "one answer of a thousand is 503",
        faults.answer(status=503, every=1000),
        faults.answer(),
        rate=100,
        hold=45,
        sample=True,
    ),
    Scene(
        "backend-says-404",
        "every answer of the application is 404",
        faults.answer(status=404),
        faults.answer(),
        hold=30,
    ),
    Scene(
        "backend-closes",
        "the application closes connections instead of an answer",
        faults.answer(how="close"),
        faults.answer(),
        (*FAIL, "EnvoyBackendBreaksOff"),
        SLOWLY,
    ),
    Scene(
        "backend-speaks-smtp",
        "the port of the Service does not speak HTTP",
        faults.answer(how="garbage"),
        faults.answer(),
        (*FAIL, "EnvoyBackendBreaksOff"),
        SLOWLY,
    ),
    Scene(
        "backend-hangs",
        "the application says nothing, and the route's timeout of a second ends requests",
        faults.answer(how="hang"),
        faults.answer(),
        (*FAIL, "EnvoyBackendTimesOut"),
        SLOWLY,
        before=faults.with_action(timeout="0.5s"),
    ),
    Scene(
        "backend-deaf",
        "packets to the endpoints are dropped",
        faults.each(faults.deafen, faults.endpoints(0, 1, port=faults.DEAF)),
        faults.endpoints(0, 1),
        (*FAIL, "EnvoyBackendUnreachable"),
        SLOWLY,
        before=faults.with_cluster(connect_timeout="0.5s"),
    ),
    Scene(
        "backend-not-trusted",
        "the certificate of the backend is of an authority that its BackendTLSPolicy does not name",
        trust_another,
        trust_again,
        (*FAIL, "EnvoyBackendUnreachable", "EnvoyBackendTLSFails"),
        SLOWLY,
        before=over_tls,
    ),
    Scene(
        "backend-slow",
        "every answer takes two seconds",
        faults.answer(delay=2),
        faults.answer(),
        LATE,
        SLOWLY,
    ),
    Scene(
        "backend-slow-rarely",
        "one answer of five hundred takes two seconds",
        faults.answer(delay=2, every=500),
        faults.answer(),
        rate=100,
        hold=30,
    ),
    Scene(
        "no-ready-endpoints",
        "no endpoint is ready: Envoy Gateway has Envoy answer 503 and takes the cluster away",
        faults.answered(503),
        faults.answered(None),
        ("EnvoyGatewayErrorsBurnFast", "EnvoyGatewayAnswersErrors"),
        SLOWLY,
        sample=True,
    ),
    Scene(
        "backend-invalid",
        "the backendRef names nothing: Envoy Gateway has Envoy answer 500",
        faults.answered(500),
        faults.answered(None),
        ("EnvoyGatewayErrorsBurnFast", "EnvoyGatewayAnswersErrors"),
        SLOWLY,
    ),
    Scene(
        "endpoints-empty",
        "the cluster of a route has no endpoint",
        faults.endpoints(),
        faults.endpoints(0, 1),
        (*FAIL, "EnvoyBackendNoHealthyEndpoints"),
        SLOWLY,
    ),
    Scene(
        "endpoints-unwell",
        "health checks fail for every endpoint, and there is no panic threshold",
        faults.unwell(0, 1),
        faults.unwell(0, 1, well=True),
        (*FAIL, "EnvoyBackendNoHealthyEndpoints"),
        SLOWLY,
        before=faults.with_cluster(**checked(0)),
    ),
    Scene(
        "endpoints-panic",
        "health checks fail for every endpoint, and requests go to them all the same",
        faults.unwell(0, 1),
        faults.unwell(0, 1, well=True),
        ("EnvoyBackendNoHealthyEndpoints", "EnvoyBackendPanics"),
        before=faults.with_cluster(**checked(50)),
    ),
    Scene(
        "endpoints-few-well",
        "health checks fail for two of three endpoints",
        faults.unwell(0, 1),
        faults.unwell(0, 1, well=True),
        ("EnvoyBackendFewHealthyEndpoints",),
        before=three_of_them,
    ),
    Scene(
        "endpoints-half-unwell",
        "health checks fail for one of two endpoints",
        faults.unwell(0),
        faults.unwell(0, well=True),
        before=faults.with_cluster(**checked(0)),
        hold=30,
    ),
    Scene(
        "endpoints-ejected",
        "every endpoint is ejected for its errors, again and again",
        faults.answer(status=500),
        faults.answer(),
        (*FAIL, "EnvoyBackendEjectsEndpoints"),
        (*SLOWLY, "EnvoyBackendNoHealthyEndpoints", "EnvoyBackendAnswersErrors"),
        before=faults.with_cluster(**ejecting()),
    ),
    Scene(
        "breaker-sheds",
        "more requests are under way than the circuit breaker lets through",
        faults.answer(delay=0.5),
        faults.answer(),
        (*FAIL, "EnvoyBackendSheds"),
        SLOWLY,
        before=faults.with_cluster(**limited(max_connections=5, max_pending_requests=1)),
        sample=True,
    ),
    Scene(
        "breaker-at-its-limit",
        "every connection that the circuit breaker allows is in use, and requests wait a little",
        faults.answer(delay=0.05),
        faults.answer(),
        before=faults.with_cluster(**limited(max_connections=2)),
        hold=30,
        sample=True,
    ),
    Scene(
        "retries-spent",
        "answers are 503, and the retries of the route do not help",
        faults.answer(status=503),
        faults.answer(),
        (*FAIL, "EnvoyBackendRetriesExhausted", "EnvoyBackendAnswersErrors"),
        SLOWLY,
        before=faults.with_action(**retried("5xx", 2)),
    ),
    Scene(
        "retries-shed",
        "more retries are under way than the circuit breaker lets through",
        faults.answer(status=503, delay=0.2),
        faults.answer(),
        (*FAIL, "EnvoyBackendRetriesExhausted", "EnvoyBackendAnswersErrors"),
        SLOWLY,
        before=retrying_little,
    ),
    Scene(
        "cluster-missing",
        "the route names a cluster that Envoy does not have",
        faults.routed(cluster="httproute/edge/nothing/rule/0"),
        faults.routed(cluster="httproute/cluster-missing/shop/rule/0"),
        ("EnvoyGatewayErrorsBurnFast", "EnvoyGatewayFailsRequests"),
        SLOWLY,
    ),
)

ASKED = typed(
    "extensions.filters.http.ext_authz.v3.ExtAuthz",
    transport_api_version="V3",
    grpc_service={"envoy_grpc": {"cluster_name": faults.SERVICE}, "timeout": "1s"},
)
COUNTED = typed(
    "extensions.filters.http.ratelimit.v3.RateLimit",
    domain="edge/public/http",
    timeout="0.5s",
    rate_limit_service={
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": faults.SERVICE}},
    },
)
DESCRIBED = {
    "rate_limits": [{"actions": [{"generic_key": {"descriptor_value": "shop"}}]}],
}


def counted(*, closed: bool) -> Any:
    """A global rate limit: + closed: requests fail without its service"""

    def before(stage: Stage) -> None:
        faults.with_action(**DESCRIBED)(stage)
        config = {**COUNTED, "failure_mode_deny": closed}
        faults.policy("envoy.filters.http.ratelimit", 8081, config)(stage)

    return before


LOCAL = typed(
    "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    stat_prefix="http_local_rate_limiter",
    token_bucket={"max_tokens": 5, "tokens_per_fill": 5, "fill_interval": "1s"},
    filter_enabled={"default_value": {"numerator": 100}},
    filter_enforced={"default_value": {"numerator": 100}},
)

POLICIES = (
    Scene(
        "ratelimit-away",
        "the rate limit service is away, and requests pass without it",
        faults.service_away,
        faults.service_back,
        ("EnvoyRateLimitFails",),
        before=counted(closed=False),
    ),
    Scene(
        "ratelimit-away-closed",
        "the rate limit service is away, and requests fail without it",
        faults.service_away,
        faults.service_back,
        ("EnvoyGatewayErrorsBurnFast", "EnvoyGatewayFailsRequests", "EnvoyRateLimitFails"),
        before=counted(closed=True),
    ),
    Scene(
        "authorization-away",
        "the authorization service is away, and every request is refused",
        faults.service_away,
        faults.service_back,
        before=faults.policy("envoy.filters.http.ext_authz", 9000, ASKED),
    ),
    Scene(
        "limited-locally",
        "a local rate limit answers three of four requests 429",
        faults.nothing,
        before=faults.with_gateway(
            filters=[{"name": "envoy.filters.http.local_ratelimit", "typed_config": LOCAL}]
        ),
        hold=30,
    ),
)

CLIENTS = (
    Scene(
        "certificate-not-trusted",
        "clients do not trust the certificate of a listener",
        faults.verifying,
        faults.taking_any,
        ("EnvoyTLSHandshakesFail",),
        ("EnvoyGatewayTrafficGone",),
        before=faults.https(),
    ),
    Scene(
        "certificate-not-trusted-by-some",
        "one client of a hundred does not trust the certificate of a listener",
        faults.nothing,
        before=faults.https(),
        after=faults.suspicious(0.2),
        hold=30,
    ),
    Scene(
        "no-route",
        "clients ask for a host that no route has",
        faults.asked(host="old.lab.test"),
        faults.asked(),
        ("EnvoyGatewayNoRoute",),
    ),
    Scene(
        "no-route-rarely",
        "one request of a hundred is for a host that no route has",
        faults.visited(0.5, host="old.lab.test"),
        rate=50,
        hold=30,
    ),
    Scene(
        "clients-leave",
        "clients go away before they have their answers",
        faults.each(faults.answer(delay=0.5), faults.patience(0.2)),
        faults.each(faults.answer(), faults.patience(10)),
        ("EnvoyClientsGiveUp",),
        ("EnvoyGatewayTrafficGone",),
    ),
    Scene(
        "traffic-gone",
        "clients stop coming",
        faults.rate(0),
        faults.rate(20),
        ("EnvoyGatewayTrafficGone",),
        warm=75,
    ),
    Scene(
        "traffic-falls",
        "half of the clients stop coming",
        faults.rate(10),
        faults.rate(20),
        warm=75,
        hold=40,
    ),
    Scene(
        "name-unknown",
        "clients ask over TLS for a name that no listener has",
        faults.asked(host="shop.other.test"),
        faults.asked(),
        ("EnvoyTLSNameUnknown",),
        ("EnvoyGatewayTrafficGone",),
        before=faults.https(),
    ),
)

CERTIFICATES = (
    Scene(
        "certificate-ends",
        "the certificate of a listener ends in ten days",
        faults.served(10),
        faults.served(90),
        ("EnvoyCertificateExpires",),
        before=faults.https(),
        rate=5,
    ),
    Scene(
        "certificate-ends-tomorrow",
        "the certificate of a listener ends in a day",
        faults.served(1),
        faults.served(90),
        ("EnvoyCertificateExpires", "EnvoyCertificateExpiresSoon"),
        before=faults.https(),
        rate=5,
        sample=True,
    ),
    Scene(
        "certificate-ended",
        "the certificate of a listener ended ten days ago",
        faults.served(-10),
        faults.served(90),
        ("EnvoyCertificateExpires", "EnvoyCertificateExpiresSoon"),
        before=faults.https(),
        rate=5,
    ),
    Scene(
        "backend-authority-ends",
        "an authority that a BackendTLSPolicy names ends in five days",
        trust_one_that_ends,
        trust_again,
        ("EnvoyBackendCertificateExpires",),
        before=over_tls,
    ),
    Scene(
        "certificate-renewed",
        "the certificate of a listener is replaced by one for 30 days",
        faults.served(30),
        before=faults.https(),
        rate=5,
        hold=25,
    ),
)

BROKEN_LISTENER: Json = typed(
    "config.listener.v3.Listener", name="patched", address=at("127.0.0.1", 0)
)
BROKEN_CLUSTER: Json = typed(
    "config.cluster.v3.Cluster", name="patched", type="EDS", connect_timeout="1s"
)

PROXIES = (
    Scene(
        "proxy-killed",
        "one of two proxies is dead, and its Pod is still there",
        faults.signalled(signal.SIGKILL, (1,)),
        faults.started(1),
        ("EnvoyProxyDown",),
        proxies=2,
        sample=True,
    ),
    Scene(
        "proxy-frozen",
        "one of two proxies answers nothing any more",
        faults.each(faults.patience(1), faults.signalled(signal.SIGSTOP, (1,))),
        faults.signalled(signal.SIGCONT, (1,)),
        ("EnvoyProxyDown",),
        proxies=2,
    ),
    Scene(
        "gateway-down",
        "every proxy is dead",
        faults.signalled(signal.SIGKILL, (0, 1)),
        faults.started(0, 1),
        ("EnvoyProxyDown", "EnvoyGatewayDown"),
        proxies=2,
    ),
    Scene(
        "gateway-gone",
        "the Pods of every proxy are gone",
        faults.gone,
        faults.come,
        ("EnvoyGatewayProxiesGone",),
        warm=20,
    ),
    Scene(
        "proxy-restarts",
        "a proxy is killed again and again",
        faults.each(*[faults.each(faults.restarted(0), faults.passed(8))] * 3),
        alerts=("EnvoyProxyRestarts",),
        clears=90,
    ),
    Scene(
        "proxy-restarts-once",
        "a proxy is killed once and starts again",
        faults.restarted(1),
        proxies=2,
        hold=35,
    ),
    Scene(
        "controller-away",
        "the controller's stream ends, and nobody listens there",
        faults.controller_away,
        faults.controller_back,
        ("EnvoyProxyDisconnected",),
        sample=True,
    ),
    Scene(
        "controller-restarts",
        "the controller is away for three seconds, which are minutes here",
        faults.each(faults.controller_away, faults.passed(3), faults.controller_back),
        hold=25,
    ),
    Scene(
        "listener-refused",
        "Envoy refuses a listener that a patch made",
        faults.one_more("more_listeners", BROKEN_LISTENER),
        faults.without("more_listeners"),
        ("EnvoyProxyConfigurationRejected",),
        sample=True,
    ),
    Scene(
        "cluster-refused",
        "Envoy refuses a cluster that a patch made",
        faults.one_more("more_clusters", BROKEN_CLUSTER),
        faults.without("more_clusters"),
        ("EnvoyProxyConfigurationRejected",),
    ),
    Scene(
        "routes-refused",
        "Envoy refuses routes that a patch made",
        repeat_a_host,
        repeat_no_host,
        ("EnvoyProxyConfigurationRejected",),
    ),
    Scene(
        "secret-never-comes",
        "a listener waits for a Secret that the controller does not send",
        leave_out_a_secret,
        faults.without("more_listeners"),
        ("EnvoyProxyWaitsForConfiguration",),
    ),
    Scene(
        "proxies-disagree",
        "one of two proxies is told of a new route",
        disagree,
        agree,
        ("EnvoyProxiesDisagree",),
        proxies=2,
    ),
    Scene(
        "endpoints-stale",
        "one of two proxies is told that an endpoint has gone",
        know_less,
        agree,
        ("EnvoyProxyEndpointsStale",),
        proxies=2,
    ),
    Scene(
        "proxy-overloaded",
        "the heap of a proxy is at the limit of its overload manager",
        restarted_with(heap=4_000_000),
        restarted_with(heap=858_993_459),
        ("EnvoyProxyOverloaded", "EnvoyGatewayErrorsBurnFast", "EnvoyGatewayFailsRequests"),
        (*SLOWLY, "EnvoyProxyRestarts"),
    ),
    Scene(
        "metrics-dropped",
        "settings of the EnvoyProxy keep few series",
        restarted_with(kept=("http.", "listener.")),
        restarted_with(kept=()),
        ("EnvoyMetricsMissing",),
        ("EnvoyProxyRestarts",),
    ),
    Scene(
        "connections-near-the-limit",
        "nine of ten connections that the overload manager allows are open",
        faults.connections(450),
        faults.let_go,
        ("EnvoyProxyConnections",),
        before=faults.with_gateway(connections=500),
    ),
    Scene(
        "connections-refused",
        "more connections come than the overload manager allows",
        faults.repeated(faults.connections(10), 0.5),
        faults.let_go,
        ("EnvoyProxyRefusesConnections",),
        before=faults.with_gateway(connections=40),
    ),
)

#: The hour and the three days of these are a minute and more than an hour here.
LONG = (
    Scene(
        "backend-fails-a-little",
        "three answers of a thousand are 503, all the time",
        faults.answer(status=503, every=333),
        faults.answer(),
        ("EnvoyGatewayErrorsBurnSlowly", "EnvoyRouteErrorsBurnSlowly"),
        rate=100,
        within=150,
        clears=480,
    ),
    Scene(
        "backend-slow-a-little",
        "two answers of a hundred take two seconds, all the time",
        faults.answer(delay=2, every=50),
        faults.answer(),
        ("EnvoyGatewayLatencyBurnsSlowly", "EnvoyRouteLatencyBurnsSlowly"),
        rate=50,
        within=150,
        clears=480,
    ),
)

QUIET = (
    Scene("idle", "no request", faults.nothing, rate=0, hold=45, sample=True),
    Scene("one-a-second", "one request a second", faults.nothing, rate=1, hold=45),
    Scene("busy", "500 requests a second", faults.nothing, rate=500, hold=45),
    Scene(
        "deployment",
        "every endpoint of a backend is replaced by another",
        faults.each(
            faults.endpoints(0),
            faults.passed(2),
            faults.endpoints(1),
            faults.refuse(0),
            faults.passed(2),
            faults.serve(0),
            faults.endpoints(0, 1),
        ),
        hold=30,
        sample=True,
    ),
    Scene(
        "roll-out",
        "every proxy is replaced: a new one comes, an old one drains and ends",
        faults.rolled_out,
        proxies=2,
        hold=30,
        sample=True,
    ),
    Scene(
        "scale-down",
        "one of two proxies drains and ends",
        faults.drained(1),
        proxies=2,
        hold=30,
    ),
)

SCENES: tuple[Scene, ...] = (
    *BACKENDS,
    *POLICIES,
    *CLIENTS,
    *CERTIFICATES,
    *PROXIES,
    *STATED,
    *QUIET,
    *LONG,
)

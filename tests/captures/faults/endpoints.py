"""Faults of endpoints: none there, none ready, none healthy, all put out."""

from __future__ import annotations

from tests.captures.table import GATEWAY, PLAIN, fault
from tests.captures.world import Json, Rule, Service, World

CLUSTERS = ("access_log", "clusters", "config_dump")
UH = "no_healthy_upstream"


def no_panic(world: World) -> Json:
    """Never to endpoints that are not healthy; of a BackendTrafficPolicy."""
    world.rule.cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    return {"panicThreshold": 0}


def health_checked(world: World, path: str = "/healthz", *, panic: bool = False) -> None:
    check: Json = {
        "timeout": "0.300s",
        "interval": "0.500s",
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "no_traffic_interval": "0.500s",
        "http_health_check": {"host": world.host, "path": path},
    }
    world.rule.cluster["health_checks"] = [check]
    active = {
        "type": "HTTP",
        "timeout": "300ms",
        "interval": "500ms",
        "unhealthyThreshold": 1,
        "healthyThreshold": 1,
        "http": {"path": path},
    }
    spec: Json = {"active": active}
    if not panic:
        spec.update(no_panic(world))
    if not world.plain:
        world.policy("BackendTrafficPolicy", "health", {"healthCheck": spec})
    world.settle = 1.3


@fault(
    "zero_endpoints",
    503,
    "UH",
    UH,
    "the selector of the Service finds no Pod, so its cluster has no endpoint at all",
    needs=CLUSTERS,
)
def selects_nothing(world: World, faulty: bool) -> None:
    world.main.pods = 2
    world.main.selected = not faulty
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "zero_endpoints",
    503,
    "UH",
    UH,
    "the application is scaled to nothing",
    needs=CLUSTERS,
)
def scaled_to_nothing(world: World, faulty: bool) -> None:
    """Another rule of the same route goes on."""
    beta = Service(world.main.namespace, f"{world.main.name}-beta", 0 if faulty else 1)
    match = {"path": {"type": "PathPrefix", "value": "/beta"}}
    world.route.rules.append(Rule([(beta, 1)], [match]))
    world.ask("/", 1)
    world.ask("/beta/1", 3)
    world.blame("Service", beta.name)


@fault(
    "no_ready_endpoints_direct_response",
    503,
    "-",
    "direct_response",
    "no endpoint of the Service is ready, so Envoy Gateway lets the route answer 503",
    shapes=GATEWAY,
    needs=("access_log", "config_dump", "kubernetes"),
)
def none_ready(world: World, faulty: bool) -> None:
    world.main.pods = 2
    if faulty:
        place = f"{world.main.namespace}/{world.main.name}"
        said = f"no ready endpoints for the related Service {place}."
        world.main.ready = False
        world.rule.instead = {"direct_response": {"status": 503}}
        reason = ("EndpointsNotFound", f"Failed to find endpoints: {said}")
        world.route.conditions["BackendsAvailable"] = reason
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "no_ready_endpoints_direct_response",
    503,
    "-",
    "direct_response",
    "the Pod of the Service crashes, so Envoy Gateway lets this one rule answer 503",
    shapes=GATEWAY,
    needs=("access_log", "config_dump", "kubernetes"),
)
def none_ready_one_rule(world: World, faulty: bool) -> None:
    service = Service(world.main.namespace, f"{world.main.name}-search", target=9200)
    match = {"path": {"type": "PathPrefix", "value": "/search"}}
    rule = Rule([(service, 1)], [match])
    if faulty:
        service.ready = False
        rule.instead = {"direct_response": {"status": 503}}
    world.route.rules.append(rule)
    world.ask("/", 1)
    world.ask("/search?q=a", 3)
    world.blame("Service", service.name)


@fault(
    "health_check_failing",
    503,
    "UH",
    UH,
    "every endpoint fails its active health check, and panic routing is off",
    needs=CLUSTERS,
    also=("no_healthy_endpoints",),
)
def health_says_no(world: World, faulty: bool) -> None:
    world.main.pods = 2
    world.main.answer.health = 500 if faulty else 200
    health_checked(world)
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "health_check_failing",
    503,
    "UH",
    UH,
    "the health check asks for a path that the application does not have",
    needs=CLUSTERS,
    also=("no_healthy_endpoints",),
)
def health_path(world: World, faulty: bool) -> None:
    world.main.answer.known = ("/app",)
    health_checked(world, "/livez" if faulty else "/healthz")
    world.ask("/app/1", 3)
    if world.plain:
        world.blame("Service")
    else:
        world.blame("BackendTrafficPolicy", f"{world.route.name}-health")
        world.truth.also_objects = [("Service", world.main.namespace, world.main.name)]
    world.plain_object = ("Cluster", world.main.name)


@fault(
    "panic_routing",
    200,
    "-",
    "via_upstream",
    "every endpoint fails its health check, and Envoy sends to them all the same",
    by="upstream",
    needs=("clusters", "stats"),
    degraded=True,
)
def panic(world: World, faulty: bool) -> None:
    world.main.pods = 2
    world.main.answer.health = 503 if faulty else 200
    health_checked(world, panic=True)
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "panic_routing",
    500,
    "-",
    "via_upstream",
    "every endpoint fails its health check, Envoy sends to them all the same, and they fail",
    by="upstream",
    needs=("clusters", "stats"),
    also=("backend_5xx", "health_check_failing"),
    degraded=True,
)
def panic_fails(world: World, faulty: bool) -> None:
    world.main.pods = 3
    if faulty:
        world.main.answer.health = world.main.answer.status = 500
    health_checked(world, panic=True)
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "no_healthy_endpoints",
    503,
    "UH",
    UH,
    "every endpoint is being drained, and panic routing is off",
    needs=CLUSTERS,
)
def draining(world: World, faulty: bool) -> None:
    world.main.pods = 2
    spec = no_panic(world)
    if not world.plain:
        world.policy("BackendTrafficPolicy", "panic", {"healthCheck": spec})
    world.main.health = "DRAINING" if faulty else "UNKNOWN"
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "no_healthy_endpoints",
    503,
    "UH",
    UH,
    "the configuration calls every endpoint unhealthy, and panic routing is off",
    needs=CLUSTERS,
    shapes=PLAIN,
)
def said_unhealthy(world: World, faulty: bool) -> None:
    no_panic(world)
    world.main.pods = 2
    world.main.health = "UNHEALTHY" if faulty else "HEALTHY"
    world.ask("/", 3)
    world.blame("Service")


def outlier(world: World) -> None:
    world.rule.cluster["outlier_detection"] = {
        "consecutive_5xx": 3,
        "interval": "1s",
        "base_ejection_time": "30s",
        "max_ejection_percent": 100,
    }
    spec: Json = {
        "passive": {
            "consecutive5XxErrors": 3,
            "interval": "1s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 100,
        },
        **no_panic(world),
    }
    if not world.plain:
        world.policy("BackendTrafficPolicy", "outlier", {"healthCheck": spec})


@fault(
    "all_endpoints_ejected",
    503,
    "UH",
    UH,
    "the application failed three times in a row, so its only endpoint was put out",
    needs=CLUSTERS,
)
def ejected(world: World, faulty: bool) -> None:
    outlier(world)
    world.main.answer.first = [500] * (3 if faulty else 2)
    world.ask("/", 3)
    world.asks[-1].pause = 0.6
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "all_endpoints_ejected",
    503,
    "UH",
    UH,
    "both endpoints close every connection without an answer, and were put out for it",
    needs=CLUSTERS,
)
def ejected_all(world: World, faulty: bool) -> None:
    outlier(world)
    world.main.pods = 2
    if faulty:
        world.main.answer.how = "close"
        world.ask("/", 16)
        world.asks[-1].pause = 0.1
        world.ask("/", 1)
        world.asks[-1].pause = 1.2
    world.ask("/", 3)
    world.blame("Service")

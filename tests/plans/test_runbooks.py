"""
What each step of a runbook says of a small cluster with one fault, and of the same without; and
what an action changes and brings back.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.checks.runbooks import findings
from tasks.diagnosis.causes import CAUSES
from tasks.plans import runbooks
from tasks.plans.alerts import ALERTS
from tasks.plans.runbooks import RUNBOOKS, actions
from tasks.plans.runbooks.source import Action, Asked, Cause, Seen, Served, Target, Timed, Wanted
from tasks.plans.runbooks.walk import judged, may_go_on, nothing_known, to_do, walk

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OURS = "gateway.envoyproxy.io/gatewayclass-controller"
EG = "envoy-gateway-system"
OWNED = {
    "gateway.envoyproxy.io/owning-gateway-namespace": "edge",
    "gateway.envoyproxy.io/owning-gateway-name": "public",
    "app.kubernetes.io/component": "proxy",
}
READY = [{"type": "Ready", "status": "True"}]
Objects = dict[str, dict[str, Any]]


def thing(api: str, kind: str, place: str, **more: Any) -> dict[str, Any]:
    namespace, _, name = place.rpartition("/")
    meta: dict[str, Any] = {"name": name, "generation": 1, **more.pop("metadata", {})}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": api, "kind": kind, "metadata": meta, **more}


def deployment(place: str, labels: dict[str, str]) -> dict[str, Any]:
    return thing(
        "apps/v1",
        "Deployment",
        place,
        metadata={"labels": labels},
        spec={
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "x"}]},
            },
        },
        status={
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": 1,
        },
    )


def pod(place: str, labels: dict[str, str], port: int = 3000) -> dict[str, Any]:
    return thing(
        "v1",
        "Pod",
        place,
        metadata={"labels": labels},
        spec={"containers": [{"name": "main", "ports": [{"containerPort": port}]}]},
        status={
            "phase": "Running",
            "conditions": READY,
            "containerStatuses": [{"name": "main", "ready": True, "restartCount": 0}],
        },
    )


def true(*kinds: str) -> list[dict[str, Any]]:
    return [{"type": it, "status": "True", "reason": it, "observedGeneration": 1} for it in kinds]


def cluster() -> Objects:
    """A small one that is well, by a short name."""
    listener = {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "shop-tls"}]},
    }
    every = {
        "controller": deployment(f"{EG}/envoy-gateway", {"control-plane": "envoy-gateway"}),
        "controller pod": pod(f"{EG}/envoy-gateway-1", {"control-plane": "envoy-gateway"}),
        "lease": thing(
            "coordination.k8s.io/v1",
            "Lease",
            f"{EG}/5b9825d2.gateway.envoyproxy.io",
            spec={"holderIdentity": "envoy-gateway-1_x", "renewTime": "2026-11-22T11:59:58Z"},
        ),
        "class": thing(
            "gateway.networking.k8s.io/v1",
            "GatewayClass",
            "envoy",
            spec={
                "controllerName": OURS,
                "parametersRef": {"kind": "EnvoyProxy", "namespace": EG, "name": "envoy"},
            },
            status={"conditions": true("Accepted")},
        ),
        "parameters": thing("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", f"{EG}/envoy", spec={}),
        "gateway": thing(
            "gateway.networking.k8s.io/v1",
            "Gateway",
            "edge/public",
            spec={"gatewayClassName": "envoy", "listeners": [listener]},
            status={
                "addresses": [{"value": "20.1.2.3"}],
                "conditions": true("Accepted", "Programmed"),
                "listeners": [
                    {
                        "name": "https",
                        "attachedRoutes": 1,
                        "conditions": true("Accepted", "ResolvedRefs", "Programmed"),
                    }
                ],
            },
        ),
        "secret": thing("v1", "Secret", "edge/shop-tls", type="kubernetes.io/tls"),
        "proxies": deployment(f"{EG}/envoy-edge", OWNED),
        "proxy": pod(f"{EG}/envoy-edge-1", OWNED),
        "load balancer": thing(
            "v1",
            "Service",
            f"{EG}/envoy-edge",
            metadata={"labels": OWNED},
            spec={"type": "LoadBalancer", "selector": OWNED, "ports": [{"port": 443}]},
            status={"loadBalancer": {"ingress": [{"ip": "20.1.2.3"}]}},
        ),
        "route": thing(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            "shop/cart",
            spec={
                "parentRefs": [{"name": "public", "namespace": "edge"}],
                "hostnames": ["shop.example.com"],
                "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}],
            },
            status={
                "parents": [
                    {
                        "controllerName": OURS,
                        "parentRef": {"name": "public"},
                        "conditions": true("Accepted", "ResolvedRefs"),
                    }
                ]
            },
        ),
        "service": thing(
            "v1",
            "Service",
            "shop/cart",
            spec={"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": 3000}]},
        ),
        "backend": deployment("shop/cart", {"app": "cart"}),
        "backend pod": pod("shop/cart-1", {"app": "cart"}),
        "slice": thing(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "shop/cart-x",
            metadata={"labels": {"kubernetes.io/service-name": "cart"}},
            endpoints=[{"addresses": ["10.0.0.7"], "conditions": {"ready": True}}],
        ),
    }
    return deepcopy(every)


LINE = "edge/public:https https://shop.example.com:443/: 503 from Envoy itself"
GOOD = Asked("edge/public", "edge/public:https https://…", "shop.example.com", "shop/cart")
BAD = replace(GOOD, problem=LINE)


def seen(objects: Objects, **more: Any) -> Seen:
    about: dict[str, Any] = {
        "now": NOW,
        "objects": [*objects.values()],
        "gateways": ("edge/public",),
        "asked": [BAD],
        "wanted": Wanted(controller_replicas=2, proxy_replicas=3),
        **more,
    }
    return Seen(**about)


STEPS = {step.name: step for it in RUNBOOKS.values() for step in it.steps}
WELL = Seen(
    now=NOW,
    objects=[*cluster().values()],
    gateways=("edge/public",),
    asked=[GOOD],
    served=[Served("Pod p", "shop.example.com", 60)],
    times=[Timed(20.0, 15.0, 200)],
    metrics=("envoy-edge-1",),
)


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_nothing_is_it_on_a_cluster_that_is_well(name: str) -> None:
    verdicts = walk(RUNBOOKS[name], WELL)
    assert [it.step.name for it in verdicts if it.verdict.says == "this is it"] == []
    assert [*findings("weu-1", name, verdicts)] == []


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_nobody_is_accused_where_nothing_could_be_read(name: str) -> None:
    verdicts = walk(RUNBOOKS[name], Seen(now=NOW, objects=None, gateways=("edge/public",)))
    assert {it.verdict.says for it in verdicts} == {"cannot tell"}


# --- faults

Fault = Callable[[Objects], None]


def gone(name: str) -> Fault:
    def change(them: Objects) -> None:
        del them[name]

    return change


def at(name: str, *keys: Any, to: Any) -> Fault:
    def change(them: Objects) -> None:
        place: Any = them[name]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


def both(*faults: Fault) -> Fault:
    def change(them: Objects) -> None:
        for it in faults:
            it(them)

    return change


def not_ready(name: str, reason: str = "CrashLoopBackOff", restarts: int = 4) -> Fault:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "main",
                "ready": False,
                "restartCount": restarts,
                "state": {"waiting": {"reason": reason}},
            }
        ],
    }
    return at(name, "status", to=status)


def unavailable(name: str) -> Fault:
    return at(name, "status", "availableReplicas", to=0)


def condition(name: str, place: tuple[Any, ...], reason: str, message: str) -> Fault:
    said = {
        "status": "False",
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
    }

    def change(them: Objects) -> None:
        it: Any = them[name]["status"]
        for key in place:
            it = it[key]
        it.update(said)

    return change


NO_SECRET = both(
    gone("secret"),
    condition(
        "gateway",
        ("listeners", 0, "conditions", 1),
        "InvalidCertificateRef",
        "Secret edge/shop-tls does not exist.",
    ),
)
POD = "Pod envoy-gateway-system/envoy-edge-1"
CASES = [
    pytest.param(
        "controller",
        gone("controller"),
        "Deployment envoy-gateway-system/envoy-gateway does not exist: nobody configures proxies, "
        "and nobody makes new ones",
        None,
        id="no controller",
    ),
    pytest.param(
        "controller",
        at("controller", "spec", "replicas", to=0),
        "Deployment envoy-gateway-system/envoy-gateway is scaled to 0: nobody configures proxies, "
        "and nobody makes new ones",
        "Scale Deployment envoy-gateway-system/envoy-gateway from 0 to 2",
        id="controller at 0",
    ),
    pytest.param(
        "controller",
        both(unavailable("controller"), not_ready("controller pod")),
        "Deployment envoy-gateway-system/envoy-gateway: 0 of 1 Pods are available: no controller "
        "works",
        None,
        id="controller crashes: a restart mends nothing",
    ),
    pytest.param(
        "controller",
        both(unavailable("controller"), not_ready("controller pod", "Unknown", 0)),
        "Deployment envoy-gateway-system/envoy-gateway: 0 of 1 Pods are available: no controller "
        "works",
        "Restart the controller: delete Pod envoy-gateway-system/envoy-gateway-1",
        id="controller runs and is not ready",
    ),
    pytest.param(
        "leader",
        at("lease", "spec", "renewTime", to="2026-11-22T11:50:00Z"),
        "no controller of envoy-gateway-system/envoy-gateway leads: its Lease was last renewed "
        "2026-11-22 11:50 UTC by this machine's clock: its Pod is Ready and reacts to nothing",
        "Restart the controller: delete Pod envoy-gateway-system/envoy-gateway-1",
        id="blind controller",
    ),
    pytest.param(
        "taken-up",
        at("route", "metadata", "generation", to=2),
        "HTTPRoute shop/cart was changed, and the controller has not taken it up",
        "Restart the controller: delete Pod envoy-gateway-system/envoy-gateway-1",
        id="generation without an answer",
    ),
    pytest.param(
        "gateway", gone("gateway"), "Gateway edge/public does not exist", None, id="no Gateway"
    ),
    pytest.param(
        "gateway",
        gone("class"),
        "GatewayClass envoy of Gateway edge/public does not exist",
        None,
        id="no class",
    ),
    pytest.param(
        "gateway",
        gone("parameters"),
        "EnvoyProxy envoy-gateway-system/envoy does not exist, so Gateway edge/public is refused",
        None,
        id="no EnvoyProxy",
    ),
    pytest.param(
        "gateway",
        condition("gateway", ("conditions", 0), "Invalid", "two listeners conflict"),
        "Gateway edge/public: Accepted is False: Invalid: two listeners conflict",
        None,
        id="refused",
    ),
    pytest.param(
        "proxies",
        gone("proxies"),
        "Gateway edge/public: it has no Deployment of proxies; a controller that works makes it "
        "within seconds",
        "Restart the controller: delete Pod envoy-gateway-system/envoy-gateway-1",
        id="no proxies",
    ),
    pytest.param(
        "proxies",
        at("proxies", "spec", "replicas", to=0),
        "Deployment envoy-gateway-system/envoy-edge is scaled to 0: Gateway edge/public has no "
        "proxy",
        "Scale Deployment envoy-gateway-system/envoy-edge from 0 to 3",
        id="proxies at 0",
    ),
    pytest.param(
        "proxies",
        not_ready("proxy"),
        "Gateway edge/public: no proxy is ready, so the load balancer sends nothing to one",
        f"Restart the proxies of Gateway edge/public: delete {POD}",
        id="proxy crashes",
    ),
    pytest.param(
        "proxies",
        not_ready("proxy", "ImagePullBackOff", 0),
        "Gateway edge/public: no proxy is ready, so the load balancer sends nothing to one",
        None,
        id="proxy without its image",
    ),
    pytest.param(
        "restarts",
        at(
            "proxy",
            "status",
            "containerStatuses",
            0,
            "lastState",
            to={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
        ),
        f"{POD} had no memory left",
        None,
        id="out of memory",
    ),
    pytest.param(
        "service",
        at("load balancer", "spec", "selector", to={"app": "other"}),
        "Service envoy-gateway-system/envoy-edge selects none of the proxies of Gateway "
        "edge/public",
        "Let Service envoy-gateway-system/envoy-edge select the proxies again",
        id="selector of the load balancer",
    ),
    pytest.param(
        "address",
        both(at("load balancer", "status", to={}), at("gateway", "status", "addresses", to=[])),
        "Gateway edge/public: its load balancer has no address, so no client reaches it",
        None,
        id="no address",
    ),
    pytest.param(
        "listeners",
        NO_SECRET,
        "Gateway edge/public, listener https: Secret edge/shop-tls does not exist, so port 443 is "
        "gone from proxies and load balancer",
        None,
        id="no Secret, and no backup",
    ),
    pytest.param(
        "routes",
        condition("route", ("parents", 0, "conditions", 0), "NotAllowedByListeners", "no"),
        "HTTPRoute shop/cart, parent public: Accepted is False: NotAllowedByListeners: no",
        None,
        id="route not allowed",
    ),
    pytest.param(
        "backends",
        gone("service"),
        "Service shop/cart, which HTTPRoute shop/cart sends to, does not exist",
        None,
        id="no Service",
    ),
    pytest.param(
        "backends",
        at("service", "spec", "ports", 0, "port", to=81),
        "HTTPRoute shop/cart sends to port 80 of Service shop/cart, which has: 81",
        None,
        id="no such port",
    ),
    pytest.param(
        "backends",
        both(at("slice", "endpoints", to=[]), at("service", "spec", "selector", "app", to="crt")),
        "Service shop/cart behind HTTPRoute shop/cart has no ready endpoint: its selector fits no "
        "Pod, and Deployment shop/cart has other labels",
        "Let Service shop/cart select Deployment shop/cart",
        id="selector",
    ),
    pytest.param(
        "backends",
        both(
            at("slice", "endpoints", to=[]),
            gone("backend pod"),
            at("backend", "spec", "replicas", to=0),
        ),
        "Service shop/cart behind HTTPRoute shop/cart has no ready endpoint: Deployment shop/cart "
        "is scaled to 0",
        "Scale Deployment shop/cart from 0 to 1",
        id="backend at 0",
    ),
    pytest.param(
        "backends",
        both(at("slice", "endpoints", to=[]), not_ready("backend pod")),
        "Service shop/cart behind HTTPRoute shop/cart has no ready endpoint",
        "Restart the Pods of Service shop/cart: delete Pod shop/cart-1",
        id="backend not ready",
    ),
    pytest.param(
        "backends",
        at("service", "spec", "ports", 0, "targetPort", to=3999),
        "Service shop/cart sends to port 3999 of its Pods, which listen on another",
        "Let port 80 of Service shop/cart send to port 3000",
        id="targetPort",
    ),
]


@pytest.mark.parametrize(("step", "fault", "sentence", "action"), CASES)
def test_a_fault_is_it(step: str, fault: Fault, sentence: str, action: str | None) -> None:
    them = cluster()
    fault(them)
    verdict = judged(STEPS[step], seen(them))
    assert (verdict.says, verdict.sentence) == ("this is it", sentence)
    assert (verdict.action.what if verdict.action else None) == action
    assert verdict.action is not None or verdict.cure or step == "gateway"


FORMER = thing("v1", "Service", "shop/cart", spec={"ports": [{"port": 80}]})
SPARED = [
    pytest.param("controller", unavailable("proxies"), "fine", id="another Deployment"),
    pytest.param(
        "taken-up",
        both(
            at("route", "metadata", "generation", to=2),
            at("route", "metadata", "managedFields", to=[{"time": "2026-11-22T11:59:55Z"}]),
        ),
        "fine",
        id="changed five seconds ago",
    ),
    pytest.param("proxies", gone("secret"), "fine", id="what is another step's"),
    pytest.param(
        "listeners", gone("secret"), "fine", id="a Secret that the controller does not miss"
    ),
    pytest.param(
        "backends",
        at("backend pod", "spec", "containers", 0, "ports", to=[]),
        "fine",
        id="Pods that name no port",
    ),
    pytest.param(
        "backends", at("service", "spec", "ports", 0, "targetPort", to="web"), "fine", id="by name"
    ),
    pytest.param("leader", unavailable("controller"), "cannot tell", id="none could lead"),
    pytest.param("leader", gone("lease"), "cannot tell", id="without leader election"),
    pytest.param(
        "restarts",
        at(
            "proxy",
            "status",
            "containerStatuses",
            0,
            "lastState",
            to={"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-20T11:00:00Z"}},
        ),
        "fine",
        id="ended two days ago",
    ),
    pytest.param(
        "backends",
        both(at("service", "spec", "type", to="ExternalName"), at("slice", "endpoints", to=[])),
        "cannot tell",
        id="a name outside",
    ),
    pytest.param(
        "address",
        at("load balancer", "spec", "type", to="ClusterIP"),
        "cannot tell",
        id="no load balancer is wanted",
    ),
]


def young(name: str, at_: str = "2026-11-22T11:59:30Z") -> Fault:
    return at(name, "metadata", "creationTimestamp", to=at_)


CRASHES, NO_IMAGE = not_ready("proxy"), not_ready("proxy", "ImagePullBackOff", 0)
HANGS = at(
    "proxy",
    "status",
    to={
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-22T11:59:55Z"}
        ],
        "containerStatuses": [
            {
                "name": "main",
                "ready": False,
                "state": {"running": {"startedAt": "2026-11-22T11:59:31Z"}},
            }
        ],
    },
)
SHORT = both(CRASHES, unavailable("proxies"))


@pytest.mark.parametrize(
    ("step", "change", "says"),
    [
        pytest.param("proxies", both(CRASHES, young("proxy")), "cannot tell", id="half a minute"),
        pytest.param(
            "proxies",
            both(CRASHES, young("proxy", "2026-11-22T11:58:00Z")),
            "this is it",
            id="two minutes",
        ),
        pytest.param(
            "proxies", both(HANGS, young("proxy")), "this is it", id="half a minute, and was ready"
        ),
        pytest.param("proxies", both(NO_IMAGE, young("proxy")), "this is it", id="no image"),
        pytest.param("replicas", both(SHORT, young("proxy")), "cannot tell", id="one of them"),
        pytest.param(
            "replicas",
            both(SHORT, young("proxy", "2026-11-22T11:58:00Z")),
            "this is it",
            id="one of them, two minutes",
        ),
    ],
)
def test_proxies_that_were_just_made_are_left_to_start(step: str, change: Fault, says: str) -> None:
    them = cluster()
    change(them)
    verdict = judged(STEPS[step], seen(them))
    assert verdict.says == says
    assert says == "this is it" or verdict.action is None


@pytest.mark.parametrize(("step", "change", "says"), SPARED)
def test_what_looks_like_it_is_not(step: str, change: Fault, says: str) -> None:
    them = cluster()
    change(them)
    assert judged(STEPS[step], seen(them)).says == says


def test_a_route_that_was_served_just_now_is_not_suspected() -> None:
    them = cluster()
    at("service", "spec", "ports", 0, "targetPort", to=3999)(them)
    assert judged(STEPS["backends"], seen(them, asked=[GOOD])).says == "fine"


def test_a_walk_that_could_read_nothing_says_so() -> None:
    kinds = frozenset(it for step in RUNBOOKS["gateway-not-responding"].steps for it in step.reads)
    blind = walk(RUNBOOKS["gateway-not-responding"], Seen(now=NOW, unread=kinds))
    assert nothing_known(blind) == "the cluster could not be read: Deployment, Pod"
    assert nothing_known(walk(RUNBOOKS["gateway-not-responding"], WELL)) == ""


def test_routes_of_other_hosts_are_left_out_where_a_request_is_asked_about() -> None:
    them = cluster()
    gone("service")(them)
    verdict = judged(STEPS["backends"], seen(them, host="other.example.com", asked=[]))
    assert verdict.says == "cannot tell"


def test_what_could_not_be_read_is_not_missing() -> None:
    them = cluster()
    gone("lease")(them)
    verdict = judged(STEPS["leader"], seen(them, unread=frozenset({"Lease"})))
    assert verdict.says == "cannot tell"
    assert verdict.sentence == "the cluster could not be read: Lease"


@pytest.mark.parametrize(
    ("wanted", "verb", "what"),
    [
        pytest.param(
            Wanted(backup=True),
            "restore",
            "Create Secret edge/shop-tls from the newest backup",
            id="backup",
        ),
        pytest.param(
            Wanted(backup=True, secrets={"edge/shop-tls": "inventory"}),
            "rotate",
            "Make Secret edge/shop-tls from the source that the inventory names",
            id="the inventory first",
        ),
    ],
)
def test_where_a_secret_comes_from(wanted: Wanted, verb: str, what: str) -> None:
    them = cluster()
    NO_SECRET(them)
    action = judged(STEPS["listeners"], seen(them, wanted=wanted)).action
    assert action is not None
    assert (action.verb, action.what, action.body) == (verb, what, {})


@pytest.mark.parametrize(
    ("step", "name", "change"),
    [
        pytest.param("routes", "route", at("route", "spec", "hostnames", to=["x.y"]), id="route"),
        pytest.param("routes", "route", gone("route"), id="route that is gone"),
        pytest.param(
            "listeners",
            "gateway",
            at("gateway", "spec", "listeners", 0, "port", to=8443),
            id="Gateway",
        ),
        pytest.param("gateway", "gateway", gone("gateway"), id="Gateway that is gone"),
        pytest.param("gateway", "class", gone("class"), id="class that is gone"),
        pytest.param("gateway", "parameters", gone("parameters"), id="EnvoyProxy that is gone"),
    ],
)
def test_what_the_inventory_has_is_put_back(step: str, name: str, change: Fault) -> None:
    them = cluster()
    kept = {key: it for key, it in them[name].items() if key != "status"}
    manifest = deepcopy(kept)
    manifest["metadata"].pop("generation")
    place = manifest["metadata"].get("namespace", "")
    text = f"{manifest['kind']} {place}/{manifest['metadata']['name']}".replace(" /", " ")
    change(them)
    action = judged(STEPS[step], seen(them, wanted=Wanted(manifests={text: manifest}))).action
    assert action is not None
    assert (action.verb, action.target.text, action.body) == ("apply", text, manifest)


def test_a_gateway_that_differs_and_serves_is_left_alone() -> None:
    them = cluster()
    manifest = deepcopy({key: it for key, it in them["gateway"].items() if key != "status"})
    manifest["spec"]["listeners"][0]["port"] = 8443
    wanted = Wanted(manifests={"Gateway edge/public": manifest})
    assert judged(STEPS["listeners"], seen(them, wanted=wanted, asked=[GOOD])).says == "fine"


# --- what the diagnosis found


def test_what_the_diagnosis_found_belongs_to_its_step() -> None:
    cause = Cause("jwt_denied", "SecurityPolicy shop/jwt", "the token is over", "renew it", ("a",))
    verdict = judged(STEPS["authorization"], replace(WELL, causes=[cause]))
    assert (verdict.says, verdict.sentence) == ("this is it", "the token is over")
    assert (verdict.evidence, verdict.cure) == (("a",), "renew it")
    assert judged(STEPS["grpc"], replace(WELL, causes=[cause])).says == "fine"


def began(at_: str) -> Fault:
    state = {"running": {"startedAt": at_}}
    return at("controller pod", "status", "containerStatuses", 0, "state", to=state)


@pytest.mark.parametrize(
    ("at_", "says"),
    [
        pytest.param("2026-11-22T11:59:30Z", "cannot tell", id="half a minute ago"),
        pytest.param("2026-11-22T11:50:00Z", "this is it", id="ten minutes ago"),
    ],
)
def test_proxies_find_a_controller_that_has_begun(at_: str, says: str) -> None:
    them = cluster()
    began(at_)(them)
    cause = Cause("configuration_stale", "Pod eg/envoy-1", "no stream", "look")
    assert judged(STEPS["taken-up"], seen(them, causes=[cause])).says == says


def test_a_missing_crd_is_brought() -> None:
    cause = Cause("crd_missing", "tcproutes.gateway.networking.k8s.io", "it is missing", "bring it")
    action = judged(STEPS["crds"], replace(WELL, causes=[cause])).action
    assert action is not None
    assert (action.verb, action.lost) == (
        "crds",
        "CRDs never go back: a newer one keeps objects that an older one refuses",
    )


@pytest.mark.parametrize(
    ("times", "says", "sentence"),
    [
        pytest.param(
            [],
            "cannot tell",
            "no access log was read: monitoring.logs in the inventory switches it on",
            id="none",
        ),
        pytest.param(
            [Timed(900.0, 880.0, 200)],
            "fine",
            "0 of the newest 1 requests in the access logs took longer than 1000 ms",
            id="fast",
        ),
        pytest.param(
            [*[Timed(20.0, 15.0, 200)] * 99, Timed(4000.0, 3900.0, 200)],
            "fine",
            "1 of the newest 100 requests in the access logs took longer than 1000 ms",
            id="as few as the objective lets be",
        ),
        pytest.param(
            [Timed(90000.0, 3.0, 101)],
            "fine",
            "0 of the newest 1 requests in the access logs took longer than 1000 ms",
            id="a WebSocket",
        ),
        pytest.param(
            [Timed(4000.0, 3900.0, 200, where="httproute/shop/cart/rule/0")],
            "this is it",
            "the backend is slow: httproute/shop/cart/rule/0",
            id="backend",
        ),
        pytest.param(
            [Timed(4000.0, 100.0, 200)],
            "this is it",
            "the time is not the backend's: a slow client, a queue in Envoy, or a body that is "
            "large",
            id="not the backend",
        ),
    ],
)
def test_whose_time_it_is(times: list[Timed], says: str, sentence: str) -> None:
    verdict = judged(STEPS["time"], replace(WELL, times=times))
    assert (verdict.says, verdict.sentence) == (says, sentence)


@pytest.mark.parametrize(
    ("days", "secrets", "sentence", "action"),
    [
        pytest.param(40, {}, "the next certificate to end has 40 days left", None, id="good"),
        pytest.param(
            5, {}, "the certificate of shop.example.com ends soon", None, id="somebody else's"
        ),
        pytest.param(
            -1,
            {"edge/shop-tls": "inventory"},
            "the certificate of shop.example.com has ended",
            "Renew the certificates of the inventory that are due",
            id="ours",
        ),
    ],
)
def test_certificates_by_the_clock(
    days: int, secrets: dict[str, str], sentence: str, action: str | None
) -> None:
    served = [Served("Pod p", "shop.example.com", days)]
    verdict = judged(
        STEPS["certificates"], replace(WELL, served=served, wanted=Wanted(secrets=secrets))
    )
    assert (verdict.sentence, verdict.action and verdict.action.what) == (sentence, action)


def test_the_certificate_towards_the_controller_has_a_deploy_of_its_own() -> None:
    served = [Served("Pod p", f"*.{EG}", 3, own=True)]
    mine = Wanted(secrets={"edge/shop-tls": "inventory"})
    verdict = judged(STEPS["certificates"], replace(WELL, served=served, wanted=mine))
    assert (verdict.action, verdict.cure) == (
        None,
        "pyinfra INVENTORY deploys/rotate_control_plane.py",
    )


def test_a_kind_that_is_not_served_comes_before_its_objects() -> None:
    route = thing(
        "gateway.networking.k8s.io/v1",
        "TCPRoute",
        "demo/echo",
        spec={"parentRefs": [{"name": "public", "namespace": "edge"}]},
    )
    wanted = Wanted(manifests={"TCPRoute demo/echo": route}, version="1.9.1")
    them = seen(cluster(), wanted=wanted, unserved=frozenset({"TCPRoute"}))
    verdict = judged(STEPS["crds"], them)
    assert verdict.sentence == (
        "the API server does not know TCPRoute, and the inventory has such objects"
    )
    assert verdict.action is not None
    assert verdict.action.verb == "crds"
    assert judged(STEPS["routes"], them).says == "fine"
    served = judged(STEPS["routes"], replace(them, unserved=frozenset()))
    assert served.sentence == "TCPRoute demo/echo does not exist"


# --- what is done, and undone


def test_the_first_cause_with_an_action_is_next() -> None:
    them = cluster()
    both(gone("proxies"), at("controller", "spec", "replicas", to=0))(them)
    todo = to_do(walk(RUNBOOKS["gateway-not-responding"], seen(them)))
    assert todo is not None
    assert todo.step.name == "controller"


@pytest.mark.parametrize(
    ("live", "patch"),
    [
        pytest.param({"spec": {"replicas": 0}}, {"spec": {"replicas": 2}}, id="a number"),
        pytest.param(
            {"spec": {"selector": {"app": "x", "tier": "web"}}},
            {"spec": {"selector": {"app": None, "tier": "db", "new": "y"}}},
            id="keys that come and go",
        ),
        pytest.param({"spec": {}}, {"spec": {"ports": [{"port": 1}]}}, id="a list"),
        pytest.param({}, {"spec": {"a": {"b": 1}}}, id="a part that was not there"),
    ],
)
def test_the_inverse_of_a_patch_brings_back_what_was(
    live: dict[str, Any], patch: dict[str, Any]
) -> None:
    after = actions.merged(live, patch)
    assert actions.merged(after, actions.inverse(live, patch)) == live


def test_the_difference_of_two_objects_makes_one_of_the_other() -> None:
    was = {"spec": {"listeners": [{"port": 80}], "a": {"b": 1, "c": 2}}}
    now = {"spec": {"listeners": [{"port": 81}], "a": {"b": 1, "d": 3}}, "extra": {"x": 1}}
    assert actions.merged(now, actions.difference(was, now)) == was


def test_what_a_journal_kept_is_undone_newest_first() -> None:
    one, two = (Target("apps/v1", "Deployment", "a", it) for it in ("one", "two"))
    entries: list[dict[str, Any]] = [
        {"what": "first", "undo": [actions.undo("patch", one, {"spec": {"replicas": 0}})]},
        {"what": "lost", "undo": []},
        {"what": "second", "undo": [actions.undo("delete", two)]},
    ]
    assert actions.undone(entries) == [
        Action("delete", two, "Delete Deployment a/two, as it was before: second"),
        Action(
            "patch",
            one,
            "Put back Deployment a/one, as it was before: first",
            body={"spec": {"replicas": 0}},
        ),
    ]


@pytest.mark.parametrize(
    ("asked", "waited", "missing"),
    [
        pytest.param([GOOD], 1.0, [], id="served"),
        pytest.param([BAD], 60.0, [LINE], id="none is served"),
        pytest.param([GOOD, BAD], 1.0, [LINE], id="some are, and it is early"),
        pytest.param([GOOD, BAD], 60.0, [], id="the others have another cause"),
        pytest.param([], 1.0, [], id="nobody could be asked"),
    ],
)
def test_when_an_action_is_proven(asked: list[Asked], waited: float, missing: list[str]) -> None:
    them = seen(cluster(), asked=asked)
    assert may_go_on(judged(STEPS["controller"], them), them, waited, patience=20) == missing


# --- the list


def test_every_alert_has_a_runbook_and_its_entry_names_it() -> None:
    assert {it.name for it in ALERTS} <= set(RUNBOOKS)
    text = (ROOT / "docs" / "alerts.md").read_text()
    missing = [it.name for it in ALERTS if f"deploys/runbook.py --data name={it.name}" not in text]
    assert missing == []


def test_alerts_that_lead_to_a_runbook_exist() -> None:
    named = {alert for it in RUNBOOKS.values() for alert in it.alerts}
    assert named - {it.name for it in ALERTS} == set()


def test_causes_are_words_of_the_diagnosis() -> None:
    assert {cause for it in STEPS.values() for cause in it.causes} - set(CAUSES) == set()


def test_a_name_means_one_step() -> None:
    by_name = {(it.name, it.title) for one in RUNBOOKS.values() for it in one.steps}
    assert len(by_name) == len(STEPS)
    for it in RUNBOOKS.values():
        names = [step.name for step in it.steps]
        assert len(names) == len(set(names))
        assert names[-1] == "request"


def test_the_list_is_documented() -> None:
    assert (ROOT / "docs" / "runbooks.md").read_text() == runbooks.page()


@pytest.mark.parametrize(
    ("name", "approve", "problem"),
    [
        pytest.param("gateway-not-responding", (), None, id="good"),
        pytest.param("ENVOYGATEWAYDOWN", ("controller",), None, id="whatever the case"),
        pytest.param("list", (), None, id="list"),
        pytest.param(
            None,
            (),
            "name a runbook: --data name=gateway-not-responding, or --data name=list",
            id="none",
        ),
        pytest.param(
            "gateway-not-respnding",
            (),
            "there is no runbook gateway-not-respnding: did you mean gateway-not-responding? "
            "--data name=list names them all",
            id="misspelt",
        ),
        pytest.param(
            "EnvoyGatewayDown",
            ("contoller",),
            "approve: EnvoyGatewayDown has no step contoller: did you mean controller? its steps: "
            "controller, leader, gateway, proxies, service, address, listeners, request",
            id="no such step",
        ),
    ],
)
def test_arguments(name: str | None, approve: tuple[str, ...], problem: str | None) -> None:
    assert runbooks.problem(name, approve) == problem


def test_a_gateway_that_is_not_there() -> None:
    there = ["edge/public", "edge/internal"]
    assert runbooks.no_gateway("edge/public", there) is None
    assert runbooks.no_gateway("edge/publik", there) == (
        "gateway: there is no Gateway edge/publik: did you mean edge/public?"
    )
    assert runbooks.no_gateway("x", []) == "gateway: there is no Gateway x: there are: none"


def test_findings_say_what_to_do() -> None:
    them = cluster()
    both(at("controller", "spec", "replicas", to=0), gone("secret"))(them)
    verdicts = walk(RUNBOOKS["EnvoyGatewayDown"], seen(them))
    (finding,) = findings("weu-1", "EnvoyGatewayDown", verdicts)
    assert finding.text == (
        "error GW981 weu-1: EnvoyGatewayDown, step controller: Deployment "
        "envoy-gateway-system/envoy-gateway is scaled to 0: nobody configures proxies, and nobody "
        "makes new ones: --data approve=controller: Scale Deployment "
        "envoy-gateway-system/envoy-gateway from 0 to 2"
    )


def test_requests_that_fail_without_a_cause_are_said() -> None:
    (finding,) = findings(
        "weu-1", "EnvoyGatewayDown", walk(RUNBOOKS["EnvoyGatewayDown"], seen(cluster()))
    )
    assert (finding.code, finding.what) == (
        "GW982",
        f"1 of 1 requests are not served: {LINE}",
    )

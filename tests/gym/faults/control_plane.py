"""What leaves every condition green: the controller, its streams, CRDs, proxies, addresses."""

from __future__ import annotations

import time

from tests.gym.cluster import SYSTEM, Cluster, until
from tests.gym.fault import DOORS, Ask, Fault, Object, Thing, Truth
from tests.gym.faults.gateways import DOOR_TLS, KEPT, OPEN, SECRET, SECURE
from tests.gym.objects import DOORS_THING, on_gateway, route, secret
from tests.gym.trust import served

CART, LATE = Ask("http://cart.lab.test/cart/1"), Ask("http://late.lab.test/")
WELL, NEW = route(), route(name="late", hosts=["late.lab.test"])
CONTROLLER: Thing = ("Deployment", SYSTEM, "envoy-gateway")
EDGE: Thing = ("Gateway", "edge", "public")
PROXY: list[Thing] = [
    EDGE,
    ("Pod", SYSTEM, "envoy-edge-public-*"),
    ("Deployment", SYSTEM, "envoy-edge-public-*"),
    ("Service", SYSTEM, "envoy-edge-public-*"),
]
TCP = "tcproutes.gateway.networking.k8s.io"
DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{TCP}"
CONTROLLERS = f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector=control-plane%3Denvoy-gateway"


def on_proxy(*causes: str) -> list[tuple[str, Thing]]:
    return [(cause, it) for cause in causes for it in PROXY]


def tls(**what: object) -> Object:
    return on_gateway("ClientTrafficPolicy", "doors", {"tls": what})


def stopped(cluster: Cluster) -> None:
    cluster.scale(0)
    until("no controller", lambda: not controllers(cluster), 40)


def started(cluster: Cluster) -> None:
    cluster.scale(1)
    until("a controller that leads", cluster.leads, 90)


def without_proxy(cluster: Cluster) -> None:
    stopped(cluster)
    for it in cluster.proxies("edge/public"):
        cluster.delete(("Pod", SYSTEM, it["metadata"]["name"]))
    time.sleep(8)


def restarted(cluster: Cluster) -> None:
    """The controller, as a new Pod that leads after the old one's Lease has ended."""
    for it in controllers(cluster):
        cluster.delete(("Pod", SYSTEM, it["metadata"]["name"]))
    time.sleep(2)
    until("a controller that leads", cluster.leads, 90)


def serves(cluster: Cluster, yes: bool) -> None:
    """Whether the API server serves TCPRoute in the version that the controller wants."""
    spec = cluster.api.get(DEFINITION)["spec"]
    versions = [{**it, "served": yes or it["name"] != "v1"} for it in spec["versions"]]
    cluster.api.patch(DEFINITION, {"spec": {"versions": versions}})


def without_tcp(cluster: Cluster) -> None:
    serves(cluster, False)
    restarted(cluster)


def with_tcp(cluster: Cluster) -> None:
    serves(cluster, True)
    restarted(cluster)


def ends_now(cluster: Cluster) -> None:
    """A certificate that was taken up while it was good."""
    pair = served(["*.doors.test"], days=8 / 86400)
    cluster.apply(secret("doors-tls", pair.pem, pair.key_pem()))
    time.sleep(10)


def streams_cut(cluster: Cluster) -> None:
    cluster.block("tcp dport 18000", "tcp sport 18000")


def streams_mended(cluster: Cluster) -> None:
    cluster.unblock()


def switched(name: str, on: bool) -> object:
    return lambda cluster: cluster.fault(name, on)


def crashing(cluster: Cluster) -> None:
    """
    Until one was killed: the program that kills takes seconds to begin on a busy machine, and a
    controller that is still there serves the new route, for good.
    """
    before = {it["metadata"]["name"]: restarts(it) for it in controllers(cluster)}
    cluster.fault("controller-crash", True)
    until(
        "the controller to be killed",
        lambda: all(
            restarts(it) > before.get(it["metadata"]["name"], 0) or not runs(it)
            for it in controllers(cluster)
        ),
        60,
    )


def controllers(cluster: Cluster) -> list[Object]:
    pods: list[Object] = cluster.api.get(CONTROLLERS)["items"]
    return pods


def restarts(pod: Object) -> int:
    return sum(it["restartCount"] for it in pod["status"].get("containerStatuses", ()))


def runs(pod: Object) -> bool:
    return any("running" in it["state"] for it in pod["status"].get("containerStatuses", ()))


def blind(cluster: Cluster) -> None:
    """The API server is away for longer than a Lease holds."""
    cluster.fault("apiserver-killed", True)
    time.sleep(25)
    cluster.fault("apiserver-killed", False)
    until("the API server", cluster.api.ready, 60)


def sees(cluster: Cluster) -> None:
    until("a controller that leads", cluster.leads, 120)


EVERY = [
    Fault(
        "certificate-ended-meanwhile",
        "green",
        Truth(
            *("certificate_expired", SECRET, "", None),
            also=[("certificate_expired", DOORS_THING)],
        ),
        SECURE,
        0,
        well=[OPEN, DOOR_TLS, secret("doors-tls", KEPT.pem, KEPT.key_pem())],
        breaks=[ends_now],
        notes="past its time by the clock; all conditions stay True",
    ),
    Fault(
        "update-rejected",
        "green",
        Truth(
            *("configuration_rejected", ("ClientTrafficPolicy", "shop", "doors"), ""),
            answered_by=None,
            also=[
                ("configuration_rejected", DOORS_THING),
                ("configuration_rejected", ("Pod", SYSTEM, "envoy-shop-doors-*")),
            ],
        ),
        SECURE,
        well=[OPEN, DOOR_TLS, tls(minVersion="1.2")],
        wrong=[tls(ecdhCurves=["NONE-SUCH"])],
        asks=Ask(gateway=DOORS),
        needs=2,
        notes="a curve that Envoy does not know: accepted, and the listener stays as it was",
    ),
    Fault(
        "policy-refused",
        "policy",
        Truth("policy_not_attached", ("ClientTrafficPolicy", "shop", "doors"), "tls", None),
        SECURE,
        well=[OPEN, DOOR_TLS, tls(minVersion="1.2")],
        wrong=[tls(maxVersion="1.2", ciphers=["NONE-SUCH"])],
        asks=Ask(gateway=DOORS),
        needs=2,
        notes="a cipher that the controller does not know",
    ),
    Fault(
        "streams-cut",
        "green",
        Truth("configuration_stale", EDGE, "", also=on_proxy("configuration_stale")),
        CART,
        404,
        asks=LATE,
        well=[WELL],
        wrong=[NEW],
        breaks=[streams_cut],
        mends=[streams_mended],
        needs=8,
        notes="what proxies ask of the controller is dropped",
    ),
    Fault(
        "no-address",
        "address",
        Truth(
            *("address_missing", EDGE, "", None),
            also=on_proxy("address_missing", "load_balancer_failed"),
            besides=[
                ("load_balancer_failed", ("Service", SYSTEM, "envoy-shop-doors-*")),
                ("address_missing", DOORS_THING),
            ],
        ),
        CART,
        0,
        well=[WELL],
        breaks=[switched("no-address", True)],  # type: ignore[list-item]
        mends=[switched("no-address", False)],  # type: ignore[list-item]
        needs=2,
    ),
    Fault(
        "controller-gone",
        "green",
        Truth(
            "controller_down",
            CONTROLLER,
            "",
            also=[("configuration_stale", ("HTTPRoute", "shop", "late"))],
            besides=[("route_not_attached", ("HTTPRoute", "shop", "late"))],
        ),
        CART,
        404,
        asks=LATE,
        well=[WELL],
        wrong=[NEW],
        breaks=[stopped],
        mends=[started],
        needs=2,
        slow=True,
        notes="scaled to 0; a new route is never served",
    ),
    Fault(
        "proxy-gone-without-controller",
        "green",
        Truth("controller_down", CONTROLLER, "", None, also=on_proxy("proxy_down")),
        CART,
        0,
        well=[WELL],
        breaks=[without_proxy],
        mends=[started],
        slow=True,
        notes="the new proxy gets no configuration; the Gateway stays Programmed",
    ),
    Fault(
        "tcp-routes-lost",
        "green",
        Truth(
            *("crd_missing", ("CustomResourceDefinition", "", TCP), "", None),
            besides=[("zero_endpoints", ("Cluster", "", "EmptyCluster"))],
            also=[("crd_missing", ("TCPRoute", "demo", "echo"))],
        ),
        Ask("http://blue.lab.test/", port=9000),
        0,
        breaks=[without_tcp],
        mends=[with_tcp],
        slow=True,
        notes="as after an upgrade by helm alone: v1 of the CRD is not served",
    ),
    Fault(
        "proxies-killed",
        "proxy",
        Truth(
            *("proxy_down", EDGE, "", None),
            also=on_proxy("proxy_down"),
            besides=[("proxy_down", ("Deployment", "envoy-gateway-system", "envoy-shop-doors-*"))],
        ),
        CART,
        0,
        well=[WELL],
        breaks=[switched("proxy-killed", True)],  # type: ignore[list-item]
        mends=[switched("proxy-killed", False)],  # type: ignore[list-item]
        needs=8,
        slow=True,
    ),
    Fault(
        "controller-crashes",
        "green",
        Truth(
            "controller_down",
            CONTROLLER,
            "",
            also=[
                ("configuration_stale", ("HTTPRoute", "shop", "late")),
                ("controller_not_leading", CONTROLLER),
            ],
            besides=[("route_not_attached", ("HTTPRoute", "shop", "late"))],
        ),
        CART,
        404,
        asks=LATE,
        well=[WELL],
        wrong=[NEW],
        breaks=[crashing],
        mends=[switched("controller-crash", False), sees],  # type: ignore[list-item]
        needs=5,
        slow=True,
    ),
    Fault(
        "controller-blind",
        "green",
        Truth(
            *("controller_not_leading", CONTROLLER, ""),
            also=[
                ("controller_not_leading", ("Lease", SYSTEM, "*")),
                ("controller_not_leading", ("Pod", SYSTEM, "envoy-gateway-*")),
                ("controller_down", CONTROLLER),
            ],
            besides=[("route_not_attached", ("HTTPRoute", "shop", "late"))],
        ),
        CART,
        404,
        asks=LATE,
        well=[WELL],
        wrong=[NEW],
        breaks=[blind],
        mends=[sees],
        needs=1,
        slow=True,
        notes="its Lease was lost while the API server was away; the Pod is Ready",
    ),
]

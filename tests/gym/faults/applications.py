"""Applications behind a route: Services, endpoints, Pods, and what they answer."""

from __future__ import annotations

from dataclasses import replace

from tests.gym import backends
from tests.gym.fault import Ask, Fault, Truth
from tests.gym.objects import (
    GATEWAY_API,
    SHOP,
    SYSTEM,
    backend,
    deployment,
    endpoints,
    made,
    policy,
    route,
    rule,
    service,
    service_thing,
)

CART = Ask("http://cart.lab.test/cart/1")
SERVICE = service_thing()
NOBODY = [
    ("zero_endpoints", SERVICE),
    ("service_without_endpoints", SERVICE),
    ("no_healthy_endpoints", SERVICE),
]
WELL = [service(), route()]
APPLICATION = ("Deployment", SHOP, "cart")


def answers(status: int, cause: str) -> Fault:
    """An application that says so itself."""
    asks = replace(CART, url=f"http://cart.lab.test/status/{status}")
    truth = Truth(cause, SERVICE, "", "upstream")
    return Fault(
        f"application-says-{status}", "application", truth, CART, status, well=WELL, asks=asks
    )


def outside(name: str, port: int, truth: Truth, shows: int | None, **more: object) -> Fault:
    """An application outside of the cluster goes wrong; the well one answers all below /v1."""
    well = [
        service("stock", app=None, target=backends.SHOP),
        endpoints("stock", backends.SHOP),
        route(rule(backends=[backend("stock")])),
    ]
    wrong = [service("stock", app=None, target=port), endpoints("stock", port)]
    one = Fault(
        name, "application", truth, Ask("http://cart.lab.test/v1/1"), shows, well=well, wrong=wrong
    )
    return replace(one, **more)  # type: ignore[arg-type]


def no_endpoints(name: str, *wrong: dict[str, object], also: object = None) -> Fault:
    more = (
        [
            (cause, also)
            for cause in ("no_ready_endpoints_direct_response", "service_without_endpoints")
        ]
        if also
        else []
    )
    truth = Truth("no_ready_endpoints_direct_response", SERVICE, "", also=[*NOBODY, *more])  # type: ignore[list-item]
    well = [deployment("cart"), *WELL]
    return Fault(name, "backend", truth, CART, 503, well=well, wrong=wrong)


STOCK = service_thing("stock")
GRPC = [
    service("stock", app=None, target=backends.GRPC, protocol="kubernetes.io/h2c"),
    endpoints("stock", backends.GRPC),
    made(
        f"{GATEWAY_API}/v1",
        "GRPCRoute",
        "stock",
        {
            "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "http"}],
            "hostnames": ["stock.lab.test"],
            "rules": [{"backendRefs": [backend("stock")]}],
        },
    ),
]
CALL = Ask(
    "http://stock.lab.test/shop.Stock/Works",
    method="POST",
    version="2",
    headers={"content-type": "application/grpc", "te": "trailers"},
)
VAULT = [
    service("vault", target=3443, port=443, app="vault"),
    route(rule(backends=[backend("vault", 443)])),
]


def trusts(name: str = "vault.shop.svc", authority: str = "vault-ca") -> dict[str, object]:
    """What proxies expect of the application that speaks TLS itself."""
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": "vault"}],
        "validation": {
            "hostname": name,
            "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": authority}],
        },
    }
    return made(f"{GATEWAY_API}/v1", "BackendTLSPolicy", "vault", spec)


TLS_POLICY = ("BackendTLSPolicy", SHOP, "vault")


def locked(*others: str) -> dict[str, object]:
    """Only these namespaces may connect to the application."""
    peers = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": it}}} for it in others
    ]
    spec = {
        "podSelector": {"matchLabels": {"app": "cart"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers}],
    }
    return made("networking.k8s.io/v1", "NetworkPolicy", "cart", spec)


def cut(cluster: object) -> None:
    """The lab's CNI enforces no NetworkPolicy: this drops what one of ours would."""
    api = cluster.api  # type: ignore[attr-defined]
    pods = api.get(f"/api/v1/namespaces/{SHOP}/pods?labelSelector=app%3Dcart")["items"]
    address = next(it["status"]["podIP"] for it in pods if it["status"].get("podIP"))
    cluster.block(f"ip daddr {address} tcp dport 3000")  # type: ignore[attr-defined]


def healed(cluster: object) -> None:
    cluster.unblock()  # type: ignore[attr-defined]


QUICK = policy("BackendTrafficPolicy", "cart", {"timeout": {"tcp": {"connectTimeout": "1s"}}})

EVERY = [
    no_endpoints("selector-of-nobody", service(app="kart")),
    no_endpoints("scaled-to-nothing", deployment("cart", replicas=0), also=APPLICATION),
    no_endpoints(
        "never-ready",
        deployment("cart", probe={"tcpSocket": {"port": 3999}, "periodSeconds": 1}),
        also=APPLICATION,
    ),
    no_endpoints("crashes", deployment("cart", command=["/not-there"]), also=APPLICATION),
    Fault(
        "target-port-of-nobody",
        "backend",
        Truth("upstream_connection_refused", SERVICE, "targetPort"),
        CART,
        503,
        well=WELL,
        wrong=[service(target=3999)],
    ),
    Fault(
        "h2c-to-http1",
        "backend",
        Truth(
            *("upstream_protocol_error", ("Service", SHOP, "stock"), "appProtocol"),
            also=[("upstream_closed_connection", ("Service", SHOP, "stock"))],
        ),
        Ask("http://cart.lab.test/v1/1"),
        502,
        well=[
            service("stock", app=None, target=backends.SHOP),
            endpoints("stock", backends.SHOP),
            route(rule(backends=[backend("stock")])),
        ],
        wrong=[service("stock", app=None, target=backends.SHOP, protocol="kubernetes.io/h2c")],
        warms=True,
    ),
    Fault(
        "http1-to-grpc",
        "backend",
        Truth(
            *("upstream_protocol_error", STOCK, "appProtocol"),
            also=[("upstream_closed_connection", STOCK)],
        ),
        Ask("http://cart.lab.test/v1/1"),
        502,
        well=[
            service("stock", app=None, target=backends.JUST_H2, protocol="kubernetes.io/h2c"),
            endpoints("stock", backends.JUST_H2),
            route(rule(backends=[backend("stock")])),
        ],
        wrong=[service("stock", app=None, target=backends.JUST_H2)],
        warms=True,
    ),
    Fault(
        "grpc-fails",
        "application",
        Truth("grpc_backend_error", STOCK, "", "upstream"),
        CALL,
        200,
        well=GRPC,
        asks=replace(CALL, url="http://stock.lab.test/shop.Stock/Fails"),
    ),
    outside("closes", backends.CLOSES, Truth("upstream_closed_connection", STOCK), 503),
    outside("resets", backends.RESETS, Truth("upstream_closed_connection", STOCK), 503),
    outside("speaks-no-http", backends.GARBAGE, Truth("upstream_protocol_error", STOCK), 502),
    outside(
        *("ends-early", backends.STARTS),
        Truth("upstream_closed_connection", STOCK, "", None),
        200,
    ),
    outside(
        *("never-answers", backends.HANGS),
        Truth(
            "upstream_timeout", STOCK, "", also=[("upstream_timeout", ("HTTPRoute", SHOP, "cart"))]
        ),
        504,
        well=[
            service("stock", app=None, target=backends.SHOP),
            endpoints("stock", backends.SHOP),
            route(rule(backends=[backend("stock")], timeouts={"request": "1s"})),
        ],
    ),
    Fault(
        "address-of-nobody",
        "backend",
        Truth("upstream_connect_timeout", STOCK, ""),
        Ask("http://cart.lab.test/v1/1"),
        503,
        well=[
            service("stock", app=None, target=backends.SHOP),
            endpoints("stock", backends.SHOP),
            route(rule(backends=[backend("stock")])),
            QUICK,
        ],
        wrong=[endpoints("stock", backends.SHOP, "198.51.100.7")],
        notes="an endpoint whose address answers no packet",
        warms=True,
    ),
    Fault(
        "network-policy",
        "NetworkPolicy",
        Truth(
            *("network_policy", ("NetworkPolicy", SHOP, "cart"), "ingress"),
            besides=[("upstream_connect_timeout", SERVICE)],
        ),
        CART,
        503,
        well=[*WELL, QUICK, locked(SYSTEM)],
        wrong=[locked("demo")],
        breaks=[cut],
        mends=[healed],
        notes="the lab's CNI enforces none: a rule of nftables drops what it would",
        warms=True,
    ),
    answers(400, "backend_400"),
    answers(401, "backend_401"),
    answers(403, "backend_403"),
    answers(404, "backend_404"),
    answers(429, "backend_429"),
    answers(500, "backend_5xx"),
    answers(503, "backend_5xx"),
    Fault(
        "tls-other-name",
        "policy",
        Truth("upstream_tls_failure", TLS_POLICY, "hostname"),
        CART,
        503,
        well=[*VAULT, trusts()],
        wrong=[trusts(name="safe.shop.svc")],
        warms=True,
    ),
    Fault(
        "tls-without-policy",
        "policy",
        Truth(
            *("backend_400", ("Service", SHOP, "vault"), "", "upstream"),
            also=[("upstream_tls_failure", ("Service", SHOP, "vault"))],
        ),
        CART,
        400,
        well=[*VAULT, trusts()],
        gone=[TLS_POLICY],
        notes="the application says 400 to plain HTTP on its TLS port",
        warms=True,
    ),
    Fault(
        "tls-authority-absent",
        "policy",
        Truth("policy_not_attached", TLS_POLICY, "caCertificateRefs"),
        CART,
        500,
        well=[*VAULT, trusts()],
        wrong=[trusts(authority="nobody")],
    ),
    Fault(
        "client-gives-up",
        "client",
        Truth(
            "client_disconnected",
            SERVICE,
            "",
            "client",
            also=[("client_disconnected", ("HTTPRoute", SHOP, "cart"))],
        ),
        CART,
        0,
        well=WELL,
        asks=Ask("http://cart.lab.test/cart/1?delay=3s", gives_up=0.5),
        live=False,
        needs=1,
    ),
]

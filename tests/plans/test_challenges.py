"""Whether names can be proven: by the inventory, by cert-manager, and through a Gateway."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tasks.plans import challenges
from tasks.plans.challenges import Installed, Ways

PUBLIC = "ClusterIssuer le: shop.example.com: Gateway edge/public, listener http"


@dataclass(frozen=True)
class Http01:
    gateway: str = "edge/public"
    listener: str | None = None


@dataclass(frozen=True)
class Dns01:
    zone: str = "example.com"


@dataclass(frozen=True)
class Issuer:
    name: str = "le"
    http01: Http01 | None = Http01()
    dns01: Dns01 | None = None


@dataclass(frozen=True)
class Wanted:
    namespace: str = "edge"
    secret: str = "shop-tls"
    names: tuple[str, ...] = ()
    issuer: str | None = "ClusterIssuer le"


def listener(name: str = "http", port: int = 80, **more: Any) -> dict[str, Any]:
    everywhere = {"namespaces": {"from": "All"}}
    return {
        "name": name,
        "port": port,
        "protocol": "HTTP",
        "allowedRoutes": everywhere,
        **more,
    }


def gateway(*listeners: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"gatewayClassName": "envoy", "listeners": list(listeners), **spec},
    }


def route(path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": "redirect"},
        "spec": {
            "parentRefs": [{"namespace": "edge", "name": "public"}],
            "hostnames": ["shop.example.com"],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}],
            **more,
        },
    }


def policy(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "SecurityPolicy",
        "metadata": {"namespace": "edge", "name": "sign-in"},
        "spec": {"targetRefs": [{"kind": "Gateway", "name": "public"}], **spec},
    }


BOTH = Issuer(dns01=Dns01())
DNS = Issuer(http01=None, dns01=Dns01())


@pytest.mark.parametrize(
    ("issuer", "name", "expected"),
    [
        pytest.param(Issuer(), "shop.example.com", None, id="a name by a request"),
        pytest.param(BOTH, "*.example.com", None, id="a wildcard of the zone"),
        pytest.param(BOTH, "*.Shop.Example.com", None, id="below the zone, in capitals"),
        pytest.param(BOTH, "shop.example.org", None, id="another zone's name by a request"),
        pytest.param(DNS, "example.com", None, id="the zone itself"),
        pytest.param(
            Issuer(),
            "*.example.com",
            "cannot prove *.example.com: a wildcard needs dns01, and it has http01 alone: add "
            "dns01 to the issuer, or write single names",
            id="a wildcard without DNS",
        ),
        pytest.param(
            BOTH,
            "*.example.org",
            "cannot prove *.example.org: a wildcard needs dns01, and example.com is another zone: "
            "add dns01 to the issuer, or write single names",
            id="a wildcard of another zone",
        ),
        pytest.param(
            DNS,
            "myexample.com",
            "cannot prove myexample.com: it is not in the zone example.com, and there is no "
            "http01: add http01, or take another issuer",
            id="a name that only ends like the zone",
        ),
    ],
)
def test_unprovable(issuer: Issuer, name: str, expected: str | None) -> None:
    found = challenges.unprovable("Secret edge/tls", [name], issuer)
    assert found == ([f"Secret edge/tls: ClusterIssuer le {expected}"] if expected else [])


def test_contradictions_of_an_inventory() -> None:
    wanted = [
        Wanted(names=("*.example.com",)),
        Wanted(),
        Wanted(secret="other", names=("*.x",), issuer="Issuer shop"),
    ]
    assert challenges.contradictions(wanted, [Issuer(), Issuer(), Issuer("b")]) == [
        "issuer le is there twice",
        "certificates: Secret edge/shop-tls is there twice",
        "Secret edge/shop-tls: ClusterIssuer le cannot prove *.example.com: a wildcard needs "
        "dns01, and it has http01 alone: add dns01 to the issuer, or write single names",
    ]


@pytest.mark.parametrize(
    ("issuer", "name", "expected"),
    [
        pytest.param(Issuer(), "shop.example.com", True, id="http01 alone"),
        pytest.param(BOTH, "shop.example.com", False, id="its zone comes first"),
        pytest.param(BOTH, "shop.example.org", True, id="of another zone"),
        pytest.param(Issuer(), "*.example.com", False, id="a wildcard"),
        pytest.param(DNS, "shop.example.org", False, id="no http01"),
    ],
)
def test_by_http01(issuer: Issuer, name: str, expected: bool) -> None:
    assert challenges.by_http01(name, issuer) is expected


def controller(*arguments: str, **labels: str) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "cert-manager", "name": "cert-manager"},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"args": list(arguments)}]},
            }
        },
    }


SERVED = {"certificates.cert-manager.io": ["v1"]}
IDENTITY = {"azure.workload.identity/use": "true"}
OFF = (
    "Deployment cert-manager/cert-manager: cert-manager does not use the Gateway API: start it "
    "with --enable-gateway-api (chart: config.enableGatewayAPI), for http01"
)
NO_IDENTITY = (
    "Deployment cert-manager/cert-manager: its Pods have no label azure.workload.identity/use=true,"
    " without which they get no token for Azure DNS: set podLabels in cert-manager's chart"
)


@pytest.mark.parametrize(
    ("installed", "issuer", "expected"),
    [
        pytest.param(
            Installed({}),
            Issuer(),
            "cert-manager is not installed (no CRD certificates.cert-manager.io): install 1.15 or "
            "newer, with --enable-gateway-api",
            id="no CRDs",
        ),
        pytest.param(Installed(SERVED), BOTH, None, id="a controller with other labels"),
        pytest.param(Installed(SERVED, [controller()]), Issuer(), OFF, id="Gateway API is off"),
        pytest.param(
            Installed(
                SERVED, [controller("--enable-gateway-api=false")], {"enableGatewayAPI": True}
            ),
            Issuer(),
            OFF,
            id="an argument wins over the file",
        ),
        pytest.param(
            Installed(SERVED, [controller("--enable-gateway-api")]), Issuer(), None, id="argument"
        ),
        pytest.param(
            Installed(SERVED, [controller("--config=/c")], {"enableGatewayAPI": True}),
            Issuer(),
            None,
            id="file",
        ),
        pytest.param(
            Installed(SERVED, [controller("--config=/c")], {"gatewayAPI": {"enabled": True}}),
            Issuer(),
            None,
            id="file of 1.21",
        ),
        pytest.param(Installed(SERVED, [controller()]), DNS, NO_IDENTITY, id="no identity"),
        pytest.param(Installed(SERVED, [controller(**IDENTITY)]), DNS, None, id="dns01 alone"),
    ],
)
def test_missing(installed: Installed, issuer: Issuer, expected: str | None) -> None:
    assert challenges.missing(installed, [issuer]) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("http01", "ways", "expected"),
    [
        pytest.param(Http01(), Ways([gateway(listener())]), None, id="open"),
        pytest.param(Http01(listener="http"), Ways([gateway(listener())]), None, id="by name"),
        pytest.param(
            Http01(),
            Ways([]),
            "ClusterIssuer le: Gateway edge/public does not exist, or is another controller's: run "
            "deploys/install.py first, or correct http01.gateway",
            id="no Gateway",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener(port=8080), listener("https", 443, protocol="HTTPS"))]),
            "ClusterIssuer le: Gateway edge/public has no HTTP listener on port 80, where "
            "challenges arrive: add one, or name another",
            id="nothing on port 80",
        ),
        pytest.param(
            Http01(listener="web"),
            Ways([gateway(listener())]),
            "ClusterIssuer le: listener web of Gateway edge/public is no HTTP listener on port 80, "
            "where challenges arrive: add one, or name another",
            id="no listener of that name",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener(hostname="*.example.org"))]),
            "ClusterIssuer le: shop.example.com: no HTTP listener on port 80 of Gateway "
            "edge/public takes this name: widen its hostname, or add a listener",
            id="no listener takes the name",
        ),
        pytest.param(
            Http01(listener="http"),
            Ways([gateway(listener(), listener("shop", hostname="*.example.com"))]),
            "ClusterIssuer le: shop.example.com: Gateway edge/public, listener shop takes its "
            "requests, not listener http: leave http01.listener out, or name that one",
            id="a more precise listener takes its requests",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener(), listener("shop", hostname="*.example.com"))]),
            None,
            id="attached to both",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener(allowedRoutes={}))]),
            f"{PUBLIC} takes no routes from namespace shop, where the challenge is answered: widen "
            "allowedRoutes, or put the certificate beside the Gateway",
            id="its own namespace alone",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}))]),
            f"{PUBLIC} takes no routes from namespace shop, where the challenge is answered: widen "
            "allowedRoutes, or put the certificate beside the Gateway",
            id="no HTTPRoutes",
        ),
        pytest.param(
            Http01(), Ways([gateway(listener())], routes=[route()]), None, id="routes of others"
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener())], routes=[route()], in_order=frozenset({"envoy"})),
            "ClusterIssuer le: shop.example.com: HTTPRoute shop/redirect is older and takes "
            "/.well-known/acme-challenge/ of this name, because its EnvoyProxy says "
            "preserveRouteOrder: leave that path out of it",
            id="a redirect that comes first",
        ),
        pytest.param(
            Http01(),
            Ways(
                [gateway(listener())],
                routes=[
                    route("/shop"),
                    route(hostnames=["*.example.com"]),
                    route(parentRefs=[{"name": "public"}]),
                ],
                in_order=frozenset({"edge/public"}),
            ),
            None,
            id="another path, a wider host, another Gateway",
        ),
        pytest.param(
            Http01(),
            Ways([gateway(listener())], policies=[policy(jwt={})]),
            "ClusterIssuer le: shop.example.com: SecurityPolicy edge/sign-in asks everybody at "
            "Gateway edge/public, listener http to prove who he is, the ACME server too: target "
            "routes with it, not the Gateway",
            id="a sign-in for the whole Gateway",
        ),
        pytest.param(
            Http01(),
            Ways(
                [gateway(listener())],
                policies=[
                    policy(cors={}),
                    policy(jwt={}, targetRefs=[{"kind": "HTTPRoute", "name": "public"}]),
                    policy(
                        jwt={},
                        targetRefs=[{"kind": "Gateway", "name": "public", "sectionName": "https"}],
                    ),
                ],
            ),
            None,
            id="no sign-in, of a route, of another listener",
        ),
    ],
)
def test_closed(http01: Http01, ways: Ways, expected: str | None) -> None:
    names = {"shop": ["shop.example.com"]}
    found = challenges.closed(replace(Issuer(), http01=http01), names, ways)
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("selector", "labels", "admitted"),
    [
        pytest.param({"team": "shop"}, {"team": "shop"}, True, id="its label"),
        pytest.param({"team": "shop"}, {}, False, id="not its label"),
        pytest.param({"kubernetes.io/metadata.name": "shop"}, {}, True, id="its name"),
    ],
)
def test_a_selector_of_namespaces(
    selector: dict[str, str], labels: dict[str, str], admitted: bool
) -> None:
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": selector}}}
    ways = Ways(
        [gateway(listener(allowedRoutes=allowed))],
        [{"metadata": {"name": "shop", "labels": labels}}],
    )
    names = {"shop": ["shop.example.com"]}
    assert (challenges.closed(Issuer(), names, ways) == []) is admitted


def test_whose_routes_keep_their_order() -> None:
    keeping = {
        "metadata": {"namespace": "eg", "name": "old"},
        "spec": {"preserveRouteOrder": True},
    }
    other = {"metadata": {"namespace": "eg", "name": "new"}, "spec": {}}
    own = {**keeping, "metadata": {"namespace": "edge", "name": "own"}}
    classes = [
        {
            "metadata": {"name": name},
            "spec": {"parametersRef": {"namespace": "eg", "name": parameters}},
        }
        for name, parameters in (("envoy", "old"), ("second", "new"))
    ]
    found = challenges.in_order(
        classes,
        [gateway(infrastructure={"parametersRef": {"name": "own"}})],
        [keeping, other, own],
    )
    assert found == {"envoy", "edge/public"}

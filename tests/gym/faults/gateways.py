"""Gateways, listeners, certificates and who may attach to them."""

from __future__ import annotations

from dataclasses import replace

from tests.gym.fault import DOORS, EDGE, Ask, Fault, Truth
from tests.gym.objects import (
    DOORS_THING,
    EXTENSIONS,
    GATEWAY_API,
    HTTPS,
    SHOP,
    doors,
    gateway,
    listener,
    made,
    on_gateway,
    route,
    secret,
)
from tests.gym.trust import AUTHORITY, served

PLAIN = Ask("http://door.doors.test/", gateway=DOORS)
SECURE = Ask("https://door.doors.test/", gateway=DOORS, trusts=True)
SECRET = ("Secret", SHOP, "doors-tls")
OPEN = doors()
DOOR = route(name="door", hosts=["door.doors.test"], gateway=DOORS, section="http")
DOOR_TLS = route(name="door-tls", hosts=["door.doors.test"], gateway=DOORS, section="https")
KEPT = served(["*.doors.test"])


def window(grant: bool = True) -> list[dict[str, object]]:
    """A route of another team's namespace, and what lets it send to ours."""
    one = route(
        {"backendRefs": [{"name": "cart", "namespace": SHOP, "port": 8080}]},
        name="window",
        hosts=["window.doors.test"],
        gateway=DOORS,
        namespace="front",
    )
    spec = {
        "from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": "front"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    return [one, made(f"{GATEWAY_API}/v1", "ReferenceGrant", "front", spec)] if grant else [one]


def with_certificate(
    name: str, pair: object, truth: Truth, shows: int | None, **more: object
) -> Fault:
    """The Secret of a listener holds another certificate."""
    well = secret("doors-tls", KEPT.pem, KEPT.key_pem())
    wrong = secret("doors-tls", pair.pem, (more.pop("key", None) or pair).key_pem())  # type: ignore[attr-defined]
    one = Fault(
        name, "certificate", truth, SECURE, shows, well=[OPEN, DOOR_TLS, well], wrong=[wrong]
    )
    return replace(one, **more)  # type: ignore[arg-type]


EVERY = [
    Fault(
        "class-absent",
        "Gateway",
        Truth(
            *("gateway_not_accepted", ("Gateway", SHOP, "annex"), "gatewayClassName", None),
            also=[("address_missing", ("Gateway", SHOP, "annex"))],
        ),
        wrong=[gateway(listener("http", 80), name="annex", of="envoi")],
        needs=16,
        alike=False,
    ),
    Fault(
        "listener-protocols",
        "Gateway",
        Truth("gateway_not_accepted", DOORS_THING, "listeners", None),
        SECURE,
        0,
        well=[doors(listener("plain", 8080)), DOOR_TLS],
        wrong=[doors(listener("plain", 443))],
        notes="HTTP and HTTPS on one port",
    ),
    Fault(
        "listener-hostname",
        "Gateway",
        Truth(
            *("route_not_attached", ("HTTPRoute", SHOP, "door"), "hostnames"),
            also=[("route_not_attached", DOORS_THING)],
        ),
        PLAIN,
        404,
        well=[doors(listener("http", 80, host="*.doors.test")), DOOR],
        wrong=[doors(listener("http", 80, host="*.gates.test"))],
    ),
    Fault(
        "routes-of-others",
        "Gateway",
        Truth(
            *("route_not_attached", ("HTTPRoute", "front", "window"), "allowedRoutes|parentRefs"),
            also=[("route_not_attached", DOORS_THING)],
        ),
        Ask("http://window.doors.test/", gateway=DOORS),
        404,
        well=[OPEN, *window()],
        wrong=[doors(listener("http", 80, routes="Same"))],
        notes="allowedRoutes: Same",
    ),
    Fault(
        "secret-absent",
        "certificate",
        Truth(
            *("certificate_invalid", DOORS_THING, "certificateRefs", None),
            also=[("certificate_invalid", SECRET)],
        ),
        SECURE,
        0,
        well=[OPEN, DOOR_TLS],
        gone=[SECRET],
    ),
    with_certificate(
        "certificate-expired",
        served(["*.doors.test"], days=-1),
        Truth(
            *("certificate_expired", SECRET, "", None),
            also=[
                ("certificate_expired", DOORS_THING),
                ("certificate_invalid", SECRET),
                ("certificate_invalid", DOORS_THING),
            ],
        ),
        0,
    ),
    with_certificate(
        "certificate-other-key",
        KEPT,
        Truth(
            *("certificate_invalid", SECRET, "", None),
            also=[("certificate_invalid", DOORS_THING)],
        ),
        0,
        key=served(["*.doors.test"]),
    ),
    with_certificate(
        "certificate-other-name",
        served(["*.gates.test"]),
        Truth(
            *("certificate_wrong_name", SECRET, "", None),
            also=[("certificate_wrong_name", DOORS_THING)],
        ),
        0,
    ),
    with_certificate(
        "certificate-ends-soon",
        served(["*.doors.test"], days=2),
        Truth(
            *("certificate_expired", SECRET, "", None),
            also=[("certificate_expired", DOORS_THING)],
        ),
        None,
        ask=Ask(),
        needs=1.5,
        notes="two days left; a warning, without a request",
    ),
    Fault(
        "plaintext-to-tls",
        "Gateway",
        Truth("plaintext_to_tls_listener", DOORS_THING),
        SECURE,
        0,
        well=[OPEN, DOOR_TLS],
        asks=replace(PLAIN, port=443),
    ),
    Fault(
        "sni-of-nobody",
        "Gateway",
        Truth("sni_no_filter_chain", DOORS_THING, "hostname"),
        SECURE,
        0,
        well=[OPEN, DOOR_TLS],
        asks=replace(SECURE, url="https://door.gates.test/", trusts=False),
    ),
    Fault(
        "tls-too-old",
        "policy",
        Truth("tls_not_agreed", ("ClientTrafficPolicy", SHOP, "doors"), "minVersion"),
        replace(SECURE, newest="1.2"),
        0,
        live=False,
        well=[
            OPEN,
            DOOR_TLS,
            on_gateway("ClientTrafficPolicy", "doors", {"tls": {"minVersion": "1.2"}}),
        ],
        wrong=[on_gateway("ClientTrafficPolicy", "doors", {"tls": {"minVersion": "1.3"}})],
    ),
    Fault(
        "section-absent",
        "route",
        Truth("route_not_attached", ("HTTPRoute", SHOP, "door"), "sectionName"),
        PLAIN,
        404,
        well=[OPEN, DOOR],
        wrong=[route(name="door", hosts=["door.doors.test"], gateway=DOORS, section="htpp")],
    ),
    Fault(
        "parent-absent",
        "route",
        Truth("route_not_attached", ("HTTPRoute", SHOP, "door"), "parentRefs"),
        PLAIN,
        404,
        well=[OPEN, DOOR],
        wrong=[route(name="door", hosts=["door.doors.test"], gateway="shop/door", section="http")],
    ),
    Fault(
        "parent-of-another-port",
        "route",
        Truth(
            *("route_not_attached", ("HTTPRoute", SHOP, "door"), "parentRefs|port"),
        ),
        PLAIN,
        404,
        well=[OPEN, DOOR],
        wrong=[
            {
                **DOOR,
                "spec": {
                    **DOOR["spec"],
                    "parentRefs": [{"name": "doors", "namespace": SHOP, "port": 8081}],
                },
            }
        ],
    ),
    Fault(
        "connection-of-another-host",
        "Gateway",
        Truth("h2_connection_reuse", DOORS_THING, "listeners"),
        Ask("https://back.doors.test/", gateway=DOORS, version="2"),
        404,
        asks=Ask("https://back.doors.test/", gateway=DOORS, version="2", reuses="front.doors.test"),
        well=[
            doors(
                listener("front", 443, "HTTPS", "front.doors.test", "doors-tls"),
                listener("https", 443, "HTTPS", "back.doors.test", "doors-tls"),
            ),
            on_gateway("ClientTrafficPolicy", "doors", {"tls": {"alpnProtocols": ["h2"]}}),
            route(name="front", hosts=["front.doors.test"], gateway=DOORS, section="front"),
            route(name="back", hosts=["back.doors.test"], gateway=DOORS, section="https"),
        ],
        live=False,
    ),
    Fault(
        "listener-set-refused",
        "Gateway",
        Truth(
            *("route_not_attached", ("ListenerSet", SHOP, "more"), "", None),
            also=[
                ("gateway_not_accepted", ("ListenerSet", SHOP, "more")),
                ("route_not_attached", ("HTTPRoute", SHOP, "extra")),
                ("gateway_not_accepted", DOORS_THING),
                ("route_not_attached", DOORS_THING),
            ],
        ),
        Ask("http://extra.doors.test:8090/", gateway=DOORS),
        0,
        well=[
            doors(allowedListeners={"namespaces": {"from": "Same"}}),
            made(
                f"{GATEWAY_API}/v1",
                "ListenerSet",
                "more",
                {
                    "parentRef": {"name": "doors", "kind": "Gateway", "group": GATEWAY_API},
                    "listeners": [listener("extra", 8090)],
                },
            ),
            made(
                f"{GATEWAY_API}/v1",
                "HTTPRoute",
                "extra",
                {
                    "parentRefs": [{"name": "more", "kind": "ListenerSet", "group": GATEWAY_API}],
                    "hostnames": ["extra.doors.test"],
                    "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
                },
            ),
        ],
        wrong=[doors(allowedListeners={"namespaces": {"from": "None"}})],
    ),
    Fault(
        "proxy-settings-absent",
        "EnvoyProxy",
        Truth("gateway_not_accepted", DOORS_THING, "parametersRef", None),
        wrong=[
            doors(
                infrastructure={
                    "parametersRef": {
                        "group": EXTENSIONS,
                        "kind": "EnvoyProxy",
                        "name": "doors",
                    }
                }
            )
        ],
        well=[OPEN, DOOR],
        needs=2,
    ),
    Fault(
        "proxy-settings-invalid",
        "EnvoyProxy",
        Truth(
            *("gateway_not_accepted", DOORS_THING, "parametersRef", None),
            also=[("gateway_not_accepted", ("EnvoyProxy", SHOP, "doors"))],
        ),
        well=[OPEN, DOOR],
        wrong=[
            doors(
                infrastructure={
                    "parametersRef": {"group": EXTENSIONS, "kind": "EnvoyProxy", "name": "doors"}
                }
            ),
            made(
                f"{EXTENSIONS}/v1alpha1",
                "EnvoyProxy",
                "doors",
                {"bootstrap": {"type": "Merge", "value": "admin: {address: nowhere}"}},
            ),
        ],
        needs=2,
    ),
]

__all__ = ["AUTHORITY", "EDGE", "EVERY", "HTTPS"]

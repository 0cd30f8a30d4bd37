"""Who plays: names, hosts, ports and releases change from capture to capture."""

from __future__ import annotations

from zlib import crc32

from tests.captures.world import Ask, Listener, Route, Rule, Service, Shape, World

#: (Gateway, namespace of the routes, application, neighbour, domain, port of Pods).
CASTS = (
    (("edge", "public"), "pay", "checkout", "ledger", "example.net", 8080),
    (("ingress", "main"), "media", "player", "images", "video.test", 9000),
    (("gateways", "web"), "crm", "contacts", "mailer", "corp.example", 3000),
    (("platform", "north"), "maps", "tiles", "geocoder", "geo.example.org", 8000),
    (("infra", "edge"), "stock", "inventory", "pricing", "wares.example", 5000),
    (("traffic", "shared"), "learn", "courses", "quiz", "campus.example", 8081),
)
#: Of Envoy, by the release of Envoy Gateway that brings it.
RELEASES = {"1.9.1": "1.39.1", "1.8.3": "1.38.3"}


def cast(name: str, shape: Shape) -> World:
    """The world of a capture before its fault; the same one for the same name."""
    number = crc32(name.split("--")[0].encode())
    gateway, namespace, app, other, domain, port = CASTS[number % len(CASTS)]
    release = list(RELEASES)[(number >> 5) % 2]
    main = Service(namespace, app, target=port, port=(80, 8080)[(number >> 7) % 2])
    neighbour = Service(namespace, other, target=3000)
    return World(
        shape=shape,
        gateway=gateway,
        release=release,
        domain=domain,
        listeners=[Listener("http", (80, 80, 8080)[(number >> 9) % 3])],
        main=main,
        neighbour=neighbour,
        route=Route(namespace, app, [f"{app}.{domain}"], [Rule([(main, 1)])]),
        beside=Route(namespace, other, [f"{other}.{domain}"], [Rule([(neighbour, 1)])]),
    )


def crowded(name: str, world: World, faulty: bool) -> None:
    """
    Others on the same Gateway, for every third capture: a route with more rules on a host of its
    own; and where the capture has a fault, an application that fails for reasons of its own.
    """
    number = crc32(name.split("--")[0].encode()) >> 11
    if number % 3:
        return
    namespace, http = world.route.namespace, world.listeners[0]
    docs = Service("docs", "handbook", target=4000)
    old = Service("docs", "archive", target=4001, pods=0 if faulty and number & 8 else 1)
    old.answer.status = 500 if faulty else 200
    exact = {"path": {"type": "Exact", "value": "/index.html"}}
    below = {"path": {"type": "PathPrefix", "value": "/old"}}
    rules = [Rule([(docs, 1)], [exact]), Rule([(old, 1)], [below]), Rule([(docs, 1)])]
    host = f"docs.{world.domain}"
    sections = [http.name] if world.beside.sections else []
    world.others.insert(0, Route("docs", "handbook", [host], rules, sections=sections))
    for path in ("/index.html", "/old/1", "/old/2"):
        world.before.append(Ask(host, path, agent="crawler/3", port=http.port))
    beta = f"{namespace}-beta.{world.domain}"
    world.others.insert(
        0, Route(namespace, "beta", [beta], [Rule([(world.neighbour, 1)])], sections=sections)
    )

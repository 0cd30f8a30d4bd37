"""Route tables and requests by chance, from few words, so that they meet and just miss."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tasks.diagnosis.evidence import Request

Json = dict[str, Any]
DOMAINS = (
    "*",
    "*.com",
    "*.example.com",
    "*.shop.example.com",
    "*-b.example.com",
    "*example.com",
    "api.*",
    "api.example.*",
    "api*",
    "example.com",
    "shop.example.com",
    "SHOP.example.org",
    "shop.example.com:8080",
    "shop.example.com:*",
    "[::1]",
    "a.shop.example.com",
)
HOSTS = (
    "example.com",
    "Shop.Example.com",
    "shop.example.com:8080",
    "shop.example.com:80",
    "shop.example.com:x",
    "shop.example.com.",
    "shop.example.com.:8080",
    "a.shop.example.com",
    "a-b.example.com",
    "-b.example.com",
    "api.example.com",
    "api.example.net",
    "api.",
    "api",
    "shop.example.org",
    "[::1]:8080",
    "[::1]",
    "nothing.test",
    "shop.example.com:",
)
WORDS = ("cart", "Cart", "carts", "v1", "items", "1", "a%20b", "a.b")
PATHS = (
    *("/", "/cart", "/cart/", "/cart/1", "/carts/1", "/CART/1", "/cart/../items", "/cart//1"),
    *(
        "/cart/./1",
        "/cart%2F1",
        "/cart/%2e%2e/items",
        "/%63art/1",
        "/cart;v=1/1",
        "/cart/1;v=2;w=/",
        "/v1/cart/1",
    ),
    *(
        "/v1/items/12",
        "/items",
        "/items/",
        "/items/a.b",
        "/a%20b",
        "/cart\\1",
        "//cart",
        "/.",
        "/..",
    ),
    *("/items/12/", "/v1//items", "/cart/1/..", "/cart/%7Eme", "/v10/items", "/carts.json"),
)
QUERIES = ("", "?a=1", "?a=2&b=x", "?a", "?b=X", "?a=1&a=2", "?c=%31", "?", "?a=")
EXPRESSIONS = (
    "/cart/[0-9]+",
    "/v[0-9]+/.*",
    "/(cart|items)(/.*)?",
    "(?i)/CART.*",
    "/[[:alpha:]]+",
    r"/items/\d+/?",
    "/cart$",
    r".*\.json",
    "/ca",
)
TEMPLATES = ("/v1/{what}/*", "/cart/{number}", "/items/**", "/{a}/{b=**}", "/items/{name}.b", "/*")
VALUES = ("blue", "Blue", "green", "7", "12", "-3", "", "blue,green", "7 ")
NAMES = ("x-colour", "x-number", "x-other")
SERVER_NAMES = (
    *("shop.example.com", "*.example.com", "*.com", "example.com", "*.shop.example.com"),
    *("api.example.com", "other.test"),
)
ASKED_NAMES = (
    *("shop.example.com", "Shop.Example.com", "a.example.com", "a.b.example.com", "example.com"),
    *("x.shop.example.com", "api.example.com", "other.test", "nothing.net", "com", None, None),
)
PROTOCOLS = (("http/1.1",), ("h2", "http/1.1"))


class Generator:
    """+ seed: the same gives the same"""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self.chance.choice(choices)

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def manager(self) -> Json:
        """Fields of an HTTP connection manager."""
        found: Json = {}
        for key, share in (
            ("normalize_path", 0.5),
            ("merge_slashes", 0.4),
            ("strip_trailing_host_dot", 0.3),
            ("use_remote_address", 0.5),
        ):
            if self.happens(share):
                found[key] = True
        ports = self.one_of((None, None, "strip_matching_host_port", "strip_any_host_port"))
        if ports:
            found[ports] = True
        actions = (
            "KEEP_UNCHANGED",
            "REJECT_REQUEST",
            "UNESCAPE_AND_REDIRECT",
            "UNESCAPE_AND_FORWARD",
        )
        if self.happens(0.5):
            found["path_with_escaped_slashes_action"] = self.one_of(actions)
        return found

    def table(self, name: str) -> Json:
        """A RouteConfiguration; each route answers with its own name."""
        domains = self.chance.sample(DOMAINS, self.chance.randint(2, 9))
        hosts: list[Json] = []
        while domains:
            count = self.chance.randint(1, 2)
            mine, domains = domains[:count], domains[count:]
            hosts.append(self.host(f"host-{len(hosts)}", mine))
        found: Json = {"name": name, "virtual_hosts": hosts}
        if self.happens(0.4):
            found["ignore_port_in_host_matching"] = True
        if self.happens(0.3):
            found["ignore_path_parameters_in_path_matching"] = True
        return found

    def host(self, name: str, domains: list[str]) -> Json:
        routes = [self.route(f"{name}-route-{it}") for it in range(self.chance.randint(0, 6))]
        found: Json = {"name": name, "domains": domains, "routes": routes}
        if self.happens(0.05):
            found["require_tls"] = "ALL"
        return found

    def route(self, name: str) -> Json:
        said = {"status": 200, "body": {"inline_string": name}}
        return {"name": name, "match": self.match(), "direct_response": said}

    def match(self) -> Json:
        found = self.path()
        if self.happens(0.5):
            count = self.chance.randint(1, 2)
            found["headers"] = [self.header() for _ in range(count)]
        if self.happens(0.25):
            found["query_parameters"] = [self.parameter()]
        if self.happens(0.05):
            found["grpc"] = {}
        if self.happens(0.05):
            share = self.one_of((0, 100))
            found["runtime_fraction"] = {"default_value": {"numerator": share}}
        return found

    def path(self) -> Json:
        prefix = "/" + "/".join(self.chance.sample(WORDS, self.chance.randint(0, 2)))
        kind = self.one_of(
            ("prefix", "prefix", "path", "path_separated_prefix", "safe_regex", "any", "template")
        )
        if kind == "any":
            return {"prefix": "/"}
        if kind == "safe_regex":
            return {kind: {"regex": self.one_of(EXPRESSIONS)}}
        if kind == "template":
            of = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3"
            config = {
                "@type": f"{of}.UriTemplateMatchConfig",
                "path_template": self.one_of(TEMPLATES),
            }
            name = "envoy.path.match.uri_template.uri_template_matcher"
            return {"path_match_policy": {"name": name, "typed_config": config}}
        if kind == "path_separated_prefix" and prefix == "/":
            return {"prefix": "/"}
        found: Json = {kind: prefix + ("/" if kind == "prefix" and self.happens(0.2) else "")}
        if self.happens(0.3):
            found["case_sensitive"] = self.happens(0.3)
        return found

    def text(self) -> Json:
        """A StringMatcher."""
        kind = self.one_of(("exact", "prefix", "suffix", "contains", "safe_regex"))
        if kind == "safe_regex":
            return {kind: {"regex": self.one_of(("b.*", "[0-9]+", "(?i)BLUE", ".*"))}}
        found: Json = {kind: self.one_of(("blue", "Blue", "een", "7", "bl"))}
        if self.happens(0.3):
            found["ignore_case"] = True
        return found

    def header(self) -> Json:
        """A HeaderMatcher."""
        if self.happens(0.3):
            return {"name": ":method", "string_match": {"exact": self.one_of(("GET", "POST"))}}
        if self.happens(0.15):
            return self.pseudo()
        found: Json = {"name": self.one_of((*NAMES, "X-Colour"))}
        kind = self.one_of(
            ("string_match", "string_match", "range_match", "present_match", "older", None)
        )
        if kind == "string_match":
            found[kind] = self.text()
        if kind == "range_match":
            found[kind] = self.one_of(({"start": 5, "end": 12}, {"start": -5, "end": 8}))
        if kind == "present_match":
            found[kind] = self.happens(0.6)
        if kind == "older":
            older = ("exact_match", "prefix_match", "suffix_match", "contains_match")
            found[self.one_of(older)] = self.one_of(("blue", "een", "7"))
        if self.happens(0.3):
            found["invert_match"] = True
        if self.happens(0.2):
            found["treat_missing_header_as_empty"] = True
        return found

    def pseudo(self) -> Json:
        name, text = self.one_of(
            (
                (":authority", {"prefix": "shop"}),
                (":authority", {"suffix": "8080"}),
                ("host", {"contains": "example"}),
                (":path", {"suffix": "?a=1"}),
                (":path", {"prefix": "/cart"}),
                (":scheme", {"exact": "http"}),
                ("x-forwarded-proto", {"exact": "https"}),
            )
        )
        return {"name": name, "string_match": text}

    def parameter(self) -> Json:
        found: Json = {"name": self.one_of(("a", "b", "c"))}
        kind = self.one_of(("string_match", "present_match", None))
        if kind == "string_match":
            found[kind] = self.one_of(
                ({"exact": "1"}, {"prefix": "x", "ignore_case": True}, {"exact": ""})
            )
        if kind == "present_match":
            found[kind] = self.happens(0.6)
        return found

    def chains(self, address: str, port: int) -> list[Json]:
        """Matches of filter chains with "name" and "tls"; no two are for the same."""
        taken: set[tuple[Any, ...]] = set()
        found: list[Json] = []
        for number in range(self.chance.randint(1, 6)):
            key = (
                self.one_of((None, None, None, None, port, 9)),
                self.one_of((None, None, None, 8, 32)),
                self.one_of((None, *SERVER_NAMES)),
                self.one_of((None, None, "tls", "raw_buffer")),
                self.one_of((None, None, None, "h2", "http/1.1")),
            )
            if key not in taken:
                taken.add(key)
                tls = key[3] == "tls" or (key[3] is None and self.happens(0.8))
                found.append(
                    {
                        "name": f"chain-{number}",
                        "tls": tls,
                        "match": self.chain_match(address, *key),
                    }
                )
        return found

    def chain_match(
        self,
        address: str,
        port: int | None,
        prefix: int | None,
        name: str | None,
        transport: str | None,
        protocol: str | None,
    ) -> Json:
        wanted = {
            "destination_port": port,
            "prefix_ranges": prefix and [{"address_prefix": address, "prefix_len": prefix}],
            "server_names": name and [name],
            "transport_protocol": transport,
            "application_protocols": protocol and [protocol],
        }
        return {key: value for key, value in wanted.items() if value}

    def request(self) -> Request:
        headers = {it: self.one_of(VALUES) for it in NAMES if self.happens(0.4)}
        if self.happens(0.1):
            headers["content-type"] = self.one_of(
                ("application/grpc", "application/grpc+proto", "application/json")
            )
        if self.happens(0.1):
            headers["x-forwarded-proto"] = self.one_of(("https", "http", "ftp"))
        return Request(
            self.one_of(("GET", "GET", "POST", "DELETE")),
            "http",
            self.one_of(HOSTS),
            self.one_of(PATHS) + self.one_of(QUERIES),
            headers,
        )

"""What a route takes, in words, and which two routes one request can meet."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.rehearsals.matches import meet, taken


def header(name: str, exact: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "string_match": {"exact": exact}, **more}


GET, POST = header(":method", "GET"), header(":method", "POST")
UNDER, PREFIX = "path_separated_prefix", "prefix"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param({UNDER: "/p1"}, {UNDER: "/p10"}, False, id="beside each other"),
        pytest.param({UNDER: "/p1"}, {UNDER: "/p1/a"}, True, id="one below the other"),
        pytest.param({UNDER: "/p1"}, {"path": "/p1"}, True, id="the very path"),
        pytest.param({UNDER: "/p1"}, {"path": "/p12"}, False, id="a path beside"),
        pytest.param({PREFIX: "/p1"}, {UNDER: "/p12"}, True, id="a prefix takes more"),
        pytest.param({PREFIX: "/"}, {"path": "/p1"}, True, id="all"),
        pytest.param({"path": "/a"}, {"path": "/b"}, False, id="two paths"),
        pytest.param({"safe_regex": {"regex": "/a"}}, {"path": "/b"}, True, id="cannot be told"),
        pytest.param(
            {"path": "/A", "case_sensitive": False}, {"path": "/a"}, True, id="letters of any case"
        ),
        pytest.param(
            {PREFIX: "/", "headers": [GET]}, {PREFIX: "/", "headers": [POST]}, False, id="methods"
        ),
        pytest.param({PREFIX: "/", "headers": [GET]}, {PREFIX: "/"}, True, id="any method"),
        pytest.param(
            {PREFIX: "/", "headers": [header("a", "1", invert_match=True)]},
            {PREFIX: "/", "headers": [header("a", "2")]},
            True,
            id="a header that is not",
        ),
    ],
)
def test_which_routes_one_request_can_meet(one: Any, other: Any, expected: bool) -> None:
    assert meet({"match": one}, {"match": other}) is expected
    assert meet({"match": other}, {"match": one}) is expected


@pytest.mark.parametrize(
    ("match", "words"),
    [
        pytest.param({UNDER: "/a", "headers": [GET]}, "path prefix /a, method GET", id="method"),
        pytest.param(
            {"path": "/a", "headers": [header("x-key", "hush")]}, "path /a, header x-key", id="key"
        ),
        pytest.param(
            {"safe_regex": {"regex": "/v[0-9]"}, "query_parameters": [{"name": "q"}]},
            "path like /v[0-9], query q",
            id="regex",
        ),
        pytest.param({PREFIX: "/", "grpc": {}}, "path prefix /, grpc", id="gRPC"),
        pytest.param({}, "all", id="all"),
        pytest.param(None, "all", id="none"),
    ],
)
def test_what_a_route_takes_in_words(match: Any, words: str) -> None:
    assert taken(match) == words

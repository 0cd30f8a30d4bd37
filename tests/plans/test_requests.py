"""Requests as operators write them, and where they enter."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.requests import Asked, Entrance, entrance, parsed

CART = Asked("GET", "https", "shop.example.com", 443, "shop.example.com", "/cart")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("GET https://shop.example.com/cart", CART, id="method and URL"),
        pytest.param("https://shop.example.com/cart", CART, id="URL alone"),
        pytest.param("curl -k https://shop.example.com/cart", CART, id="curl"),
        pytest.param("curl -sSkv -o /dev/null https://shop.example.com/cart", CART, id="silent"),
        pytest.param("curl -kI https://a.b/", Asked("HEAD", "https", "a.b", 443, "a.b"), id="-kI"),
        pytest.param(
            "curl -X DELETE 'http://a.b:8080/x?y=1&z=2'",
            Asked("DELETE", "http", "a.b", 8080, "a.b:8080", "/x?y=1&z=2"),
            id="-X",
        ),
        pytest.param(
            "curl -XPUT -d 'a=1' --data b=2 http://a.b",
            Asked("PUT", "http", "a.b", 80, "a.b", body="a=1&b=2"),
            id="body",
        ),
        pytest.param(
            "curl -d a=1 a.b/x",
            Asked("POST", "http", "a.b", 80, "a.b", "/x", body="a=1"),
            id="POST",
        ),
        pytest.param(
            "curl -H 'X-Tenant: blue' -H 'Host: other.b' -A me https://a.b",
            Asked(
                "GET",
                "https",
                "a.b",
                443,
                "other.b",
                headers={"x-tenant": "blue", "user-agent": "me"},
            ),
            id="headers",
        ),
        pytest.param(
            "curl -u me:secret http://a.b",
            Asked("GET", "http", "a.b", 80, "a.b", headers={"authorization": "Basic bWU6c2VjcmV0"}),
            id="credentials",
        ),
        pytest.param(
            "curl --http2 --resolve a.b:443:20.1.2.3 https://a.b",
            Asked(
                "GET",
                "https",
                "a.b",
                443,
                "a.b",
                http2=True,
                entries=(("a.b", 443, "20.1.2.3", None),),
            ),
            id="--resolve",
        ),
        pytest.param(
            "curl --http1.1 --connect-to ::20.1.2.3:8443 https://a.b",
            Asked(
                "GET",
                "https",
                "a.b",
                443,
                "a.b",
                http2=False,
                entries=(("", None, "20.1.2.3", 8443),),
            ),
            id="--connect-to",
        ),
        pytest.param("http://[::1]:80/", Asked("GET", "http", "::1", 80, "[::1]:80"), id="IPv6"),
    ],
)
def test_parsed(text: str, wanted: Asked) -> None:
    assert parsed(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET",
        "GET /cart",
        "get https://a.b/",
        "GET https://a.b/ twice",
        "shop.example.com/cart",
        "ftp://a.b/",
        "https://a.b:99999/",
        "https://[::1/",
        "https://a b/",
        "https://a.b/ä",
        "curl",
        "curl https://a.b https://c.d",
        "curl --proxy x https://a.b",
        "curl https://a.b -H",
        "curl -H nothing https://a.b",
        "curl -d @/etc/passwd https://a.b",
        "curl --resolve a.b:20.1.2.3 https://a.b",
        "curl --connect-to a.b https://a.b",
        "curl 'https://a.b",
    ],
)
def test_what_is_no_request(text: str) -> None:
    with pytest.raises(ValueError, match=r"^no request: [^\n]+$"):
        parsed(text)


def test_a_credential_is_never_said_again() -> None:
    with pytest.raises(ValueError, match="no request") as caught:
        parsed("curl -H 't0p-s3cret' https://a.b")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in parsed("curl 'https://a.b/?token=s3cret'").text


def gateway(name: str, *listeners: tuple[str, str, int, str | None], at: str | None) -> Any:
    keys = ("name", "protocol", "port", "hostname")
    said = [{k: v for k, v in zip(keys, it, strict=True) if v} for it in listeners]
    return {
        "metadata": {"namespace": "edge", "name": name},
        "spec": {"listeners": said},
        "status": {"addresses": [{"value": at}] if at else []},
    }


WIDE = gateway("wide", ("all", "HTTPS", 443, None), ("http", "HTTP", 80, None), at="20.0.0.1")
SHOP = gateway("shop", ("shop", "HTTPS", 443, "*.example.com"), at="20.0.0.2")
LOST = gateway("lost", ("lost", "HTTPS", 443, "lost.example.org"), at=None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://shop.example.com/", Entrance("20.0.0.2", 443, "edge/shop", "shop")),
        ("https://example.com/", Entrance("20.0.0.1", 443, "edge/wide", "all")),
        ("http://shop.example.com/", Entrance("20.0.0.1", 80, "edge/wide", "http")),
        ("http://shop.example.com:8080/", None),
        (
            "curl --connect-to ::20.0.0.1: https://shop.example.com/",
            Entrance("20.0.0.1", 443, "edge/wide", "all"),
        ),
        (
            "curl --connect-to ::127.0.0.1:9 https://shop.example.com/",
            Entrance("127.0.0.1", 9, "edge/shop", "shop"),
        ),
    ],
)
def test_entrance(text: str, wanted: Entrance | None) -> None:
    assert entrance(parsed(text), [WIDE, SHOP]) == wanted


def test_a_gateway_without_an_address_is_named_all_the_same() -> None:
    found = entrance(parsed("https://lost.example.org/"), [LOST])
    assert found == Entrance("", 443, "edge/lost", "lost")


def test_a_name_that_no_listener_takes_enters_where_its_port_is() -> None:
    found = entrance(parsed("https://other.org/"), [SHOP])
    assert found == Entrance("20.0.0.2", 443, "edge/shop")

"""Gateways of Istio as listeners, and what comparing names of Secrets alone would say of them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from tasks.plans.istio import of_istio
from tasks.plans.listeners import Listener, SecretRef, of_gateways
from tasks.plans.overlap import overlaps
from tasks.plans.x509 import Certificate
from tests.plans.test_overlap import certificate

DATA = Path(__file__).parents[1] / "data" / "istio"
SHOP = certificate("*.shop.test")
HELD = {
    "istio-system/shared": SHOP,
    "istio-system/copy": SHOP,
    "istio-system/blog": certificate("www.blog.test", "static.blog.test"),
    "istio-system/news": certificate("*.news.test"),
    "istio-system/mail": certificate("mail.test"),
    "partners/shared": certificate("partners.shop.test"),
    "edge/shared": SHOP,
}


def read(name: str) -> list[dict[str, Any]]:
    return [*yaml.safe_load_all((DATA / name).read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [it for it in read("workloads.yaml") if it["kind"] == kind]


def listeners() -> list[Listener]:
    return of_istio("weu-1", read("gateways.yaml"), of_kind("Pod"), of_kind("Service"))


def served(every: list[Listener]) -> dict[Listener, list[Certificate]]:
    return {
        it: [HELD[f"{ref.namespace}/{ref.name}"] for ref in it.secrets]
        for it in every
        if it.secrets
    }


def test_a_server_is_a_listener_of_the_workload() -> None:
    assert listeners()[0] == Listener(
        cluster="weu-1",
        owner="Gateway shop/cart (Istio)",
        gateway="shop/cart",
        name="https",
        port=443,
        hostname="cart.shop.test",
        addresses=("20.103.0.20",),
        workload="istio-system/istio-ingressgateway",
        secrets=(SecretRef("istio-system", "shared"),),
        falls_back=False,
    )


def test_what_is_read_and_what_is_left_out() -> None:
    """HTTP, the mesh's own TLS and a Gateway without a Pod are left out."""
    assert [(it.gateway, it.name, it.hostname, it.passthrough) for it in listeners()] == [
        ("shop/cart", "https", "cart.shop.test", False),
        ("shop/checkout", "https", "checkout.shop.test", False),
        ("shop/search", "https", "search.shop.test", False),
        ("blog/blog", "https-www", "www.blog.test", False),
        ("blog/blog", "https-static", "static.blog.test", False),
        ("news/news", "https", "www.news.test", False),
        ("news/news", "https", "static.news.test", False),
        ("partners/partners", "https", "partners.shop.test", False),
        ("mail/mail", "https", "mail.test", False),
        ("mail/mail", "tls", "*.local", True),
        ("shop/admin", "https-admin", "admin.shop.test", False),
    ]


def faulty(every: list[Listener]) -> list[set[str]]:
    return [{it.gateway for it in found.members} for found in overlaps(every, served(every))]


def test_the_faulty_layouts_are_found_and_no_other() -> None:
    assert faulty(listeners()) == [{"shop/cart", "shop/checkout", "shop/search"}, {"blog/blog"}]


def test_names_alone_tell_another_story() -> None:
    """Pairs of Gateways with one credentialName: of any workload, and as IST0138 compares them."""
    pairs = [*combinations(read("gateways.yaml"), 2)]
    names = [_names(*it) for it in pairs if _credentials(it[0]) & _credentials(it[1])]
    assert {"cart", "checkout"} in names
    assert {"cart", "partners"} in names  # another certificate, another address
    assert {"cart", "nobody"} in names  # no Pod serves it
    analyzed = [
        _names(*it)
        for it in pairs
        if _credentials(it[0]) & _credentials(it[1])
        and it[0]["spec"]["selector"] == it[1]["spec"]["selector"]
    ]
    # Another port is no fault; "search" (a copy of the Secret) and "blog" (one Gateway) are missed.
    assert analyzed == [{"cart", "checkout"}, {"cart", "admin"}, {"checkout", "admin"}]


def _names(*gateways: dict[str, Any]) -> set[str]:
    return {it["metadata"]["name"] for it in gateways}


def _credentials(gateway: dict[str, Any]) -> set[str]:
    servers = gateway["spec"]["servers"]
    return {name for it in servers if (name := it.get("tls", {}).get("credentialName"))}


def test_a_cluster_with_both_has_two_stories() -> None:
    """The same certificate at a Gateway of Envoy Gateway, which has an address of its own."""
    gateway = {
        "metadata": {"name": "public", "namespace": "edge"},
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [
                {
                    "name": name,
                    "port": 443,
                    "protocol": "HTTPS",
                    "hostname": f"{name}.shop.test",
                    "tls": {"certificateRefs": [{"name": "shared"}]},
                }
                for name in ("api", "admin")
            ],
        },
        "status": {"addresses": [{"value": "20.103.0.30"}]},
    }
    every = [*listeners(), *of_gateways("weu-1", [gateway])]
    found = overlaps(every, served(every))
    assert [(it.effect, {one.gateway for one in it.members}) for it in found] == [
        ("not found", {"shop/cart", "shop/checkout", "shop/search"}),
        ("not found", {"blog/blog"}),
        ("HTTP/1.1", {"edge/public"}),
    ]

"""Proxy Pods that are asked one by one, through an API server that forwards their ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from pyinfra.context import ctx_host

from tasks.operations import proxies
from tasks.operations.proxies import Asked
from tasks.plans.probes import Answer, Request
from tasks.plans.proxies import Proxy
from tests.port_forward import forwarding

SHOP = Request("edge/public", "http", "http", "10.0.0.1", 80, "a.b", "/", "shop/shop")
TCP = Request("edge/public", "tcp", "tcp", "10.0.0.1", 9000)
DEAF = Request("edge/public", "deaf", "tcp", "10.0.0.1", 81)
HANDSHAKE = Request("edge/public", "https", "tls", "10.0.0.1", 443, "a.b")
POD = Proxy("eg", "envoy-1", "distroless-v1.39.1", ((10080, SHOP), (9000, TCP)))
OK = b"HTTP/1.1 200 OK\r\nServer: shop\r\nContent-Length: 2\r\n\r\nhi"
SICK = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def cluster(answer: Callable[[bytes], bytes] = lambda _: OK, status: int = 101) -> Iterator[None]:
    """The cluster that operations find behind the current host."""
    here = SimpleNamespace(connector=SimpleNamespace(api=None))
    with forwarding(answer, status) as (here.connector.api, _), ctx_host.use(here):
        yield


def test_every_listener_answers() -> None:
    with cluster():
        asked = proxies.ask([POD])
    assert asked == Asked({(POD, SHOP): Answer(200, "shop"), (POD, TCP): Answer(0)})
    assert asked.problems == []
    assert asked.text == "1 Pod, 2 listeners answered one by one, Envoy distroless-v1.39.1"


def test_what_does_not_serve_is_named() -> None:
    pod = Proxy("eg", "envoy-1", "distroless-v1.39.1", ((10080, SHOP), (81, DEAF)))
    with cluster(lambda _: SICK):
        asked = proxies.ask([pod])
    assert asked.problems == [
        "Pod eg/envoy-1, edge/public:deaf tcp 10.0.0.1:81: nothing listens on port 81 of the Pod",
        "Pod eg/envoy-1, edge/public:http http://a.b:80/: 503 from Envoy itself",
    ]


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        pytest.param(403, Asked(denied="no right to pods/portforward"), id="no right"),
        pytest.param(404, Asked(), id="the Pod has gone since"),
        pytest.param(
            500,
            Asked(
                unreached=dict.fromkeys(
                    [(POD, SHOP), (POD, TCP)], "port forward: 500 pods is forbidden"
                )
            ),
            id="a failing API server",
        ),
    ],
)
def test_no_port_forward(status: int, asked: Asked) -> None:
    with cluster(status=status):
        assert proxies.ask([POD]) == asked


def test_a_listener_without_tls_completes_no_handshake() -> None:
    pod = Proxy("eg", "envoy-1", "distroless-v1.39.1", ((10443, HANDSHAKE),))
    with cluster():
        asked = proxies.ask([pod])
    assert list(asked.failed) == [(pod, HANDSHAKE)]

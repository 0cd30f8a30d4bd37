"""How a request ended, where the log says it in other words, or there is no log."""

from __future__ import annotations

import pytest

from tasks.diagnosis import config, endings
from tasks.diagnosis.case import Case
from tasks.diagnosis.config import Endpoint
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Request
from tasks.diagnosis.objects import Objects

ASKED = Request(host="cart.example.com")
RESET = "upstream_reset_before_response_started"


def case(exchange: Exchange | None = None, entry: Entry | None = None) -> Case:
    return Case(Evidence(), exchange, entry, Objects(None))


def response(status: int | None, body: str = "", **headers: str) -> Exchange:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange(ASKED, status, named, body)


def line(**said: object) -> Entry:
    return Entry("access.log", 1, **{"method": "GET", **said})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "details"),
    [
        pytest.param(case(entry=line(details="via_upstream", flags="UF")), "via_upstream"),
        pytest.param(case(entry=line(flags="UH", status=503)), "no_healthy_upstream"),
        pytest.param(case(entry=line(flags="NR", method=None)), "filter_chain_not_found"),
        pytest.param(case(entry=line(flags="NR")), "route_not_found"),
        pytest.param(
            case(
                response(
                    503,
                    "upstream connect error or disconnect/reset before headers. reset reason: "
                    "remote connection failure, transport failure reason: delayed connect error: "
                    "Connection refused",
                ),
                line(flags="UF", status=503),
            ),
            f"{RESET}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}",
            id="a body says more than the flag",
        ),
        pytest.param(case(response(401, "Jwt is missing")), "jwt_authn_access_denied"),
        pytest.param(
            case(response(200, grpc_status="14", grpc_message="no healthy upstream")),
            "no_healthy_upstream",
            id="of gRPC, the message is the body",
        ),
        pytest.param(case(response(404, "no such page", server="app")), "via_upstream"),
        pytest.param(case(entry=line(flags="DPE", status=400)), "", id="a codec's own"),
        pytest.param(case(), "via_upstream", id="nothing at all"),
    ],
)
def test_how_it_ended(given: Case, details: str) -> None:
    assert endings.details(given) == details


@pytest.mark.parametrize(
    ("entry", "failed"),
    [
        (line(status=200, flags=""), False),
        (line(status=200, flags="DI,URX"), False),
        (line(status=200, flags="UC"), True),
        (line(status=200, grpc_status="Unavailable"), True),
        (line(status=200, grpc_status="0"), False),
        (line(status=404), True),
        (line(status=0), True),
    ],
)
def test_a_line_tells_of_a_failure(entry: Entry, failed: bool) -> None:
    assert endings.failed(entry) is failed


def test_the_request_that_a_line_tells_of() -> None:
    entry = line(authority="cart.example.com", sni="cart.example.com", protocol="HTTP/2")
    assert entry.request == Request(
        scheme="https", host="cart.example.com", version="2", sni="cart.example.com"
    )
    assert line(local="10.0.0.3:10443").port == 10443
    assert line(local="").port is None


def test_endpoints_of_clusters_as_text() -> None:
    lines = (
        "shop::default_priority::max_requests::1024",
        "shop::10.0.0.7:3000::health_flags::/failed_active_hc/failed_eds_health",
        "shop::10.0.0.8:3000::health_flags::healthy",
        "shop::10.0.0.8:3000::weight::1",
        "empty::default_priority::max_requests::1024",
    )
    down = Endpoint("10.0.0.7:3000", "UNHEALTHY", failed=("failed_active_hc",))
    assert config.healths_of_text("\n".join(lines)) == {
        "shop": (down, Endpoint("10.0.0.8:3000", "HEALTHY")),
        "empty": (),
    }

"""What comes first where a request fails and the cluster ails."""

from __future__ import annotations

import pytest

from tasks.checks.findings import Severity
from tasks.diagnosis.causes import CODES, Cause
from tasks.diagnosis.cluster.ranking import ranked
from tasks.diagnosis.diagnosis import Found, Ref

CART = Ref("HTTPRoute", "cart", "shop")
SHOP = Ref("Service", "cart", "shop")


def one(cause: Cause, whose: Ref = CART, severity: Severity = "error") -> Found:
    return Found(CODES[cause], cause, "envoy", whose, "", "", "", (), severity=severity)


@pytest.mark.parametrize(
    ("request_", "around", "unanswered", "wanted"),
    [
        pytest.param([], ["proxy_down"], True, ["proxy_down"], id="nobody answers"),
        pytest.param(
            ["no_virtual_host_match"],
            ["controller_down"],
            False,
            ["controller_down", "no_virtual_host_match"],
            id="a route that never arrived",
        ),
        pytest.param(
            ["jwt_denied"],
            ["controller_down"],
            False,
            ["jwt_denied", "controller_down"],
            id="a denial has nothing to do with it",
        ),
        pytest.param(
            ["upstream_connect_timeout"],
            ["network_policy"],
            False,
            ["network_policy", "upstream_connect_timeout"],
            id="packets are dropped",
        ),
        pytest.param(
            ["client_disconnected"],
            ["certificate_invalid"],
            True,
            ["certificate_invalid", "client_disconnected"],
            id="a listener that is gone",
        ),
        pytest.param(
            ["route_not_attached"],
            ["route_not_attached"],
            False,
            ["route_not_attached"],
            id="the same is said once",
        ),
    ],
)
def test_ranked(
    request_: list[Cause], around: list[Cause], unanswered: bool, wanted: list[Cause]
) -> None:
    found = ranked([one(it) for it in request_], [one(it) for it in around], unanswered)
    assert [it.cause for it in found] == wanted


def test_a_service_without_endpoints_that_proxies_still_ask() -> None:
    symptom = one("upstream_connect_timeout", SHOP)
    left = one("service_without_endpoints", SHOP)
    assert ranked([symptom], [left], False) == (left,), "what it met follows from that"
    other = one("service_without_endpoints", Ref("Service", "other", "shop"))
    assert ranked([symptom], [other], False) == (symptom, other)


def test_a_warning_explains_no_failure() -> None:
    symptom, warning = one("no_virtual_host_match"), one("configuration_stale", severity="warning")
    assert ranked([symptom], [warning], False) == (symptom, warning)

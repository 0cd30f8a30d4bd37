"""How a Gateway asks for a public IP, and what it has of it."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import asking
from tasks.plans.public_ips import INTERNAL, Claim
from tests.azure_situations import (
    ADDRESS_1,
    ADDRESS_2,
    claim,
    gateway,
    healthy,
    landscape,
)


@pytest.mark.parametrize(
    ("infrastructure", "expected"),
    [
        pytest.param(None, None, id="no settings"),
        pytest.param({"annotations": {"a": "b"}}, None, id="annotations alone"),
        pytest.param(
            {"parametersRef": {"kind": "EnvoyProxy", "name": "public-public-ip"}}, None, id="ours"
        ),
        pytest.param(
            {"parametersRef": {"kind": "EnvoyProxy", "name": "custom"}},
            "EnvoyProxy custom",
            id="somebody else's",
        ),
    ],
)
def test_settings_of_somebody_else(infrastructure: Any, expected: str | None) -> None:
    gateway = {"metadata": {"name": "public"}, "spec": {"infrastructure": infrastructure}}
    assert asking.others_proxy(gateway) == expected


HERE = "Gateway edge/public"


@pytest.mark.parametrize(
    ("made", "address", "expected"),
    [
        pytest.param(None, ADDRESS_1, [f"{HERE} is not there any more"], id="gone"),
        pytest.param(
            claim(service=None), ADDRESS_1, [f"{HERE}: no Service yet"], id="without a Service"
        ),
        pytest.param(
            claim(address=None, events=["it was not found"]),
            ADDRESS_1,
            [f"{HERE}: its Service has no address, not {ADDRESS_1}: it was not found"],
            id="without an address",
        ),
        pytest.param(
            claim(), ADDRESS_2, [f"{HERE}: its Service has {ADDRESS_1}, not {ADDRESS_2}"], id="old"
        ),
        pytest.param(
            claim(gateways=[gateway(addresses=[])]),
            ADDRESS_1,
            [f"{HERE}: its status has no address, not {ADDRESS_1}"],
            id="the Gateway does not know yet",
        ),
        pytest.param(claim(), ADDRESS_1, [], id="carried"),
    ],
)
def test_what_is_not_carried_yet(made: Claim | None, address: str, expected: list[str]) -> None:
    assert asking.not_carried(HERE, address, made) == expected


@pytest.mark.parametrize(
    ("made", "address", "expected"),
    [
        pytest.param(claim(), ADDRESS_1, None, id="the same"),
        pytest.param(claim(address=None), None, None, id="none yet"),
        pytest.param(claim(annotations={INTERNAL: "true"}), None, None, id="internal"),
        pytest.param(
            claim(),
            ADDRESS_2,
            f"{HERE} is reached at {ADDRESS_1} (public IP addresses/weu-1-public) and gets "
            f"{ADDRESS_2}: the former one ends at once, and clients follow when DNS does: to keep "
            "it, see docs/reserve_public_ip.md",
            id="another one",
        ),
    ],
)
def test_an_address_that_moves(made: Claim, address: str | None, expected: str | None) -> None:
    assert asking.moves(made, address, landscape(healthy())) == expected

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.behaviour import CHANGES, met
from tasks.plans.kinds import KINDS
from tasks.plans.releases import LINES

GATEWAY = {"targetRefs": [{"kind": "Gateway", "name": "public"}]}
ROUTE = {"targetRefs": [{"kind": "HTTPRoute", "name": "blue"}]}


def thing(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "a", "namespace": "edge"}, "spec": spec}


def stops(
    kind: str, spec: dict[str, Any], installed: str, wanted: str, values: Any = None
) -> list[tuple[str, bool]]:
    """The first words of each reason, and whether it stops."""
    found = met(installed, wanted, {kind: [thing(kind, spec)]}, values or {})
    return [(" ".join(it.text.split()[:4]), it.stops) for it in found]


@pytest.mark.parametrize(
    ("kind", "spec", "met_by"),
    [
        pytest.param("ClientTrafficPolicy", {"clientIPDetection": {}}, True, id="empty"),
        pytest.param(
            "ClientTrafficPolicy",
            {"clientIPDetection": {"xForwardedFor": {}, "customHeader": {}}},
            True,
            id="two ways",
        ),
        pytest.param(
            "ClientTrafficPolicy", {"clientIPDetection": {"xForwardedFor": {}}}, False, id="one way"
        ),
        pytest.param("ClientTrafficPolicy", {}, False, id="no detection"),
        pytest.param("SecurityPolicy", {**GATEWAY, "mergeType": "Replace"}, True, id="at Gateway"),
        pytest.param("SecurityPolicy", {**ROUTE, "mergeType": "Replace"}, False, id="at a route"),
        pytest.param("SecurityPolicy", GATEWAY, False, id="merges nothing"),
        pytest.param(
            "BackendTrafficPolicy",
            {"targetRef": {"kind": "Gateway"}, "mergeType": "JSONMerge"},
            True,
            id="the older targetRef",
        ),
        pytest.param("EnvoyExtensionPolicy", {"lua": [{"type": "Inline"}]}, True, id="Lua"),
        pytest.param("EnvoyExtensionPolicy", {"wasm": [{}]}, False, id="no Lua"),
    ],
)
def test_what_1_9_breaks(kind: str, spec: dict[str, Any], met_by: bool) -> None:
    found = stops(kind, spec, "1.8.3", "1.9.1")
    assert bool(found) == met_by
    assert all(it for _, it in found)


def test_lua_that_the_new_values_switch_on() -> None:
    values = {"config": {"envoyGateway": {"extensionApis": {"enableLua": True}}}}
    assert stops("EnvoyExtensionPolicy", {"lua": [{}]}, "1.8.3", "1.9.1", values) == []


@pytest.mark.parametrize(
    ("kind", "spec", "installed", "wanted", "found"),
    [
        pytest.param(
            "SecurityPolicy",
            {"authorization": {"rules": [{"principal": {"sourceCIDRs": ["10.0.0.0/8"]}}]}},
            "1.7.5",
            "1.8.3",
            [("since 1.8 principal.sourceCIDRs is", True)],
            id="a restriction by address that is dropped",
        ),
        pytest.param(
            "SecurityPolicy",
            {"extAuth": {"http": {"backendSettings": {"timeout": {"requestTimeout": "0s"}}}}},
            "1.7.5",
            "1.8.3",
            [("since 1.8 a timeout", False)],
            id="0s",
        ),
        pytest.param(
            "SecurityPolicy", {"oidc": {}}, "1.5.9", "1.6.7", [("since 1.6 OIDC uses", False)]
        ),
        pytest.param(
            "SecurityPolicy",
            {"oidc": {"refreshToken": False}},
            "1.5.9",
            "1.6.7",
            [],
            id="it is set",
        ),
        pytest.param(
            "SecurityPolicy",
            {"apiKeyAuth": {"extractFrom": [{"headers": ["x"]}]}},
            "1.8.3",
            "1.9.1",
            [("since 1.9 apiKeyAuth.extractFrom is", False)],
            id="API keys",
        ),
        pytest.param(
            "EnvoyProxy",
            {"telemetry": {"tracing": {"samplingFraction": {"numerator": 1}}}},
            "1.7.5",
            "1.8.3",
            [("since 1.8 tracing.samplingFraction samples", False)],
            id="sampling",
        ),
        pytest.param(
            "EnvoyProxy",
            {"telemetry": {"tracing": {}}},
            "1.8.3",
            "1.9.1",
            [],
            id="no tracing",
        ),
        pytest.param(
            "EnvoyPatchPolicy",
            {},
            "1.8.3",
            "1.9.1",
            [("since 1.9 clusters that", False)],
            id="patches",
        ),
        pytest.param("EnvoyPatchPolicy", {}, "1.9.0", "1.9.1", [], id="within a line"),
        pytest.param(
            "BackendTLSPolicy", {}, "1.5.9", "1.6.7", [("since 1.6 names of", False)], id="names"
        ),
    ],
)
def test_the_steps_between(
    kind: str, spec: dict[str, Any], installed: str, wanted: str, found: list[tuple[str, bool]]
) -> None:
    assert stops(kind, spec, installed, wanted) == found


def test_a_reason_names_the_objects_and_what_to_do() -> None:
    policies = [thing("ClientTrafficPolicy", {"clientIPDetection": {}})] * 5
    [reason] = met("1.8.3", "1.9.1", {"ClientTrafficPolicy": policies}, {})
    assert reason.accept == "behaviour"
    assert reason.text == (
        "since 1.9 clientIPDetection must name exactly one of xForwardedFor, customHeader and "
        "directSourceIP, and the policy is refused: ClientTrafficPolicy edge/a; "
        "ClientTrafficPolicy edge/a; ClientTrafficPolicy edge/a (and 2 more): name one, or take "
        "clientIPDetection out"
    )


def test_the_rows_name_lines_and_kinds_that_exist() -> None:
    kinds = {kind for _, kind in KINDS}
    assert {it.line for it in CHANGES} <= set(LINES)
    assert {kind for it in CHANGES for kind in it.kinds} <= kinds
    assert all(it.source for it in CHANGES)

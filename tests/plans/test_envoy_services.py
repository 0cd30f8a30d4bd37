from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.envoy_services import AZURE, Settings, settings

NAME = f"{AZURE}pip-name"


def envoy_proxy(name: str, merge: str | None = None, **service: Any) -> dict[str, Any]:
    return {
        "kind": "EnvoyProxy",
        "metadata": {"namespace": "edge", "name": name},
        "spec": {"mergeType": merge, "provider": {"kubernetes": {"envoyService": service}}},
    }


def ref(name: str) -> dict[str, str]:
    return {"kind": "EnvoyProxy", "namespace": "edge", "name": name}


OF_CLASS = {"metadata": {"name": "envoy"}, "spec": {"parametersRef": ref("class")}}
PLAIN = {"metadata": {"namespace": "edge", "name": "public"}, "spec": {"gatewayClassName": "envoy"}}
OWN = {**PLAIN, "spec": {**PLAIN["spec"], "infrastructure": {"parametersRef": ref("own")}}}


@pytest.mark.parametrize(
    ("gateway", "proxies", "merged", "wanted"),
    [
        pytest.param(PLAIN, [], False, Settings(), id="nothing is said"),
        pytest.param(
            PLAIN,
            [envoy_proxy("class", type="ClusterIP", annotations={"a": "1"})],
            False,
            Settings("ClusterIP", {"a": "1"}),
            id="the class says it, and nothing of Azure",
        ),
        pytest.param(
            OWN,
            [
                envoy_proxy("class", type="NodePort", annotations={"a": "1"}),
                envoy_proxy("own", annotations={NAME: "ip"}),
            ],
            False,
            Settings("LoadBalancer", {NAME: "ip"}, "EnvoyProxy edge/own"),
            id="its own replaces that of the class",
        ),
        pytest.param(
            OWN,
            [
                envoy_proxy("class", annotations={"a": "1", NAME: "old"}),
                envoy_proxy("own", "StrategicMerge", annotations={NAME: "ip"}),
            ],
            False,
            Settings("LoadBalancer", {"a": "1", NAME: "ip"}, "EnvoyProxy edge/own"),
            id="its own is merged over that of the class",
        ),
        pytest.param(
            OWN,
            [envoy_proxy("class", annotations={"a": "1"}), envoy_proxy("own", type="ClusterIP")],
            True,
            Settings("LoadBalancer", {"a": "1"}, "EnvoyProxy edge/class"),
            id="merged Gateways have that of the class alone",
        ),
    ],
)
def test_settings_of_a_service(
    gateway: dict[str, Any], proxies: list[dict[str, Any]], merged: bool, wanted: Settings
) -> None:
    assert settings(gateway, [OF_CLASS], proxies, merged) == wanted

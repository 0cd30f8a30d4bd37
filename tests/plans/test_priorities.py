from __future__ import annotations

from typing import Any

from tasks.plans.preflight import Reason
from tasks.plans.priorities import named, reasons


def envoy_proxy(name: str | None) -> dict[str, Any]:
    pod = {"priorityClassName": name} if name else {}
    spec = {"provider": {"kubernetes": {"envoyDeployment": {"pod": pod}}}}
    about = {"name": "envoy", "namespace": "eg"}
    return {"kind": "EnvoyProxy", "metadata": about, "spec": spec}


def test_named() -> None:
    empty = {"kind": "EnvoyProxy", "metadata": {"name": "a"}}
    other = {"kind": "Gateway", "metadata": {"name": "a"}, "spec": {}}
    things = (envoy_proxy("edge"), envoy_proxy(None), empty, other)
    assert [named(it) for it in things] == ["edge", None, None, None]


def test_reasons() -> None:
    wanted = [envoy_proxy("edge"), envoy_proxy(None)]
    assert reasons(wanted, "system-cluster-critical", []) == []
    why = ", which does not exist, so that Kubernetes refuses its Pods: create it, or correct "
    assert reasons(wanted, "first", ["edge", "first"]) == [
        Reason(f"EnvoyProxy eg/envoy names PriorityClass edge{why}priority_class"),
        Reason(f"the controller names PriorityClass first{why}priority_class"),
    ]

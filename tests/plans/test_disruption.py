from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.disruption import reasons, unmeasured
from tasks.plans.preflight import Reason, warning

OWNING = "gateway.envoyproxy.io/owning-gateway"
NAME = "Deployment eg/envoy-public"
LONELY = warning(
    f"{NAME} has one proxy, and whatever happens to it is an outage: set proxy.replicas to 2 or "
    "more"
)


def at_once(replicas: int) -> Reason:
    return Reason(
        f"{NAME} may take all of its {replicas} proxies away at once: set "
        "strategy.rollingUpdate.maxUnavailable to 0 in its EnvoyProxy",
        "disruption",
    )


def proxies(gateway: str = "public", **spec: Any) -> dict[str, Any]:
    labels = {f"{OWNING}-namespace": "edge", f"{OWNING}-name": gateway}
    meta = {"name": "envoy-public", "namespace": "eg", "labels": labels}
    return {"kind": "Deployment", "metadata": meta, "spec": spec}


def rolling(most: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        pytest.param(proxies(replicas=2), [], id="two, by the default strategy"),
        pytest.param(proxies(replicas=0), [], id="none at all"),
        pytest.param(proxies(replicas=1), [LONELY], id="one"),
        pytest.param(proxies("other", replicas=1), [], id="one, of others"),
        pytest.param(
            proxies(replicas=2, strategy={"type": "Recreate"}), [at_once(2)], id="recreate"
        ),
        pytest.param(proxies(replicas=2, strategy=rolling("100%")), [at_once(2)], id="all of them"),
        pytest.param(proxies(replicas=2, strategy=rolling(2)), [at_once(2)], id="two of two"),
        pytest.param(proxies(replicas=2, strategy=rolling("50%")), [], id="half of them"),
        pytest.param(
            proxies(replicas=1, strategy=rolling(1)), [at_once(1), LONELY], id="the only one"
        ),
    ],
)
def test_proxies(workload: dict[str, Any], expected: list[Reason]) -> None:
    assert reasons([workload], [], {("edge", "public")}, "envoy") == expected


def settings(kubernetes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {"name": "envoy", "namespace": "eg"}
    provider = {"type": "Kubernetes", "kubernetes": kubernetes}
    return {"kind": "EnvoyProxy", "metadata": meta, "spec": {"provider": provider, **spec}}


BLOCKS = "EnvoyProxy eg/envoy lets no proxy be evicted (envoyPDB.minAvailable {} of {}): drains of "


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        pytest.param(
            settings({"envoyDeployment": {"replicas": 2}, "envoyPDB": {"minAvailable": 1}}),
            [],
            id="as it should be",
        ),
        pytest.param({"kind": "EnvoyProxy", "metadata": {"name": "a"}}, [], id="empty"),
        pytest.param(
            settings({"envoyPDB": {"minAvailable": 1}}),
            [warning(BLOCKS.format(1, 1) + "nodes wait for ever")],
            id="evicts nothing",
        ),
        pytest.param(
            settings({"envoyPDB": {"minAvailable": 2}, "envoyHpa": {"minReplicas": 3}}),
            [],
            id="scaled",
        ),
        pytest.param(
            settings({"envoyDaemonSet": {}}),
            [
                warning(
                    "EnvoyProxy eg/envoy runs proxies as a DaemonSet: a node has none while its "
                    "proxy is replaced"
                )
            ],
            id="DaemonSet",
        ),
        pytest.param(
            settings({}, shutdown={"drainTimeout": "0s"}),
            [
                Reason(
                    "EnvoyProxy eg/envoy has shutdown.drainTimeout 0s, so a proxy cuts its "
                    "connections when it is replaced: give it time, such as 60s",
                    "disruption",
                )
            ],
            id="no drain",
        ),
    ],
)
def test_settings(thing: dict[str, Any], expected: list[Reason]) -> None:
    assert reasons([], [thing], set(), "envoy") == expected


def test_autoscaling_needs_metrics() -> None:
    it = {"kind": "EnvoyProxy", "metadata": {"name": "envoy", "namespace": "eg"}, "spec": {}}
    assert unmeasured([]) == []
    assert unmeasured([it]) == [
        warning(
            "EnvoyProxy eg/envoy has envoyHpa, and metrics.k8s.io does not answer: the number of "
            "proxies never changes: install metrics-server, or mend it"
        )
    ]

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import back_ends
from tasks.plans.back_ends import BackEnd, Chosen

OPERATOR = {"podmonitors.monitoring.coreos.com": ["v1"]}
AZURE = {"podmonitors.azmonitoring.coreos.com": ["v1"]}


@pytest.mark.parametrize(
    ("wanted", "served", "back_end"),
    [
        pytest.param(None, OPERATOR, "operator", id="found"),
        pytest.param(None, AZURE, "azure", id="found in AKS"),
        pytest.param("operator", {**OPERATOR, **AZURE}, "operator", id="both, and said"),
        pytest.param("azure", {**OPERATOR, **AZURE}, "azure", id="both, and said otherwise"),
        pytest.param("files", {}, "files", id="files need no CRD"),
    ],
)
def test_the_back_end_of_a_cluster(
    wanted: BackEnd | None, served: dict[str, list[str]], back_end: BackEnd
) -> None:
    assert back_ends.chosen(wanted, served) == Chosen(back_end)


@pytest.mark.parametrize(
    ("wanted", "served", "why", "fix"),
    [
        pytest.param(
            None,
            {},
            "it has no monitors: the CRDs of neither monitoring.coreos.com nor "
            "azmonitoring.coreos.com are installed",
            'install prometheus-operator, or set monitoring.backend to "files"',
            id="none",
        ),
        pytest.param(
            None,
            {**OPERATOR, **AZURE},
            "it has the monitors of prometheus-operator and of Azure Monitor, and nobody says "
            "which of them scrapes",
            'set monitoring.backend to "operator" or "azure"',
            id="both",
        ),
        pytest.param(
            "azure",
            OPERATOR,
            "the CRDs of Azure Monitor's managed Prometheus (azmonitoring.coreos.com) are not "
            "installed",
            "install Azure Monitor's managed Prometheus, or correct monitoring.backend",
            id="another one than said",
        ),
    ],
)
def test_why_there_is_none(
    wanted: BackEnd | None, served: dict[str, list[str]], why: str, fix: str
) -> None:
    assert back_ends.chosen(wanted, served) == Chosen(None, why, fix)


def monitor(kind: str = "PodMonitor", **labels: str) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x", "namespace": "monitoring", "labels": labels}}


def prometheus(namespace: str = "monitoring", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "k8s", "namespace": namespace}, "spec": spec}


RELEASE = {"matchLabels": {"release": "stack"}}


@pytest.mark.parametrize(
    ("owner", "taken"),
    [
        pytest.param(prometheus(podMonitorSelector={}), True, id="all of its namespace"),
        pytest.param(prometheus(), False, id="no selector takes none"),
        pytest.param(prometheus(podMonitorSelector=RELEASE), True, id="by label"),
        pytest.param(
            prometheus(podMonitorSelector={"matchLabels": {"release": "other"}}),
            False,
            id="another label",
        ),
        pytest.param(prometheus("prom", podMonitorSelector={}), False, id="not beside it"),
        pytest.param(
            prometheus("prom", podMonitorSelector={}, podMonitorNamespaceSelector={}),
            True,
            id="of all namespaces",
        ),
        pytest.param(
            prometheus(
                "prom",
                podMonitorSelector={},
                podMonitorNamespaceSelector={"matchLabels": {"watched": "yes"}},
            ),
            False,
            id="of namespaces with a label",
        ),
    ],
)
def test_which_monitors_a_prometheus_takes(owner: dict[str, Any], taken: bool) -> None:
    thing = monitor(release="stack")
    assert back_ends.takes(owner, "podMonitor", thing, {"watched": "no"}) is taken


def test_rules_and_routes_have_selectors_of_their_own() -> None:
    names = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "AlertmanagerConfig")
    assert [back_ends.selector_of(it) for it in names] == [
        "podMonitor",
        "serviceMonitor",
        "rule",
        "alertmanagerConfig",
    ]


def test_the_prometheus_that_takes_most_of_ours_is_asked() -> None:
    things = [monitor(release="stack"), monitor("PrometheusRule", release="stack")]
    owners = [
        prometheus("other", podMonitorSelector=None),
        prometheus("monitoring", podMonitorSelector=RELEASE, ruleSelector=RELEASE),
    ]
    place = back_ends.place(owners, things, {}, back_ends.PROMETHEUS)
    assert place == "monitoring/prometheus-operated:9090"
    assert back_ends.place([], things, {}, back_ends.PROMETHEUS) is None
    assert back_ends.untaken(owners[:1], things, {}) == things


@pytest.mark.parametrize(
    ("strategy", "all_of_them"),
    [
        pytest.param(None, False, id="the default"),
        pytest.param({"type": "OnNamespace"}, False, id="said"),
        pytest.param({"type": "None"}, True, id="none"),
    ],
)
def test_whether_routes_get_alerts_without_a_namespace(
    strategy: dict[str, str] | None, all_of_them: bool
) -> None:
    spec = {"alertmanagerConfigMatcherStrategy": strategy} if strategy else {}
    assert back_ends.routes_all({"spec": spec}) is all_of_them


def test_a_service_is_asked_through_the_api_server() -> None:
    path = "/api/v1/namespaces/monitoring/services/alerts:80/proxy"
    assert back_ends.proxied("monitoring/alerts:80") == path

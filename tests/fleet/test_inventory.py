"""The data of a cluster: every way in which it can be wrong, and the exact line that says so."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.fleet.inventory import Cluster, duplicates, parsed, problems

LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
LISTENER = {"name": "http", "port": 80}
GATEWAY = {"name": "public", "namespace": "edge", "listeners": [LISTENER]}
ROUTE = {
    "name": "shop",
    "namespace": "shop",
    "gateway": "edge/public",
    "backends": [{"service": "shop", "port": 8080}],
}


def gateway(**changes: Any) -> dict[str, Any]:
    return {"gateways": [{**GATEWAY, **changes}]}


def listener(**changes: Any) -> dict[str, Any]:
    return gateway(listeners=[{**LISTENER, **changes}])


def route(**changes: Any) -> dict[str, Any]:
    return {"gateways": [GATEWAY], "routes": [{**ROUTE, **changes}]}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="the least"),
        pytest.param(
            {"backup": {"container": "https://fleetbackups.blob.core.windows.net/envoyfleet"}},
            id="a container",
        ),
        pytest.param(
            {"backup": {"container": "https://127.0.0.1:10000/fleetbackups/envoyfleet"}},
            id="a container of an emulator",
        ),
        pytest.param(gateway(), id="a Gateway"),
        pytest.param(route(listener="http"), id="a route"),
        pytest.param(listener(protocol="HTTPS", secret="shop-tls"), id="HTTPS"),
        pytest.param({"max_failed": 2}, id="budget as a number"),
        pytest.param({"max_failed": "10%"}, id="budget as a share"),
        pytest.param({"kube_context": "weu-1", "kube_timeout": 5}, id="the connector's keys"),
        pytest.param({"ssh_user": "ops", "_sudo": True}, id="pyinfra's own keys"),
    ],
)
def test_takes(data: dict[str, Any]) -> None:
    assert problems("weu-1", {**LEAST, **data}) == []


def test_a_version_loses_its_v() -> None:
    data = parsed({**LEAST, "envoy_gateway_version": "v1.9.1"})
    assert data == Cluster(ring=0, envoy_gateway_version="1.9.1")


WRONG = [
    pytest.param({"ring": "one"}, "ring: must be a whole number, not 'one'", id="ring in words"),
    pytest.param({"ring": True}, "ring: must be a whole number, not True", id="ring is True"),
    pytest.param({"ring": 1.0}, "ring: must be a whole number, not 1.0", id="ring is 1.0"),
    pytest.param({"ring": -1}, "ring: must be greater than or equal to 0, not -1", id="ring -1"),
    pytest.param(
        {"envoy_gateway_version": 1.1},
        "envoy_gateway_version: must be text in quotes, not 1.1",
        id="version that became a number",
    ),
    pytest.param(
        {"envoy_gateway_version": "1.9"},
        'envoy_gateway_version: Envoy Gateway version "1.9" has no patch number: '
        'write a release such as "1.9.1"',
        id="version without patch",
    ),
    pytest.param({"gatway_class": "x"}, "gatway_class: unknown key: did you mean gateway_class?"),
    pytest.param({"kube_contxt": "x"}, "kube_contxt: unknown key: did you mean kube_context?"),
    pytest.param(
        {"proxy": {"profile": "huge"}},
        "proxy.profile: must be 'small', 'medium' or 'large', not 'huge'",
        id="no such profile",
    ),
    pytest.param(
        {"proxy": {"replicas": 2, "hpa": {"max": 4}}},
        "proxy: replicas and hpa both say how many proxies there are: keep one of them",
        id="two numbers of proxies",
    ),
    pytest.param({"proxy": {"hpa": {"min": 4, "max": 2}}}, "proxy.hpa: min 4 is more than max 2"),
    pytest.param(
        {"proxy": {"hpa": {"max": 4, "cpu": None}}},
        "proxy.hpa: neither cpu nor memory says when there are to be more proxies",
        id="scaled by nothing",
    ),
    pytest.param(
        {"proxy": {"hpa": {}}},
        "proxy.hpa.max: missing: set it beside the host or in group_data",
        id="no bound",
    ),
    pytest.param(
        {"proxy": {"concurrency": 0}},
        "proxy.concurrency: must be greater than or equal to 1, not 0",
        id="no worker",
    ),
    pytest.param(
        {"merge_gateways": True, **gateway(proxy={"replicas": 3})},
        "gateways: merged Gateways have one set of proxies, and Gateway edge/public asks for its "
        "own: say it in proxy of the cluster",
        id="own proxies of a merged Gateway",
    ),
    pytest.param({"zzz": 1}, "zzz: unknown key: see docs/inventory.md for the keys"),
    pytest.param({"chart": ""}, "chart: must not be empty"),
    pytest.param({"timeout": "300"}, "timeout: must be a whole number, not '300'"),
    *(
        pytest.param(
            {"backup": {"container": it}},
            "backup.container: must be https://<account>.blob.core.windows.net/<container>, "
            "without a folder or a token: sign-in is by an identity",
        )
        for it in (
            "fleetbackups",
            "http://fleetbackups.blob.core.windows.net/envoyfleet",
            "https://fleetbackups.blob.core.windows.net",
            "https://fleetbackups.blob.core.windows.net/envoyfleet/folder",
            "https://fleetbackups.blob.core.windows.net/envoyfleet?sv=2026-02-06&sig=t0p-s3cret",
            "https://me:t0p-s3cret@fleetbackups.blob.core.windows.net/envoyfleet",
        )
    ),
    pytest.param({"namespace": "Edge"}, "namespace: 'Edge' is not a valid name here"),
    pytest.param({"namespace": "a\nb"}, "namespace: 'a\\nb' is not a valid name here"),
    pytest.param({"namespace": "edge\n"}, "namespace: 'edge\\n' is not a valid name here"),
    pytest.param({"merge_gateways": "yes"}, "merge_gateways: must be a valid boolean, not 'yes'"),
    pytest.param({"proxy": 2}, "proxy: must be a dictionary, not 2"),
    pytest.param({"gateways": {}}, "gateways: must be a valid list, not {}"),
    pytest.param({"kube_config": ["a"]}, "kube_config: must be text in quotes, not ['a']"),
    pytest.param({"kube_timeout": 0}, "kube_timeout: must be greater than or equal to 1, not 0"),
    pytest.param(
        {"deploy_type": "Namespace"},
        "deploy_type: must be 'ControllerNamespace' or 'GatewayNamespace', not 'Namespace'",
    ),
    pytest.param(
        {"max_failed": "10"},
        "max_failed: '10' is neither a number of clusters, such as 2, nor a share, such as \"10%\"",
    ),
    pytest.param(
        {"max_failed": 1.5},
        'max_failed: 1.5 is neither a number of clusters, such as 2, nor a share, such as "10%"',
    ),
    pytest.param(gateway(listeners=[]), "gateways.0.listeners: must not be empty"),
    pytest.param(
        listener(port=0), "gateways.0.listeners.0.port: must be greater than or equal to 1, not 0"
    ),
    pytest.param(
        listener(protocol="http"),
        "gateways.0.listeners.0.protocol: must be 'HTTP', 'HTTPS', 'TLS', 'TCP' or 'UDP', "
        "not 'http'",
    ),
    pytest.param(
        listener(protocol="HTTPS"),
        "gateways: Gateway edge/public: listener http is HTTPS without secret",
    ),
    pytest.param(
        gateway(listeners=[LISTENER, {**LISTENER, "port": 81}]),
        "gateways: Gateway edge/public has two listeners of one name",
    ),
    pytest.param({"gateways": [GATEWAY, GATEWAY]}, "gateways: Gateway edge/public is there twice"),
    pytest.param(
        {
            "merge_gateways": True,
            "gateways": [
                {**GATEWAY, "public_ip": {"name": "one", "resource_group": "addresses"}},
                {**GATEWAY, "name": "other", "public_ip": {"name": "two"}},
            ],
        },
        "gateways: merged Gateways have one Service, and public_ip names addresses/one and two: "
        "keep one of them",
    ),
    pytest.param(
        gateway(
            public_ip={"name": "one"},
            annotations={"service.beta.kubernetes.io/azure-pip-name": "two"},
        ),
        "gateways: Gateway edge/public: public_ip and annotations both name an address: remove "
        "service.beta.kubernetes.io/azure-pip-name from annotations",
    ),
    pytest.param(
        route(gateway="edge/private"),
        "routes: route shop names Gateway edge/private, not in gateways",
    ),
    pytest.param(
        route(listener="https"), "routes: route shop names listener https, not in edge/public"
    ),
    pytest.param(route(gateway="public"), "routes.0.gateway: 'public' is not a valid name here"),
    pytest.param(route(backends=[]), "routes.0.backends: must not be empty"),
    pytest.param(
        {"gateways": [{**GATEWAY, "name": "Public"}], "routes": [ROUTE]},
        "gateways.0.name: 'Public' is not a valid name here",
        id="a wrong Gateway is said once, not once more for each route",
    ),
]


@pytest.mark.parametrize(("data", "line"), WRONG)
def test_refuses(data: dict[str, Any], line: str) -> None:
    assert problems("weu-1", {**LEAST, **data}) == [f"weu-1: {line}"]


SILENCE = {"code": "GW103", "where": "*", "until": "2027-01-31", "reason": "OPS-412"}


def test_a_silence_ends_on_a_day() -> None:
    assert problems("weu-1", {**LEAST, "silences": [SILENCE]}) == []
    assert problems("weu-1", {**LEAST, "silences": [{**SILENCE, "until": "31.1.2027"}]}) == [
        "weu-1: silences.0.until: '31.1.2027' is not a day such as '2027-01-31'"
    ]


def test_says_all_that_is_wrong() -> None:
    assert problems("weu-1", {"ring": "one", "zzz": 1}) == [
        "weu-1: ring: must be a whole number, not 'one'",
        "weu-1: envoy_gateway_version: missing: set it beside the host or in group_data",
        "weu-1: zzz: unknown key: see docs/inventory.md for the keys",
    ]


def test_two_hosts_of_one_context() -> None:
    clusters = [
        ("weu-1", {"kube_context": "weu"}),
        ("weu-2", {"kube_context": "weu", "kube_config": "other"}),
        ("weu-3", {"kube_context": "weu"}),
        ("db-1", {}),
    ]
    assert duplicates(clusters) == ["weu-3: the same context as weu-1 (weu): remove one of them"]

"""Templates: strict about what is not defined, and no value can be anything but a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import desired
from tasks.fleet import render as module
from tasks.fleet.inventory import Cluster
from tasks.fleet.render import TemplateRefused, quoted, render
from tasks.plans.images import Images
from tasks.plans.ours import LABELS
from tasks.plans.public_ips import ADDRESS

LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
FIX = "correct the template or the inventory"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Templates of this test alone."""
    folder = tmp_path / "templates"
    folder.mkdir()
    monkeypatch.setattr(module, "TEMPLATES", folder)
    return folder


REFUSED = [
    pytest.param("a: 1\nb: {{ nme }}\n", f" line 2: 'nme' is undefined: {FIX}", id="undefined"),
    pytest.param(
        "a: {{ nme | tojson }}\n", f" line 1: 'nme' is undefined: {FIX}", id="undefined, quoted"
    ),
    pytest.param(
        "a: {{ name.first }}\n",
        f" line 1: 'str object' has no attribute 'first': {FIX}",
        id="undefined attribute",
    ),
    pytest.param(
        "a: 1\n{% if %}\n", f" line 2: Expected an expression, got 'end of statement block': {FIX}"
    ),
    pytest.param(
        "a: {{ range | tojson }}\n",
        f" line 1: \"<class 'range'>\" is no text, number, list or map: {FIX}",
        id="something that is no value",
    ),
    pytest.param(
        "a: [\n",
        " is not YAML once rendered: while parsing a flow node did not find expected node content "
        'in "<unicode string>", line 2, column 1',
        id="not YAML",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_says_in_one_line_what_is_wrong(templates: Path, text: str, message: str) -> None:
    (templates / "thing.yaml.j2").write_text(text)
    with pytest.raises(TemplateRefused) as error:
        render("thing.yaml.j2", "weu-1", name="edge")
    assert str(error.value) == f"weu-1: templates/thing.yaml.j2{message}"


def test_leaves_a_copy_that_can_be_read(templates: Path) -> None:
    (templates / "thing.yaml.j2").write_text("---\nname: {{ part | tojson }}\n---\n")
    for part in ("edge", "shop"):
        assert render("thing.yaml.j2", "admin@weu/1", part=part) == [{"name": part}]
    copies = {it.name: it.read_text() for it in Path("rendered/admin_weu_1").iterdir()}
    assert copies == {
        "thing-edge.yaml": '---\nname: "edge"\n---\n',
        "thing-shop.yaml": '---\nname: "shop"\n---\n',
    }


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    ["'", '"', "a: b", "a\nb: c", "x # y", "{{ x }}", "no", "~", "1.10", "\u2028", "\x85", "🚀"]
)


@given(TEXTS)
def test_any_text_is_the_same_once_it_was_yaml(text: str) -> None:
    assert yaml.safe_load(f"a: {quoted(text)}") == {"a": text}
    key = text[:100]  # YAML ends a key after 1,024 characters, escapes included; Kubernetes at 317
    assert yaml.load(f"a: {quoted({key: [text]})}", yaml.CSafeLoader) == {"a": {key: [text]}}


# What YAML takes for something else: names may be any of these.
NAMES = st.sampled_from(
    ["null", "true", "no", "on", "1", "0x10", "1.5", "1e3", "2026-11-21", "0o7", "edge", "a.b"]
)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    gateway: dict[str, Any] = {
        "name": draw(NAMES),
        "namespace": draw(NAMES),
        "address": draw(st.none() | st.ip_addresses(v=4).map(str)),
        "annotations": draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        "listeners": [
            {
                "name": draw(NAMES),
                "port": 443,
                "protocol": "HTTPS",
                "hostname": draw(TEXTS),
                "secret": draw(NAMES),
            }
        ],
    }
    routes = [
        {
            "kind": kind,
            "name": draw(NAMES),
            "namespace": draw(NAMES),
            "gateway": f"{gateway['namespace']}/{gateway['name']}",
            "listener": gateway["listeners"][0]["name"],
            "hostnames": [draw(TEXTS)],
            "path": draw(TEXTS),
            "backends": [{"service": draw(NAMES), "port": 80}],
        }
        for kind in ("HTTPRoute", "TCPRoute")
    ]
    return Cluster.model_validate(
        {
            **LEAST,
            "namespace": draw(NAMES),
            "gateway_class": draw(NAMES),
            "controller_name": draw(TEXTS),
            "image_pull_secrets": [draw(NAMES)],
            "proxy": {key: draw(TEXTS) for key in ("cpu", "memory", "min_drain", "drain_timeout")},
            "gateways": [gateway],
            "routes": routes,
        }
    )


@settings(max_examples=40)
@given(clusters())
def test_values_arrive_as_they_are(data: Cluster) -> None:
    found = {it["kind"]: it for it in desired.objects("weu-1", data)}
    [gateway], [listener] = data.gateways, data.gateways[0].listeners
    ours = {"labels": LABELS}
    assert found["GatewayClass"]["metadata"] == {"name": data.gateway_class, **ours}
    assert found["GatewayClass"]["spec"] == {
        "controllerName": data.controller_name,
        "parametersRef": {
            "group": "gateway.envoyproxy.io",
            "kind": "EnvoyProxy",
            "name": data.gateway_class,
            "namespace": data.namespace,
        },
    }
    proxy = found["EnvoyProxy"]
    assert proxy["metadata"] == {
        "name": data.gateway_class,
        "namespace": data.namespace,
        **ours,
    }
    assert proxy["spec"]["shutdown"] == {
        "drainTimeout": data.proxy.drain_timeout,
        "minDrainDuration": data.proxy.min_drain,
    }
    assert found["Namespace"]["metadata"] == {"name": gateway.namespace}
    place = {"name": gateway.name, "namespace": gateway.namespace}
    assert found["Gateway"]["metadata"] == {**place, **ours}
    azure = {ADDRESS[False]: gateway.address} if gateway.address else {}
    infrastructure = found["Gateway"]["spec"].get("infrastructure", {"annotations": {}})
    assert infrastructure == {"annotations": {**gateway.annotations, **azure}}
    assert found["Gateway"]["spec"]["listeners"] == [
        {
            "name": listener.name,
            "port": 443,
            "protocol": "HTTPS",
            "hostname": listener.hostname,
            "tls": {
                "mode": "Terminate",
                "certificateRefs": [{"group": "", "kind": "Secret", "name": listener.secret}],
            },
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
    ]
    assert found["ClientTrafficPolicy"]["metadata"] == {**place, **ours}
    assert found["ClientTrafficPolicy"]["spec"]["targetRefs"][0]["name"] == gateway.name
    for route in data.routes:
        spec = found[route.kind]["spec"]
        assert found[route.kind]["metadata"] == {
            "name": route.name,
            "namespace": route.namespace,
            **ours,
        }
        assert spec["parentRefs"] == [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                **place,
                "sectionName": route.listener,
            }
        ]
        assert spec["rules"][0]["backendRefs"] == [
            {
                "group": "",
                "kind": "Service",
                "name": route.backends[0].service,
                "port": 80,
                "weight": 1,
            }
        ]
    http = found["HTTPRoute"]["spec"]
    assert http["hostnames"] == data.routes[0].hostnames
    assert http["rules"][0]["matches"][0]["path"]["value"] == data.routes[0].path


@settings(max_examples=40)
@given(clusters(), TEXTS)
def test_values_of_the_chart_arrive_as_they_are(data: Cluster, text: str) -> None:
    [values] = render(
        "envoy-gateway/values.yaml.j2",
        "weu-1",
        version=data.envoy_gateway_version,
        images=Images(text, text, text),
        image_registry=text,
        pull_secrets=[{"name": it} for it in data.image_pull_secrets],
        controller=data.controller,
        rate_limit_redis=None,
        rate_limit_timeout=None,
        rate_limit_fails="open",
        controller_name=data.controller_name,
        deploy_type=data.deploy_type,
        watch_namespaces=[data.namespace],
        lua=bool(data.image_pull_secrets),
    )
    own = values["config"]["envoyGateway"]
    assert values["global"] == {
        "imageRegistry": text,
        "imagePullSecrets": [{"name": data.image_pull_secrets[0]}],
        "images": {
            "envoyGateway": {"image": text},
            "envoyProxy": {"image": text},
            "ratelimit": {"image": text},
        },
    }
    assert own["gateway"]["controllerName"] == data.controller_name
    assert own["provider"]["kubernetes"] == {
        "deploy": {"type": data.deploy_type},
        "watch": {"type": "Namespaces", "namespaces": [data.namespace]},
    }
    lua = {"enableLua": True} if data.image_pull_secrets else None
    assert own.get("extensionApis") == lua


@pytest.mark.parametrize(("replicas", "spread"), [(1, False), (2, True)])
def test_several_controllers_are_spread(replicas: int, spread: bool) -> None:
    data = Cluster.model_validate({**LEAST, "controller": {"replicas": replicas}})
    found = desired.values("weu-1", data)
    assert found.get("podDisruptionBudget") == ({"minAvailable": 1} if spread else None)
    constraint = {
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"control-plane": "envoy-gateway"}},
        "matchLabelKeys": ["pod-template-hash"],
    }
    places = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    every = [{**constraint, "topologyKey": it} for it in places]
    pod = found["deployment"].get("pod")
    assert pod == ({"topologySpreadConstraints": every} if spread else None)


def with_public_ips(merged: bool, *gateways: dict[str, Any]) -> Cluster:
    listeners = [{"name": "http", "port": 80}]
    every = [{"namespace": "edge", "listeners": listeners, **it} for it in gateways]
    return Cluster.model_validate({**LEAST, "merge_gateways": merged, "gateways": every})


def envoy_proxies(data: Cluster) -> dict[str, Any]:
    """By name, the annotations that each gives to a Service."""
    found = [it for it in desired.objects("weu-1", data) if it["kind"] == "EnvoyProxy"]
    kubernetes = {it["metadata"]["name"]: it["spec"]["provider"]["kubernetes"] for it in found}
    return {
        name: (it.get("envoyService") or {}).get("annotations") for name, it in kubernetes.items()
    }


IP = {"name": "weu-1-public", "resource_group": "addresses"}
ASKED = {
    "service.beta.kubernetes.io/azure-pip-name": "weu-1-public",
    "service.beta.kubernetes.io/azure-load-balancer-resource-group": "addresses",
}


def test_a_public_ip_is_asked_for_on_the_service_alone() -> None:
    """
    With settings of its own, which are added to those of the class; annotations of the Gateway
    would go to its Pods too. An address beside it is only compared.
    """
    one = {"name": "public", "public_ip": IP, "address": "20.1.2.3"}
    data = with_public_ips(False, one, {"name": "inside", "public_ip": {"name": "node"}})
    assert envoy_proxies(data) == {
        "envoy": None,
        "public-public-ip": ASKED,
        "inside-public-ip": {"service.beta.kubernetes.io/azure-pip-name": "node"},
    }
    objects = desired.objects("weu-1", data)
    rendered = {(it["kind"], it["metadata"]["name"]): it for it in objects}
    proxy = rendered["EnvoyProxy", "public-public-ip"]
    assert proxy["metadata"]["namespace"] == "edge"
    assert proxy["spec"]["mergeType"] == "StrategicMerge"
    assert rendered["Gateway", "public"]["spec"]["infrastructure"] == {
        "parametersRef": {
            "group": "gateway.envoyproxy.io",
            "kind": "EnvoyProxy",
            "name": "public-public-ip",
        }
    }


def test_merged_gateways_have_one_service_and_one_public_ip() -> None:
    data = with_public_ips(True, {"name": "public", "public_ip": IP}, {"name": "other"})
    assert envoy_proxies(data) == {"envoy": ASKED}
    specs = [it["spec"] for it in desired.objects("weu-1", data) if it["kind"] == "Gateway"]
    assert ["infrastructure" in it for it in specs] == [False, False]


PROXY: dict[str, Any] = {"profile": "medium", "cpu_limit": "2", "priority_class": "edge"}


def by_name(**data: Any) -> dict[str, Any]:
    """The EnvoyProxies of a cluster with two Gateways, by their name: each one's spec."""
    listeners = [{"name": "http", "port": 80}]
    own = data.pop("own", {})
    gateways = [
        {"name": it, "namespace": "edge", "listeners": listeners, **own.get(it, {})}
        for it in ("public", "inside")
    ]
    cluster = Cluster.model_validate({**LEAST, "gateways": gateways, **data})
    objects = desired.objects("weu-1", cluster)
    return {it["metadata"]["name"]: it["spec"] for it in objects if it["kind"] == "EnvoyProxy"}


def test_proxies_by_load() -> None:
    """No number of replicas beside it, and a quarter may be evicted."""
    it = by_name(proxy=PROXY)["envoy"]
    kubernetes = it["provider"]["kubernetes"]
    deployment = kubernetes["envoyDeployment"]
    assert "replicas" not in deployment
    assert it["concurrency"] == 2
    assert deployment["pod"]["priorityClassName"] == "edge"
    assert deployment["container"]["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi"},
        "requests": {"cpu": "500m", "memory": "512Mi"},
    }
    target = {"type": "Utilization", "averageUtilization": 70}
    assert kubernetes["envoyHpa"] == {
        "minReplicas": 3,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {"container": "envoy", "name": "cpu", "target": target},
            }
        ],
    }
    assert kubernetes["envoyPDB"] == {"maxUnavailable": "25%"}


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [(1, None), (2, {"minAvailable": 1}), (3, {"maxUnavailable": "25%"})],
)
def test_evictions(replicas: int, expected: Any) -> None:
    it = by_name(proxy={"replicas": replicas})["envoy"]["provider"]["kubernetes"]
    assert it.get("envoyPDB") == expected


def test_a_gateway_with_its_own_proxies() -> None:
    """All in one object that takes nothing from the class's, beside its public IP where it has."""
    own = {"public": {"proxy": PROXY}, "inside": {"proxy": {"replicas": 4}, "public_ip": IP}}
    found = by_name(own=own)
    assert sorted(found) == ["envoy", "inside-public-ip", "public-proxies"]
    assert found["envoy"]["mergeType"] == "StrategicMerge"
    for name in ("public-proxies", "inside-public-ip"):
        assert found[name]["mergeType"] == "Replace"
        assert found[name]["shutdown"] == found["envoy"]["shutdown"]
    public, inside = (
        found[it]["provider"]["kubernetes"] for it in ("public-proxies", "inside-public-ip")
    )
    assert public["envoyHpa"]["maxReplicas"] == 6
    assert inside["envoyDeployment"]["replicas"] == 4
    assert inside["envoyService"]["annotations"] == ASKED
    assert "envoyService" not in public

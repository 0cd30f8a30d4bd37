"""Preflight through the real command line, on clusters that a stand-in API server answers for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks import desired
from tasks.fleet import inventory
from tasks.fleet.charts import fetched
from tasks.plans import crds as crd_plans
from tasks.plans.kinds import KINDS
from tasks.plans.served import needed_crds
from tests.api_server import ApiServer, Asked, status
from tests.command_line import CommandLine
from tests.fleet.test_run import Case, prepared
from tests.stand_in import (
    ADMINISTRATOR,
    NAMESPACE,
    Object,
    controller,
    crd,
    gateway,
    gateway_class,
    policy,
    proxies,
    record,
    route,
    with_envoy_gateway,
)

GATEWAY = {
    "name": "public",
    "namespace": "edge",
    "listeners": [{"name": "https", "port": 443, "protocol": "HTTPS", "secret": "tls"}],
}
DATA: dict[str, Any] = {
    "ring": 0,
    "envoy_gateway_version": "1.9.1",
    "chart": "chart",
    "gateways": [GATEWAY],
}
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
DEPLOY = {"deploys/look.py": "from tasks import preflight\n\npreflight.of_the_fleet()\n"}
TEMPLATES = {"templates/x.yaml": b"{}"}
SPEC = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
OPEN = {"type": "object", "properties": {"spec": SPEC, "status": SPEC}}
ONE_RULE = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "parentRefs": {"type": "array"},
                "rules": {"type": "array", "maxItems": 1},
            },
        }
    },
}
WELL = [gateway_class(), gateway(), route("HTTPRoute", "blue", [{}])]


def crds_of(version: str, **marks: Any) -> list[Object]:
    """What a release needs, TCPRoutes and UDPRoutes of 1.9 with one rule at most."""
    kinds = {f"{it.plural}.{group}": (group, kind) for (group, kind), it in KINDS.items()}
    found = []
    for name, served in needed_crds(version).items():
        group, kind = kinds[name]
        new = kind in ("TCPRoute", "UDPRoute") and served == "v1"
        versions = (served, "v1alpha2") if new else (served,)
        found.append(crd(group, kind, ONE_RULE if new else OPEN, *versions, **marks))
    return found


def old_release(**more: Any) -> Object:
    return record("1.8.3", more.pop("values", {}), TEMPLATES, {}, **more)


def write_chart(folder: Path) -> None:
    """The chart of 1.9.1, pinned."""
    for name, text in {
        "Chart.yaml": "name: chart\nversion: 1.9.1\n",
        "values.yaml": "{}\n",
        **{name: data.decode() for name, data in TEMPLATES.items()},
        "crds/all.yaml": "\n---\n".join(json.dumps(it) for it in crds_of("1.9.1")),
    }.items():
        path = folder / "chart" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    digest = fetched(str(folder / "chart"), "1.9.1", "helm").digest
    (folder / "fleet.lock").write_text(f'charts: {{chart: {{"1.9.1": "{digest}"}}}}')


LEASE = {
    "metadata": {
        "name": "envoyfleet",
        "namespace": NAMESPACE,
        "annotations": {"envoyfleet.dev/state": "changing"},
    },
    "spec": {"holderIdentity": ""},
}
SOMEBODY = [
    {"manager": "somebody", "operation": "Update", "fieldsV1": {"f:spec": {"f:versions": {}}}}
]
BROKEN = {
    "objects": [
        gateway_class(),
        gateway(programmed="False"),
        route("TCPRoute", "two", [{}, {}]),
        policy("ClientTrafficPolicy", "ip", {"clientIPDetection": {}}),
    ],
    "release": old_release(values={"deployment": {"replicas": 5}}),
}
#: By cluster: what is special about it, and about its data.
FLEET: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "well": (
        {
            "objects": [
                *WELL,
                route("TCPRoute", "echo", [{}]),
                route("UDPRoute", "dns", [{}]),
            ],
            "deployments": [controller(), proxies(1)],
        },
        {},
    ),
    "done": ({}, {}),
    "broken": (BROKEN, {}),
    "accepted": (BROKEN, {"accept": ["behaviour", "values", "sick"]}),
    "interrupted": ({**BROKEN, "lease": LEASE}, {}),
    "aks": ({"crds": crds_of("1.8.3", labels={"app.kubernetes.io/managed-by": "aks"})}, {}),
    "somebody": ({"crds": crds_of("1.8.3", managedFields=SOMEBODY)}, {}),
    "other": ({"deployments": [controller("other"), proxies()]}, {}),
    "denied": ({"rules": [{**ADMINISTRATOR[0], "verbs": ["get", "list", "create"]}]}, {}),
    "unproven": ({}, {"proven_by": {"report": "nowhere.json"}}),
    "leaderless": ({"renewed": "2020-01-01T00:00:00.000000Z"}, {}),
    "unreadable": ({}, {}),
    "blind": ({"rules": [{**ADMINISTRATOR[0], "verbs": ["get"]}]}, {}),
    "half-way": ({"release": old_release(status="pending-install")}, {}),
}


@dataclass(frozen=True)
class Looked:
    """One run over all of FLEET. + clusters: as report.json has them, by name"""

    code: int
    clusters: dict[str, Any]
    asked: Sequence[Asked]

    def paths(self, cluster: str) -> list[str]:
        found = (it.path.partition("?")[0] for it in self.asked if it.cluster == cluster)
        return list(found)


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Looked]:
    folder = tmp_path_factory.mktemp("fleet") / "clone"
    folder.mkdir()
    entries = [(f"@kube/{name}", {**DATA, **data}) for name, (_, data) in FLEET.items()]
    with ApiServer().running() as server:
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}", files=DEPLOY), server)
        write_chart(folder)
        least = {"crds": crds_of("1.8.3"), "release": old_release(), "objects": WELL}
        for name, (cluster, _) in FLEET.items():
            with_envoy_gateway(server, name, **{**least, **cluster})
        with_envoy_gateway(server, "done", **done(folder))
        server.answer("GET", "/apis", status(500, "etcd is away"), cluster="unreadable")
        server.answer("GET", SECRETS, status(403, "secrets is forbidden"), cluster="blind")
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *FLEET)
        arguments = ["inventory/prod.py", "deploys/look.py", "-y"]
        outcome = command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
        assert "Traceback" not in outcome.text
        [report] = folder.glob("runs/*/report.json")
        clusters = json.loads(report.read_text())["clusters"]
        yield Looked(outcome.code, {it["name"]: it for it in clusters}, server.asked)


def done(folder: Path) -> dict[str, Any]:
    """A cluster that has all of 1.9.1."""
    with chdir(folder):
        values = desired.values("done", inventory.parsed(DATA))
    marked = map(crd_plans.marked, crds_of("1.9.1"))
    return {
        "crds": [crd_plans.stamped(it, "1.9.1", 1, True) for it in marked],
        "release": record("1.9.1", values, TEMPLATES, {}),
    }


def test_a_cluster_that_may_go(looked: Looked) -> None:
    assert looked.clusters["well"]["facts"] == {
        "Envoy Gateway": "1.8.3 → 1.9.1",
        "warning": "the ends of certificates were not looked at: GET "
        "/api/v1/namespaces/edge/secrets: 404 not found; Deployment "
        f"{NAMESPACE}/envoy-edge-public-1 has one proxy, and whatever happens to it is an outage: "
        "set proxy.replicas to 2 or more",
    }
    assert len(looked.paths("well")) == 30


def test_nothing_is_written(looked: Looked) -> None:
    written = {it.path.rpartition("/")[2] for it in looked.asked if it.method != "GET"}
    assert written == {"selfsubjectrulesreviews", "selfsubjectaccessreviews"}


def test_a_cluster_that_is_done_costs_four_requests(looked: Looked) -> None:
    assert looked.clusters["done"]["facts"] == {"Envoy Gateway": "1.9.1"}
    assert looked.paths("done") == [
        "/version",
        "/api/v1/namespaces/kube-system",
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        f"/api/v1/namespaces/{NAMESPACE}/secrets/sh.helm.release.v1.eg.v1",
        f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/envoyfleet",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ]


def test_what_the_inventory_accepts_is_a_warning(looked: Looked) -> None:
    assert looked.clusters["accepted"]["why"] is None
    assert looked.clusters["accepted"]["facts"]["warning"].count("accepted (") == 4


SAID = [
    "the tcproutes of 1.9.1 refuse what is there: TCPRoute demo/two: spec.rules has 2 items, at "
    'most 1 are allowed: correct it first (or accept "behaviour")',
    "since 1.9 clientIPDetection must name exactly one of xForwardedFor, customHeader and "
    "directSourceIP, and the policy is refused: ClientTrafficPolicy edge/ip: name one, or take "
    'clientIPDetection out (or accept "behaviour")',
    f"Helm release {NAMESPACE}/eg has values that the inventory does not know, and this change "
    "would undo them: deployment.replicas: 5 → 2: bring them into the inventory or the template "
    'templates/envoy-gateway/values.yaml.j2 (or accept "values")',
    'Gateway edge/public: Programmed is False: Why: mend it first (or accept "sick")',
]


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        pytest.param("broken", "; ".join(SAID), id="all that stops is said"),
        pytest.param("interrupted", "; ".join(SAID[:3]), id="our own run made it sick"),
        pytest.param(
            "aks",
            "CustomResourceDefinition backends.gateway.envoyproxy.io belongs to aks (and 17 more): "
            "two managers would undo each other: let it bring the CRDs of chart 1.9.1, or take "
            "them from it first",
            id="AKS has the CRDs",
        ),
        pytest.param(
            "somebody",
            "CustomResourceDefinition gatewayclasses.gateway.networking.k8s.io: somebody manages "
            'its spec: ask who that is, then let it stop, or add "somebody" to crd_managers (and '
            "17 more)",
            id="somebody writes the CRDs",
        ),
        pytest.param(
            "other",
            f"Deployment {NAMESPACE}/envoy-gateway belongs to release other, not to eg: set "
            "release and namespace in the inventory to what is installed",
            id="another release",
        ),
        pytest.param(
            "unproven",
            "nowhere.json does not prove 1.9.1: it is no report of a run (schema "
            "envoyfleet.run/1): upgrade the inventory that goes first, and name its report in "
            "proven_by",
            id="not proven",
        ),
        pytest.param(
            "leaderless",
            f"no controller of {NAMESPACE}/envoy-gateway leads: its Lease was last renewed "
            '2020-01-01 00:00 UTC by this machine\'s clock: mend it first (or accept "sick")',
            id="nobody leads",
        ),
        pytest.param(
            "unreadable", "GET /apis: 500 etcd is away", id="a cluster that cannot be read"
        ),
        pytest.param(
            "half-way",
            "Envoy Gateway is not installed: deploys/install.py installs it",
            id="an install that never ended",
        ),
    ],
)
def test_a_stop(cluster: str, why: str, looked: Looked) -> None:
    assert looked.clusters[cluster]["why"] == why
    assert looked.code == 1


def test_each_right_that_is_missing_is_said(looked: Looked) -> None:
    said = looked.clusters["denied"]["why"].split("; ")
    assert {it.partition(":")[2] for it in said} == {" ask for a role that allows it"}
    assert {
        "this identity may not patch customresourcedefinitions.apiextensions.k8s.io: ask for a "
        "role that allows it",
        "this identity may not patch customresourcedefinitions/status.apiextensions.k8s.io: ask "
        "for a role that allows it",
    } <= {*said}


def test_a_read_that_is_forbidden_tells_all_rights_that_are_missing(looked: Looked) -> None:
    said = looked.clusters["blind"]["why"].split("; ")
    assert said[0] == f"GET {SECRETS}: 403 secrets is forbidden"
    assert (
        f"this identity may not list, create, update secrets in {NAMESPACE}: ask for a role that "
        "allows it"
    ) in said

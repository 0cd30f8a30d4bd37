"""
Gateways as code through the real command line, on a cluster that a stand-in API server answers for:
what is asked, what is shown, and what is refused before anything is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks import desired
from tasks.fleet.inventory import Cluster
from tasks.plans.kinds import KINDS
from tasks.plans.objects import MANAGER
from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.lab.standin import gateway_status, policy_status, route_status
from tests.stand_in import NAMESPACE, listed

Object = dict[str, Any]
GATEWAYS, ROUTES, POLICIES = 30, 300, 20
DATA: dict[str, Any] = {
    "ring": 0,
    "envoy_gateway_version": "1.9.1",
    "gateways": [
        {"name": f"g{it}", "namespace": "edge", "listeners": [{"name": "http", "port": 80}]}
        for it in range(GATEWAYS)
    ],
    "routes": [
        {
            "name": f"r{it}",
            "namespace": "edge",
            "gateway": f"edge/g{it % GATEWAYS}",
            "hostnames": [f"r{it}.test"],
            "backends": [{"service": "cart", "port": 8080}],
        }
        for it in range(ROUTES)
    ],
    "objects": ["objects/*.yaml.j2"],
    "values": {"policies": POLICIES},
}
FILE = """
kind: Service
apiVersion: v1
metadata: {name: cart, namespace: edge}
spec: {ports: [{port: 8080}]}
{% for it in range(values.policies) %}
---
kind: SecurityPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: p{{ it }}, namespace: edge}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{{ it }}}]
  authorization: {defaultAction: Deny}
{% endfor %}
"""


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer().running() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "work"
    (found / "objects").mkdir(parents=True)
    (found / "objects" / "shop.yaml.j2").write_text(FILE)
    monkeypatch.chdir(found)
    return found


def owned(thing: Any) -> Object:
    """``fieldsV1`` of an object that was applied, lists as a whole."""
    if not isinstance(thing, dict):
        return {}
    return {f"f:{key}": owned(it) for key, it in thing.items()}


def stored(thing: Object) -> Object:
    """What the API server made of it, and the controller said of it."""
    said = {k: v for k, v in thing.items() if k not in ("apiVersion", "kind", "metadata")}
    labels = owned(thing["metadata"].get("labels") or {})
    fields = {**owned(said), **({"f:metadata": {"f:labels": labels}} if labels else {})}
    entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}
    more = {"uid": thing["metadata"]["name"], "generation": 1, "managedFields": [entry]}
    live = {**thing, "metadata": {**thing["metadata"], **more}}
    if thing["kind"] == "Gateway":
        return {**live, "status": gateway_status(live, [])}
    if thing["kind"].endswith("Route"):
        return {**live, "status": route_status(live)}
    return {**live, "status": policy_status(live)}


def wanted() -> list[Object]:
    return [*desired.wanted("weu-1", Cluster.model_validate(DATA)).objects]


def cluster(api: ApiServer, things: list[Object]) -> None:
    """A cluster with these objects and the kinds of the Gateway API and Envoy Gateway."""
    api.cluster("weu-1")
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    things = [place, *things]
    groups: dict[tuple[str, str], list[Object]] = {}
    for (group, kind), entry in KINDS.items():
        version = "v1alpha1" if group == "gateway.envoyproxy.io" else "v1"
        groups.setdefault((group, version), []).append({"resource": entry.plural})
        found = [it for it in things if it["kind"] == kind]
        name = f"{group}/{version}" if group else version
        path = f"/apis/{name}" if group else f"/api/{name}"
        api.answer("GET", f"{path}/{entry.plural}", Answer(body=listed(name, kind, found)))
    discovery = [
        {"metadata": {"name": group}, "versions": [{"version": version, "resources": resources}]}
        for (group, version), resources in groups.items()
        if group.startswith("gateway.")
    ]
    api.answer("GET", "/apis", Answer(body={"items": discovery}))


def run(command_line: CommandLine, api: ApiServer, folder: Path, *arguments: str) -> Outcome:
    case = Case("", [], inventory=f'clusters = [("@kube/weu-1", {DATA})]')
    kubeconfig = prepared(folder, case, api)
    command = ["inventory/prod.py", "deploys/gateways.py", *arguments]
    return command_line.run(folder, command, KUBECONFIG=str(kubeconfig))


def test_nothing_to_change_is_one_list_a_kind(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    """30 Gateways, 300 routes and 50 policies: no Lease, no write, no dry run, nobody asked."""
    cluster(api, [stored(it) for it in wanted()])
    outcome = run(command_line, api, folder, "-y")
    assert outcome.code == 0, outcome.text
    assert f"objects {len(wanted())} as they should be" in outcome.text
    assert {it.method for it in api.asked} == {"GET"}
    paths = Counter(it.path.partition("?")[0] for it in api.asked)
    assert [it for it, count in paths.items() if count > 1] == []
    assert len(api.asked) <= 26, sorted(paths)


def test_drift_is_shown_with_where_it_is_written_and_exit_3(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    things = [stored(it) for it in wanted() if it["metadata"]["name"] != "p7"]
    edit = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-22T10:00:00Z"}
    for it in things:
        if it["metadata"]["name"] == "r5":
            it["spec"] = {**it["spec"], "hostnames": ["evil.test"]}
            it["metadata"]["managedFields"].append(
                {**edit, "fieldsV1": owned({"spec": it["spec"]})}
            )
    gone = stored({**wanted()[-1], "metadata": {**wanted()[-1]["metadata"], "name": "old"}})
    cluster(api, [*things, gone])
    outcome = run(command_line, api, folder, "--data", "check=true", "--data", "output=json")
    assert outcome.code == 3, outcome.text
    document = json.loads(outcome.text[outcome.text.index("{") : outcome.text.rindex("}") + 1])
    assert document["schema"] == "envoyfleet.gateways/1"
    assert document["clusters"] == [
        {
            "name": "weu-1",
            "objects": len(wanted()),
            "wrong": 1,  # the policy that is not wanted has the target of a wanted one
            "drift": [
                {
                    "object": "HTTPRoute edge/r5",
                    "state": "changed",
                    "by": "kubectl-edit",
                    "fields": [".spec.hostnames"],
                    "origin": "routes",
                },
                {
                    "object": "SecurityPolicy edge/p7",
                    "state": "missing",
                    "by": None,
                    "fields": [],
                    "origin": "objects/shop.yaml.j2",
                },
                {
                    "object": "SecurityPolicy edge/old",
                    "state": "not wanted",
                    "by": None,
                    "fields": [],
                    "origin": None,
                },
            ],
        }
    ]
    assert {it.method for it in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        pytest.param(
            "kind: HTTPRoute, name",
            "kind: GRPCRoute, name",
            1,
            "GW319 SecurityPolicy edge/p0, objects/shop.yaml.j2: GRPCRoute edge/r0 does not",
            id="wrong on this cluster",
        ),
        pytest.param(
            "kind: Service",
            "kind: Secret",
            2,
            "error GW311 weu-1: Secret edge/cart, objects/shop.yaml.j2: is a Secret",
            id="wrong as it is written",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    command_line: CommandLine,
    api: ApiServer,
    folder: Path,
    old: str,
    new: str,
    code: int,
    line: str,
) -> None:
    cluster(api, [stored(it) for it in wanted()])
    (folder / "objects" / "shop.yaml.j2").write_text(FILE.replace(old, new))
    outcome = run(command_line, api, folder, "-y")
    assert (outcome.code, line in outcome.text) == (code, True), outcome.text
    assert {it.method for it in api.asked} == {"GET"}

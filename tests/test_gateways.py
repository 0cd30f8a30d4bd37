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
from typing_extensions import override

from tasks import desired
from tasks.fleet.inventory import Cluster
from tasks.plans.images import wanted as wanted_images
from tasks.plans.kinds import KINDS, path_of
from tasks.plans.objects import MANAGER
from tests.api_server import Answer, ApiServer, Asked, status
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.lab.standin import conditions, gateway_status, policy_status, proxies, route_status
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
    if thing["kind"] == "GatewayClass":
        return {**live, "status": {"conditions": conditions(live, "Accepted")}}
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
    assert {it.method for it in api.asked if "dryRun=All" not in it.path} == {"GET"}


def test_what_the_server_writes_in_its_own_way_is_no_drift(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    """The text differs, and an apply would change nothing: only the server can tell."""
    things = [stored(it) for it in wanted()]
    for it in things:
        if it["kind"] == POLICY:
            it["spec"] = {**it["spec"], "authorization": {"defaultAction": "DENY"}}
    cluster(api, things)
    for it in things:
        if it["kind"] == POLICY:
            api.answer("PATCH", path_of(it), Answer(body=it))
    outcome = run(command_line, api, folder, "--data", "check=true")
    assert outcome.code == 0, outcome.text
    assert sum(it.method == "PATCH" for it in api.asked) == POLICIES


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


def with_more(thing: Object, field: str, value: Any) -> Object:
    """The stored object, in which somebody has set a field that the inventory does not say."""
    live = stored(thing)
    edit = {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-22T10:00:00Z"}
    live["metadata"]["managedFields"].append({**edit, "fieldsV1": {"f:spec": {f"f:{field}": {}}}})
    live["metadata"]["resourceVersion"] = "7"
    return {**live, "spec": {**live["spec"], field: value}}


def with_addition(api: ApiServer) -> None:
    """Somebody has given policy p3 a second rule of its own."""
    things = [stored(it) for it in wanted() if it["metadata"]["name"] != "p3"]
    [policy] = [it for it in wanted() if it["metadata"]["name"] == "p3"]
    cluster(api, [*things, with_more(policy, "cors", {"maxAge": "1h"})])


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        pytest.param(status(404, "not found"), "", id="nothing is known of a new one"),
        pytest.param(
            status(403, "may not create"),
            "SecurityPolicy edge/p3: it cannot be compared: 403 may not create: allow create on it",
            id="by whoever may only read",
        ),
    ],
)
def test_what_others_set_is_shown(
    command_line: CommandLine, api: ApiServer, folder: Path, answer: Answer, hint: str
) -> None:
    with_addition(api)
    path = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/edge/securitypolicies"
    api.answer("POST", path, answer)
    outcome = run(command_line, api, folder, "--data", "check=true")
    assert (outcome.code, hint in outcome.text) == (3, True), outcome.text
    line = "SecurityPolicy edge/p3, objects/shop.yaml.j2: has what kubectl-edit set and the "
    assert f"{line}inventory does not say (.spec.cors)" in outcome.text
    assert [it.path for it in api.asked if it.method != "GET"] == [
        f"{path}?dryRun=All&fieldManager=envoyfleet&fieldValidation=Strict"
    ]


def test_a_default_that_a_new_object_has_too_is_no_drift(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    with_addition(api)
    new = {"spec": {"cors": {"maxAge": "1h"}}}
    path = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/edge/securitypolicies"
    api.answer("POST", path, Answer(body=new))
    outcome = run(command_line, api, folder, "--data", "check=true")
    assert outcome.code == 0, outcome.text


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        pytest.param(
            Answer(), 0, "Will take out of SecurityPolicy edge/p3 what others have set", id="shown"
        ),
        pytest.param(
            status(422, "cors is wanted"),
            1,
            "SecurityPolicy edge/p3: refused by the API server: .spec.cors cannot be taken out: "
            "422 cors is wanted",
            id="refused",
        ),
    ],
)
def test_what_others_set_is_taken_out_where_asked(
    command_line: CommandLine, api: ApiServer, folder: Path, answer: Answer, code: int, line: str
) -> None:
    with_addition(api)
    path = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/edge/securitypolicies/p3"
    api.answer("PATCH", path, answer)
    outcome = run(command_line, api, folder, "--dry", "--diff", "--data", "take_back=true")
    assert (outcome.code, line in outcome.text) == (code, True), outcome.text
    [asked] = [it for it in api.asked if it.method == "PATCH"]
    assert asked.path == f"{path}?fieldManager=envoyfleet&dryRun=All"
    assert asked.body == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/cors"},
    ]


def test_what_others_set_is_left_and_said(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    with_addition(api)
    outcome = run(command_line, api, folder, "-y")
    assert outcome.code == 0, outcome.text
    assert "hint: GW327 SecurityPolicy edge/p3" in outcome.text
    assert f"objects {len(wanted())} as they should be" in outcome.text


class Keeping(ApiServer):
    """One that keeps what is written of policies, the Lease and the Secret of the way back."""

    KEPT = ("/securitypolicies", "/leases", "/secrets")
    #: What is refused when it comes to be written.
    refused = "/securitypolicies/p1"

    def keep(self, things: list[Object]) -> None:
        self.policies = {it["metadata"]["name"]: it for it in things if it["kind"] == POLICY}

    @override
    def next_answer(self, asked: Asked) -> Answer:
        path, _, query = asked.path.partition("?")
        if path.endswith("/securitypolicies"):
            self.asked.append(asked)
            return Answer(body=listed(POLICIES_API, POLICY, [*self.policies.values()]))
        if asked.method in ("GET", "DELETE") or not any(it in path for it in self.KEPT):
            return super().next_answer(asked)
        self.asked.append(asked)
        made = stored(asked.body) if asked.body["kind"] == POLICY else asked.body
        made["metadata"]["resourceVersion"] = str(len(self.asked))
        name = asked.body["metadata"]["name"]
        if "dryRun" in query:
            return Answer(body=made)
        if path.endswith(self.refused):
            return status(500, "etcd has had enough")
        if asked.body["kind"] == POLICY:
            self.policies[name] = made
        place = path if asked.method != "POST" else f"{path}/{name}"
        self.answer("GET", place, Answer(body=made))
        return Answer(body=made)


POLICY, POLICIES_API = "SecurityPolicy", "gateway.envoyproxy.io/v1alpha1"


def serve(api: ApiServer, things: list[Object]) -> None:
    """Proxies for every Gateway, and no Helm release."""
    images = wanted_images(Cluster.model_validate(DATA))
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
    made = [
        {**proxies(it, (images.envoy, images.envoy_gateway), 1), "status": counts}
        for it in things
        if it["kind"] == "Gateway"
    ]
    path = "/apis/apps/v1/deployments"
    api.answer("GET", path, Answer(body=listed("apps/v1", "Deployment", made)))
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    api.answer("GET", path, Answer(body=listed("v1", "Secret", [])))


def test_what_fails_after_the_first_write_goes_back(
    command_line: CommandLine, folder: Path
) -> None:
    """The first policy is written, the second is not: both are as they were in the end."""
    with Keeping().running() as api:
        things = [stored(it) for it in wanted()]
        cluster(api, things)
        api.keep(things)
        serve(api, things)
        before = dict(api.policies)
        (folder / "objects" / "shop.yaml.j2").write_text(FILE.replace("Deny", "Allow"))
        unprobed = ("--data", 'probe={"enabled": false}', "--data", "timeout=5")
        outcome = run(command_line, api, folder, "-y", *unprobed)
        specs = {name: it["spec"] for name, it in api.policies.items()}
    assert outcome.code == 1, outcome.text
    assert "etcd has had enough" in outcome.text
    assert "rolled back to the objects of before this run" in outcome.text
    assert specs == {name: it["spec"] for name, it in before.items()}
    written = [it.path for it in api.asked if it.method == "PATCH" and "dryRun" not in it.path]
    assert [it.partition("?")[0].rpartition("/")[2] for it in written] == [
        "envoyfleet-last-good",
        "p0",
        "p1",
        "p0",
    ]


@pytest.mark.parametrize(
    ("metrics", "code"),
    [
        pytest.param(None, 3, id="nobody measures"),
        pytest.param(Answer(503), 3, id="metrics-server is down"),
        pytest.param(Answer(body={"kind": "APIResourceList"}), 0, id="metrics-server answers"),
    ],
)
def test_proxies_that_follow_the_load_want_metrics(
    command_line: CommandLine, api: ApiServer, folder: Path, metrics: Answer | None, code: int
) -> None:
    proxy = {"hpa": {"min": 2, "max": 4}}
    data = Cluster.model_validate({**DATA, "proxy": proxy})
    cluster(api, [stored(it) for it in desired.wanted("weu-1", data).objects])
    if metrics is not None:
        api.answer("GET", "/apis/metrics.k8s.io/v1beta1", metrics)
    more = ("--data", f"proxy={json.dumps(proxy)}", "--data", "check=true")
    outcome = run(command_line, api, folder, *more)
    assert outcome.code == code, outcome.text
    said = "GW387 weu-1: EnvoyProxy envoy-gateway-system/envoy, proxy: envoyHpa follows what"
    assert (said in outcome.text) == (code == 3), outcome.text
    assert {it.method for it in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("there", "code"),
    [
        pytest.param(None, 3, id="not there"),
        pytest.param(Answer(body={"kind": "PriorityClass"}), 0, id="there"),
        pytest.param(Answer(403, {"message": "may not"}), 0, id="may not be looked at"),
    ],
)
def test_a_priority_class_has_to_be_there(
    command_line: CommandLine, api: ApiServer, folder: Path, there: Answer | None, code: int
) -> None:
    proxy = {"priority_class": "edge"}
    data = Cluster.model_validate({**DATA, "proxy": proxy})
    cluster(api, [stored(it) for it in desired.wanted("weu-1", data).objects])
    if there is not None:
        api.answer("GET", "/apis/scheduling.k8s.io/v1/priorityclasses/edge", there)
    more = ("--data", f"proxy={json.dumps(proxy)}", "--data", "check=true")
    outcome = run(command_line, api, folder, *more)
    assert outcome.code == code, outcome.text
    said = (
        "error GW388 weu-1: EnvoyProxy envoy-gateway-system/envoy, proxy: PriorityClass edge does "
        "not exist, so that Kubernetes refuses new proxies: create it, or correct priorityClassName"
    )
    assert (said in outcome.text) == (code == 3), outcome.text

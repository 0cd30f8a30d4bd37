"""
Adoption through the real command line, of a cluster that a stand-in API server answers for: what is
written, what is proven, and what is said where it cannot be.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typing_extensions import override

from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS
from tests.api_server import Answer, ApiServer, Asked, status
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.stand_in import CONTROLLER, listed

Object = dict[str, Any]
ROUTES = f"/apis/{GATEWAY_API}/v1/namespaces/shop/httproutes"
DATA = {"ring": 0, "envoy_gateway_version": "1.9.1"}
KUBECTL = "kubectl.kubernetes.io/last-applied-configuration"


def made(group: str, kind: str, name: str, **spec: Any) -> Object:
    version = "v1" if group == GATEWAY_API else "v1alpha1"
    namespace, _, name = name.rpartition("/")
    place = {"namespace": namespace} if namespace else {}
    meta = {"name": name, **place}
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": meta, "spec": spec}


SECTION = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": "cart"}
GATEWAY = made(
    GATEWAY_API,
    "Gateway",
    "edge/public",
    gatewayClassName="hand",
    listeners=[{"name": "http", "port": 80, "protocol": "HTTP"}],
)
ROUTE = made(
    GATEWAY_API,
    "HTTPRoute",
    "shop/cart",
    parentRefs=[{"name": "public", "namespace": "edge"}],
    rules=[{"backendRefs": [{"name": "cart", "port": 8080}]}],
)
POLICY = made(
    ENVOY_GATEWAY,
    "BackendTrafficPolicy",
    "shop/cart",
    targetRefs=[SECTION],
    timeout={"http": {"requestTimeout": "5s"}},
)
HAND = [
    made(GATEWAY_API, "GatewayClass", "hand", controllerName=CONTROLLER),
    GATEWAY,
    ROUTE,
    POLICY,
    made(GATEWAY_API, "GatewayClass", "others", controllerName="example.com/other"),
]


def with_defaults(thing: Object) -> Object:
    """A little of what the API server fills in."""
    found = deepcopy(thing)
    for it in found["spec"].get("listeners") or ():
        it.setdefault("allowedRoutes", {"namespaces": {"from": "Same"}})
    for rule in found["spec"].get("rules") or ():
        rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
        for it in rule["backendRefs"]:
            it.update(group="", kind="Service", weight=1)
    for it in found["spec"].get("parentRefs") or ():
        it.update(group=GATEWAY_API, kind="Gateway")
    return found


def live(thing: Object, **notes: str) -> Object:
    """As somebody's kubectl made it."""
    entry = {"manager": "kubectl-client-side-apply", "operation": "Update"}
    entries = [{**entry, "fieldsV1": {"f:spec": {}}}]
    found = with_defaults(thing)
    said = {KUBECTL: json.dumps(thing), **notes}
    found["metadata"] |= {"uid": "1", "managedFields": entries, "annotations": said}
    return found


class Filling(ApiServer):
    """Answers a dry run of a new object with its defaults."""

    @override
    def next_answer(self, asked: Asked) -> Answer:
        if asked.method == "POST" and not self.answers.get(("weu-1", "POST", asked.path)):
            self.asked.append(asked)
            return Answer(201, with_defaults(asked.body))
        return super().next_answer(asked)


@pytest.fixture
def api() -> Iterator[Filling]:
    with Filling().running() as found:
        found.cluster("weu-1")
        groups: dict[str, list[Object]] = {GATEWAY_API: [], ENVOY_GATEWAY: []}
        for (group, kind), entry in KINDS.items():
            if group not in groups:
                continue
            version = "v1" if group == GATEWAY_API else "v1alpha1"
            scope = "Namespaced" if entry.namespaced else "Cluster"
            about = {"resource": entry.plural, "responseKind": {"kind": kind}, "scope": scope}
            groups[group].append({**about, "verbs": ["list", "get", "patch", "delete"]})
            things = [live(it) for it in HAND if it["kind"] == kind]
            body = listed(f"{group}/{version}", kind, things)
            found.answer("GET", f"/apis/{group}/{version}/{entry.plural}", Answer(body=body))
        versions = {GATEWAY_API: "v1", ENVOY_GATEWAY: "v1alpha1"}
        discovery = [
            {"metadata": {"name": it}, "versions": [{"version": versions[it], "resources": served}]}
            for it, served in groups.items()
        ]
        found.answer("GET", "/apis", Answer(body={"items": discovery}))
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "work"
    found.mkdir()
    return found


def run(command_line: CommandLine, api: ApiServer, folder: Path, *arguments: str) -> Outcome:
    case = Case("", [], inventory=f'clusters = [("@kube/weu-1", {DATA})]')
    kubeconfig = prepared(folder, case, api)
    command = ["inventory/prod.py", "deploys/adopt.py", *arguments]
    return command_line.run(folder, command, KUBECONFIG=str(kubeconfig))


def test_what_was_made_by_hand_is_written_as_it_was_written_once(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    outcome = run(command_line, api, folder, "--data", "output=json")
    text = outcome.text
    document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    [cluster] = document["clusters"]
    assert cluster == {
        "name": "weu-1",
        "ring": 0,
        "objects": 4,
        "in_keys": [],
        "in_files": [
            "BackendTrafficPolicy shop/cart",
            "Gateway edge/public",
            "GatewayClass hand",
            "HTTPRoute shop/cart",
        ],
        "equal": 4,
        "left": ["GatewayClass others"],
        "folder": "adopted/weu-1",
    }
    said = runpy.run_path(str(folder / "adopted/weu-1/inventory.py"))["adopted"]
    assert said == {
        "gateway_class": "hand",
        "class_from": "objects",
        "objects": ["adopted/weu-1/objects/**/*.yaml"],
    }
    files = (folder / "adopted/weu-1/objects").rglob("*.yaml")
    found = {it["metadata"]["name"]: it for it in (yaml.safe_load(f.read_text()) for f in files)}
    assert found["public"] == GATEWAY
    assert {it.method for it in api.asked if "dryRun=All" not in it.path} == {"GET"}


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        pytest.param(
            "POST",
            f"{ROUTES}?dryRun=All&fieldManager=envoyfleet&fieldValidation=Strict",
            "HTTPRoute shop/cart: it cannot be compared: 403 may not: allow create on it",
            id="to try a new object",
        ),
        pytest.param(
            "GET",
            f"/apis/{GATEWAY_API}/v1/httproutes",
            f"the objects that are there cannot be read: GET /apis/{GATEWAY_API}/v1/httproutes: "
            "403 may not",
            id="to list a kind",
        ),
    ],
)
def test_a_missing_right_is_a_line(
    command_line: CommandLine, api: ApiServer, folder: Path, method: str, path: str, line: str
) -> None:
    """Nothing is left behind: the folder is there whole or not at all."""
    api.answer(method, path, status(403, "may not"))
    outcome = run(command_line, api, folder)
    assert outcome.code == 1
    said = [it for it in outcome.lines if line in it]
    assert len(said) == 2, outcome.text  # when it happens, and in the table
    assert not (folder / "adopted/weu-1").exists()


def test_what_others_keep_is_left(command_line: CommandLine, api: ApiServer, folder: Path) -> None:
    mark = {"argocd.argoproj.io/tracking-id": "shop:gateway.networking.k8s.io/HTTPRoute:shop/cart"}
    body = listed(f"{GATEWAY_API}/v1", "HTTPRoute", [live(ROUTE, **mark)])
    api.answer("GET", f"/apis/{GATEWAY_API}/v1/httproutes", Answer(body=body))
    outcome = run(command_line, api, folder)
    assert outcome.code == 0, outcome.text
    assert "info GW341 weu-1: HTTPRoute shop/cart: Argo CD keeps it" in outcome.text
    assert not (folder / "adopted/weu-1/objects/shop/httproute-cart.yaml").exists()


def test_a_folder_is_never_written_over(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    (folder / "adopted/weu-1").mkdir(parents=True)
    outcome = run(command_line, api, folder)
    assert outcome.code == 1
    line = "adopted/weu-1 is there already: move it away, for somebody may have worked on it"
    assert line in outcome.text
    assert [*(folder / "adopted/weu-1").iterdir()] == []

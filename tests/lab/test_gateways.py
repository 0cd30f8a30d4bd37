"""
Gateways as code on a real cluster: files that traffic proves, bad ones that are refused with
nothing written, drift by hand, pruning, and an object of Argo CD. The tests stand in the order of
one application's life.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fleet import LISTENERS, Ended, Fleet, opened
from tests.lab.test_deploys import writes

pytestmark = pytest.mark.lab

GATEWAY = {
    "name": "public",
    "namespace": "edge",
    "listeners_from": "All",
    "listeners": LISTENERS,
}
DATA = (
    *("--data", f"gateways={json.dumps([GATEWAY])}"),
    *("--data", 'objects=["objects/*"]'),
    *("--data", 'values={"host": "shop.code.test"}'),
    *("--data", 'probe={"timeout": 240, "rate": 5}'),
    *("--data", "timeout=240"),
)
LISTENER_SET = """
kind: ListenerSet
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: shop, namespace: demo}
spec:
  parentRef: {name: public, namespace: edge}
  listeners:
    - {name: shop, port: 8081, protocol: HTTP, hostname: {{ values.host | tojson }} }
"""
ROUTE = """
kind: HTTPRoute
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: shop, namespace: demo}
spec:
  parentRefs: [{kind: ListenerSet, name: shop}]
  hostnames: [shop.code.test]
  rules:
    - matches: [{path: {value: /open}}]
      backendRefs: [{name: blue, port: 8080}]
    - name: closed
      matches: [{path: {value: /closed}}]
      backendRefs: [{name: blue, port: 8080}]
"""
POLICY = """
kind: SecurityPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: shop, namespace: demo}
spec:
  targetRefs:
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: closed}
  authorization: {defaultAction: Deny}
"""
LIMITS = """
kind: BackendTrafficPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: shop, namespace: demo}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  faultInjection: {abort: {httpStatus: 418, percentage: 0}}
"""
FILES = {"shop.yaml.j2": LISTENER_SET, "route.yaml": ROUTE, "policy.yaml": POLICY + "---" + LIMITS}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    found = opened(tmp_path_factory.mktemp("gateways"))
    (found.folder / "objects").mkdir()
    for name, text in FILES.items():
        (found.folder / "objects" / name).write_text(text)
    installed = found.pyinfra("install", "-y", "--limit", found.names[0])
    assert installed.code == 0, installed.text
    return found


def run(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra("gateways", *more, *DATA, "--limit", fleet.names[0])


def checked(fleet: Fleet) -> tuple[int, dict[str, Any]]:
    """The exit code of a look, and what it printed."""
    ended = run(fleet, "--data", "check=true", "--data", "output=json")
    found: dict[str, Any] = json.loads(ended.out)
    return ended.code, found


def states(document: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Object, state and author of each difference."""
    [cluster] = document["clusters"]
    return [(it["object"], it["state"], it["by"]) for it in cluster["drift"]]


def status(fleet: Fleet, path: str) -> int:
    connection = http.client.HTTPConnection(fleet.address(fleet.names[0]), 8081, timeout=30)
    connection.request("GET", path, headers={"Host": "shop.code.test"})
    return connection.getresponse().status


def written(fleet: Fleet, begun: int) -> list[str]:
    """What this deploy wrote since: requests of ours are those that name our field manager."""
    made = fleet.requests(fleet.names[0])[begun:]
    ours = [it for it in made if "python" in it.get("userAgent", "").lower()]
    return writes(ours)


def pods(fleet: Fleet) -> list[str]:
    """The proxies, by uid."""
    labels = ("-l", "app.kubernetes.io/component=proxy", "-o", "jsonpath={.items[*].metadata.uid}")
    place = ("-n", "envoy-gateway-system")
    return sorted(fleet.kubectl(fleet.names[0], "get", "pod", *place, *labels).split())


def test_files_are_applied_and_traffic_proves_them(fleet: Fleet) -> None:
    before, begun = pods(fleet), len(fleet.requests(fleet.names[0]))
    ended = run(fleet, "-y")
    assert ended.code == 0, ended.text
    assert [it for it in written(fleet, begun) if "listenersets" in it], "writes are seen here"
    assert (status(fleet, "/open"), status(fleet, "/closed")) == (200, 403)
    assert pods(fleet) == before, "no proxy is replaced"
    [cluster] = fleet.report()["clusters"]
    assert "demo/shop:shop http://shop.code.test:8081/open" in json.dumps(cluster)


def test_nothing_to_change_is_one_list_a_kind(fleet: Fleet) -> None:
    name = fleet.names[0]
    begun = len(fleet.requests(name))
    ended = run(fleet, "-y")
    assert ended.code == 0, ended.text
    assert fleet.statuses() == {name: "unchanged"}
    assert written(fleet, begun) == []
    assert checked(fleet)[0] == 0


BAD = [
    pytest.param(
        "route.yaml",
        ROUTE.replace("name: blue", "name: blu"),
        1,
        "HTTPRoute demo/shop, objects/route.yaml: Service demo/blu does not exist",
        id="a Service that does not exist",
    ),
    pytest.param(
        "route.yaml",
        ROUTE + "---" + ROUTE.replace("name: shop, namespace", "name: two, namespace"),
        2,
        "HTTPRoute demo/two, objects/route.yaml: takes shop.code.test/open at listener shop of "
        "ListenerSet demo/shop, and so does HTTPRoute demo/shop (objects/route.yaml)",
        id="two routes for one host and path",
    ),
    pytest.param(
        "shop.yaml.j2",
        LISTENER_SET.replace("port: 8081", "port: 9000"),
        2,
        "ListenerSet demo/shop, objects/shop.yaml.j2: listener shop shares port 9000 with listener "
        "tcp of Gateway edge/public: TCP and HTTP cannot",
        id="a port clash",
    ),
    pytest.param(
        "route.yaml",
        ROUTE.replace("port: 8080}", "port: 8080, weight: 0}"),
        2,
        "HTTPRoute demo/shop, objects/route.yaml: all backends of rule 1 have weight 0",
        id="no weight",
    ),
    pytest.param(
        "route.yaml",
        ROUTE.replace("value: /open", "value: open"),
        1,
        "HTTPRoute demo/shop (objects/route.yaml): refused by the API server",
        id="refused by a CEL rule",
    ),
    pytest.param(
        "policy.yaml",
        POLICY.replace("defaultAction: Deny", "defaultAction: Perhaps"),
        1,
        "SecurityPolicy demo/shop (objects/policy.yaml): refused by the API server",
        id="refused by the schema",
    ),
    pytest.param(
        "policy.yaml",
        POLICY.replace("spec:", "spec:\n  authorisation: {}"),
        1,
        "SecurityPolicy demo/shop (objects/policy.yaml): refused by the API server",
        id="a field that is not known",
    ),
    pytest.param(
        "shop.yaml.j2",
        LISTENER_SET.replace("values.host", "values.hots"),
        2,
        "objects/shop.yaml.j2: line 8: 'dict object' has no attribute 'hots'",
        id="an undefined value",
    ),
]


@pytest.mark.parametrize(("name", "text", "code", "line"), BAD)
def test_what_is_wrong_is_refused_with_nothing_written(
    fleet: Fleet, name: str, text: str, code: int, line: str
) -> None:
    """Another change beside it is not written either."""
    file = fleet.folder / "objects" / name
    extra = fleet.folder / "objects" / "0-first.yaml"
    extra.write_text(
        "{kind: ConfigMap, apiVersion: v1, metadata: {name: a, namespace: demo}, data: {}}"
    )
    file.write_text(text)
    begun = len(fleet.requests(fleet.names[0]))
    try:
        ended = run(fleet, "-y")
    finally:
        extra.unlink()
        file.write_text(FILES[name])
    assert (ended.code, line in ended.text) == (code, True), ended.text
    assert written(fleet, begun) == []


def test_drift_by_hand_is_shown_kept_and_taken_back(fleet: Fleet) -> None:
    name = fleet.names[0]
    patch = json.dumps({"spec": {"authorization": {"defaultAction": "Allow"}}})
    what = ("patch", "securitypolicy", "shop", "-n", "demo", "--type=merge", "-p", patch)
    fleet.kubectl(name, *what, "--field-manager=kubectl-edit")
    fleet.kubectl(name, "delete", "backendtrafficpolicy", "shop", "-n", "demo")
    begun = len(fleet.requests(name))
    code, document = checked(fleet)
    assert code == 3
    assert states(document) == [
        ("SecurityPolicy demo/shop", "changed", "kubectl-edit"),
        ("BackendTrafficPolicy demo/shop", "missing", None),
    ]
    refused = run(fleet, "-y")
    assert refused.code == 1
    assert 'conflict with "kubectl-edit"' in refused.text
    assert "--data take_back=true" in refused.text
    assert written(fleet, begun) == []
    assert run(fleet, "-y", "--data", "take_back=true").code == 0
    assert status(fleet, "/closed") == 403
    assert checked(fleet)[0] == 0


def test_what_somebody_added_is_shown_left_and_taken_out(fleet: Fleet) -> None:
    """A listener that serves, a field of a policy, and a filter in a rule."""
    name = fleet.names[0]
    evil = {"name": "evil", "port": 8099, "protocol": "HTTP"}
    add = json.dumps([{"op": "add", "path": "/spec/listeners/-", "value": evil}])
    by_hand = "--field-manager=kubectl-edit"
    fleet.kubectl(
        name, "patch", "gateway", "public", "-n", "edge", "--type=json", "-p", add, by_hand
    )
    cors = json.dumps({"spec": {"cors": {"maxAge": "1h"}}})
    policy = ("securitypolicy", "shop", "-n", "demo", "--type=merge", "-p", cors, by_hand)
    fleet.kubectl(name, "patch", *policy)
    header = {"name": "x-added", "value": "by hand"}
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}]
    add = json.dumps([{"op": "add", "path": "/spec/rules/0/filters", "value": filters}])
    fleet.kubectl(
        name, "patch", "httproute", "shop", "-n", "demo", "--type=json", "-p", add, by_hand
    )
    begun = len(fleet.requests(name))
    code, document = checked(fleet)
    assert (code, states(document)) == (
        3,
        [
            ("Gateway edge/public", "set by others", "kubectl-edit"),
            ("HTTPRoute demo/shop", "changed", "kubectl-edit"),
            ("SecurityPolicy demo/shop", "set by others", "kubectl-edit"),
        ],
    )
    assert written(fleet, begun) == []
    taken = run(fleet, "-y", "--data", "take_back=true")
    assert taken.code == 0, taken.text
    assert checked(fleet)[0] == 0
    fields = ("-o", "jsonpath={.spec.listeners[*].name}")
    assert (
        fleet.kubectl(name, "get", "gateway", "public", "-n", "edge", *fields) == "http https tcp"
    )
    assert (status(fleet, "/open"), status(fleet, "/closed")) == (200, 403)


def test_what_fails_the_proof_goes_back(fleet: Fleet) -> None:
    """
    A route to a Service without an endpoint, which no check can know, a policy that is other, and
    a new object: all as before, and the old route serves.
    """
    name, folder = fleet.names[0], fleet.folder / "objects"
    empty = "kind: Service\napiVersion: v1\nmetadata: {name: empty, namespace: demo}\n"
    (folder / "new.yaml").write_text(f"{empty}spec: {{ports: [{{port: 8080}}]}}\n")
    (folder / "route.yaml").write_text(ROUTE.replace("name: blue", "name: empty"))
    (folder / "policy.yaml").write_text(FILES["policy.yaml"].replace("418", "419"))
    quick = ("--data", 'probe={"timeout": 8, "rate": 5}')
    try:
        ended = fleet.pyinfra("gateways", "-y", *DATA, *quick, "--limit", name)
    finally:
        (folder / "new.yaml").unlink()
        for file in ("route.yaml", "policy.yaml"):
            (folder / file).write_text(FILES[file])
    assert ended.code == 1
    assert "rolled back to the objects of before this run, serving" in ended.text, ended.text
    assert fleet.statuses() == {name: "rolled back"}
    assert (status(fleet, "/open"), status(fleet, "/closed")) == (200, 403)
    found = fleet.kubectl(name, "get", "service", "empty", "-n", "demo", "--ignore-not-found")
    assert found == ""
    assert checked(fleet)[0] == 0


def test_what_argo_cd_keeps_is_never_written(fleet: Fleet) -> None:
    name = fleet.names[0]
    mark = "argocd.argoproj.io/tracking-id=shop:gateway.envoyproxy.io/SecurityPolicy:demo/shop"
    fleet.kubectl(name, "annotate", "securitypolicy", "shop", "-n", "demo", mark)
    file = fleet.folder / "objects" / "policy.yaml"
    file.write_text(FILES["policy.yaml"].replace("Deny", "Allow"))
    try:
        code, document = checked(fleet)
        ended = run(fleet, "-y", "--data", "take_back=true", "--data", "prune=true")
    finally:
        file.write_text(FILES["policy.yaml"])
        fleet.kubectl(
            name, "annotate", "securitypolicy", "shop", "-n", "demo", f"{mark.partition('=')[0]}-"
        )
    assert (code, ended.code) == (3, 0), ended.text
    assert states(document) == [
        ("SecurityPolicy demo/shop", "kept by others", "Argo CD application shop")
    ]
    assert "hint: GW325 SecurityPolicy demo/shop" in ended.text
    assert status(fleet, "/closed") == 403


def test_prune_takes_one_away_and_nothing_else(fleet: Fleet) -> None:
    name = fleet.names[0]
    kinds = "gateway,listenerset,httproute,tcproute,securitypolicy,backendtrafficpolicy,configmap"
    names = ("get", kinds, "-A", "-o", "name")
    before = set(fleet.kubectl(name, *names).split())
    (fleet.folder / "objects" / "policy.yaml").write_text(LIMITS)
    code, document = checked(fleet)
    assert (code, states(document)) == (3, [("SecurityPolicy demo/shop", "not wanted", None)])
    kept = run(fleet, "-y")
    assert kept.code == 0
    assert "not wanted any more SecurityPolicy demo/shop" in kept.text
    pruned = run(fleet, "-y", "--data", "prune=true")
    assert pruned.code == 0, pruned.text
    after = set(fleet.kubectl(name, *names).split())
    assert before - after == {"securitypolicy.gateway.envoyproxy.io/shop"}
    assert status(fleet, "/closed") == 200


def test_what_is_still_used_is_not_pruned(fleet: Fleet) -> None:
    """The route of somebody else, on a ListenerSet that the inventory gives up."""
    name = fleet.names[0]
    others = ROUTE.replace("name: shop, namespace", "name: others, namespace")
    others = others.replace("/open", "/others").replace("/closed", "/too")
    fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=others)
    for file in Path(fleet.folder / "objects").iterdir():
        file.unlink()
    (fleet.folder / "objects" / "none.yaml").write_text("# nothing yet\n")
    begun = len(fleet.requests(name))
    ended = run(fleet, "-y", "--data", "prune=true")
    assert ended.code == 1
    assert "HTTPRoute demo/others still refers to it" in ended.text
    assert written(fleet, begun) == []
    fleet.kubectl(name, "delete", "httproute", "others", "-n", "demo")
    ended = run(fleet, "-y", "--data", "prune=true")
    assert ended.code == 0, ended.text
    found = fleet.kubectl(
        name, "get", "listenerset,httproute,backendtrafficpolicy", "-A", "-o", "name"
    )
    assert sorted(found.split()) == [
        "httproute.gateway.networking.k8s.io/blue",
        "httproute.gateway.networking.k8s.io/green",
    ]


def test_install_applies_files_too(fleet: Fleet) -> None:
    """The files come back, and install is what applies them, refuses them, and finds them done."""
    name, file = fleet.names[0], fleet.folder / "objects" / "route.yaml"
    install = ("install", "-y", *DATA, "--limit", name)
    for one, text in FILES.items():
        (fleet.folder / "objects" / one).write_text(text)
    file.write_text(ROUTE.replace("name: blue", "name: blu"))
    begun = len(fleet.requests(name))
    refused = fleet.pyinfra(*install)
    assert refused.code == 1
    assert "objects/route.yaml: Service demo/blu does not exist" in refused.text, refused.text
    assert written(fleet, begun) == []
    file.write_text(ROUTE)
    ended = fleet.pyinfra(*install)
    assert ended.code == 0, ended.text
    assert (status(fleet, "/open"), status(fleet, "/closed")) == (200, 403)
    again = fleet.pyinfra(*install)
    assert again.code == 0, again.text
    assert fleet.statuses() == {name: "unchanged"}
    kinds = "listenerset,httproute,securitypolicy,backendtrafficpolicy"
    fleet.kubectl(name, "delete", kinds, "shop", "-n", "demo")

"""What others have set in an object of ours, and how it is taken out."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.added import additions, removal, without
from tasks.plans.objects import spelt

WANTED: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "public", "namespace": "edge"},
    "spec": {"listeners": [{"name": "http", "port": 80}]},
}
OURS: dict[str, Any] = {
    "f:spec": {"f:listeners": {'k:{"name":"http"}': {".": {}, "f:name": {}, "f:port": {}}}}
}
ROUTES: dict[str, Any] = {"f:allowedRoutes": {"f:namespaces": {"f:from": {}}}}


def entry(manager: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def live(*others: dict[str, Any], first: dict[str, Any] | None = None, **spec: Any) -> Any:
    """Ours, with what others did; + first: more in its first listener; + spec: more beside"""
    ours = {"manager": "envoyfleet", "operation": "Apply", "fieldsV1": OURS}
    listeners = [{**WANTED["spec"]["listeners"][0], **(first or {})}, *spec.pop("more", ())]
    return {
        **WANTED,
        "metadata": {
            **WANTED["metadata"],
            "resourceVersion": "7",
            "managedFields": [ours, *others],
        },
        "spec": {"listeners": listeners, **spec},
    }


def of_listener(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:spec": {"f:listeners": {f'k:{{"name":"{name}"}}': fields}}}


ADDRESS: dict[str, Any] = {"f:spec": {"f:addresses": {}}}
CASES = [
    pytest.param(live(), {}, id="nothing"),
    pytest.param(live(addresses=["1.2.3.4"]), {}, id="filled in by the server: nobody's"),
    pytest.param(
        live(entry("kubectl-edit", ADDRESS), addresses=["1.2.3.4"]),
        {".spec.addresses": ("kubectl-edit",)},
        id="a field beside ours",
    ),
    pytest.param(
        live(entry("kubectl-edit", ADDRESS), entry("helm", ADDRESS), addresses=["1.2.3.4"]),
        {".spec.addresses": ("kubectl-edit", "helm")},
        id="of two",
    ),
    pytest.param(
        live(
            entry("kubectl", of_listener("http", ROUTES)),
            first={"allowedRoutes": {"namespaces": {"from": "All"}}},
        ),
        {".spec.listeners[name=http].allowedRoutes": ("kubectl",)},
        id="a field of an item of ours",
    ),
    pytest.param(
        live(entry("kubectl", of_listener("x", {".": {}})), more=[{"name": "x", "port": 1}]),
        {".spec.listeners[name=x]": ("kubectl",)},
        id="an item",
    ),
    pytest.param(live(entry("kubectl", ADDRESS)), {}, id="which is gone"),
    pytest.param(
        live(entry("eg", ADDRESS, subresource="status"), addresses=["1"]), {}, id="a controller"
    ),
    pytest.param(
        live(entry("x", {"f:metadata": {"f:annotations": {"f:a": {}}, "f:finalizers": {}}})),
        {},
        id="annotations and finalizers",
    ),
    pytest.param(live(entry("envoyfleet", ADDRESS), addresses=["1"]), {}, id="a restore of ours"),
]


@pytest.mark.parametrize(("there", "found"), CASES)
def test_what_others_set(there: dict[str, Any], found: dict[str, tuple[str, ...]]) -> None:
    assert {spelt(path): by for path, by in additions(WANTED, there).items()} == found


def test_the_mark_of_a_restart_is_no_drift() -> None:
    """Of kubectl rollout restart, on Pods of a Deployment; to take it out would restart them."""
    pods = {"metadata": {"labels": {"app": "a"}}}
    wanted = {**WANTED, "spec": {**WANTED["spec"], "template": pods}}
    fields: dict[str, Any] = {
        "f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:restartedAt": {}}}}}
    }
    there = live(entry("kubectl-rollout", fields))
    there["spec"]["template"] = {
        "metadata": {**pods["metadata"], "annotations": {"restartedAt": "x"}}
    }
    assert additions(wanted, there) == {}


def test_nothing_is_beside_ours_in_what_we_never_applied() -> None:
    there = live(entry("kubectl", ADDRESS), addresses=["1"])
    del there["metadata"]["managedFields"][0]
    assert additions(WANTED, there) == {}


def test_what_a_new_object_had_too_was_set_by_nobody() -> None:
    """Who creates an object with kubectl has all that the server filled in then."""
    filled = {"allowedRoutes": {"namespaces": {"from": "Same"}}}
    there = live(entry("kubectl-create", of_listener("http", ROUTES)), first=filled)
    assert [*map(spelt, additions(WANTED, there))] == [".spec.listeners[name=http].allowedRoutes"]
    assert additions(WANTED, there, fresh=live(first=filled)) == {}


def test_known_defaults_need_no_question() -> None:
    wanted = {**WANTED, "kind": "HTTPRoute", "spec": {"parentRefs": [{"name": "public"}]}}
    fields: dict[str, Any] = {
        "f:spec": {"f:parentRefs": {'k:{"name":"public"}': {"f:group": {}, "f:weight": {}}}}
    }
    there = live(entry("kubectl-create", fields))
    there["spec"] = {"parentRefs": [{"name": "public", "group": "gateway.networking.k8s.io"}]}
    assert additions(wanted, there) == {}


def test_all_is_taken_out_whatever_the_order() -> None:
    more = [{"name": "x", "port": 1}, {"name": "y", "port": 2}]
    items: dict[str, Any] = {f'k:{{"name":"{it}"}}': {".": {}} for it in ("x", "y")}
    both = {"f:spec": {"f:listeners": items, "f:a/b": {}}}
    there = live(entry("kubectl", both), more=more)
    there["spec"]["a/b"] = 1
    paths = [*additions(WANTED, there)]
    assert removal(there, paths) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/listeners/2"},
        {"op": "remove", "path": "/spec/listeners/1"},
        {"op": "remove", "path": "/spec/a~1b"},
    ]
    assert without(there, paths)["spec"] == WANTED["spec"]
    assert len(there["spec"]["listeners"]) == 3, "the object itself stays"

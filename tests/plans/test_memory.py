"""Our objects as they were: what the Secret keeps of them, and what a way back makes of that."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.kinds import path_of
from tasks.plans.memory import Objects, digest, identity, kept, read, run
from tasks.plans.objects import MANAGER


def route(name: str, api: str = "v1alpha2", **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiVersion": f"gateway.networking.k8s.io/{api}",
        "kind": "TCPRoute",
        "metadata": {"name": name, "namespace": "demo"},
    }
    return {**found, "spec": spec} if spec else found


def live(name: str, fields: dict[str, Any] | None, **spec: Any) -> dict[str, Any]:
    found = route(name, **spec)
    found["metadata"]["uid"] = "1-2-3"
    if fields is not None:
        entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}
        found["metadata"]["managedFields"] = [entry]
    return found


OURS = live("ours", {"f:spec": {"f:a": {}}}, a=1, theirs=2)
FOREIGN = live("foreign", None, a=1)
WAS = [route("ours", a=2), route("foreign", a=2), route("gone", a=2)]
WANTED = [route("ours", "v1", a=3), route("new", "v1", a=3)]
LIVE = {path_of(it): it for it in (OURS, FOREIGN)}


def secret() -> dict[str, Any]:
    return kept(WAS, WANTED, LIVE, "eg", "20261121T140200Z-upgrade")


def test_what_is_kept() -> None:
    assert read(secret()) == Objects(
        applied=(route("ours", a=1), route("foreign")),
        absent=(route("gone"), route("new", "v1")),
    )
    assert run(secret()) == "20261121T140200Z-upgrade"


def test_what_others_set_is_kept_too_where_it_is_taken_away() -> None:
    there = live("ours", {"f:spec": {"f:a": {}}}, a=1, theirs=2, filled=3)
    edit = {"manager": "kubectl-edit", "operation": "Update"}
    fields: dict[str, Any] = {
        "f:metadata": {"f:annotations": {}},
        "f:spec": {"f:theirs": {}, "f:gone": {}},
    }
    there["metadata"]["managedFields"].append({**edit, "fieldsV1": fields})
    found = kept([route("ours", a=2)], [], {path_of(there): there}, "eg", "x", whole=True)
    assert read(found).applied == (route("ours", a=1, theirs=2),)


def test_the_same_objects_are_the_same_secret() -> None:
    assert secret() == secret()


@pytest.mark.parametrize("data", [{}, {"objects": "x"}, {"objects": "e30="}])
def test_one_that_cannot_be_read(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Secret eg/envoyfleet-last-good cannot be read"):
        read({**secret(), "data": data})


def test_identity_of_a_cluster_wide_object() -> None:
    thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge", "labels": {}}}
    assert identity(thing) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "edge"},
    }


def test_digest_of_values() -> None:
    assert digest({"a": 1, "b": {"c": 2}}) == digest({"b": {"c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})

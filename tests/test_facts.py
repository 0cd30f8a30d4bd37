"""Facts whose arguments or values are our own types, which fixtures cannot write down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.api import FactBase

from tasks.connectors.command import AGGREGATED, APPLY, KubeCommand
from tasks.facts.helm import HelmRelease
from tasks.facts.kube import (
    KubeApplyPlan,
    KubeObject,
    KubeObjects,
    Manifest,
    Resources,
    ServedVersions,
    apply_command,
)
from tasks.facts.permissions import MayDo, Rules
from tasks.plans.permissions import Right

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "tls", "namespace": "edge"},
    "data": {"tls.key": "bm90IGZvciB5b3VyIGV5ZXM="},
}
PATH = "/api/v1/namespaces/edge/secrets/tls"


def test_an_object_is_printed_by_its_name_alone() -> None:
    manifest = Manifest(SECRET)
    assert (str(manifest), repr(manifest), f"{manifest}") == ("Secret edge/tls",) * 3
    assert json.loads(json.dumps(manifest)) == SECRET


def test_a_dry_run_is_an_apply_that_may_find_nothing() -> None:
    command = KubeApplyPlan().command(Manifest(SECRET), force=True)
    assert str(command) == (
        f"kube PATCH {PATH}?fieldManager=envoyfleet&force=true&fieldValidation=Strict&dryRun=All"
    )
    assert (command.call.body, command.call.content_type) == (SECRET, APPLY)
    assert command.call.ok == {404}
    assert KubeApplyPlan().process([json.dumps(SECRET)]) == SECRET


def test_an_apply_that_finds_nothing_fails() -> None:
    command = apply_command(Manifest(SECRET))
    assert "dryRun" not in str(command)
    assert command.call.ok == frozenset()


def test_the_record_of_a_release() -> None:
    command = HelmRelease().command("sh.helm.release.v1.eg.v3", "eg")
    assert str(command) == "kube GET /api/v1/namespaces/eg/secrets/sh.helm.release.v1.eg.v3"
    assert command.call.ok == {404}
    with pytest.raises(ValueError, match="is not a Helm release record"):
        HelmRelease().process(['{"metadata": {"name": "x"}}'])


def test_resources_are_one_request() -> None:
    command = Resources().command()
    assert str(command) == "kube GET /apis"
    assert command.call.accept == AGGREGATED
    apps = '{"items": [{"metadata": {"name": "apps"}, "versions": []}]}'
    assert Resources().process([apps]) == []


@pytest.mark.parametrize("fact", [Resources(), ServedVersions()])
def test_discovery_without_any_group_is_no_answer(fact: Resources | ServedVersions) -> None:
    with pytest.raises(ValueError, match="names no group at all"):
        fact.process(['{"items": []}'])


def test_a_right_is_asked_for() -> None:
    command = MayDo().command(Right("list", "secrets", "eg"))
    assert str(command) == "kube POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert command.call.body["spec"] == {
        "resourceAttributes": {
            "verb": "list",
            "resource": "secrets",
            "group": "",
            "namespace": "eg",
        }
    }
    assert MayDo().process(['{"status": {"allowed": true}}']) is True


def test_rules_are_asked_for() -> None:
    command = Rules().command("eg")
    assert str(command) == "kube POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    assert command.call.body["spec"] == {"namespace": "eg"}
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    assert Rules().process([json.dumps({"status": {"resourceRules": [rule]}})]) == [rule]
    assert Rules().process(['{"status": {"incomplete": true}}']) == []


@pytest.mark.parametrize(
    ("fact", "nothing"),
    [
        pytest.param(KubeObjects, [], id="objects"),
        pytest.param(KubeObject, None, id="object"),
        pytest.param(KubeApplyPlan, None, id="dry run"),
        pytest.param(HelmRelease, None, id="release"),
        pytest.param(MayDo, False, id="right"),
        pytest.param(Rules, [], id="rules"),
    ],
)
def test_what_no_output_means(fact: type[FactBase[Any]], nothing: Any) -> None:
    assert fact.default() == nothing


def test_a_command_is_printed_without_its_body() -> None:
    command = KubeCommand("PUT", PATH, query={"a": "b"}, body=SECRET)
    printed = [str(command), repr(command), command.get_raw_value(), command.get_masked_value()]
    assert printed == [
        f"kube PUT {PATH}?a=b",
        f"KubeCommand(kube PUT {PATH}?a=b)",
        f"kube PUT {PATH}?a=b",
        f"kube PUT {PATH}?a=b",
    ]

"""What status and doctor print, and how they end, through the real command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.plans.rights import deploys
from tasks.plans.rights.places import Places
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine
from tests.fleet.test_run import LEAST, Case, prepared

SECRETS = "/api/v1/namespaces/envoy-gateway-system/secrets"
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ALL = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
BOTH = f'clusters = [("@kube/weu-1", {LEAST}), ("@kube/neu-1", {LEAST})]'
PIN = (
    "look at the chart, then pin it with python -m tasks.fleet.charts lock "
    "oci://docker.io/envoyproxy/gateway-helm 1.9.1"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as server:
        for name in ("weu-1", "neu-1"):
            server.cluster(name)
            rules = {"status": {"resourceRules": [ALL]}}
            server.answer("POST", RULES, Answer(body=rules), cluster=name)
        server.answer("GET", SECRETS, status(403, "secrets is forbidden"))
        empty = {"apiVersion": "v1", "kind": "SecretList", "items": []}
        server.answer("GET", SECRETS, Answer(body=empty), cluster="neu-1")
        yield server


def test_a_read_that_fails_is_said_once(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = prepared(tmp_path, Case("", []), server)
    outcome = command_line.run(
        tmp_path, ["inventory/prod.py", "deploys/status.py"], KUBECONFIG=str(kubeconfig)
    )
    said = [it for it in outcome.lines if "forbidden" in it]
    assert said == [
        f"[weu-1] GET {SECRETS}: 403 secrets is forbidden",
        f"weu-1 0 - not read: GET {SECRETS}: 403 secrets is forbidden - - - -",
    ]
    assert not [it for it in outcome.lines if "could not load fact" in it]
    assert outcome.code == 1


def test_what_limit_leaves_out_is_no_row(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = prepared(tmp_path, Case("", [], inventory=BOTH), server)
    arguments = ["inventory/prod.py", "deploys/status.py", "--limit", "neu-1"]
    outcome = command_line.run(tmp_path, arguments, KUBECONFIG=str(kubeconfig))
    rows = [it for it in outcome.lines if it.startswith(("weu-1", "neu-1"))]
    assert (rows, outcome.code) == (["neu-1 0 1.35.4 not installed - none none -"], 0)


def test_doctor_as_json_has_its_findings(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = prepared(tmp_path, Case("", []), server)
    arguments = ["inventory/prod.py", "deploys/doctor.py", "--data", "output=json"]
    arguments += ["--data", "helm=no-such-helm"]
    outcome = command_line.run(tmp_path, arguments, KUBECONFIG=str(kubeconfig))
    document = json.loads(outcome.text[outcome.text.index("\n{") : outcome.text.rindex("}") + 1])
    assert document["schema"] == "envoyfleet.doctor/1"
    assert document["clusters"] == [
        {
            "name": "weu-1",
            "kubernetes": "1.35.4",
            "helm": None,
            "envoy_gateway_version": "1.9.1",
            "digest": None,
            "sign_in": "token",
            "rights": len(deploys.before_writing(Places("envoy-gateway-system", "eg"))),
            "denied": [],
        }
    ]
    assert [(it["code"], it["fix"]) for it in document["findings"]] == [
        ("GW501", "install Helm 3.17 or newer, or set helm in the inventory"),
        ("GW502", f"{PIN} --helm no-such-helm"),
    ]
    assert outcome.code == 3


def test_a_silence_of_the_inventory_holds_a_finding_back(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    silence = '{"code": "GW50*", "where": "*", "until": "2099-12-31", "reason": "OPS-412"}'
    inventory = f'clusters = [("@kube/weu-1", {{**{LEAST}, "silences": [{silence}]}})]'
    kubeconfig = prepared(tmp_path, Case("", [], inventory=inventory), server)
    arguments = ["inventory/prod.py", "deploys/doctor.py", "--data", "helm=no-such-helm"]
    outcome = command_line.run(tmp_path, arguments, KUBECONFIG=str(kubeconfig))
    assert (outcome.lines[-1], outcome.code) == ("nothing found, 2 silenced", 0)

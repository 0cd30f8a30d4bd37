"""
The audit of certificates through the real command line, on clusters that a stand-in API server
answers for, and addresses where a TLS server of this process listens.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.objects import certificate
from tests.operations.test_handshakes import context, server
from tests.stand_in import CONTROLLER, NAMESPACE, listed

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "docs" / "certificates.schema.json").read_text())
API = "gateway.networking.k8s.io/v1"
SECRETS = "/api/v1/secrets"
NAME = "shop.example.com"
KINDS = {
    "GatewayClass": "gatewayclasses",
    "Gateway": "gateways",
    "ReferenceGrant": "referencegrants",
    "BackendTLSPolicy": "backendtlspolicies",
}


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where the certificate of NAME is served."""
    with server(context(tmp_path)) as found:
        yield found


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer().running() as found:
        yield found


def secret(days: int | None = None) -> dict[str, Any]:
    """The one that is served, or another one for so many days."""
    made = certificate(NAME) if days is None else certificate(NAME, days)
    parts = zip(("tls.crt", "tls.key"), made, strict=True)
    return {
        "metadata": {"namespace": "edge", "name": "shop-tls"},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(it.encode()).decode() for key, it in parts},
    }


def cluster(api: ApiServer, name: str, port: int, *secrets: dict[str, Any]) -> None:
    """A cluster with one HTTPS listener at this port of this machine."""
    listener = {
        "name": "https",
        "protocol": "HTTPS",
        "port": port,
        "hostname": NAME,
        "tls": {"certificateRefs": [{"name": "shop-tls"}]},
    }
    gateway = {
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        "status": {"addresses": [{"value": "127.0.0.1"}]},
    }
    of_class = {"metadata": {"name": "envoy"}, "spec": {"controllerName": CONTROLLER}}
    there: dict[str, list[dict[str, Any]]] = {"GatewayClass": [of_class], "Gateway": [gateway]}
    resources = [{"resource": it} for it in KINDS.values()]
    group = {
        "metadata": {"name": "gateway.networking.k8s.io"},
        "versions": [{"version": "v1", "resources": resources}],
    }
    api.cluster(name)
    answers: dict[str, Any] = {"/apis": {"items": [group]}}
    for kind, plural in KINDS.items():
        answers[f"/apis/{API}/{plural}"] = listed(API, kind, there.get(kind, []))
    answers[SECRETS] = listed("v1", "Secret", secrets)
    answers[f"/api/v1/namespaces/{NAMESPACE}/secrets"] = listed("v1", "Secret", [])
    for plural, kind in (("pods", "Pod"), ("services", "Service")):
        answers[f"/api/v1/namespaces/{NAMESPACE}/{plural}"] = listed("v1", kind, [])
    for path, body in answers.items():
        api.answer("GET", path, Answer(body=body), cluster=name)


def audited(
    command_line: CommandLine,
    api: ApiServer,
    folder: Path,
    *arguments: str,
    names: Sequence[str] = ("weu-1",),
) -> Outcome:
    data = '{"ring": 0, "envoy_gateway_version": "1.9.1"}'
    clusters = ", ".join(f'("@kube/{it}", {data})' for it in names)
    inventory = f"clusters = [{clusters}]"
    work = folder / "work"
    work.mkdir()
    kubeconfig = prepared(work, Case("", [], inventory=inventory), api)
    command = ["inventory/prod.py", "deploys/certificates.py", *arguments]
    return command_line.run(work, command, KUBECONFIG=str(kubeconfig))


def findings(outcome: Outcome) -> list[str]:
    """Severity and code of each."""
    return [
        " ".join(it)
        for it in re.findall(r"^(error|warning|info) (GW\d{3})", outcome.text, flags=re.M)
    ]


def test_what_is_healthy_is_a_row_and_nothing_more(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port, secret())
    outcome = audited(command_line, api, tmp_path)
    [row] = [it for it in outcome.lines if it.startswith("weu-1")]
    assert re.fullmatch(
        rf"weu-1 edge/public:https edge/shop-tls [0-9a-f]+ 2\d+-\d\d-\d\d CN={NAME} 1 of 1", row
    )
    assert (findings(outcome), outcome.code) == ([], 0)
    assert len(api.asked) <= 12


def test_keys_are_asked_of_no_other_secrets_and_never_printed(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port, secret())
    outcome = audited(command_line, api, tmp_path, "-vvv", "--data", "output=json")
    paths = [it.path for it in api.asked if "/secrets" in it.path]
    assert len(paths) == 2
    assert all("fieldSelector=type%3Dkubernetes.io/tls" in it for it in paths)
    key = certificate(NAME)[1].splitlines()[1]
    assert key not in outcome.text
    assert base64.b64encode(key.encode()).decode()[4:-4] not in outcome.text
    assert "-----BEGIN" not in outcome.text


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param(secret(364), ["warning GW614"], id="another than what is served"),
        pytest.param(secret(-1), ["error GW601", "warning GW614"], id="expired"),
        pytest.param(None, ["error GW609"], id="missing"),
    ],
)
def test_findings(
    there: dict[str, Any] | None,
    wanted: list[str],
    command_line: CommandLine,
    api: ApiServer,
    port: int,
    tmp_path: Path,
) -> None:
    cluster(api, "weu-1", port, *([there] if there else []))
    outcome = audited(command_line, api, tmp_path)
    assert (findings(outcome), outcome.code) == (wanted, 3)


def test_a_secret_of_another_type_is_known_by_its_type_alone(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port)
    table = {"columnDefinitions": [{"name": "Type"}], "rows": [{"cells": ["Opaque"]}]}
    api.answer("GET", "/api/v1/namespaces/edge/secrets/shop-tls", Answer(body=table))
    outcome = audited(command_line, api, tmp_path)
    assert (findings(outcome), outcome.code) == (["error GW610"], 3)
    [asked] = [it for it in api.asked if it.path.partition("?")[0].endswith("/shop-tls")]
    assert asked.path.endswith("?includeObject=None")
    assert "as=Table" in asked.headers["accept"]


def test_without_the_right_to_read_secrets_sockets_are_asked(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port)
    for it in (SECRETS, "/api/v1/namespaces/edge/secrets"):
        api.answer("GET", it, status(403, "secrets is forbidden"))
    outcome = audited(command_line, api, tmp_path)
    assert (findings(outcome), outcome.code) == (["info GW600"], 0)
    [row] = [it for it in outcome.lines if it.startswith("weu-1")]
    assert "edge/shop-tls (not read)" in row
    assert row.endswith("1 of 1")


def test_the_right_to_read_secrets_where_listeners_name_them_suffices(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port)
    api.answer("GET", SECRETS, status(403, "secrets is forbidden"))
    there = listed("v1", "Secret", [secret()])
    api.answer("GET", "/api/v1/namespaces/edge/secrets", Answer(body=there))
    outcome = audited(command_line, api, tmp_path)
    assert (findings(outcome), outcome.code) == ([], 0)
    assert [it for it in outcome.lines if " edge/shop-tls " in it and it.endswith("1 of 1")]


def test_read_secrets_false_asks_for_none(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port)
    outcome = audited(command_line, api, tmp_path, "--data", "read_secrets=False")
    assert (findings(outcome), outcome.code) == ([], 0)
    assert not [it for it in api.asked if "secrets" in it.path]


def policy(kind: str, name: str) -> dict[str, Any]:
    refs = [{"group": "", "kind": kind, "name": name}]
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"validation": {"caCertificateRefs": refs}},
    }


def test_authorities_are_read_as_far_as_they_are_no_secrets(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    """And Pods that may not be listed are not asked."""
    cluster(api, "weu-1", port, secret())
    api.answer("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", status(403, "no"))
    those = [policy("ConfigMap", "old"), policy("ConfigMap", "gone"), policy("Secret", "opaque")]
    body = listed(API, "BackendTLSPolicy", those)
    api.answer("GET", f"/apis/{API}/backendtlspolicies", Answer(body=body))
    old = {"kind": "ConfigMap", "data": {"ca.crt": certificate("old", -1)[0]}}
    api.answer("GET", "/api/v1/namespaces/shop/configmaps/old", Answer(body=old))
    secrets = "/api/v1/namespaces/shop/secrets"
    api.answer("GET", secrets, Answer(body=listed("v1", "Secret", [])))
    table = {"columnDefinitions": [{"name": "Type"}], "rows": [{"cells": ["Opaque"]}]}
    api.answer("GET", f"{secrets}/opaque", Answer(body=table))
    outcome = audited(command_line, api, tmp_path)
    said = [it.partition(" (docs/")[0] for it in outcome.lines if "GW6" in it]
    assert [it.partition(": ")[2] for it in said] == [
        "BackendTLSPolicy shop/gone: ConfigMap shop/gone, which it verifies with, does not exist: "
        "put the authority there as ca.crt, PEM",
        "BackendTLSPolicy shop/old: authority CN=old in ConfigMap shop/old expired on "
        f"{datetime.now(UTC) - timedelta(days=1, hours=1):%Y-%m-%d}: add its successor to the "
        "bundle beside it, then renew what it signed",
        "no right to list pods and services: Pods were not asked one by one: allow it "
        "(deploys/doctor.py has the list)",
        "the authority in Secret shop/opaque was not read: Secrets of type TLS alone are: keep it "
        "in a ConfigMap, for it is no secret",
    ]
    assert outcome.code == 3


def test_json_is_what_the_schema_says(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port, secret(3))
    api.cluster("neu-1")
    api.answer("GET", "/apis", status(403, "no"), cluster="neu-1")
    names = ("weu-1", "neu-1", "gone")
    outcome = audited(command_line, api, tmp_path, "--data", "output=json", names=names)
    document = json.loads(outcome.text[outcome.text.index("\n{") : outcome.text.rindex("}") + 1])
    jsonschema.validate(document, SCHEMA)
    by_name = {it["name"]: it for it in document["clusters"]}
    assert sorted(by_name) == ["gone", "neu-1", "weu-1"]
    assert by_name["neu-1"]["unreachable"] == "GET /apis: 403 no"
    [listener] = by_name["weu-1"]["listeners"]
    [kept] = listener["secrets"]
    assert set(kept["chain"]) <= by_name["weu-1"]["certificates"].keys()
    assert [it["code"] for it in document["findings"]] == ["GW603", "GW614"]


def test_a_file_of_roots_that_is_not_there_is_one_line(
    command_line: CommandLine, api: ApiServer, port: int, tmp_path: Path
) -> None:
    cluster(api, "weu-1", port, secret())
    outcome = audited(command_line, api, tmp_path, "--data", "trust=roots.pem")
    assert (
        "[weu-1] trust: roots.pem cannot be read (No such file or directory): name a PEM file"
        in outcome.lines
    )
    assert outcome.code == 1
    assert "Traceback" not in outcome.text

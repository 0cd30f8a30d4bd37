"""
The diagnosis of a fleet through the real command line, on clusters that a stand-in API server
answers for with what a real one had.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.diagnosis.needed import SOMETIMES
from tasks.operations.evidence import READ
from tasks.plans import kinds
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, Outcome
from tests.diagnosis.recorded import Cluster
from tests.fleet.test_run import Case, prepared
from tests.stand_in import listed

PATIENT = '{"ring": 0, "envoy_gateway_version": "1.9.1"}'
REQUEST = ("--data", "request=GET http://blue.lab.test/", "--data", "send=False")


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer().running() as found:
        yield found


def scaled(it: Cluster) -> None:
    """Without a controller."""
    it.get("Deployment", "envoy-gateway")["spec"]["replicas"] = 0
    it.drop("Pod", "envoy-gateway-f7")


def there(api: ApiServer, name: str, it: Cluster, denied: Sequence[str] = ()) -> None:
    """A cluster of this name with these objects. + denied: kinds that may not be listed"""
    api.cluster(name)
    of_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in it.objects:
        of_kind[one["kind"]].append(one)
    for (group, kind), (fallback, _) in READ.items():
        version = _version(it, group, kind, fallback)
        api_version = f"{group}/{version}" if group else version
        body = listed(api_version, kind, of_kind[kind])
        answer = status(403, "forbidden") if kind in denied else Answer(body=body)
        api.answer("GET", kinds.path(api_version, kind), answer, cluster=name)
    secrets = listed("v1", "Secret", of_kind["Secret"])
    allowed = status(403, "forbidden") if "Secret" in denied else Answer(body=secrets)
    api.answer("GET", "/api/v1/secrets", allowed, cluster=name)
    served = [
        {
            "metadata": {"name": group},
            "versions": [{"version": version, "resources": [{"resource": plural}]}],
        }
        for plural, group, version in _served(it)
    ]
    api.answer("GET", "/apis", Answer(body={"items": served}), cluster=name)


def _served(it: Cluster) -> Iterator[tuple[str, str, str]]:
    """Plural, group and version of all that is served."""
    for resource, versions in it.record["served"].items():
        plural, _, group = resource.partition(".")
        yield from ((plural, group, one) for one in versions)
    for (group, kind), (version, _) in READ.items():
        if group and "gateway" not in group and kind != "PodMetrics":
            yield kinds.KINDS[group, kind].plural, group, version


def _version(it: Cluster, group: str, kind: str, fallback: str) -> str:
    versions = it.record["served"].get(f"{kinds.KINDS[group, kind].plural}.{group}")
    return str(versions[0]) if versions else fallback


def diagnosed(
    command_line: CommandLine,
    api: ApiServer,
    folder: Path,
    *arguments: str,
    names: Sequence[str] = ("weu-1",),
) -> Outcome:
    clusters = ", ".join(f'("@kube/{it}", {PATIENT})' for it in names)
    work = folder / "work"
    work.mkdir()
    kubeconfig = prepared(work, Case("", [], inventory=f"clusters = [{clusters}]"), api)
    command = ["inventory/prod.py", "deploys/diagnose.py", *arguments]
    return command_line.run(work, command, KUBECONFIG=str(kubeconfig))


def told(outcome: Outcome) -> dict[str, Any]:
    text = outcome.text
    found: dict[str, Any] = json.loads(text[text.index('{\n  "schema"') : text.rindex("\n}") + 2])
    return found


def test_a_cluster_that_is_well(command_line: CommandLine, api: ApiServer, tmp_path: Path) -> None:
    there(api, "weu-1", Cluster())
    outcome = diagnosed(command_line, api, tmp_path)
    assert "weu-1 0 1 1 - - nothing found" in outcome.lines
    assert outcome.code == 0
    # Two to connect, what is served, a list a kind (no metrics here), Secrets, a log, a proxy.
    assert len(api.asked) == 2 + 1 + len(READ) - len(SOMETIMES) - 1 + 1 + 1 + 1 == 28
    assert {it.method for it in api.asked} == {"GET"}


def test_one_list_a_kind_and_no_key(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    there(api, "weu-1", Cluster())
    diagnosed(command_line, api, tmp_path)
    paths = [it.path for it in api.asked]
    assert len(set(paths)) == len(paths)
    [secrets] = [it for it in paths if "/secrets" in it]
    assert secrets.endswith("fieldSelector=type%3Dkubernetes.io/tls")


def test_what_is_wrong_is_a_finding_with_its_evidence(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    it = Cluster()
    scaled(it)
    there(api, "weu-1", it)
    outcome = diagnosed(command_line, api, tmp_path)
    assert "weu-1 0 1 1 - - GW956 controller_down" in outcome.lines
    assert any(
        line.startswith("error GW956 controller_down (90 %) Deployment envoy-gateway-system/")
        for line in outcome.lines
    )
    assert any("spec.replicas 0, 1 ready" in line for line in outcome.lines)
    assert outcome.code == 3


def test_the_same_cause_on_several_clusters_is_said_once_for_all(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    names = ("weu-1", "neu-1")
    for name in names:
        it = Cluster()
        scaled(it)
        there(api, name, it)
    outcome = diagnosed(command_line, api, tmp_path, names=names)
    assert any("on 2 clusters: Deployment" in line for line in outcome.lines)
    assert outcome.code == 3


def test_json(command_line: CommandLine, api: ApiServer, tmp_path: Path) -> None:
    it = Cluster()
    scaled(it)
    there(api, "weu-1", it)
    found = told(diagnosed(command_line, api, tmp_path, "--data", "output=json"))
    assert found["schema"] == "envoyfleet.diagnose/1"
    [cluster] = found["clusters"]
    assert cluster["diagnosis"]["schema"] == "envoyfleet.diagnosis/1"
    [first] = cluster["diagnosis"]["findings"]
    assert first["cause"] == "controller_down"
    assert first["object"] == {
        "kind": "Deployment",
        "namespace": "envoy-gateway-system",
        "name": "envoy-gateway",
    }
    [of_audit] = [it for it in found["findings"] if it["severity"] == "error"]
    assert of_audit["docs"] == "docs/findings.md#gw956"


def test_a_cluster_without_envoy_gateway(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    it = Cluster()
    it.objects.clear()
    there(api, "weu-1", it)
    outcome = diagnosed(command_line, api, tmp_path)
    assert "weu-1 0 - Envoy Gateway is not installed - - -" in outcome.lines
    assert outcome.code == 0


def test_what_may_not_be_read_is_said_with_what_it_costs(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    there(api, "weu-1", Cluster(), denied=("Lease", "Secret"))
    pod = Cluster().get("Pod", "envoy-edge")["metadata"]
    path = f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}/portforward"
    api.answer("GET", path, status(403, "forbidden"))
    outcome = diagnosed(command_line, api, tmp_path, "--data", "output=json")
    found = told(outcome)["findings"]
    gaps = {it["object"]: it for it in found if it["code"] == "GW900"}
    assert gaps["leases.coordination.k8s.io"]["what"] == (
        "not read: no right to list; not known without it: whether a controller leads"
    )
    assert "secrets" in gaps
    assert "the port forward (create pods/portforward)" in gaps
    assert {it["severity"] for it in found} == {"info"}
    assert outcome.code == 0


def test_what_is_no_request_is_refused_before_anything_is_asked(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    outcome = diagnosed(command_line, api, tmp_path, "--data", "request=GET /cart")
    assert outcome.code == 2
    [line] = [it for it in outcome.lines if "request" in it]
    assert "weu-1: request: no request: its URL must begin with http" in line
    assert api.asked == []


def test_a_request_that_is_not_sent_is_matched_all_the_same(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    there(api, "weu-1", Cluster())
    outcome = diagnosed(command_line, api, tmp_path, *REQUEST, "--data", "output=json")
    gaps = [it for it in told(outcome)["findings"] if it["object"] == "the request"]
    assert [it["what"] for it in gaps] == [
        "not read: not sent: send is false; not known without it: "
        "the answer, and its line in the access log"
    ]
    assert outcome.code == 0


def test_an_api_server_that_is_away(
    command_line: CommandLine, api: ApiServer, tmp_path: Path
) -> None:
    there(api, "weu-1", Cluster())
    api.answer("GET", "/apis", Answer(500, {"message": "broken"}))
    outcome = diagnosed(command_line, api, tmp_path)
    assert any("not read: " in it for it in outcome.lines)
    assert "Traceback" not in outcome.text
    assert outcome.code == 1

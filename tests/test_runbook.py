"""
What deploys/runbook.py refuses, reads, asks and writes, through the real command line, on clusters
that a stand-in API server answers for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tasks.plans import kinds
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.plans.test_runbooks import EG, Objects, at, both, cluster, gone

DATA: dict[str, Any] = {
    "ring": 0,
    "envoy_gateway_version": "1.9.1",
    "probe": {"enabled": False, "timeout": 3},
    "controller": {"replicas": 2},
    "backup": {"enabled": False},
}
SERVED = ["gatewayclasses", "gateways", "httproutes"]
LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "envoyfleet", "namespace": EG, "resourceVersion": "7"},
    "spec": {},
}
DEPLOYMENT = kinds.path("apps/v1", "Deployment", EG, "envoy-gateway")
AT_0 = at("controller", "spec", "replicas", to=0)


def answer_for(server: ApiServer, states: Sequence[Objects], name: str = "weu-1") -> None:
    """A cluster whose objects are those of each state in turn, a state a look."""
    server.cluster(name)
    groups = [
        ("gateway.networking.k8s.io", SERVED),
        ("gateway.envoyproxy.io", ["envoyproxies"]),
        ("apps", ["deployments", "daemonsets"]),
        ("coordination.k8s.io", ["leases"]),
        ("discovery.k8s.io", ["endpointslices"]),
    ]
    versions = {"gateway.envoyproxy.io": "v1alpha1"}
    apis = [
        {
            "metadata": {"name": group},
            "versions": [
                {
                    "version": versions.get(group, "v1"),
                    "resources": [{"resource": it} for it in resources],
                }
            ],
        }
        for group, resources in groups
    ]
    server.answer("GET", "/apis", Answer(body={"items": apis}), cluster=name)
    there = {(it["apiVersion"], it["kind"]) for one in states for it in one.values()}
    for api_version, kind in there:
        lists = [
            {
                "apiVersion": api_version,
                "kind": f"{kind}List",
                "items": [it for it in state.values() if it["kind"] == kind],
            }
            for state in states
        ]
        path = kinds.path(api_version, kind)
        server.answer("GET", path, *(Answer(body=it) for it in lists), cluster=name)
    leases = kinds.path("coordination.k8s.io/v1", "Lease", EG)
    server.answer("POST", leases, Answer(body=LEASE), cluster=name)
    server.answer("PUT", f"{leases}/envoyfleet", Answer(body=LEASE), cluster=name)
    for state in states[:1]:
        for it in state.values():
            server.answer("GET", kinds.path_of(it), Answer(body=it), cluster=name)


def run(
    folder: Path, command_line: CommandLine, server: ApiServer, *more: str, two: bool = False
) -> Outcome:
    names = ["weu-1", "neu-1"] if two else ["weu-1"]
    text = "".join(f'("@kube/{it}", {DATA!r}), ' for it in names)
    arguments = ("inventory/prod.py", "deploys/runbook.py", *more)
    case = Case("", [], inventory=f"clusters = [{text}]", arguments=arguments)
    folder.mkdir(exist_ok=True)
    if (folder / "config.py").exists():
        kubeconfig = folder / "kubeconfig"
    else:
        kubeconfig = prepared(folder, case, server)
        (folder / "templates").symlink_to(Path(__file__).parents[1] / "templates")
    return command_line.run(folder, case.arguments, KUBECONFIG=str(kubeconfig))


@pytest.fixture
def server() -> Any:
    with ApiServer().running() as it:
        yield it


REFUSED = [
    pytest.param(
        (),
        "name a runbook: --data name=gateway-not-responding, or --data name=list",
        id="no name",
    ),
    pytest.param(
        ("--data", "name=EnvoyGatewayDwn"),
        "there is no runbook EnvoyGatewayDwn: did you mean EnvoyGatewayDown or "
        "EnvoyGatewayNoRoute or EnvoyGatewayNoLeader? --data name=list names them all",
        id="misspelt",
    ),
    pytest.param(
        ("--data", "name=EnvoyGatewayDown", "--data", "approve=controler"),
        "approve: EnvoyGatewayDown has no step controler: did you mean controller? its steps: "
        "controller, leader, gateway, proxies, service, address, listeners, request",
        id="no such step",
    ),
    pytest.param(
        ("--data", "undo=../../etc"),
        "undo: there is no run ../../etc under runs/: ls runs",
        id="no such run",
    ),
    pytest.param(
        ("--data", "name=EnvoyGatewayDown", "--data", "rehearse=True"),
        "weu-1 is no cluster to rehearse on: set rehearsals in its inventory where it is one",
        id="no place for rehearsals",
    ),
    pytest.param(
        ("--data", "name=EnvoyGatewayDown", "--data", "gateway=public"),
        "inventory/prod.py: weu-1: gateway: 'public' is not a valid name here",
        id="no namespace",
    ),
    pytest.param(
        ("--data", "name=EnvoyGatewayDown", "--dry"),
        "a runbook reads only until an action is approved: leave --dry out",
        id="dry",
    ),
]


@pytest.mark.parametrize(("more", "line"), REFUSED)
def test_bad_input_is_one_line(
    more: Sequence[str], line: str, command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [cluster()])
    ended = run(tmp_path / "clone", command_line, server, *more)
    assert (ended.code, ended.lines) == (2, [line])
    assert {it.method for it in server.asked} <= {"GET"}


def test_an_approval_is_for_one_cluster(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [cluster()])
    answer_for(server, [cluster()], "neu-1")
    more = ("--data", "name=EnvoyGatewayDown", "--data", "approve=controller")
    ended = run(tmp_path / "clone", command_line, server, *more, two=True)
    assert ended.code == 2
    assert ended.lines == ["an action is approved for one cluster: add --limit neu-1"]


def test_the_list_asks_nobody(command_line: CommandLine, server: ApiServer, tmp_path: Path) -> None:
    ended = run(tmp_path / "clone", command_line, server, "--data", "name=list")
    assert ended.code == 0, ended.text
    assert "EnvoyGatewayDown" in ended.text
    assert server.asked == []


def test_a_gateway_that_is_nowhere(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [cluster()])
    more = ("--data", "name=EnvoyGatewayDown", "--data", "gateway=edge/publik")
    ended = run(tmp_path / "clone", command_line, server, *more)
    assert ended.code == 1
    assert "gateway: there is no Gateway edge/publik: did you mean edge/public?" in ended.text


def test_a_cluster_that_is_well_is_read_and_left_alone(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [_renewed(cluster())])
    folder = tmp_path / "clone"
    ended = run(folder, command_line, server, "--data", "name=gateway-not-responding")
    assert ended.code == 0, ended.text
    assert not [it for it in server.asked if it.method not in ("GET",)]
    assert not (folder / "runs").exists()


def _renewed(them: Objects) -> Objects:
    """With a Lease of this moment, and no proxy that a port forward could go to."""
    from datetime import UTC, datetime

    found = deepcopy(them)
    if "lease" in found:
        found["lease"]["spec"]["renewTime"] = datetime.now(UTC).isoformat()
    return found


def faulty() -> Objects:
    them = _renewed(cluster())
    both(AT_0, gone("controller pod"))(them)
    return them


def test_an_action_waits_for_approval_and_nothing_is_written(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [faulty()])
    after = deepcopy(faulty()["controller"])
    after["spec"]["replicas"] = 2
    server.answer("PATCH", DEPLOYMENT, Answer(body=after))
    folder = tmp_path / "clone"
    ended = run(folder, command_line, server, "--data", "name=gateway-not-responding")
    assert ended.code == 4, ended.text
    assert "- replicas: 0" in ended.lines
    assert "+ replicas: 2" in ended.lines
    assert "can be undone: its former state is kept" in ended.lines
    written = [it for it in server.asked if it.method != "GET"]
    assert {(it.method, "dryRun=All" in it.path) for it in written} == {("PATCH", True)}
    assert not (folder / "runs").exists()


def test_an_approved_action_is_journalled_done_proven_and_undone(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    well = _renewed(cluster())
    answer_for(server, [faulty(), well])
    after = deepcopy(faulty()["controller"])
    after["spec"]["replicas"] = 2
    server.answer("PATCH", DEPLOYMENT, Answer(body=after))
    folder = tmp_path / "clone"
    more = ("--data", "name=gateway-not-responding", "--data", "approve=controller")
    ended = run(folder, command_line, server, *more, "--data", "output=json")
    assert ended.code == 0, ended.text
    real = [it for it in server.asked if it.method == "PATCH" and "dryRun" not in it.path]
    assert [it.body for it in real] == [{"spec": {"replicas": 2}}]

    (folder_of_run,) = (folder / "runs").iterdir()
    lines = (folder_of_run / "journal.jsonl").read_text().splitlines()
    events = [json.loads(it) for it in lines]
    names = [it["event"] for it in events]
    assert names.index("change") < names.index("action") < names.index("action ended")
    action = events[names.index("action")]
    assert action["undo"] == [
        {
            "verb": "patch",
            "api_version": "apps/v1",
            "kind": "Deployment",
            "namespace": EG,
            "name": "envoy-gateway",
            "body": {"spec": {"replicas": 0}},
        }
    ]
    assert events[names.index("action ended")]["proven"] is True

    server.asked.clear()
    server.answer("GET", DEPLOYMENT, Answer(body=after))
    before = deepcopy(after)
    before["spec"]["replicas"] = 0
    server.answer("PATCH", DEPLOYMENT, Answer(body=before))
    undo = ("--data", f"undo={folder_of_run.name}")
    ended = run(folder, command_line, server, *undo)
    assert (ended.code, "+ replicas: 0" in ended.lines) == (4, True), ended.text
    ended = run(folder, command_line, server, *undo, "--data", "approve=undo")
    assert ended.code == 0, ended.text
    real = [it for it in server.asked if it.method == "PATCH" and "dryRun" not in it.path]
    assert [it.body for it in real] == [{"spec": {"replicas": 0}}]


def test_an_action_that_cures_nothing_fails_the_cluster(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [faulty()])
    server.answer("PATCH", DEPLOYMENT, Answer(body=faulty()["controller"]))
    more = ("--data", "name=gateway-not-responding", "--data", "approve=controller")
    ended = run(tmp_path / "clone", command_line, server, *more)
    assert ended.code == 1, ended.text
    assert "step controller is not proven within 3 s: Deployment" in ended.text


def test_an_action_that_the_api_server_refuses_is_one_line(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [faulty()])
    server.answer("PATCH", DEPLOYMENT, status(403, "deployments.apps is forbidden"))
    ended = run(tmp_path / "clone", command_line, server, "--data", "name=EnvoyGatewayDown")
    assert ended.code == 1
    assert "Traceback" not in ended.text
    assert "refused by the API server" in ended.text


def test_a_pod_that_has_gone_since_is_no_error(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    them = _renewed(cluster())
    at("lease", "spec", "renewTime", to="2026-11-22T11:50:00Z")(them)
    answer_for(server, [them, _renewed(cluster())])
    more = ("--data", "name=EnvoyGatewayNoLeader", "--data", "approve=leader")
    ended = run(tmp_path / "clone", command_line, server, *more)
    assert ended.code == 0, ended.text
    assert "a Pod that was deleted does not come back" in ended.text
    (gone_pod,) = [it for it in server.asked if it.method == "DELETE"]
    assert gone_pod.path == f"/api/v1/namespaces/{EG}/pods/envoy-gateway-1"


def test_a_journal_that_was_altered_is_not_undone(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    answer_for(server, [cluster()])
    folder = tmp_path / "clone"
    place = folder / "runs" / "20261122T110000Z-runbook"
    place.mkdir(parents=True)
    (place / "journal.jsonl").write_text(
        '{"event":"action","at":"2026-11-22T11:00:00Z","before":"x"}\n'
    )
    ended = run(folder, command_line, server, "--data", f"undo={place.name}")
    assert ended.code == 2
    assert "the journal was altered: it is not trusted" in ended.text


def test_yes_is_typed_at_a_terminal(server: ApiServer, tmp_path: Path) -> None:
    answer_for(server, [faulty(), _renewed(cluster())])
    server.answer("PATCH", DEPLOYMENT, Answer(body=faulty()["controller"]))
    text = f'clusters = [("@kube/weu-1", {DATA!r})]'
    folder = tmp_path / "clone"
    folder.mkdir()
    kubeconfig = prepared(folder, Case("", [], inventory=text), server)
    (folder / "templates").symlink_to(Path(__file__).parents[1] / "templates")
    ours, theirs = os.openpty()
    os.write(ours, b"yes\n")
    arguments = ("inventory/prod.py", "deploys/runbook.py", "--data", "name=EnvoyGatewayDown")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("pyinfra")), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": str(kubeconfig)},
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert "Do that on weu-1? Type yes:" in done.stderr, done.stderr
    assert (done.returncode, "done, proven" in done.stdout) == (0, True), done.stderr

"""
The last runs and what changed since, through the real command line, on a cluster that a stand-in
API server answers for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.fleet import process
from tasks.fleet.journal import Journal
from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.stand_in import NAMESPACE, listed, record
from tests.test_gateways import DATA, api, cluster, folder, owned, stored, wanted

__all__ = ["api", "folder"]  # fixtures
ID = "20261122T090000Z-gateways"
ENDED = "2026-11-22T09:01:10Z"


def ran(
    command_line: CommandLine,
    api: ApiServer,
    folder: Path,
    *arguments: str,
    begin: bool = True,
    others: Sequence[str] = (),
    deploy: str = "history",
) -> Outcome:
    hosts = [(f"@kube/{it}", DATA) for it in ("weu-1", *others)]
    case = Case("", [], inventory=f"clusters = {hosts}")
    kubeconfig = prepared(folder, case, api)
    if begin:
        journal = Journal(folder / "runs" / ID)
        about = {"deploy": "gateways", "inventory": "inventory/prod.py", "id": ID}
        at, who = "2026-11-22T09:00:00Z", {"who": "anna@jump-1"}
        journal.write(
            "run", at, **about, clusters=dict.fromkeys(("weu-1", *others), "1.9.1"), process=who
        )
        journal.write("run ended", ENDED, exit=0)
        rows = [{"name": "weu-1", "status": "done"}]
        rows += [{"name": it, "status": "held"} for it in others]
        (journal.path.parent / "report.json").write_text(json.dumps({"clusters": rows}))
    command = ["inventory/prod.py", f"deploys/{deploy}.py", *arguments]
    return command_line.run(folder, command, KUBECONFIG=str(kubeconfig))


def document(outcome: Outcome) -> dict[str, Any]:
    text = outcome.text
    found: dict[str, Any] = json.loads(text[text.index("{\n") : text.rindex("}\n") + 1])
    return found


def release(api: ApiServer, changed: str) -> None:
    """The record of Helm, and when it was written."""
    secret = record("1.9.1", {}, {}, {}, changed=changed)
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    api.answer("GET", path, Answer(body=listed("v1", "Secret", [secret])))
    api.answer("GET", f"{path}/sh.helm.release.v1.eg.v1", Answer(body=secret))


def edited(name: str, time: str) -> list[dict[str, Any]]:
    """What the inventory wants, but for a route that somebody edited."""
    things = [stored(it) for it in wanted()]
    edit = {"manager": "kubectl-edit", "operation": "Update", "time": time}
    for it in things:
        if it["metadata"]["name"] == name:
            it["spec"] = {**it["spec"], "hostnames": ["evil.test"]}
            fields = owned({"spec": it["spec"]})
            it["metadata"]["managedFields"].append({**edit, "fieldsV1": fields})
    return things


def test_what_changed_since_the_last_good_run(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    cluster(api, edited("r5", "2026-11-22T10:00:00Z"))
    release(api, "2026-11-22T09:30:00Z")
    outcome = ran(command_line, api, folder)
    assert outcome.code == 3, outcome.text
    for line in (
        "2026-11-22 09:00 gateways anna@jump-1 1 min 10 s done 1 done " + ID,
        f"weu-1 0 {ID} done {ID} 2 objects, last 2026-11-22 10:00",
    ):
        assert line in outcome.lines
    assert "warning GW323 weu-1: HTTPRoute edge/r5, routes: was changed by kubectl" in outcome.text
    assert f"GW206 weu-1: release {NAMESPACE}/eg: was changed after run {ID}" in outcome.text
    assert {it.method for it in api.asked} == {"GET"}
    assert [it.name for it in (folder / "runs").iterdir()] == [ID]


def test_what_is_older_is_no_drift(command_line: CommandLine, api: ApiServer, folder: Path) -> None:
    cluster(api, edited("r5", "2026-11-22T08:00:00Z"))
    release(api, "2026-11-22T08:00:00Z")
    outcome = ran(command_line, api, folder, "--data", "output=json")
    assert outcome.code == 0, outcome.text
    found = document(outcome)
    assert found["schema"] == "envoyfleet.history/1"
    assert found["runs"] == [
        {
            "id": ID,
            "deploy": "gateways",
            "inventory": "inventory/prod.py",
            "who": "anna@jump-1",
            "began": "2026-11-22T09:00:00+00:00",
            "ended": "2026-11-22T09:01:10+00:00",
            "exit": 0,
            "state": "ended",
            "clusters": {"weu-1": "done"},
        }
    ]
    assert found["clusters"] == [
        {"name": "weu-1", "ring": 0, "last": ID, "status": "done", "last_good": ID, "drift": []}
    ]


def test_the_list_alone_asks_nobody(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    outcome = ran(command_line, api, folder, "--data", "drift=false")
    assert outcome.code == 0, outcome.text
    assert f"weu-1 0 {ID} done {ID} not read" in outcome.lines
    assert api.asked == []


def test_a_cluster_that_is_away_takes_nothing_from_the_list(
    command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    cluster(api, [stored(it) for it in wanted()])
    release(api, "2026-11-22T08:00:00Z")
    outcome = ran(command_line, api, folder, others=("gone",))
    assert outcome.code == 1, outcome.text
    assert f"weu-1 0 {ID} done {ID} nothing" in outcome.lines
    away = f"gone 0 {ID} held none known not read: cannot reach this cluster: Connection"
    assert any(it.startswith(away) for it in outcome.lines)


@pytest.mark.parametrize("deploy", ["history", "status"])
def test_who_only_looks_may_do_so_beside_a_run(
    deploy: str, command_line: CommandLine, api: ApiServer, folder: Path
) -> None:
    cluster(api, [stored(it) for it in wanted()])
    release(api, "2026-11-22T08:00:00Z")
    journal = Journal(folder / "runs" / "20261122T110000Z-upgrade")
    about = {"deploy": "upgrade", "inventory": "inventory/prod.py", "id": "x"}
    who = asdict(process.myself("x"))
    journal.write("run", ENDED, **about, clusters={"weu-1": "1.9.1"}, process=who)
    outcome = ran(command_line, api, folder, deploy=deploy)
    assert outcome.code in (0, 3), outcome.text
    assert "works on" not in outcome.text
    assert ("under way" in outcome.text) is (deploy == "history")


def test_no_run_is_a_line(command_line: CommandLine, api: ApiServer, folder: Path) -> None:
    outcome = ran(command_line, api, folder, "--data", "drift=false", begin=False)
    assert outcome.code == 0, outcome.text
    assert "runs/ has no run at these clusters" in outcome.lines
    assert "weu-1 0 none known - none known not read" in outcome.lines

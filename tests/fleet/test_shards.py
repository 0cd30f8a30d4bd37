"""A run that takes a share of its inventory, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.plans.shards import holds
from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import STEPS, Case, prepared

#: Contexts that tests.fleet.test_run.prepared writes, as (name, shard of two).
NAMES = ("weu-1", "neu-1", "weu-1-again")
ALONE = """
from tasks.connectors.command import KubeCommand
from tasks.fleet.guard import fleet_operation

@fleet_operation()
def step():
    yield KubeCommand("POST", "/step")

step(name="Step")
"""


def ran(
    command_line: CommandLine,
    server: ApiServer,
    folder: Path,
    shard: str,
    *arguments: str,
    rings: tuple[int, ...] = (0, 0, 0),
    deploy: str = STEPS,
) -> Outcome:
    for name in NAMES:
        server.cluster(name)
        server.answer("POST", "/step", Answer(), cluster=name)
    hosts = [
        (f"@kube/{name}", {"ring": ring, "envoy_gateway_version": "1.9.1"})
        for name, ring in zip(NAMES, rings, strict=True)
    ]
    folder.mkdir()
    case = Case("", [], 0, f"clusters = {hosts}", (), {"deploys/steps.py": deploy})
    kubeconfig = str(prepared(folder, case, server))
    command = ("inventory/prod.py", "deploys/steps.py", "-y", "--data", f"shard={shard}")
    return command_line.run(folder, (*command, *arguments), KUBECONFIG=kubeconfig)


def written(server: ApiServer) -> list[str]:
    return sorted(it.cluster for it in server.asked if it.method == "POST")


def test_shards_together_take_each_cluster_once(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    for index in range(2):
        begun = len(api_server.asked)
        mine = sorted(it for it in NAMES if holds(f"{index}/2", it))
        outcome = ran(command_line, api_server, tmp_path / str(index), f"{index}/2")
        assert outcome.code == 0, outcome.text
        assert f"Shard {index}/2: {len(mine)} of 3 clusters" in outcome.lines
        assert {it.cluster for it in api_server.asked[begun:]} == set(mine)
    assert written(api_server) == sorted(NAMES)


def test_a_shard_without_clusters_ends_well(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    empty = next(f"{it}/50" for it in range(50) if not any(holds(f"{it}/50", n) for n in NAMES))
    outcome = ran(command_line, api_server, tmp_path / "clone", empty)
    assert (outcome.code, outcome.lines) == (0, [f"Shard {empty}: 0 of 3 clusters"])
    assert (api_server.asked, (tmp_path / "clone/runs").exists()) == ([], False)


def test_it_is_a_share_of_what_limit_leaves(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    outcome = ran(command_line, api_server, tmp_path / "clone", "0/1", "--limit", "neu-1")
    assert outcome.code == 0, outcome.text
    assert "Shard 0/1: 1 of 1 clusters" in outcome.lines
    assert written(api_server) == ["neu-1"]


RINGS = (
    "shard: processes beside each other keep no order of rings: take one ring alone with --limit, "
    "or leave shard out"
)


def test_rings_are_refused(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    outcome = ran(command_line, api_server, tmp_path / "a", "0/1", rings=(0, 1, 1))
    assert outcome.code == 2, outcome.text
    assert RINGS in outcome.lines
    assert written(api_server) == []
    one = ran(command_line, api_server, tmp_path / "b", "0/1", "--limit", "neu-*", rings=(0, 1, 1))
    assert one.code == 0, one.text
    alone = ran(command_line, api_server, tmp_path / "c", "0/1", rings=(0, 1, 1), deploy=ALONE)
    assert alone.code == 0, alone.text


@pytest.mark.parametrize("shard", ["8/8", "x", "1"])
def test_what_is_no_shard_is_refused(
    shard: str, command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    outcome = ran(command_line, api_server, tmp_path / "clone", shard)
    assert outcome.code == 2, outcome.text
    assert all("weu-1" in it or "neu-1" in it for it in outcome.lines), outcome.lines
    assert api_server.asked == []

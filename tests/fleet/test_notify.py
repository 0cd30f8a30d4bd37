"""Who is told what while a run goes on, through the command line and a receiver of our own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.fleet.journal import read
from tests.api_server import Answer, ApiServer, Asked, status
from tests.command_line import CommandLine, Outcome

ROOT = Path(__file__).parents[2]
STEPS = """
from tasks.connectors.command import KubeCommand
from tasks.fleet.guard import fleet_operation
from tasks.fleet.rings import rings

@fleet_operation()
def step():
    yield KubeCommand("POST", "/step")

for _ring in rings():
    step(name="Step")
"""
SECRET = "t0p-s3cret-path"


@pytest.fixture
def server(api_server: ApiServer) -> ApiServer:
    for name in ("weu-1", "weu-2"):
        api_server.cluster(name)
        api_server.answer("POST", "/step", Answer(), cluster=name)
    api_server.answer("POST", f"/{SECRET}", Answer(), cluster="hooks")
    return api_server


def ran(
    command_line: CommandLine,
    server: ApiServer,
    folder: Path,
    notifications: list[dict[str, Any]],
    *options: str,
    deploy: str = "install",
    **environment: str,
) -> Outcome:
    data = {"envoy_gateway_version": "1.9.1", "notifications": notifications}
    hosts = [(f"@kube/weu-{ring + 1}", {**data, "ring": ring}) for ring in (0, 1)]
    (folder / "inventory").mkdir(parents=True)
    (folder / "inventory/prod.py").write_text(f"clusters = {hosts!r}")
    (folder / "deploys").mkdir()
    (folder / f"deploys/{deploy}.py").write_text(STEPS)
    shutil.copy(ROOT / "config.py", folder)
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", "weu-1", "weu-2")
    arguments = ("inventory/prod.py", f"deploys/{deploy}.py", *(options or ("-y",)))
    return command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig), **environment)


def url(server: ApiServer) -> str:
    return f"http://127.0.0.1:{server.port}/hooks/{SECRET}"


def told(server: ApiServer) -> list[Asked]:
    return [it for it in server.asked if it.cluster == "hooks"]


def test_everybody_is_told_once_however_many_clusters_name_them(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    wanted: list[dict[str, Any]] = [
        {"kind": "webhook", "url_env": "HOOK"},
        {"kind": "slack", "url_env": "CHAT", "events": ["end"]},
    ]
    ended = ran(command_line, server, folder, wanted, HOOK=url(server), CHAT=url(server))
    assert ended.code == 0
    bodies = [it.body for it in told(server)]
    events = [it for it in bodies if "schema" in it]
    assert [(it["event"], it["title"], it["exit"]) for it in events] == [
        ("start", "install begins: 2 clusters", None),
        ("gate", "install: ring 1 begins", None),
        ("end", "install ended with exit 0", 0),
    ]
    assert events[-1]["counts"] == {"done": 2}
    assert [it["text"] for it in bodies if "schema" not in it] == ["install ended with exit 0"]
    [run] = (folder / "runs").iterdir()
    left = ended.text + "".join(it.read_text() for it in run.iterdir())
    assert SECRET not in left


def test_a_failure_says_who_and_why_and_who_is_held(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    server.answer("POST", "/step", status(500, "no room"))
    wanted = [{"kind": "webhook", "url_env": "HOOK", "events": ["failure", "end"]}]
    ended = ran(command_line, server, tmp_path / "clone", wanted, HOOK=url(server))
    assert ended.code == 5
    failure, end = [it.body for it in told(server)]
    why = {"weu-1": "POST /step: 500 no room"}
    assert (failure["event"], failure["title"], failure["failed"]) == (
        "failure",
        "install: weu-1 failed",
        why,
    )
    assert (end["counts"], end["failed"], end["rings"], list(end["held"])) == (
        {"failed": 1, "held": 1},
        why,
        [1],
        ["weu-2"],
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(status(404, "no such hook"), "answered 404", id="refused"),
        pytest.param(Answer(hang_up=True), "cannot be reached (ConnectionError)", id="hangs up"),
        pytest.param(
            Answer(302, headers=(("Location", "/elsewhere"),)), "answered 302", id="redirected"
        ),
    ],
)
def test_who_cannot_be_told_fails_nothing(
    command_line: CommandLine, server: ApiServer, tmp_path: Path, answer: Answer, why: str
) -> None:
    server.answer("POST", f"/{SECRET}", answer, cluster="hooks")
    folder = tmp_path / "clone"
    wanted = [{"kind": "teams", "url_env": "HOOK", "events": ["end"]}]
    ended = ran(command_line, server, folder, wanted, "-y", "-vvv", "--debug", HOOK=url(server))
    assert ended.code == 0
    assert f"notification to teams (HOOK) failed: {why}: the run goes on" in ended.lines
    assert len(told(server)) == 2
    [run] = (folder / "runs").iterdir()
    entries, problem = read(run / "journal.jsonl")
    assert problem is None
    [failed] = [it for it in entries if it["event"] == "notification failed"]
    assert (failed["kind"], failed["variable"], failed["why"]) == ("teams", "HOOK", why)
    assert SECRET not in ended.text + "".join(it.read_text() for it in run.iterdir())


NOT_SET = (
    "inventory/prod.py: weu-1 (and 1 more): notifications: the environment variable HOOK is not "
    "set: set it, or take it out of the inventory"
)
NO_ADDRESS = (
    "inventory/prod.py: weu-1 (and 1 more): notifications: the environment variable HOOK holds no "
    "address, https://...: set it, or take it out of the inventory"
)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        pytest.param({}, NOT_SET, id="not set"),
        pytest.param({"HOOK": SECRET}, NO_ADDRESS, id="not an address"),
    ],
)
def test_a_variable_without_an_address_is_refused(
    command_line: CommandLine,
    server: ApiServer,
    tmp_path: Path,
    environment: dict[str, str],
    line: str,
) -> None:
    wanted = [{"kind": "webhook", "url_env": "HOOK"}]
    ended = ran(command_line, server, tmp_path / "clone", wanted, **environment)
    assert (ended.code, ended.lines) == (2, [line])
    assert server.asked == []


def test_a_plan_tells_nobody_and_needs_no_address(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    wanted = [{"kind": "webhook", "url_env": "HOOK"}]
    ended = ran(command_line, server, tmp_path / "clone", wanted, "--dry")
    assert (ended.code, told(server)) == (0, [])

"""The connector in pyinfra's own engine: what reaches a cluster, and what comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from pyinfra.api import Config, Inventory, State, StringCommand, output
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import InventoryError

from tasks.connectors.command import KubeCommand
from tasks.connectors.kube import KubeConnector
from tasks.fleet import run as fleet_run
from tests.api_server import Answer, ApiServer, status

SERVICES = "/api/v1/namespaces/demo/services"
SECRET = "bm90IGZvciB5b3VyIGV5ZXM="


@pytest.fixture(autouse=True)
def _a_run_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fleet_run, "_current", None)
    monkeypatch.chdir(tmp_path)


@contextmanager
def connected(server: ApiServer, *names: str, **data: Any) -> Iterator[State]:
    path = server.write_kubeconfig(Path("kubeconfig"), *names)
    given = {
        "kube_config": str(path),
        "ring": 0,
        "envoy_gateway_version": "1.9.1",
        **data,
    }
    hosts = [(f"@kube/{name}", given) for name in names]
    state = State(Inventory((hosts, {})), Config(CONNECT_TIMEOUT=2))
    try:
        connect_all(state)
        yield state
    finally:
        disconnect_all(state)


def connector(state: State, name: str = "weu-1") -> KubeConnector:
    found = state.inventory.get_host(name).connector
    assert isinstance(found, KubeConnector)
    return found


def test_a_context_is_a_host_of_its_name() -> None:
    assert list(KubeConnector.make_names_data("weu-1")) == [
        ("weu-1", {"kube_context": "weu-1"}, ["@kube"])
    ]


def test_no_context() -> None:
    with pytest.raises(InventoryError, match=r"^@kube needs a context, such as @kube/weu-1$"):
        list(KubeConnector.make_names_data(""))


def test_connecting_asks_for_version_and_identity(api_server: ApiServer) -> None:
    api_server.cluster("weu-1", version="v1.35.4-eks+abc")
    with connected(api_server, "weu-1") as state:
        assert [it.path for it in api_server.asked] == [
            "/version",
            "/api/v1/namespaces/kube-system",
        ]
        assert connector(state).kubernetes_version == "1.35.4"
        assert fleet_run.current().identities == {"uid-of-weu-1": ["weu-1"]}


WRONG = "is it an API server, and is server in the kubeconfig right?"
UNREACHABLE = [
    pytest.param(
        status(401, "Unauthorized"),
        "401 the credentials were not accepted: sign in again, or fetch them anew",
        id="expired credentials",
    ),
    pytest.param(status(500, "boom"), "500 boom", id="500"),
    pytest.param(
        Answer(body=[]), "the answer is cut off, or no API server's: '[]'...", id="a list"
    ),
    pytest.param(Answer(body={}), f"GET /version has no gitVersion: {WRONG}", id="other JSON"),
]


@pytest.mark.parametrize(("answer", "why"), UNREACHABLE)
def test_says_why_a_cluster_cannot_be_reached_and_goes_on(
    api_server: ApiServer, answer: Answer, why: str
) -> None:
    api_server.cluster("weu-1")
    api_server.cluster("neu-1")
    api_server.answer("GET", "/version", answer)
    with connected(api_server, "weu-1", "neu-1") as state:
        assert [it.name for it in state.active_hosts] == ["neu-1"]
    assert fleet_run.current().failures == {"weu-1": [f"cannot reach this cluster: {why}"]}


def test_a_cluster_without_identity_is_not_reached(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    api_server.cluster("neu-1")
    api_server.answer("GET", "/api/v1/namespaces/kube-system", Answer(body={}))
    with connected(api_server, "weu-1", "neu-1"):
        pass
    assert fleet_run.current().failures == {
        "weu-1": [
            "cannot reach this cluster: GET /api/v1/namespaces/kube-system has no metadata.uid: "
            + WRONG
        ]
    }


def test_a_request_is_a_command(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    api_server.answer("GET", SERVICES, Answer(body={"items": []}))
    with connected(api_server, "weu-1") as state:
        ok, output = connector(state).run_shell_command(KubeCommand("GET", SERVICES))
        assert (ok, output.stdout, output.stderr) == (True, '{"items": []}', "")
        assert connector(state).last_error is None


def test_a_failed_request_says_which_and_why(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    api_server.answer("GET", SERVICES, status(403, "services is forbidden"))
    with connected(api_server, "weu-1") as state:
        ok, output = connector(state).run_shell_command(KubeCommand("GET", SERVICES))
        assert (ok, output.stdout) == (False, "")
        assert output.stderr == f"GET {SERVICES}: 403 services is forbidden"
        assert connector(state).last_error == output.stderr


def test_a_status_may_mean_no_output(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        command = KubeCommand("GET", SERVICES, ok=[404])
        ok, output = connector(state).run_shell_command(command)
        assert (ok, output.combined_lines) == (True, [])


def test_bodies_are_never_printed(
    api_server: ApiServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_echo", click.echo)  # as the command line does
    api_server.cluster("weu-1")
    api_server.answer("PATCH", SERVICES, Answer(body={"data": SECRET}))
    with connected(api_server, "weu-1") as state:
        command = KubeCommand("PATCH", SERVICES, query={"force": "true"}, body={"data": SECRET})
        connector(state).run_shell_command(command, print_output=True, print_input=True)
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err + repr(command)
    assert printed.err == f"[weu-1] >>> kube PATCH {SERVICES}?force=true\n"
    assert api_server.asked[-1].body == {"data": SECRET}


def test_a_program_knows_this_one_cluster(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    api_server.cluster("neu-1")
    with connected(api_server, "weu-1", "neu-1") as state:
        here = connector(state)
        ok, output = here.run_shell_command(
            StringCommand("cat $KUBECONFIG; stat -c %a $KUBECONFIG . >&2")
        )
        seen = json.loads(output.stdout)
        assert ok
        assert [it["name"] for it in seen["contexts"]] == ["weu-1"]
        assert seen["users"][0]["user"] == {"token": "t0p-s3cret"}
        assert output.stderr_lines == ["600", "700"]
        scratch = here.scratch
    assert not scratch.exists()


def test_a_kubeconfig_that_is_replaced_leads_no_program_elsewhere(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        path = Path("kubeconfig")
        server = f"http://127.0.0.1:{api_server.port}/weu-1"
        path.write_text(path.read_text().replace(server, "http://127.0.0.1:9/another"))
        os.utime(path, ns=(0, 0))
        ok, output = connector(state).run_shell_command(StringCommand("cat $KUBECONFIG"))
        assert ok
        assert json.loads(output.stdout)["clusters"][0]["cluster"]["server"] == server


def test_a_program_needs_a_folder_of_its_own(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_server.cluster("weu-1")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with connected(api_server, "weu-1") as state:
        ok, output = connector(state).run_shell_command(StringCommand("true"))
    assert not ok
    assert output.stderr.startswith("no program can be started: /nowhere/envoyfleet-")
    assert output.stderr.endswith(": No such file or directory: mend that")


def test_a_program_fails_with_its_own_words(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        here = connector(state)
        ok, _ = here.run_shell_command(StringCommand("echo no chart >&2; exit 3"))
        assert (ok, here.last_error) == (False, "no chart")
        ok, _ = here.run_shell_command(StringCommand("exit 3"), _success_exit_codes=[0, 3])
        assert (ok, here.last_error) == (True, None)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "kill -9 $$",
            "killed by signal 9: see what kills programs here, such as too little memory",
        ),
        ("exit 3", "ended with exit 3 and said nothing"),
    ],
)
def test_a_program_that_ends_without_a_word(api_server: ApiServer, command: str, said: str) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        ok, output = connector(state).run_shell_command(StringCommand(command))
    assert (ok, output.stderr) == (False, said)


def test_a_program_reads_its_standard_input(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        _, output = connector(state).run_shell_command(StringCommand("cat"), _stdin='{"a": 1}')
        assert output.stdout == '{"a": 1}'


def test_a_program_that_does_not_end(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        here = connector(state)
        ok, _ = here.run_shell_command(StringCommand("sleep 3"), _timeout=0.1)
        assert (ok, here.last_error) == (
            False,
            "no end within 0.1 s; it may still run: sleep 3",
        )


def test_a_cluster_has_no_files(api_server: ApiServer) -> None:
    api_server.cluster("weu-1")
    with connected(api_server, "weu-1") as state:
        here = connector(state)
        assert (here.put_file("a", "b"), here.get_file("a", "b")) == (False, False)
        assert here.last_error == "a cluster has no files: use kube.apply, or server.shell"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("import tasks.connectors.kube", id="import of the connector"),
        pytest.param(
            "from pyinfra.api.connectors import get_all_connectors; get_all_connectors()",
            id="every start of pyinfra",
        ),
    ],
)
def test_starting_loads_nothing_heavy(start: str) -> None:
    # paramiko, which pyinfra itself needs, brings cryptography
    code = f"""
import sys
import pyinfra_cli.cli
before = set(sys.modules)
{start}
heavy = ("kubernetes", "azure", "cryptography", "pydantic", "rich", "jinja2")
print(sorted(set(heavy) & set(sys.modules) - before))
print("tasks.connectors.kube" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"

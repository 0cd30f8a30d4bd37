"""
Every command of README.md and docs/ has a class here, and each class a check: what needs no cluster
runs for real, what would change something is read by the very parser that will read it. Those of
the lab run there: tests/lab/test_docs.py and tests/lab/test_readme.py.
"""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra_cli.cli import cli
from pyrage import x25519  # type: ignore[import-untyped]

from tasks.fleet.charts import fetched
from tasks.fleet.inventory import Cluster
from tasks.lab import catalogue, parts
from tests import documented
from tests.api_server import ApiServer
from tests.command_line import CommandLine
from tests.documented import ROOT, Command

#: What inventory/prod.py does not have because it is somebody's: more clusters, a chart, a key.
MORE = """
_mine = {**_fleet, "ring": 0}
others = [
    ("@kube/weu-9", _mine),
    ("@kube/drill-1", {**_mine, "drill_source": ["weu-1"]}),
    ("@kube/rehearsal-1", {**_mine, "rehearsal_source": ["weu-1"]}),
]
"""
CONTEXTS = ("weu-test-1", "weu-1", "aks-neu-1-admin", "weu-2", "weu-9", "drill-1", "rehearsal-1")
#: Words that stand for what a reader puts there.
STANDS_FOR = {"name=NAME": "name=gateway-not-responding"}
#: Programs of others that are on no machine of ours, and what their commands may say: checked
#: against the manual, once, by hand.
AZ = {
    "account get-access-token": "output",
    "acr import": "name source",
    "acr login": "name",
    "group create": "name location",
    "group list": "query output",
    "lock create": "name lock-type resource-group",
    "login": "",
    "network private-endpoint create": "name resource-group vnet-name subnet "
    "private-connection-resource-id group-id connection-name",
    "network private-endpoint dns-zone-group create": "name resource-group endpoint-name "
    "private-dns-zone zone-name",
    "role assignment create": "role assignee-object-id assignee-principal-type scope",
    "storage account blob-service-properties update": "account-name resource-group "
    "enable-delete-retention delete-retention-days enable-container-delete-retention "
    "container-delete-retention-days",
    "storage account create": "name resource-group location sku allow-shared-key-access "
    "allow-blob-public-access min-tls-version",
    "storage account management-policy create": "account-name resource-group policy",
    "storage account update": "name resource-group public-network-access",
    "storage container immutability-policy create": "account-name resource-group "
    "container-name period",
    "storage container immutability-policy lock": "account-name resource-group "
    "container-name if-match",
    "storage container-rm create": "storage-account resource-group name",
}
#: Those that are looked at by people: of the reader's shell, files and keys, or of another tool.
BY_HAND = {
    ".": "of the shell: tests/lab/test_readme.py goes the same way",
    "age": "opens an archive with the key of its owner: tests/fleet/test_archives.py",
    "age-keygen": "makes a key: the lab makes one for every test of a backup",
    "cat": "shows a file whose content stands below it",
    "curl": "asks an address of the reader's",
    "eval": "of the shell: what it evaluates is read as a command of the lab",
    "export": "of the shell",
    "git": "git diff, on what the command before it wrote",
    "kill": "the scene of a run that dies: tests/lab/test_kills.py",
    "podman": "wants an engine and a registry: tests/test_schedules.py reads the Containerfile",
}


def kind(command: Command) -> str:
    """
    Which check a command has: "run", "lab", "azure", "module", "make", "kubectl", "helm", "az",
    "by hand", or "" for one that nobody thought of.
    """
    match command.words:
        case ["pyinfra", "inventory/prod.py" | "inventory/mine.py", *_]:
            return "run"
        case ["pyinfra", "inventory/lab.py", *_]:
            return "lab"
        case ["pyinfra", str() as inventory, *_] if inventory.startswith("@aks/"):
            return "azure"
        case ["python", "-m" | "-c", *_]:
            return "module"
        case [("make" | "kubectl" | "helm" | "az") as program, *_]:
            return program
        case [program, *_] if program in BY_HAND:
            return "by hand"
    return ""


def of(*kinds: str) -> list[Any]:
    """Commands of these kinds as parameters; one that stands in several places is there once."""
    found = {tuple(it.words): it for it in documented.commands() if kind(it) in kinds}
    return [pytest.param(it, id=str(it)) for it in found.values()]


def test_each_command_has_a_check() -> None:
    assert [f"{it}: {it.text}" for it in documented.commands() if not kind(it)] == []
    assert {it.words[0] for it in documented.commands() if kind(it) == "by hand"} == set(BY_HAND)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's clone, with an inventory that is filled in and a Helm that only says its name."""
    folder = tmp_path_factory.mktemp("docs") / "clone"
    shutil.copytree(ROOT / "inventory", folder / "inventory")
    shutil.copytree(ROOT / "deploys", folder / "deploys")
    shutil.copy(ROOT / "config.py", folder)
    (folder / "chart").mkdir()
    (folder / "chart/Chart.yaml").write_text("name: chart\nversion: 1.9.1\n")
    (folder / "chart/values.yaml").write_text("{}\n")
    digest = fetched(str(folder / "chart"), "1.9.1", "helm").digest
    (folder / "fleet.lock").write_text(f'charts: {{chart: {{"1.9.1": "{digest}"}}}}')
    (folder / "bin").mkdir()
    (folder / "bin/helm").write_text("#!/bin/sh\necho v3.18.0\n")
    (folder / "bin/helm").chmod(0o755)
    key = x25519.Identity.generate()
    (folder / "key").write_text(f"{key}\n")
    (folder / "key").chmod(0o600)
    text = (folder / "inventory/prod.py").read_text()
    text = text.replace("oci://docker.io/envoyproxy/gateway-helm", "chart")
    text = re.sub(r'"recipients": \[.*?\]', f'"recipients": ["{key.to_public()}"]', text)
    (folder / "inventory/prod.py").write_text(text + MORE)
    mine = re.search(r"```python\n(clusters = .*?)```", (ROOT / "README.md").read_text(), re.S)
    assert mine
    chart = '"chart": "chart", "ring": 0'
    text = mine[1].replace("CONTEXT", "weu-1").replace('"ring": 0', chart)
    (folder / "inventory/mine.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def kubeconfig(clone: Path) -> Iterator[Path]:
    """Clusters that can be connected to, and have nothing in them."""
    with ApiServer().running() as server:
        for name in CONTEXTS:
            server.cluster(name)
        yield server.write_kubeconfig(clone / "kubeconfig", *CONTEXTS)


@pytest.mark.parametrize("command", of("run"))
def test_on_a_fleet_of_the_readers_own(
    command: Command, command_line: CommandLine, clone: Path, kubeconfig: Path
) -> None:
    """It gets past everything that is looked at before the first connection, and shows its plan."""
    arguments = [STANDS_FOR.get(it, it) for it in command.words[1:]]
    if "--dry" not in arguments and "deploys/runbook.py" not in arguments:
        arguments.append("--dry")
    outcome = command_line.run(
        clone,
        arguments,
        KUBECONFIG=str(kubeconfig),
        PATH=f"{clone}/bin:{os.environ['PATH']}",
        ENVOYFLEET_AGE_IDENTITY=str(clone / "key"),
        TEAMS_WEBHOOK="http://127.0.0.1:9/",
    )
    assert "Traceback" not in outcome.text
    assert outcome.code in (0, 1, 3), outcome.text


@pytest.mark.parametrize("command", of("run", "lab", "azure"))
def test_pyinfra_knows_its_options_and_the_inventory_its_keys(command: Command) -> None:
    context = cli.make_context("pyinfra", command.words[1:], resilient_parsing=False)
    deploys = [it for it in context.params["operations"] if it != "debug-inventory"]
    assert [it for it in deploys if not (ROOT / it).is_file()] == []
    keys = [it.partition("=")[0] for it in context.params["data"]]
    assert [it for it in keys if it not in Cluster.model_fields] == []


class Parsed(BaseException):
    """A command line was understood."""


@pytest.mark.parametrize("command", of("module"))
def test_a_module_reads_its_arguments(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own parser says so; the module begins nothing."""
    real = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *given: Any, **more: Any) -> None:
        real(parser, *given, **more)
        raise Parsed

    how, what, *arguments = command.words[1:]
    if how == "-c":
        done = subprocess.run([sys.executable, "-c", what], cwd=ROOT, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        return
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", [what, *arguments])
    if what == "tasks.fleet.approve":  # has two words and no parser: it looks for the run
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(what, run_name="__main__")
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"there is no run {arguments[0]} under runs/: ls runs\n"
        return
    with pytest.raises(Parsed):
        runpy.run_module(what, run_name="__main__")


SCHEDULES = [it for it in of("module") if "tasks.schedule" in it.values[0].words]


@pytest.mark.parametrize("command", SCHEDULES)
def test_a_schedule_is_printed(command: Command, clone: Path) -> None:
    shutil.copy(ROOT / "inventory/in_cluster.py", clone / "inventory/fleet.py")
    done = subprocess.run([sys.executable, *command.words[1:]], cwd=clone, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"apiVersion: ")


@pytest.mark.parametrize("command", of("make"))
def test_make_has_the_target(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{command.words[1]}:.* ## ", makefile, re.M)


@pytest.fixture(scope="module")
def programs() -> Path:
    [part] = [it for it in catalogue.parts(()) if it.name == "helm"]
    return parts.find([part])["helm"]


@pytest.mark.parametrize("command", of("kubectl", "helm"))
def test_kubectl_and_helm_know_its_options(command: Command, programs: Path) -> None:
    """Both read all that is before ``--help``, and refuse what they do not know."""
    program, *arguments = command.words
    done = subprocess.run([programs / program, *arguments, "--help"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    own = [it for it in arguments if re.match(r"(--from-file=)?(inventory|deploys)/", it)]
    names = [it.removeprefix("--from-file=") for it in own]
    assert [it for it in names if it != "inventory/fleet.py" and not (ROOT / it).exists()] == []


@pytest.mark.parametrize("command", of("az"))
def test_az_is_asked_what_it_has(command: Command) -> None:
    words = command.words[1:]
    first = next((n for n, it in enumerate(words) if it.startswith("-")), len(words))
    known = AZ[" ".join(words[:first])].split()
    options = [it.removeprefix("--") for it in words[first:] if it.startswith("--")]
    assert [it for it in options if it not in known] == []

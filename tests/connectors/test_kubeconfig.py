"""Kubeconfigs as kubectl reads them, and every way in which one can be wrong, in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from pyinfra.api.exceptions import InventoryError

from tasks.connectors.kubeconfig import one_context, paths

CLUSTER = {"server": "https://weu-1.example.com"}
WHOLE = {
    "contexts": [{"name": "weu-1", "context": {"cluster": "weu", "user": "ops", "namespace": "x"}}],
    "clusters": [{"name": "weu", "cluster": CLUSTER}],
    "users": [{"name": "ops", "user": {"token": "t"}}],
}


@pytest.fixture(autouse=True)
def _no_kubeconfig_of_whoever_runs_this(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_holds_the_one_context_and_what_it_refers_to(tmp_path: Path) -> None:
    assert one_context("weu-1", str(written(tmp_path / "config", WHOLE))) == {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "weu-1",
        "contexts": [
            {
                "name": "weu-1",
                "context": {"cluster": "weu-1", "user": "weu-1", "namespace": "x"},
            }
        ],
        "clusters": [{"name": "weu-1", "cluster": CLUSTER}],
        "users": [{"name": "weu-1", "user": {"token": "t"}}],
    }


def test_default_is_the_file_in_the_home_folder(tmp_path: Path) -> None:
    written(tmp_path / "home" / ".kube" / "config", WHOLE)
    assert one_context("weu-1")["clusters"][0]["cluster"] == CLUSTER


def test_of_a_list_the_first_file_that_names_a_thing_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path / "1", {"users": [{"name": "ops", "user": {"token": "first"}}]})
    second = written(tmp_path / "2", WHOLE)
    missing = tmp_path / "3"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (missing, first, second))))
    config = one_context("weu-1")
    assert config["users"] == [{"name": "weu-1", "user": {"token": "first"}}]
    assert config["clusters"][0]["cluster"] == CLUSTER
    assert paths() == (first, second)


def test_what_the_inventory_says_wins_over_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "other"))
    assert one_context("weu-1", str(written(tmp_path / "config", WHOLE)))


def test_relative_paths_count_from_the_file_that_holds_them(tmp_path: Path) -> None:
    user = {
        "client-certificate": "pki/ops.crt",
        "client-key": "/etc/ops.key",
        "tokenFile": "token",
        "exec": {"command": "./bin/kubelogin", "args": ["get-token"]},
    }
    document = {
        "contexts": WHOLE["contexts"],
        "clusters": [{"name": "weu", "cluster": {**CLUSTER, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "ops", "user": user}],
    }
    config = one_context("weu-1", str(written(tmp_path / "sub" / "config", document)))
    folder = tmp_path / "sub"
    assert config["clusters"][0]["cluster"]["certificate-authority"] == str(folder / "ca.crt")
    assert config["users"][0]["user"] == {
        "client-certificate": str(folder / "pki" / "ops.crt"),
        "client-key": "/etc/ops.key",
        "tokenFile": str(folder / "token"),
        "exec": {"command": str(folder / "bin" / "kubelogin"), "args": ["get-token"]},
    }


def test_a_plugin_without_a_slash_is_looked_up_in_PATH(tmp_path: Path) -> None:
    user = {"exec": {"command": "kubelogin", "args": ["get-token"]}}
    document = {**WHOLE, "users": [{"name": "ops", "user": user}]}
    config = one_context("weu-1", str(written(tmp_path / "config", document)))
    assert config["users"][0]["user"] == user


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "config", WHOLE)
    one_context("weu-1", str(path))
    written(path, {**WHOLE, "users": [{"name": "ops", "user": {"token": "new"}}]})
    os.utime(path, ns=(1, 1))
    assert one_context("weu-1", str(path))["users"][0]["user"] == {"token": "new"}


FETCH = "fetch the credentials again"
BROKEN = [
    pytest.param(
        {**WHOLE, "contexts": [{"name": "weu-2", "context": {"cluster": "weu", "user": "ops"}}]},
        "weu-1: no context of this name in {path}: did you mean weu-2?",
        id="names the context that is near",
    ),
    pytest.param(
        {**WHOLE, "contexts": [{"name": "minikube", "context": {"cluster": "weu", "user": "ops"}}]},
        "weu-1: no context of this name in {path}: it has minikube",
        id="names the few that are there",
    ),
    pytest.param(
        {**WHOLE, "contexts": []},
        "weu-1: no context of this name in {path}: kubectl config get-contexts lists them",
        id="no context at all",
    ),
    pytest.param(
        {**WHOLE, "clusters": None},
        f"weu-1: its context names cluster 'weu', which {{path}} does not describe: {FETCH}",
        id="cluster missing",
    ),
    pytest.param(
        {**WHOLE, "clusters": [{"name": "weu", "cluster": {}}]},
        f"weu-1: its context names cluster 'weu', which {{path}} does not describe: {FETCH}",
        id="cluster without server",
    ),
    pytest.param(
        {**WHOLE, "users": []},
        f"weu-1: its context names user 'ops', which {{path}} does not describe: {FETCH}",
        id="user missing",
    ),
    pytest.param(
        "contexts: [\n  - {name: weu-1",
        "kubeconfig {path} is not YAML (line 2): mend it, or " + FETCH,
        id="not YAML",
    ),
    pytest.param(
        "- weu-1\n", f"kubeconfig {{path}} holds no mapping: {FETCH}", id="a list at the top"
    ),
    pytest.param(
        "contexts: weu-1\n",
        "kubeconfig {path}: contexts is not a list: mend the file",
        id="contexts is text",
    ),
    pytest.param(
        "contexts: [{name: weu-1, context: weu}]\n",
        "kubeconfig {path}: context weu-1 is not a mapping: mend the file",
        id="a context that is text",
    ),
    pytest.param(
        {**WHOLE, "users": [{"name": "ops", "user": {"exec": "kubelogin"}}]},
        "kubeconfig {path}: user ops: exec is not a mapping: mend the file",
        id="a plugin that is text",
    ),
    pytest.param(
        {**WHOLE, "users": [{"name": "ops", "user": {"client-key": 7}}]},
        "kubeconfig {path}: user ops: client-key is not a path: mend the file",
        id="a path that is a number",
    ),
]


@pytest.mark.parametrize(("document", "message"), BROKEN)
def test_says_in_one_line_what_is_wrong(tmp_path: Path, document: object, message: str) -> None:
    path = written(tmp_path / "config", document)
    with pytest.raises(InventoryError) as error:
        one_context("weu-1", str(path))
    assert str(error.value) == message.format(path=path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InventoryError) as error:
        one_context("weu-1", str(path))
    assert str(error.value) == f"kubeconfig {path} is not YAML: mend it, or {FETCH}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("nowhere", "No such file or directory", id="missing"),
        pytest.param(".", "Is a directory", id="folder"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    with pytest.raises(InventoryError) as error:
        one_context("weu-1", str(path))
    assert str(error.value) == (
        f"kubeconfig {path} cannot be read ({why}): set KUBECONFIG, or kube_config in the "
        "inventory, to a file that can"
    )

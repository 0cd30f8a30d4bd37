"""The chart of a run against its lock; helm is a small script that answers what helm would."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tasks.fleet.charts import POLICY, Chart, ChartRefused, fetched, locked, once, read_lock

OCI = "oci://registry.example.com/charts/gateway-helm"
DIGEST = "sha256:" + "5f3c" * 16
CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: %s}\n"
FILES = {
    "Chart.yaml": "name: gateway-helm\nversion: 1.9.1\n",
    "values.yaml": "deployment: {replicas: 1}\n",
    "templates/service.yaml": "kind: Service\n",
    "charts/crds/crds/gatewayapi-crds.yaml": CRD % "gateways.x" + "---\n" + CRD % "a.x",
    "charts/crds/crds/notes.yaml": "kind: ConfigMap\n",
}


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chart as a folder."""
    for name, text in FILES.items():
        path = tmp_path / "gateway-helm" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "gateway-helm"


def packed(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"gateway-helm/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def helm(tmp_path: Path) -> Path:
    """A helm that pulls the chart and notes its arguments."""
    packed(tmp_path / "pulled.tgz", FILES)
    return script(
        tmp_path,
        f"""
echo "$@" >> {tmp_path}/called
cp {tmp_path}/pulled.tgz "$6/gateway-helm-1.9.1.tgz"
echo "Pulled: registry.example.com/charts/gateway-helm:1.9.1"
echo "Digest: {DIGEST}"
""",
    )


def script(folder: Path, text: str) -> Path:
    path = folder / "helm"
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o700)
    return path


def lock(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fleet.lock"
    path.write_text(text)
    return path


def pinned(tmp_path: Path, digest: str, name: str = "gateway-helm") -> Path:
    return lock(tmp_path, f'charts: {{{name}: {{"1.9.1": "{digest}"}}}}')


def test_a_folder_is_pinned_by_all_its_files(tmp_path: Path, folder: Path) -> None:
    digest = fetched(str(folder), "1.9.1", "helm").digest
    chart = locked(f"{folder}/", "1.9.1", pinned(tmp_path, digest), "helm", False)
    assert chart == Chart("gateway-helm", "1.9.1", digest, folder)
    assert chart.path == folder
    (folder / "templates" / "more.yaml").write_text("")
    with pytest.raises(ChartRefused, match="somebody changed the chart under its version"):
        locked(str(folder), "1.9.1", pinned(tmp_path, digest), "helm", False)


def test_an_archive_holds_what_the_folder_holds(helm: Path, folder: Path) -> None:
    of_folder = fetched(str(folder), "1.9.1", "helm")
    of_archive = fetched(OCI, "1.9.1", str(helm))
    assert of_archive.files == of_folder.files
    assert of_archive.content == of_folder.content
    assert of_archive.digest == DIGEST


def test_crds_are_those_of_the_subchart_by_name(folder: Path, tmp_path: Path) -> None:
    chart = fetched(str(folder), "1.9.1", "helm")
    assert [it["metadata"]["name"] for it in chart.crds] == ["a.x", "gateways.x"]
    kept = list((tmp_path / "cache").rglob("crds-*"))
    assert [it.suffix for it in kept] == [".json"]
    (folder / "charts/crds/crds/gatewayapi-crds.yaml").unlink()
    assert fetched(str(folder), "1.9.1", "helm").crds == ()


def test_the_policy_is_rendered_once_under_our_own_name(folder: Path, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text("---\nmetadata: {name: safe-upgrades.gateway.networking.k8s.io}\n---\n")
    helm = script(tmp_path, f"echo called >> {tmp_path}/called\ncat {rendered}\n")
    assert fetched(str(folder), "1.9.1", str(helm)).policy(str(helm)) == ()  # before 1.8
    template = folder / POLICY
    template.parent.mkdir(parents=True)
    template.write_text("kind: ValidatingAdmissionPolicy\n")
    chart = fetched(str(folder), "1.9.1", str(helm))
    [policy] = chart.policy(str(helm))
    assert policy["metadata"]["name"] == "safe-upgrades.envoyfleet.dev"
    assert chart.policy("no-such-helm") == (policy,)
    assert (tmp_path / "called").read_text() == "called\n"


def test_a_policy_that_cannot_be_rendered_is_one_line(folder: Path, tmp_path: Path) -> None:
    template = folder / POLICY
    template.parent.mkdir(parents=True)
    template.write_text("")
    helm = script(tmp_path, "echo 'Error: no such function' >&2\nexit 1\n")
    chart = fetched(str(folder), "1.9.1", str(helm))
    with pytest.raises(ChartRefused, match="cannot be rendered: Error: no such"):
        chart.policy(str(helm))


def test_an_oci_chart_is_pulled_once_and_kept(tmp_path: Path, helm: Path) -> None:
    where = pinned(tmp_path, DIGEST)
    chart = locked(OCI, "1.9.1", where, str(helm), True)
    assert locked(OCI, "1.9.1", where, "no-such-helm", True) == chart
    assert chart.path.name == f"gateway-helm-1.9.1-{DIGEST[7:23]}.tgz"
    assert chart.path.is_relative_to(tmp_path / "cache")
    words = (tmp_path / "called").read_text().split()
    assert words[:5] == ["pull", OCI, "--version", "1.9.1", "--destination"]
    assert words[6:] == ["--plain-http"]
    assert [it.name for it in chart.path.parent.iterdir()] == [chart.path.name]


def test_a_kept_archive_that_is_broken(tmp_path: Path, helm: Path) -> None:
    chart = locked(OCI, "1.9.1", pinned(tmp_path, DIGEST), str(helm), False)
    data = chart.path.read_bytes()
    for broken in (b"no archive", data[: len(data) // 2], data[:60] + b"\0\0\0" + data[63:]):
        chart.path.write_bytes(broken)
        with pytest.raises(ChartRefused) as error:
            _ = locked(OCI, "1.9.1", pinned(tmp_path, DIGEST), "helm", False).files
        head, _, tail = str(error.value).partition(" (")
        assert head == f"{chart.path} is not a chart archive"
        assert tail.endswith("): delete it and run again")


def test_another_digest_than_the_locked_one(tmp_path: Path, helm: Path) -> None:
    other = "sha256:" + "0" * 64
    where = pinned(tmp_path, other)
    with pytest.raises(ChartRefused) as error:
        locked(OCI, "1.9.1", where, str(helm), False)
    assert str(error.value) == (
        f"{OCI} 1.9.1 has digest {DIGEST}, {where} pins {other}: somebody changed the chart under "
        "its version; find out who before you pin the new digest"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no lock"),
        pytest.param("charts:\n", id="an empty lock"),
        pytest.param('charts: {gateway-helm: {"1.9.0": "sha256:0"}}', id="another version"),
        pytest.param('charts: {other: {"1.9.1": "sha256:0"}}', id="another chart"),
    ],
)
def test_a_chart_that_is_not_pinned(tmp_path: Path, text: str | None) -> None:
    where = lock(tmp_path, text) if text is not None else tmp_path / "fleet.lock"
    with pytest.raises(ChartRefused) as error:
        locked(OCI, "1.9.1", where, "helm", False)
    assert str(error.value) == (
        f"{where} does not pin gateway-helm 1.9.1: look at the chart, then pin it with "
        f"python -m tasks.fleet.charts lock {OCI} 1.9.1 --lock {where}"
    )


SHAPE = "is not a lock: it looks like 'charts: {gateway-helm: {1.9.1: sha256:...}}'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("charts: [a]", SHAPE, id="a list"),
        pytest.param("- a", SHAPE, id="a list at the top"),
        pytest.param("hello", SHAPE, id="text"),
        pytest.param("charts: {gateway-helm: 1}", SHAPE, id="a chart that is a number"),
        pytest.param(
            "charts: {\n",
            "cannot be read: not YAML: while parsing a flow node did not find expected node "
            'content in "<byte string>", line 2, column 1',
            id="not YAML",
        ),
    ],
)
def test_a_lock_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = lock(tmp_path, text)
    with pytest.raises(ChartRefused) as error:
        read_lock(path)
    assert str(error.value) == f"{path} {message}"


def test_versions_of_a_lock_are_text(tmp_path: Path) -> None:
    assert read_lock(lock(tmp_path, "charts: {x: {1.9: a}}")) == {"x": {"1.9": "a"}}


NO_FOLDER = "{folder}/none is not a chart folder (No such file or directory): correct chart"
CHARTS = [
    pytest.param("none", {}, NO_FOLDER, id="no folder"),
    pytest.param(
        "chart",
        {"Chart.yaml": "version: 1.8.3\n"},
        "{folder}/chart holds version 1.8.3, not 1.9.1: correct chart or the version",
        id="another version",
    ),
    pytest.param(
        "chart",
        {"Chart.yaml": "version: [\n"},
        "{folder}/chart/Chart.yaml is not YAML: while parsing a flow node did not find expected "
        'node content in "<byte string>", line 2, column 1: correct the chart',
        id="a Chart.yaml that is not YAML",
    ),
    pytest.param(
        "chart",
        {"Chart.yaml": "- 1.9.1\n"},
        "{folder}/chart/Chart.yaml holds no mapping: correct the chart",
        id="a Chart.yaml that is a list",
    ),
]


@pytest.mark.parametrize(("name", "files", "message"), CHARTS)
def test_a_folder_that_is_no_chart(
    tmp_path: Path, name: str, files: dict[str, str], message: str
) -> None:
    for file, text in files.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / file).write_text(text)
    with pytest.raises(ChartRefused) as error:
        fetched(str(tmp_path / name), "1.9.1", "helm")
    assert str(error.value) == message.format(folder=tmp_path)


def test_no_helm(tmp_path: Path) -> None:
    with pytest.raises(ChartRefused) as error:
        fetched(OCI, "1.9.1", "no-such-helm")
    assert str(error.value) == (
        "no-such-helm is not installed: install Helm 3.17 or newer, or set helm in the inventory"
    )
    (tmp_path / "helm").write_text("")
    with pytest.raises(ChartRefused) as error:
        fetched(OCI, "1.9.1", str(tmp_path / "helm"))
    assert str(error.value) == (
        f"{tmp_path}/helm cannot be started (Permission denied): correct helm in the inventory"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "echo 'Error: registry.example.com/charts/gateway-helm:1.9.1: not found' >&2; exit 1",
            "Error: registry.example.com/charts/gateway-helm:1.9.1: not found",
            id="no such version",
        ),
        pytest.param("exit 1", "no message", id="no message"),
        pytest.param("echo Digest: sha256:5f3c", "no message", id="a digest that is none"),
    ],
)
def test_a_pull_that_fails(tmp_path: Path, text: str, said: str) -> None:
    helm = script(tmp_path, text)
    with pytest.raises(ChartRefused) as error:
        fetched(OCI, "1.9.1", str(helm))
    assert str(error.value) == f"{OCI} 1.9.1 cannot be pulled: {said}"
    assert list((tmp_path / "cache").rglob("pull-*")) == []


def test_a_refusal_is_remembered_for_the_other_clusters(tmp_path: Path) -> None:
    helm = script(tmp_path, f"echo x >> {tmp_path}/called; exit 1")
    where = pinned(tmp_path, DIGEST)
    for _ in range(2):
        with pytest.raises(ChartRefused):
            once(OCI, "1.9.1", where, str(helm), False)
    assert (tmp_path / "called").read_text() == "x\n"


def test_lock_on_the_command_line(tmp_path: Path, folder: Path) -> None:
    where = lock(tmp_path, 'charts: {a: {"2.0.0": "sha256:1"}}')
    command = [sys.executable, "-m", "tasks.fleet.charts", "lock", str(folder), "1.9.1"]
    done = subprocess.run(
        [*command, "--lock", str(where)], capture_output=True, text=True, check=True
    )
    digest = fetched(str(folder), "1.9.1", "helm").digest
    assert done.stdout == f"{where}: gateway-helm 1.9.1 {digest}\n"
    assert read_lock(where) == {"a": {"2.0.0": "sha256:1"}, "gateway-helm": {"1.9.1": digest}}
    failed = subprocess.run(
        [*command[:-1], "1.9.0", "--lock", str(where)], capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == (
        f"{folder} holds version 1.9.1, not 1.9.0: correct chart or the version\n"
    )

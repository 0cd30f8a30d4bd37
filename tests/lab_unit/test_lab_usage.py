"""What an operator gets wrong is one line that names what is right, and exit code 2."""

from pathlib import Path

import pytest

from tasks.lab import __main__ as command
from tasks.lab import golang, locks, state
from tasks.lab.state import Lab


@pytest.fixture(autouse=True)
def one_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab of two clusters by its file alone; nothing of it runs."""
    monkeypatch.setattr(state, "LABS", tmp_path)
    monkeypatch.setattr(locks, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    state.save(Lab("lab", block=200, clusters=2))
    logs = tmp_path / "lab" / "logs" / "lab-1"
    logs.mkdir(parents=True)
    for process in ("kubelet", "coredns"):
        (logs / f"{process}.log").touch()


FAULTS = (
    "apiserver-errors, apiserver-killed, apiserver-slow, backend-refusing, controller-crash, "
    "etcd-read-only, image-not-pullable, no-address, proxy-killed"
)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(
            ["fault", "lab-9", "no-address", "on"],
            "there is no cluster 'lab-9' in lab 'lab': it has lab-1, lab-2",
            id="cluster",
        ),
        pytest.param(
            ["up", "1", "--nodes", "2"],
            "lab 'lab' is up with one node a cluster: take it down first, or name another",
            id="a second node, too late",
        ),
        pytest.param(
            ["up", "1", "--nodes", "2", "--azure"],
            "--nodes 2 goes with neither --without-nodes nor --azure",
            id="two nodes of Azure",
        ),
        pytest.param(
            ["fault", "lab-1", "explode", "on"],
            f"there is no fault 'explode': use {FAULTS}",
            id="fault",
        ),
        pytest.param(
            ["fault", "lab-1", "apiserver-slow", "on", "--value", "soon"],
            "fault apiserver-slow: value 'soon' will not do: the API server answers the host late; "
            "value in milliseconds",
            id="value",
        ),
        pytest.param(
            ["fault", "lab-1", "no-address", "on", "--value", "1"],
            "fault no-address takes no value",
            id="value of a fault without",
        ),
        pytest.param(
            ["fault", "lab-1", "no-address"],
            "say whether no-address shall be on or off",
            id="neither on nor off",
        ),
        pytest.param(
            ["logs", "lab-1", "kublet"],
            "lab-1 has no process 'kublet': use coredns, kubelet",
            id="process",
        ),
        pytest.param(
            ["status", "--name", "other"],
            "lab 'other' is not up (up now: lab): run `python -m tasks.lab up`",
            id="lab",
        ),
        pytest.param(
            ["up", "--name", "my-lab"],
            "'my-lab' cannot name a lab: use 1-20 letters and digits, a letter first",
            id="name",
        ),
        pytest.param(
            ["up", "99"], "99 clusters cannot be: ask for 1 to 15", id="number of clusters"
        ),
        pytest.param(
            ["up", "--without-nodes"],
            "lab 'lab' has nodes: take it down first, or name another lab",
            id="without the nodes that it has",
        ),
        pytest.param(
            ["up", "--envoy-gateway", "1.2.3"],
            "the lab has no Envoy Gateway '1.2.3': it has 1.8.3, 1.9.1",
            id="version",
        ),
    ],
)
def test_usage(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_who_is_not_root_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command.main(["up"]) == 2
    expected = "error: the lab needs root: run with sudo, such as `sudo python -m tasks.lab up 3`\n"
    assert capsys.readouterr().err == expected


def test_a_lab_file_that_was_half_written_is_no_lab(tmp_path: Path) -> None:
    (tmp_path / "lab/lab.json").write_text('{"name": "la')
    assert state.load("lab") is None


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        pytest.param("go1.26.7", True, id="as needed"),
        pytest.param("go1.26.10", True, id="compares numbers, not text"),
        pytest.param("go1.27.0", True, id="newer"),
        pytest.param("go1.26.6", False, id="older"),
        pytest.param("", False, id="none"),
    ],
)
def test_a_go_that_is_too_old_is_not_used(version: str, enough: bool) -> None:
    assert golang.is_enough(version) is enough

"""Operations that fixtures cannot hold: our own types as arguments, and waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyinfra.api.exceptions import OperationError
from pyinfra.context import ctx_host, ctx_state
from pyinfra_testing.util import FakeState, create_host  # type: ignore[import-untyped]

from tasks.fleet.charts import Chart
from tasks.fleet.guard import FactFailed, one_line
from tasks.operations import helm
from tasks.operations.kube import wait_until
from tasks.plans.helm import Release
from tasks.plans.kinds import kind_of

RELEASE = Release(
    name="eg",
    namespace="eg-system",
    revision=2,
    status="deployed",
    chart="gateway-helm",
    chart_version="1.9.1",
    app_version="v1.9.1",
    values={},
    content="",
    manifest="{apiVersion: v1, kind: Service, metadata: {name: new}}",
)
CHART = Chart("gateway-helm", "1.9.1", "sha256:5f3c", Path("/charts/it's.tgz"))


def upgrade(binary: str) -> str:
    state = FakeState()
    with ctx_state.use(state), ctx_host.use(create_host(state)):
        [command] = helm.upgrade._inner(
            release="eg",
            chart=CHART,
            values={"password": "s3cr3t"},
            namespace="eg-system",
            binary=binary,
            timeout=120,
        )
    assert "s3cr3t" not in f"{command} {command!r} {command.get_raw_value()}"
    assert command.connector_arguments == {"_stdin": '{"password": "s3cr3t"}', "_timeout": 180}
    return str(command.get_raw_value())


def test_helm_gets_every_value_quoted_and_the_values_on_standard_input() -> None:
    assert upgrade("helm") == (
        "helm upgrade --install eg '/charts/it'\"'\"'s.tgz' --namespace eg-system "
        "--create-namespace --values - --wait --timeout 120s --history-max 10 --output json "
        ">/dev/null"
    )


def test_a_helm_named_from_here_is_found_from_elsewhere() -> None:
    assert upgrade("./bin/helm").startswith(f"{Path.cwd()}/bin/helm upgrade ")


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        pytest.param(True, ["create Service old", "@@ -0,0 +1,4 @@"], id="with --diff"),
        pytest.param(False, [], id="without"),
    ],
)
def test_going_back_shows_what_the_older_revision_installed(asked: bool, lines: list[str]) -> None:
    old = replace(RELEASE, revision=1, manifest=RELEASE.manifest.replace("new", "old"))
    record = {"namespace=eg-system, record=sh.helm.release.v1.eg.v1": old}
    state = FakeState()
    state.config.DIFF = asked
    with (
        ctx_state.use(state),
        ctx_host.use(create_host(state, facts={"helm.HelmRelease": record})),
    ):
        shown = helm.difference_to(1, RELEASE)
    assert shown[:2] == lines
    assert ("delete Service new" in shown) is asked


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a host logs, with a clock that only sleeping moves."""
    clock, lines = [0.0], list[str]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    with ctx_host.use(SimpleNamespace(name="weu-1", log=lines.append)):
        yield lines


def test_waits_until_nothing_is_missing(said: list[str]) -> None:
    answers = iter([["a"], ["a"], ["b", "c"], []])
    wait_until(lambda: next(answers), timeout=60)
    assert said == ["waits (2 of 60 s): b (and 1 more)"]


def test_says_every_ten_seconds_what_is_still_missing(said: list[str]) -> None:
    answers = iter([["a"]] * 25 + [[]])
    wait_until(lambda: next(answers), timeout=60)
    assert said == ["waits (10 of 60 s): a", "waits (20 of 60 s): a"]


def test_gives_up_with_all_that_is_missing(said: list[str]) -> None:
    with pytest.raises(OperationError, match=r"^not reached within 5 s: a; b$"):
        wait_until(lambda: ["a", "b"], timeout=5)
    assert time.monotonic() == 6


def test_a_read_that_fails_is_awaited_too(said: list[str]) -> None:
    failures = [FactFailed("GET /x: 503 etcd is away")]

    def missing() -> list[str]:
        if failures:
            raise failures.pop()
        return []

    wait_until(missing, timeout=60)
    assert time.monotonic() == 1


def test_what_comes_and_goes_is_not_settled(said: list[str]) -> None:
    answers = iter([[], [], ["a"], [], [], [], [], []])
    wait_until(lambda: next(answers), timeout=60, settled=3)
    assert time.monotonic() == 6


def error_of(action: object) -> BaseException:
    assert callable(action)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any exception is the point
        action()
    return caught.value


@pytest.mark.parametrize(
    ("action", "line"),
    [
        pytest.param(
            lambda: kind_of("v1", "Node"),
            "v1 Node is not a kind that envoyfleet works on: see tasks/plans/kinds.py",
            id="a plan's own words",
        ),
        pytest.param(lambda: dict[str, str]()["tls"], "KeyError: 'tls'", id="a key"),
        pytest.param(lambda: [][0], "IndexError: list index out of range", id="an index"),
        pytest.param(
            lambda: __import__("json").loads("{"),
            "an answer is no whole JSON (Expecting property name enclosed in double quotes: line 1 "
            "column 2 (char 1)): look at what stands before the API server",
            id="an answer that was cut off",
        ),
        pytest.param(
            lambda: __import__("json").loads(None),
            "TypeError: the JSON object must be str, bytes or bytearray, not NoneType",
            id="the library's words",
        ),
        pytest.param(lambda: 1 / 0, "ZeroDivisionError: division by zero", id="a defect"),
    ],
)
def test_an_exception_is_one_line_and_a_defect_is_named(action: object, line: str) -> None:
    assert one_line(error_of(action)) == line


def test_an_exception_of_several_lines_is_one() -> None:
    assert one_line(OperationError("a\n  b")) == "a b"
    assert one_line(OperationError()) == "OperationError"

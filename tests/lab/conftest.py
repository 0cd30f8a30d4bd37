"""A small lab of its own for the tests of the lab, so that nobody else's is disturbed."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.lab.processes import log_folder
from tests.lab import evidence
from tests.lab.running import NAME, VERSION, LabUnderTest, run, until


@pytest.fixture(scope="session")
def lab() -> Iterator[LabUnderTest]:
    """One cluster with the sample application."""
    up = run("up", "1", "--envoy-gateway", VERSION, "--leaving-endpoints", "4")
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        sample = run("sample")
        assert sample.returncode == 0, sample.stdout + sample.stderr
        yield LabUnderTest(NAME, json.loads(run("status", "--json").stdout))
    finally:
        run("down")


@pytest.fixture(scope="session")
def gateway(lab: LabUnderTest) -> str:
    """Envoy Gateway with one Gateway that sends to the sample; its address."""
    chart, images = lab.data["charts"][0], lab.data["images"]
    subprocess.run(
        [
            *(lab.data["helm"], "install", "eg", chart["ref"], "--version", chart["version"]),
            *("--plain-http", "--kubeconfig", lab.data["kubeconfig"], "--wait"),
            *("--namespace", "envoy-gateway-system", "--create-namespace"),
            *("--set", f"global.images.envoyGateway.image={images['envoy_gateway'][VERSION]}"),
            *("--set", f"global.images.envoyProxy.image={images['envoy'][VERSION]}"),
        ],
        check=True,
        timeout=120,
        capture_output=True,
    )
    lab.kubectl(
        "apply", "--filename", "-", text=(Path(__file__).parent / "gateway.yaml").read_text()
    )
    path = "{.status.addresses[0].value}"
    arguments = ("get", "gateway", "edge", "--namespace", "demo", "--output", f"jsonpath={path}")
    until("an address of the Gateway", lambda: lab.kubectl(*arguments))
    return lab.kubectl(*arguments)


#: How often the set-up of a file may fail: as often as one test is run.
SET_UPS = 3
#: Of how many failures evidence is kept.
KEPT = 12


class Reruns:
    """
    Says at once why a test is run again: that it passes later would hide it, and keeps what the lab
    looked like then. A file whose set-up failed thrice is over: each such attempt may take minutes,
    and there is one for each test.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._broken = Counter[Path]()
        self._kept = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._broken[item.path] >= SET_UPS:
            pytest.fail(f"the set-up of {item.path.name} failed {SET_UPS} times", pytrace=False)

    def pytest_exception_interact(
        self, node: pytest.Item, call: pytest.CallInfo[object], report: pytest.TestReport
    ) -> None:
        """Before teardown takes the lab's state away."""
        lab = os.environ.get("ENVOYFLEET_LAB", NAME)
        factory = getattr(self._config, "_tmp_path_factory", None)
        if factory is None or self._kept == KEPT or not log_folder(lab, "lab").exists():
            return
        self._kept += 1
        said = f"{report.nodeid}, {report.when}\n{report.longreprtext}\n"
        evidence.keep(lab, said, factory.getbasetemp() / f"evidence-{self._kept}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        outcome: str = report.outcome  # pytest-rerunfailures has one more than pytest
        if report.when == "setup" and outcome in ("rerun", "failed"):
            self._broken[self._config.rootpath / report.location[0]] += 1
        if outcome == "rerun" and terminal is not None:
            lines = [it for it in report.longreprtext.splitlines() if it.startswith(("E ", ">"))]
            terminal.ensure_newline()
            words = evidence.last_words(os.environ.get("ENVOYFLEET_LAB", NAME))
            said = [f"runs again: {report.nodeid}", *lines[:6], *lines[6:][-8:], *words]
            for line in said:
                terminal.write_line(line[:400])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reruns(config))

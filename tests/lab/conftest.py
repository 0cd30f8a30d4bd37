"""A small lab of its own for the tests of the lab, so that nobody else's is disturbed."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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

"""What the lab installs for monitoring: that its tables agree. The rest is in tests/lab."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lab import catalogue, manifests, monitoring, monitoring_parts
from tasks.lab.state import Cluster

PRODUCT = Path(__file__).parents[2] / "templates/monitoring/kube-state-metrics.yaml"
WANTED = monitoring.objects(Cluster("lab", 1, 200))


def test_every_image_is_a_part() -> None:
    """And none has a name of a lab's own parts."""
    parts = {it.name: it for it in monitoring_parts.parts()}
    assert {f"image-{it}" for it in monitoring.IMAGES} == {it for it in parts if "image-" in it}
    others = [*catalogue.parts(tuple(catalogue.ENVOY)), *catalogue.acme_parts()]
    assert not set(parts) & {it.name for it in others}
    written = " ".join("".join(it.pins) for it in parts.values())
    wanted = set(re.findall(r"docker\.io/lab/[^\s,\"'}]+", str(WANTED)))
    assert len(wanted) == len(monitoring.IMAGES)
    assert all(it in written for it in wanted)


def test_every_workload_is_waited_for() -> None:
    """Those that the operator makes, too. And everything can be applied."""
    assert all(manifests.path_of(it) for it in WANTED)
    made = {"Prometheus": "prometheus-", "Alertmanager": "alertmanager-"}
    named = [(it["kind"], it["metadata"]["name"]) for it in WANTED]
    deployments = {("deployments", name) for kind, name in named if kind == "Deployment"}
    sets = {("statefulsets", made[kind] + name) for kind, name in named if kind in made}
    assert deployments | sets == set(monitoring.RUNNING)


def families(configuration: dict[str, Any]) -> dict[str, Any]:
    """Every metric by name: of which kind it is, and where its value and labels are from."""
    return {
        f"{resource['metricNamePrefix']}_{metric['name']}": (
            resource["groupVersionKind"],
            {key: value for key, value in each.items() if key != "labelsFromPath"},
            resource["labelsFromPath"] | each["labelsFromPath"],
        )
        for resource in configuration["spec"]["resources"]
        for metric in resource["metrics"]
        for each in [metric["each"][metric["each"]["type"].lower()]]
    }


def test_kube_state_metrics_tells_what_the_product_asks_users_for() -> None:
    """The lab's tells more, from the same places: a copy, for the two do not know each other."""
    [held] = [it for it in WANTED if it["kind"] == "ConfigMap"]
    lab = families(yaml.safe_load(held["data"]["custom-resource-state.yaml"]))
    product = families(yaml.safe_load(PRODUCT.read_text()))
    assert product
    for name, (kind, value, labels) in product.items():
        assert lab[name][:2] == (kind, value), name
        assert labels.items() <= lab[name][2].items(), name


@pytest.mark.parametrize(
    ("program", "version"),
    [
        pytest.param(monitoring.promtool, catalogue.PROMETHEUS, id="promtool"),
        pytest.param(monitoring.amtool, catalogue.ALERTMANAGER, id="amtool"),
    ],
)
def test_the_tools_are_there_without_a_lab(program: Callable[[], Path], version: str) -> None:
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    assert f"version {version}" in said.stdout + said.stderr

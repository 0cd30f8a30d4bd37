"""What an inventory wants of a cluster: its keys and its files, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks import desired
from tasks.fleet.inventory import Cluster
from tasks.plans.ours import LABELS

LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
POLICY = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: cart, namespace: shop}
spec: {timeout: {http: {requestTimeout: 5s}}}
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def wanted(files: dict[str, str], *patterns: str, **more: Any) -> desired.Wanted:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    data = Cluster.model_validate({**LEAST, "objects": [*patterns] or [*files], **more})
    return desired.wanted("weu-1", data)


def test_files_stand_beside_the_keys_and_know_where_they_are_from() -> None:
    text = "---\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: {{ values.name | tojson }}, "
    text += "namespace: shop}\ndata: {cluster: {{ cluster | tojson }}}\n---\n"
    found = wanted(
        {"objects/a.yaml": POLICY, "objects/b.yaml.j2": text}, "objects/*", values={"name": "no"}
    )
    [config_map] = [it for it in found.objects if it["kind"] == "ConfigMap"]
    assert config_map == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "no", "namespace": "shop", "labels": LABELS},
        "data": {"cluster": "weu-1"},
    }
    assert {it.title: origin for it, origin in found.origins.items()} == {
        "GatewayClass envoy": "gateway_class",
        "EnvoyProxy envoy-gateway-system/envoy": "proxy",
        "BackendTrafficPolicy shop/cart": "objects/a.yaml",
        "ConfigMap shop/no": "objects/b.yaml.j2",
    }
    assert [it["kind"] for it in found.objects] == [
        "ConfigMap",
        "EnvoyProxy",
        "GatewayClass",
        "BackendTrafficPolicy",
    ]
    assert Path("rendered/weu-1/objects/b.yaml").exists()


def test_clusters_with_one_text_do_not_share_its_objects() -> None:
    first = wanted({"a.yaml": POLICY}).objects[-1]
    first["spec"]["timeout"]["http"]["requestTimeout"] = "9s"
    assert wanted({}, "a.yaml").objects[-1]["spec"]["timeout"]["http"] == {"requestTimeout": "5s"}


CORRECT = "correct the template or the inventory"
NAMED = "kind: Service\napiVersion: v1\nmetadata: "
WRONG = [
    pytest.param(
        {},
        ["nothing/*.yaml"],
        "GW310 weu-1: nothing/*.yaml: no file is there, looked in {cwd}: " + CORRECT,
        id="no file",
    ),
    pytest.param(
        {},
        ["../secret.yaml"],
        "GW310 weu-1: ../secret.yaml: leads out of the folder that the run begins in: " + CORRECT,
        id="out of the folder",
    ),
    pytest.param(
        {"a.yaml.j2": "a: 1\nb: {{ values.nme }}\n"},
        [],
        "GW310 weu-1: a.yaml.j2: line 2: 'dict object' has no attribute 'nme': " + CORRECT,
        id="undefined",
    ),
    pytest.param(
        {"a.yaml": "a: ["},
        [],
        "GW310 weu-1: a.yaml: is not YAML once rendered: while parsing a flow node did not find "
        'expected node content in "<unicode string>", line 2, column 1: ' + CORRECT,
        id="not YAML",
    ),
    pytest.param(
        {"a.yaml": "just text"},
        [],
        "GW310 weu-1: a.yaml: document 1 is 'just text', no object: " + CORRECT,
        id="no object",
    ),
    pytest.param(
        {"a.yaml": "kind: Service\napiVersion: v1\nmetadata: {namespace: shop}"},
        [],
        "GW310 weu-1: a.yaml: document 1 has no metadata.name: " + CORRECT,
        id="no name",
    ),
    pytest.param(
        {"a.yaml": NAMED + "{name: a}"},
        [],
        "GW310 weu-1: Service a, a.yaml: has no namespace: set metadata.namespace",
        id="no namespace",
    ),
    pytest.param(
        {"a.yaml": "kind: Namespace\napiVersion: v1\nmetadata: {name: a, namespace: b}"},
        [],
        "GW310 weu-1: Namespace b/a, a.yaml: has a namespace: take metadata.namespace away",
        id="a namespace too many",
    ),
    pytest.param(
        {"a.yaml": NAMED + "{name: a, namespace: b, labels: {on: 1}}"},
        [],
        "GW310 weu-1: Service b/a, a.yaml: metadata.labels.True is 1, not text: put it in quotes",
        id="a label that is a number",
    ),
    pytest.param(
        {"a.yaml": NAMED + "{name: a, namespace: b}\nspec: {day: 2026-11-22}"},
        [],
        "GW310 weu-1: a.yaml: Service b/a: Object of type date is not JSON serializable: "
        + CORRECT,
        id="a date",
    ),
    pytest.param(
        {"a.yaml": POLICY.replace("spec: {", "spec: {targetRefs: [{kind: Gateway}], ")},
        [],
        "GW310 weu-1: BackendTrafficPolicy shop/cart, a.yaml: spec.targetRefs[0] has no name: "
        + CORRECT,
        id="a reference without a name",
    ),
    pytest.param(
        {"a.yaml": POLICY.replace("spec: {", "spec: {targetRefs: [x], ")},
        [],
        "GW310 weu-1: BackendTrafficPolicy shop/cart, a.yaml: spec.targetRefs[0] is 'x', not a "
        "map: " + CORRECT,
        id="a reference that is text",
    ),
    pytest.param(
        {"a.yaml": "kind: Secret\napiVersion: v1\nmetadata: {name: a, namespace: b}\ndata: {a: b}"},
        [],
        "GW311 weu-1: Secret b/a, a.yaml: is a Secret, and files of an inventory are no place for "
        "secrets: keep it in a vault: docs/gateways.md",
        id="a Secret",
    ),
    pytest.param(
        {"a.yaml": "kind: Job\napiVersion: batch/v1\nmetadata: {name: a, namespace: b}"},
        [],
        "GW311 weu-1: Job b/a, a.yaml: batch/v1 Job is no kind that an inventory applies: see "
        "docs/gateways.md for the kinds",
        id="a kind of others",
    ),
    pytest.param(
        {"a.yaml": POLICY, "b.yaml": POLICY},
        [],
        "GW312 weu-1: BackendTrafficPolicy shop/cart, b.yaml: is in a.yaml too: remove one of them",
        id="twice",
    ),
]


@pytest.mark.parametrize(("files", "patterns", "line"), WRONG)
def test_says_in_one_line_what_is_wrong_with_a_file(
    files: dict[str, str], patterns: list[str], line: str
) -> None:
    found = wanted(files, *patterns)
    assert [it.text for it in found.findings] == ["error " + line.format(cwd=Path.cwd().name)]

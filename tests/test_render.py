"""The tree for Argo CD and Flux: one command, the same bytes each time, and no cluster."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, Template

from tasks import desired, render
from tasks.desired import tree
from tasks.fleet.inventory import Cluster
from tasks.plans.references import to

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: public, namespace: edge}]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: shop}
data:
  page.html: "<p>\\nSorry\\n</p>\\n"
"""
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: tls, namespace: edge}\n"
FLEET = """
_data = {
    "envoy_gateway_version": "1.9.1",
    "gateways": [
        {"name": "public", "namespace": "edge", "listeners": [{"name": "http", "port": 80}]}
    ],
    "objects": ["objects/*.yaml"],
}
clusters = [("@kube/weu-1", {**_data, "ring": 0}), ("@kube/weu-2", {**_data, "ring": 1})]
"""
FILES = [
    "edge/clienttrafficpolicy-public.yaml",
    "edge/gateway-public.yaml",
    "envoy-gateway-system/envoyproxy-envoy.yaml",
    "gatewayclass-envoy.yaml",
    "kustomization.yaml",
    "namespace-edge.yaml",
    "shop/configmap-page.yaml",
    "shop/httproute-cart.yaml",
    "values.yaml",
]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/shop.yaml").write_text(ROUTE)
    (tmp_path / "fleet.py").write_text(FLEET)
    return tmp_path


def run(*arguments: str) -> int:
    return render.main(["fleet.py", *arguments])


def found(folder: str = "rendered-tree") -> dict[str, str]:
    files = (it for it in Path(folder).rglob("*") if it.is_file())
    return {str(it.relative_to(folder)): it.read_text() for it in sorted(files)}


def test_a_folder_a_cluster_and_a_file_an_object() -> None:
    assert run() == 0
    assert sorted(found()) == [f"{it}/{file}" for it in ("weu-1", "weu-2") for file in FILES]
    assert found()["weu-1/shop/httproute-cart.yaml"] == (
        "# envoyfleet: from objects/shop.yaml: change the inventory, not this file\n"
        "apiVersion: gateway.networking.k8s.io/v1\n"
        "kind: HTTPRoute\n"
        "metadata:\n"
        "  labels:\n"
        "    app.kubernetes.io/managed-by: envoyfleet\n"
        "    envoyfleet.dev/deploy: gateways\n"
        "  name: cart\n"
        "  namespace: shop\n"
        "spec:\n"
        "  parentRefs:\n"
        "  - name: public\n"
        "    namespace: edge\n"
        "  rules:\n"
        "  - backendRefs:\n"
        "    - name: cart\n"
        "      port: 80\n"
    )
    assert "page.html: |\n    <p>\n    Sorry\n" in found()["weu-1/shop/configmap-page.yaml"]
    listed = yaml.safe_load(found()["weu-2/kustomization.yaml"])
    assert listed["resources"] == [
        it for it in FILES if it not in ("kustomization.yaml", "values.yaml")
    ]
    values = yaml.safe_load(found()["weu-1/values.yaml"])
    assert values["config"]["envoyGateway"]["gateway"]["controllerName"]


def test_the_same_bytes_each_time_and_nothing_written_again() -> None:
    run()
    before = {it: it.stat().st_mtime_ns for it in Path("rendered-tree").rglob("*.yaml")}
    assert run() == 0
    assert {it: it.stat().st_mtime_ns for it in Path("rendered-tree").rglob("*.yaml")} == before
    run("--output", "other")
    assert found("other") == found()


def test_objects_are_those_that_a_deploy_would_apply() -> None:
    run()
    data = render.fleet(Path("fleet.py"))["weu-1"]
    objects = {to(it): it for it in desired.wanted("weu-1", data).objects}
    texts = [
        text
        for path, text in found().items()
        if path.startswith("weu-1/")
        and Path(path).name not in ("kustomization.yaml", "values.yaml")
    ]
    assert {to(it): it for it in map(yaml.safe_load, texts)} == objects


def test_check_writes_nothing_and_says_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    gateway = Path("rendered-tree/weu-1/edge/gateway-public.yaml")
    gateway.write_text(gateway.read_text() + "#\n")
    Path("rendered-tree/weu-2/values.yaml").unlink()
    old, mine = (Path(f"rendered-tree/weu-1/{it}") for it in ("old.yaml", "patch.yaml"))
    old.write_text("# envoyfleet: from routes\nkind: HTTPRoute\n")
    mine.write_text("kind: Mine\n")
    gone = Path("rendered-tree/weu-9/kustomization.yaml")
    gone.parent.mkdir()
    gone.write_text("# envoyfleet: objects of weu-9\n")
    before = found()
    capsys.readouterr()
    assert run("--check") == 3
    assert capsys.readouterr().err.splitlines() == [
        "rendered-tree/weu-1/edge/gateway-public.yaml: differs",
        "rendered-tree/weu-1/old.yaml: is not wanted any more",
        "rendered-tree/weu-2/values.yaml: is missing",
        "rendered-tree/weu-9: is of no cluster of the inventory: delete it when its cluster is "
        "gone",
        "2 clusters, 18 files in rendered-tree: 3 differ",
    ]
    assert found() == before
    assert run() == 3  # the folder of no cluster is left, for whoever knows
    assert (old.exists(), mine.exists(), gone.exists()) == (False, True, True)
    gone.unlink()
    assert run("--check") == 0


def test_what_is_wrong_is_told_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("objects/secret.yaml").write_text(SECRET)
    assert run("--format", "lines") == 3
    said = capsys.readouterr()
    assert "Secret" in said.out
    assert said.out.count("error GW311 ") == 2
    assert said.err.endswith("nothing written: correct what is wrong first\n")
    assert not Path("rendered-tree").exists()


BAD = [
    pytest.param(
        "clusters = [('@kube/a', {'ring': 'x'})]",
        "fleet.py: a: ring: must be a whole number, not 'x'\n"
        "fleet.py: a: envoy_gateway_version: missing: set it beside the host or in group_data",
        id="data that is wrong",
    ),
    pytest.param(
        "clusters = [",
        "fleet.py: SyntaxError: '[' was never closed (fleet.py, line 1)",
        id="no Python",
    ),
    pytest.param(
        "clusters = [('@aks/shop?tag.a=b', {'ring': 0})]",
        "fleet.py: @aks/shop?tag.a=b asks Azure for its clusters, and nobody is asked here: name "
        "each, such as @aks/<subscription>/<group>/<cluster>",
        id="clusters that Azure lists",
    ),
    pytest.param(
        "_d = {'ring': 0, 'envoy_gateway_version': '1.9.1'}\n"
        "clusters = [('@kube/a b', _d), ('@kube/a_b', _d)]",
        "fleet.py: a_b: its folder would be that of a b: call one of them otherwise",
        id="two clusters of one folder",
    ),
    pytest.param(
        "clusters = [('@kube/a', {'ring': 0, 'envoy_gateway_version': '9.9.9'})]",
        "a: the Envoy of Envoy Gateway 9.9.9 is not known: set images.envoy to a full reference",
        id="a release that nobody knows",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_refused_in_a_line_each(
    text: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "fleet.py").write_text(text)
    assert run() == 2
    assert capsys.readouterr().err == f"{message}\n"
    assert not Path("rendered-tree").exists()


def test_no_such_inventory_cluster_or_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["nowhere.py"]) == 2
    assert run("--cluster", "weu-3") == 2
    assert run("--output", "fleet.py") == 2
    assert capsys.readouterr().err.splitlines() == [
        "nowhere.py does not exist: name the file of an inventory",
        "fleet.py has no cluster weu-3: it has weu-1, weu-2",
        "fleet.py/weu-1: Not a directory: name a folder with --output",
    ]


def test_one_cluster_and_one_of_azure(place: Path) -> None:
    assert run("--cluster", "weu-2") == 0
    assert {it.partition("/")[0] for it in found()} == {"weu-2"}
    (place / "fleet.py").write_text(
        "clusters = [('@aks/shop/weu/weu-7?prefix=shop-', "
        "{'ring': 0, 'envoy_gateway_version': '1.9.1'})]"
    )
    assert run("--output", "azure") == 0
    assert {it.partition("/")[0] for it in found("azure")} == {"shop-weu-7"}


def test_each_template_is_rendered_once(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """64 clusters cost 64 times one, and nothing is rendered again to be compared."""
    names = [f"c-{it}" for it in range(64)]
    clusters = f"clusters = [(f'@kube/{{it}}', {{**_data, 'ring': 0}}) for it in {names}]\n"
    (place / "fleet.py").write_text(FLEET.partition("clusters =")[0] + clusters)
    asked: Counter[str] = Counter()
    real = Environment.get_template

    def counted(environment: Environment, name: str) -> Template:
        asked[name] += 1
        return real(environment, name)

    monkeypatch.setattr(Environment, "get_template", counted)
    assert run() == 0
    assert set(asked.values()) == {64}
    assert len(found()) == 64 * len(FILES)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"))
KEYS = st.from_regex(r"[A-Za-z0-9._/-]{1,60}", fullmatch=True)


@settings(max_examples=200)
@given(st.dictionaries(KEYS, TEXTS | st.lists(TEXTS), max_size=4))
def test_text_is_the_same_with_and_without_libyaml(thing: dict[str, Any]) -> None:
    """What is installed beside Python must not change a byte, and each value must come back."""
    text = tree.text("x", thing)
    assert yaml.safe_load(text) == thing
    fast = tree._dumper()
    slow: Any = type("Slow", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    slow.yaml_representers = fast.yaml_representers
    slow.yaml_implicit_resolvers = fast.yaml_implicit_resolvers
    out = io.StringIO()
    more: Any = {"sort_keys": True, "width": 2**16, "default_flow_style": False}
    yaml.dump(thing, out, Dumper=slow, **more)
    assert text.partition("\n")[2] == out.getvalue()


def test_a_secret_has_no_place_there() -> None:
    data = Cluster.model_validate({"ring": 0, "envoy_gateway_version": "1.9.1"})
    secret = yaml.safe_load(SECRET)
    wanted = desired.Wanted((secret,), {to(secret): "objects/x.yaml"}, ())
    with pytest.raises(ValueError, match="a Secret has no place in a tree that others can read"):
        tree.files("weu-1", data, wanted)

"""Which file of a folder is what."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.diagnosis import bundle as reading
from tasks.diagnosis import folders
from tasks.diagnosis.diagnosis import as_json
from tasks.diagnosis.explain import diagnosis
from tests.captures import bundle

SCENARIOS = Path(__file__).parents[1] / "data" / "scenarios"
POD = "Pod envoy-gateway-system/envoy-infra-edge-5391c79d-q4x2m"
Folder = Callable[[dict[str, Any], Path], Path]


def scenario(name: str) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress((SCENARIOS / f"{name}.json.gz").read_bytes())))


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def told(folder: Path) -> tuple[str, str, dict[str, Any]]:
    """Cause, who answered, and the object of the first finding."""
    answer = as_json(diagnosis(reading.read(folder)))
    first = answer["findings"][0]
    return first["cause"], first["answered_by"], first["object"]


def wanted(capture: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    expected = capture["expected"]
    return expected["cause"], expected["answered_by"], expected["faulty_object"]


def as_egctl(capture: dict[str, Any], folder: Path) -> Path:
    """As ``egctl experimental collect`` writes it, unpacked: a folder in a folder."""
    top = folder / "envoy-gateway-2026-11-22T10_00_00"
    namespace, pod = POD.removeprefix("Pod ").split("/")
    admin, resources = capture["admin"], top / "cluster-resources"
    dump = json.dumps(_camel(admin["config_dump"]), indent=4)
    put(top / "config-dumps" / namespace / f"{pod}.json", dump)
    put(top / "prometheus-metrics" / namespace / f"{pod}.prom", admin["stats_prometheus"])
    put(top / "prometheus-metrics" / namespace / "envoy-gateway-1.prom", "# TYPE a counter\n")
    lines = [*capture["envoy_log"], *map(json.dumps, capture["access_log"]["eg_default_json"])]
    put(resources / "pods" / "logs" / namespace / pod / "envoy.log", "\n".join(lines))
    put(resources / "pods" / "logs" / namespace / pod / "shutdown-manager.log", "info")
    put(resources / "pods" / "logs" / namespace / "envoy-gateway-1" / "envoy-gateway.log", "a\nb")
    put(resources / "pods-errors.json", "null")
    (top / "pod-logs" / pod).mkdir(parents=True)
    link = top / "pod-logs" / pod / "envoy.log"
    link.symlink_to(resources / "pods" / "logs" / namespace / pod / "envoy.log")
    for it in capture["kubernetes"]["items"]:
        meta = it["metadata"]
        if it["kind"] in ("Pod", "Service"):
            file = resources / f"{it['kind'].lower()}s" / f"{meta['namespace']}-{meta['name']}.yaml"
            put(
                file,
                yaml.safe_dump({"apiVersion": "v1", "kind": f"{it['kind']}List", "items": [it]}),
            )
        else:
            file = resources / f"{it['kind'].lower()}s.x" / f"{meta['name']}.yaml"
            put(file, yaml.safe_dump([it]))
    put(folder / ".hidden", "")
    return folder


def _camel(thing: Any) -> Any:
    """As protojson writes it again where Secrets are left out."""
    if isinstance(thing, list):
        return [_camel(it) for it in thing]
    if not isinstance(thing, dict):
        return thing
    return {
        "".join(
            part if number == 0 else part.capitalize() for number, part in enumerate(key.split("_"))
        )
        if key.replace("_", "").isalnum()
        else key: value if key == "filter_metadata" else _camel(value)
        for key, value in thing.items()
    }


def as_ours(capture: dict[str, Any], folder: Path) -> Path:
    """As deploys/support_bundle.py writes it of two proxies."""
    bundle(capture, folder)
    places = {POD: "proxies/one", "Pod envoy-gateway-system/other": "proxies/two"}
    for place in places.values():
        for name in (*folders.ADMIN, "access.eg.jsonl"):
            if (folder / name).is_file():
                put(folder / place / name, (folder / name).read_text())
    for name in (*folders.ADMIN, "access.eg.jsonl", "access.guide.jsonl", "access.default.log"):
        (folder / name).unlink(missing_ok=True)
    put(folder / "controller" / "envoy-gateway-system" / "envoy-gateway-1.log", "one\ntwo\n")
    put(folder / "controller" / "envoy-gateway-system" / "envoy-gateway-1.previous.log", "before\n")
    put(folder / "served.json", json.dumps({"gateways.gateway.networking.k8s.io": ["v1"]}))
    manifest = {
        "schema": folders.SCHEMA,
        "cluster": "weu-1",
        "now": 1795230000.0,
        "live": False,
        "proxies": places,
        "not_read": [{"what": "nodes", "why": "no right to list", "cost": "nothing"}],
    }
    put(folder / "manifest.json", json.dumps(manifest))
    return folder


def as_dumps(capture: dict[str, Any], folder: Path) -> Path:
    """As somebody saves what Envoy and kubectl say, under names of their own."""
    admin = capture["admin"]
    put(folder / "mailer-config.json", json.dumps(admin["config_dump"]))
    put(folder / "envoy-clusters", admin["clusters_text"])
    put(folder / "admin-stats.out", admin["stats"])
    put(folder / "metrics.prom", admin["stats_prometheus"])
    put(folder / "info.txt", json.dumps(admin["server_info"]))
    put(folder / "everything.yml", yaml.safe_dump(capture["kubernetes"]))
    put(folder / "cilium.log", "\n".join(capture["access_log"]["envoy_default_text"]))
    put(folder / "README", "What we saw on Monday")
    return folder


@pytest.mark.parametrize("name", ["nr_no_route_match_path", "uf_connection_refused", "rbac_denied"])
@pytest.mark.parametrize("write", [bundle, as_egctl, as_ours, as_dumps])
def test_every_folder_gives_the_answer_of_a_bundle(
    name: str, write: Folder, tmp_path: Path
) -> None:
    capture = scenario(name)
    assert told(write(capture, tmp_path / "folder")) == wanted(capture)


def test_an_egctl_folder_has_proxies_objects_and_the_controller(tmp_path: Path) -> None:
    capture = scenario("backend_404")
    found = folders.layout(as_egctl(capture, tmp_path / "folder"))
    assert found.kind == "egctl collect"
    assert set(found.proxies[POD]) == {"config_dump.json", "stats_prometheus.txt", "envoy.log"}
    assert list(found.access) == [POD]
    assert list(found.logs) == ["envoy-gateway-system/envoy-gateway-1"]
    evidence = reading.read(tmp_path / "folder")
    assert [it.name for it in evidence.proxies] == [POD]
    assert len(evidence.objects or ()) == len(capture["kubernetes"]["items"])
    assert evidence.logs == {"envoy-gateway-system/envoy-gateway-1": ("a", "b")}
    assert not evidence.skipped
    assert {it.what for it in evidence.gaps} == {
        "client.json",
        "clusters.json",
        "certs.json",
    }


def test_a_support_bundle_knows_what_was_known_of_the_cluster(tmp_path: Path) -> None:
    evidence = reading.read(as_ours(scenario("backend_404"), tmp_path / "folder"))
    assert [it.name for it in evidence.proxies] == [POD, "Pod envoy-gateway-system/other"]
    assert (evidence.cluster, evidence.now) == ("weu-1", 1795230000.0)
    assert {it.source for it in evidence.entries} == {POD, "Pod envoy-gateway-system/other"}
    assert evidence.served == {"gateways.gateway.networking.k8s.io": ["v1"]}
    assert evidence.logs == {
        "envoy-gateway-system/envoy-gateway-1": ("one", "two"),
        "envoy-gateway-system/envoy-gateway-1/previous": ("before",),
    }
    assert [it.what for it in evidence.gaps] == ["nodes"]


def test_logs_of_a_support_bundle_that_asks_about_nothing_are_not_judged(tmp_path: Path) -> None:
    folder = as_ours(scenario("uf_connection_refused"), tmp_path / "folder")
    (folder / "client.json").unlink()
    assert reading.read(folder).entries == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1"}', "\0" * 9])
def test_without_a_good_manifest_the_rest_is_read(text: str, tmp_path: Path) -> None:
    folder = as_ours(scenario("uf_connection_refused"), tmp_path / "folder")
    put(folder / "manifest.json", text)
    assert told(folder)[0] == "upstream_connection_refused"
    assert reading.read(folder).skipped[0].what == "support bundle"


@pytest.mark.parametrize(
    ("begin", "name"),
    [
        ('{\n "configs": [\n', "config_dump.json"),
        ('{"clusterStatuses": []}', "clusters.json"),
        ("httproute/a/b/rule/0::default_priority::max_connections::1024", "clusters.txt"),
        ("cluster.a.membership_total: 1\n", "stats.txt"),
        ("# TYPE envoy_cluster_membership_total gauge\n", "stats_prometheus.txt"),
        ("apiVersion: v1\nkind: List\n", "k8s.json"),
        ("- apiVersion: v1\n  kind: Pod\n", "k8s.json"),
        ('[2026-11-21T02:59:26.199Z] "GET / HTTP/1.1" 200 -', "access"),
        ("What we saw on Monday", None),
        ("", None),
    ],
)
def test_a_file_is_told_by_its_begin(begin: str, name: str | None) -> None:
    assert folders.taken_for(begin) == name


def test_objects_of_yaml() -> None:
    text = """
apiVersion: v1
kind: PodList
items:
  - metadata: {name: a, creationTimestamp: 2026-11-01T08:00:00Z}
  - nothing
---
- {apiVersion: v1, kind: Service, metadata: {name: b}}
---
"""
    found, wrong = folders.objects(text)
    assert found == [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "a", "creationTimestamp": "2026-11-01T08:00:00Z"},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}},
    ]
    assert wrong == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "kind: a\nmetadata: &x {a: *x}\n",
        "\x00",
        "? {a: b}\n: !!python/object:os.system x",
        "kind: a\nmetadata: {a: &a0 [0, 0]"
        + "".join(f", a{it}: &a{it} [*a{it - 1}, *a{it - 1}]" for it in range(1, 40))
        + "}",
    ],
)
def test_yaml_that_cannot_be_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_VALUES", 10_000)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        folders.objects(text)


def test_no_folder_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.diagnosis.__main__ import main

    (tmp_path / "bundle.tar.gz").write_bytes(b"")
    assert main([str(tmp_path / "bundle.tar.gz"), "--output", "json"]) == 2
    assert main([str(tmp_path / "missing"), "--output", "json"]) == 2
    put(tmp_path / "other" / "notes.txt", "What we saw on Monday")
    assert main([str(tmp_path / "other"), "--output", "json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert [it.split(": ", 1)[1] for it in said.err.splitlines()] == [
        "no bundle that can be read: is no folder: unpack it, and name the folder",
        "no bundle that can be read: is no folder: name its folder",
        "no bundle that can be read: it holds no file that is known: name its folder",
    ]


@pytest.mark.parametrize("output", ["table", "lines", "markdown", "html", "json"])
def test_every_output_of_a_bundle(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.diagnosis.__main__ import main

    folder = bundle(scenario("uf_connection_refused"), tmp_path / "one")
    assert main([str(folder), "--output", output, "--exit-code"]) == 3
    assert "upstream_connection_refused" in capsys.readouterr().out.replace("\\", "")
    well = bundle(scenario("ok_baseline"), tmp_path / "well")
    assert main([str(well), "--output", output]) == 0
    assert capsys.readouterr().out

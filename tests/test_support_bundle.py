"""A folder that tells elsewhere what its cluster told, without secrets."""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError

from tasks import support_bundle
from tasks.diagnosis import bundle as reading
from tasks.diagnosis.diagnosis import as_json
from tasks.diagnosis.evidence import Evidence, Gap, Proxy
from tasks.diagnosis.explain import diagnosis
from tasks.operations.evidence import READ
from tasks.plans import kinds
from tasks.plans.redaction import Redaction
from tests.api_server import Answer, ApiServer, status
from tests.captures import bundle, committed
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.leaks import Leaks
from tests.plans import planted
from tests.stand_in import NAMESPACE, listed

SCENARIOS = Path(__file__).parent / "data" / "scenarios"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
POD = "Pod envoy-gateway-system/envoy-infra-edge-5391c79d-q4x2m"
TOLD = ("cause", "code", "answered_by", "object", "field", "severity")


def capture(path: Path) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(path.read_bytes())))


def told(folder: Path) -> list[dict[str, Any]]:
    answer = as_json(diagnosis(reading.read(folder)))
    return [{key: it[key] for key in TOLD} for it in answer["findings"]]


def kept(folder: Path) -> dict[str, bytes]:
    """What a proxy said, as it was read; its log as its container writes it."""
    files = {
        it.name: it.read_bytes()
        for it in folder.iterdir()
        if not it.name.startswith("access") and it.name not in ("k8s.json", "client.json")
    }
    own = files.pop("envoy.log", b"")
    return {**files, "access.log": own + (folder / "access.eg.jsonl").read_bytes()}


def collected(seen: Evidence, files: dict[str, dict[str, bytes]], folder: Path) -> Path:
    made = support_bundle.Bundle(Redaction(b"of this test"))
    support_bundle.fill(made, seen, files)
    listed = support_bundle.manifest(made, seen, seen.gaps, NOW)
    made.files["manifest.json"] = json.dumps(listed).encode()
    return support_bundle.written(folder / "bundles" / "weu-1", NOW, made.files, pack=True)


@pytest.mark.parametrize(
    "path", [*sorted(SCENARIOS.glob("*.gz")), *committed()[::25]], ids=lambda it: it.name[:-8]
)
def test_what_was_found_is_found_in_the_bundle(path: Path, tmp_path: Path) -> None:
    before = bundle(capture(path), tmp_path / "before")
    seen = reading.read(before)
    place = collected(seen, {POD: kept(before)}, tmp_path)
    assert told(place) == told(before)
    two = {POD: kept(before), "Pod envoy-gateway-system/other": kept(before)}
    place = collected(seen, two, tmp_path / "two")
    assert sorted(it.name for it in (place / "proxies").iterdir()) == [
        "envoy-infra-edge-5391c79d-q4x2m",
        "other",
    ]
    assert told(place)[:1] == told(before)[:1]


def test_a_bundle_is_for_its_owner_alone_and_says_what_is_in_it(tmp_path: Path) -> None:
    before = bundle(capture(SCENARIOS / "jwt_missing.json.gz"), tmp_path / "before")
    gap = Gap("leases.coordination.k8s.io", "no right to list", "whether a controller leads")
    seen = replace(
        reading.read(before),
        cluster="weu-1",
        live=True,
        gaps=(gap,),
        logs={"envoy-gateway-system/eg-1": ("a",), "envoy-gateway-system/eg-1/previous": ("b",)},
        served={"gateways.gateway.networking.k8s.io": ["v1"]},
        names={"cart.example.com": {"addresses": ["20.1.2.3"], "why": None}},
    )
    place = collected(seen, {POD: kept(before)}, tmp_path)
    assert place == tmp_path / "bundles" / "weu-1" / "20261122T100000Z"
    every = [place, *place.rglob("*")]
    assert {it.stat().st_mode & 0o777 for it in every if it.is_dir()} == {0o700}
    assert {it.stat().st_mode & 0o777 for it in every if it.is_file()} == {0o600}
    listed = json.loads((place / "manifest.json").read_text())
    files = {str(it.relative_to(place)) for it in every if it.is_file()}
    assert files == {*listed["files"], "manifest.json"}
    assert listed["removed"] == {"key of a key set": 2, "token": 1}
    assert listed["not_read"] == [vars(gap)]
    packed = place.with_name("20261122T100000Z.tar.gz")
    assert packed.stat().st_mode & 0o777 == 0o600
    with tarfile.open(packed) as archive:
        assert {it.name for it in archive} == {f"20261122T100000Z/{it}" for it in files}
    again = reading.read(place)
    for name in ("cluster", "live", "gaps", "logs", "served", "names", "now"):
        assert getattr(again, name) == getattr(seen, name), name
    assert [it.name for it in again.proxies] == [POD]
    assert again.exchanges[-1] == seen.exchanges[-1]


def test_no_secret_that_was_read_is_in_any_file(tmp_path: Path) -> None:
    from random import Random

    random = Random(3)
    hidden = [planted.secret(random) for _ in range(150)]
    secrets = iter(hidden)
    objects = [place(next(secrets)) for place in planted.OBJECTS * 2]
    documents = [place(next(secrets)) for place in planted.DOCUMENTS]
    lines = [place(next(secrets)) for place in planted.LINES * 2]
    log = "\n".join(lines).encode()
    files = {"config_dump.json": json.dumps({"configs": documents}).encode(), "access.log": log}
    cut = files["config_dump.json"][:-1]
    seen = Evidence(objects=objects, logs={"a/b": lines}, proxies=(Proxy(POD),), cluster="weu-1")
    collected(seen, {POD: files, "Pod a/cut": {"config_dump.json": cut}}, tmp_path)
    leaks = Leaks(hidden, [tmp_path])
    assert leaks.look_at_files() > 5
    assert not leaks.found
    assert len(hidden) > 100


def test_own_lines_are_no_access_log() -> None:
    access, own = support_bundle.parted(
        '{"start_time": "a"}\n'
        "[2026-11-22 10:00:00.123][1][warning][config] refused\n"
        "  because of this\n"
        '[2026-11-22T10:00:00.123Z] "GET / HTTP/1.1" 200 -\n'
    )
    assert access.splitlines() == [
        '{"start_time": "a"}',
        '[2026-11-22T10:00:00.123Z] "GET / HTTP/1.1" 200 -',
    ]
    assert own.splitlines()[1] == "  because of this"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('{":authority":"a","response_code":200}', "access.eg.jsonl"),
        ('{"response_code":200,"x_forwarded_for":"a"}', "access.guide.jsonl"),
        ('[2026-11-22T10:00:00.123Z] "GET / HTTP/1.1" 200 -', "access.default.log"),
        ("", "access.log"),
    ],
)
def test_an_access_log_is_named_for_its_format(line: str, name: str) -> None:
    assert support_bundle.access_name(line) == name


def test_a_folder_that_cannot_be_written_is_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "weu-1").write_text("a file")
    with pytest.raises(DeployError, match="cannot be written"):
        support_bundle.written(tmp_path / "weu-1", NOW, {"a": b""}, pack=False)
    support_bundle.written(tmp_path / "weu-2", NOW, {"a": b""}, pack=False)
    with pytest.raises(DeployError, match="20261122T100000Z cannot be written"):
        support_bundle.written(tmp_path / "weu-2", NOW, {"a/b": b"", "c": b""}, pack=False)
    assert [it.name for it in (tmp_path / "weu-2").iterdir()] == ["20261122T100000Z"]


def serving(api: ApiServer, name: str, items: list[dict[str, Any]], line: Any) -> None:
    """A cluster with these objects, whose proxies cannot be forwarded to."""
    api.cluster(name)
    groups: dict[str, dict[str, list[dict[str, str]]]] = {}
    for (group, kind), (version, _) in READ.items():
        plural = kinds.KINDS[group, kind].plural
        if group:
            groups.setdefault(group, {}).setdefault(version, []).append({"resource": plural})
        api_version = f"{group}/{version}" if group else version
        found = [it for it in items if it["kind"] == kind]
        body = listed(api_version, kind, found)
        api.answer("GET", kinds.path(api_version, kind), Answer(body=body), cluster=name)
    discovered = [
        {
            "metadata": {"name": group},
            "versions": [{"version": it, "resources": some} for it, some in versions.items()],
        }
        for group, versions in groups.items()
    ]
    for path, body in {
        "/apis": {"items": discovered},
        "/api/v1/secrets": listed("v1", "Secret", []),
        f"/api/v1/namespaces/{NAMESPACE}/secrets": listed("v1", "Secret", []),
    }.items():
        api.answer("GET", path, Answer(body=body), cluster=name)
    for it in items:
        if it["kind"] == "Pod" and it["metadata"]["namespace"] == NAMESPACE:
            path = f"{kinds.path('v1', 'Pod', NAMESPACE, it['metadata']['name'])}/log"
            api.answer("GET", path, Answer(body=line), cluster=name)


def bundled(
    command_line: CommandLine, api: ApiServer, folder: Path, *arguments: str
) -> tuple[Outcome, Path]:
    inventory = 'clusters = [("@kube/weu-1", {"ring": 0, "envoy_gateway_version": "1.9.1"})]'
    work = folder / "work"
    work.mkdir()
    kubeconfig = prepared(work, Case("", [], inventory=inventory), api)
    command = ["inventory/prod.py", "deploys/support_bundle.py", *arguments]
    return command_line.run(work, command, KUBECONFIG=str(kubeconfig)), work / "bundles" / "weu-1"


def test_a_bundle_of_a_cluster_that_forbids_much(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    items = capture(SCENARIOS / "uf_connection_refused.json.gz")["kubernetes"]["items"]
    pod = next(it for it in items if it["kind"] == "Pod" and "envoy" in it["metadata"]["name"])
    pod["spec"]["containers"][0]["env"] = [{"name": "PLAIN", "value": "hidden-in-an-env"}]
    line = {"response_code_details": "via_upstream", "authorization": "Bearer hidden-in-a-log"}
    serving(api_server, "weu-1", items, line)
    path = "/apis/coordination.k8s.io/v1/leases"
    api_server.answer("GET", path, status(403, "no"))
    outcome, folder = bundled(command_line, api_server, tmp_path, "--data", "pack=True")
    assert outcome.code == 3
    [row] = [it for it in outcome.lines if it.startswith("weu-1")]
    [place] = [it for it in folder.iterdir() if it.is_dir()]
    assert row == f"weu-1 bundles/weu-1/{place.name} 1 12 1 2 2"
    assert [it for it in outcome.lines if it.startswith("warning")] == [
        f"warning GW992 weu-1: Pod {NAMESPACE}/{pod['metadata']['name']}: the bundle has no "
        "configuration of a proxy (404 not found; not known without it: what this proxy runs, and "
        "counted): give the right to create pods/portforward, and run it again "
        "(docs/findings.md#gw992)"
    ]
    assert {it.name for it in place.iterdir()} == {
        *("manifest.json", "k8s.json", "served.json", "helm.json"),
        *("access.eg.jsonl", "envoy.log"),
    }
    leaks = Leaks(["hidden-in-an-env", "hidden-in-a-log"], [folder])
    leaks.look_at_files()
    leaks.look_at("output", outcome.text.encode())
    assert not leaks.found
    assert {it.method for it in api_server.asked} == {"GET"}
    evidence = reading.read(place)
    assert (evidence.cluster, evidence.live, len(evidence.objects or ())) == ("weu-1", True, 12)
    missing = [it.what for it in evidence.gaps]
    assert "leases.coordination.k8s.io" in missing


def test_a_bundle_as_json_and_of_a_cluster_without_envoy_gateway(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    serving(api_server, "weu-1", [], {})
    outcome, folder = bundled(command_line, api_server, tmp_path, "--data", "output=json")
    assert outcome.code == 0
    text = outcome.text[outcome.text.index("{\n") : outcome.text.rindex("}") + 1]
    [row] = json.loads(text)["clusters"]
    assert (row["name"], row["installed"], row["proxies"], row["not_read"]) == (
        *("weu-1", False, 0),
        [],
    )
    [place] = list(folder.iterdir())
    assert row["bundle"] == f"bundles/weu-1/{place.name}"


@pytest.mark.parametrize(
    ("key", "value"), [("pack", "3"), ("request", "no request"), ("bundle", "x")]
)
def test_bad_input_is_a_line_and_nothing_is_asked(
    key: str, value: str, command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    outcome, folder = bundled(command_line, api_server, tmp_path, "--data", f"{key}={value}")
    assert outcome.code == 2
    assert any(key in it for it in outcome.lines)
    assert not api_server.asked
    assert not folder.exists()

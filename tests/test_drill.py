"""
What a drill refuses before its first write, through the real command line, on clusters that a
stand-in API server answers for; and what of two inventories it takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tasks import drill
from tasks.fleet import archives, inventory
from tasks.plans import emptying
from tests.api_server import GROUPS, Answer, ApiServer
from tests.command_line import CommandLine
from tests.fleet.test_run import Case, prepared
from tests.plans.test_evidence import SCHEMA
from tests.test_preflight import DATA, write_chart
from tests.test_restore import EVERY, KEY, packed

NEWEST = "20261120T120000Z"
GATEWAYS = {
    "metadata": {"name": "gateway.networking.k8s.io"},
    "versions": [
        {
            "version": "v1",
            "resources": [
                {
                    "resource": "gateways",
                    "responseKind": {"kind": "Gateway"},
                    "scope": "Namespaced",
                    "verbs": ["list", "delete"],
                }
            ],
        }
    ],
}
MARK = {
    "data": {
        "run": "20261120T130000Z-drill",
        "source": "weu-1",
        "archive": "backups/weu-1/x",
        "release": "eg",
        "namespace": "envoy-gateway-system",
        "namespaces": "demo",
    },
    "binaryData": {"before": emptying.packed([])},
}


@dataclass(frozen=True)
class Target:
    """
    A cluster that drills were to be tried on. + source: whose backups; + here: paths that it
    answers; + says: why it was refused
    """

    source: str | Sequence[str]
    says: str
    here: Mapping[str, Any]


def metadata(*names: str, namespace: str | None = None) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"metadata": {}, "items": [{"metadata": {"name": it, **place}} for it in names]}


USED = "a drill restores into an empty cluster only, and deletes nothing that it did not bring"
TARGETS = {
    "full": Target(
        "weu-1",
        f"Namespace demo is there (and 1 more): {USED}: empty it, or name another target",
        {
            "/apis": {"items": [GATEWAYS]},
            "/api/v1/namespaces": metadata("demo", "default"),
            "/apis/gateway.networking.k8s.io/v1/gateways": metadata("public", namespace="shop"),
        },
    ),
    "taken": Target(
        "weu-1",
        "Gateway shop/public is not of the drill: this cluster is in use, nothing is deleted: "
        "empty it by hand, or take drill_source away",
        {
            "/apis": {"items": [GATEWAYS]},
            "/api/v1/namespaces/kube-system/configmaps/envoyfleet-drill": MARK,
            "/api/v1/namespaces": metadata("demo", "default"),
            "/apis/gateway.networking.k8s.io/v1/gateways": metadata("public", namespace="shop"),
        },
    ),
    "marked": Target(
        "weu-1",
        "ConfigMap kube-system/envoyfleet-drill cannot be read (KeyError: 'data'): empty this "
        "cluster by hand, then delete it",
        {"/api/v1/namespaces/kube-system/configmaps/envoyfleet-drill": {"metadata": {}}},
    ),
    "without": Target(
        "weu-7",
        "{folder}/backups/weu-7 holds no backup: make one with deploys/backup.py, name one with "
        "--data archive=FILE, or correct backup.folder",
        {},
    ),
    "damaged": Target(
        "weu-2",
        f"{{folder}}/backups/weu-2/{NEWEST}.tar.gz.age cannot be used: it is not gzip, or damaged: "
        "take another archive",
        {},
    ),
}

#: What every API server has; an answer of 404 for one of them would be no empty cluster.
CORE = (
    *("configmaps", "endpoints", "events", "limitranges", "persistentvolumeclaims"),
    *("persistentvolumes", "pods", "podtemplates", "replicationcontrollers", "resourcequotas"),
    *("secrets", "serviceaccounts", "services"),
)


@dataclass(frozen=True)
class Drilled:
    """+ evidence: by target; + writes: requests that change something, by target"""

    code: int
    text: str
    evidence: Mapping[str, Any]
    writes: Mapping[str, Sequence[str]]


def fleet(folder: Path, server: ApiServer, targets: Mapping[str, Target], **more: Any) -> None:
    """A clone with an inventory of these targets, and backups of their sources."""
    (folder / "identity").write_text(f"{KEY}\n")
    backup = {"identity": str(folder / "identity"), "folder": str(folder / "backups")}
    data = {**DATA, "gateways": [], "backup": backup, **more}
    entries = [
        (f"@kube/{name}", {**data, "drill_source": it.source} if it.source else data)
        for name, it in targets.items()
    ]
    prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
    write_chart(folder)
    for name, it in targets.items():
        server.cluster(name)
        server.answer("GET", "/apis", Answer(body=GROUPS), cluster=name)
        for kind in CORE:
            server.answer("GET", f"/api/v1/{kind}", Answer(body={"items": []}), cluster=name)
        for path, body in it.here.items():
            server.answer("GET", path, Answer(body=body), cluster=name)
    recipients = [str(KEY.to_public())]
    for source, content in (("weu-1", packed("weu-1", EVERY)), ("weu-2", b"half")):
        archives.kept(folder / "backups" / source, NEWEST, content, recipients)


def run(
    folder: Path,
    server: ApiServer,
    line: CommandLine,
    targets: Mapping[str, Target],
    *more: str,
    deploy: str = "drill",
) -> Drilled:
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *targets)
    arguments = ["inventory/prod.py", f"deploys/{deploy}.py", "-y", *more]
    outcome = line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
    assert "Traceback" not in outcome.text
    evidence = [json.loads(it.read_text()) for it in folder.glob("runs/*/drill-*.json")]
    writes: dict[str, list[str]] = {name: [] for name in targets}
    for it in server.asked:
        if it.method != "GET":
            writes[it.cluster].append(f"{it.method} {it.path}")
    text = "\n".join(outcome.lines).replace(str(folder), "{folder}")
    return Drilled(outcome.code, text, {it["target"]: it for it in evidence}, writes)


@pytest.fixture(scope="module")
def refused(
    tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine
) -> Iterator[Drilled]:
    folder = tmp_path_factory.mktemp("drills") / "clone"
    folder.mkdir()
    with ApiServer().running() as server:
        fleet(folder, server, TARGETS)
        yield run(folder, server, command_line, TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_no_target_is_refused_in_one_line(refused: Drilled, name: str) -> None:
    assert f"[{name}] {TARGETS[name].says}" in refused.text
    assert refused.writes[name] == []


def test_drills_that_did_not_end_fail_the_run(refused: Drilled) -> None:
    assert refused.code == 1


def test_a_drill_that_failed_leaves_evidence_of_that(refused: Drilled) -> None:
    found = refused.evidence["damaged"]
    jsonschema.validate(found, SCHEMA)
    assert found["result"] == "failed"
    assert found["rto_seconds"] is None
    assert len(found["problems"]) == 1


def test_without_drill_source_nothing_begins(
    tmp_path: Path, api_server: ApiServer, command_line: CommandLine
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    targets = {"weu-1": Target("", "", {})}
    fleet(folder, api_server, targets)
    ended = run(folder, api_server, command_line, targets)
    assert ended.code == 2
    assert (
        "no cluster here has drill_source: name the clusters whose backups are tried on an empty "
        'one, such as "drill_source": ["weu-1"], see docs/drill.md' in ended.text
    )
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("scenario", "what", "said"),
    [
        (
            "archive-half-written",
            "the newest archive, cut in half",
            f"a copy of the folder/half/{NEWEST}.tar.gz.age is damaged, not all of it can be "
            "decrypted: take another archive",
        ),
        (
            "wrong-key",
            "another key",
            f"{{folder}}/backups/weu-1/{NEWEST}.tar.gz.age is not for the key in a copy of the "
            "folder/identity: name the file of a key that it was sealed for in backup.identity",
        ),
    ],
)
def test_what_must_be_refused_is_tried_and_kept_as_evidence(
    scenario: str,
    what: str,
    said: str,
    tmp_path: Path,
    api_server: ApiServer,
    command_line: CommandLine,
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    targets = {"half": Target("weu-1", "", {"/api/v1/namespaces": metadata("demo")})}
    fleet(folder, api_server, targets, scenario=scenario)
    ended = run(folder, api_server, command_line, targets)
    [refusal] = ended.evidence["half"]["refusals"]
    assert refusal["what"] == what
    assert refusal["said"].replace(str(folder), "{folder}") == said
    assert "Namespace demo is there" in ended.text
    assert str(KEY) not in ended.text


def test_every_source_has_its_turn_whatever_came_of_the_one_before(
    tmp_path: Path, api_server: ApiServer, command_line: CommandLine
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    targets = {"both": Target(["weu-7", "weu-2"], "", {})}
    fleet(folder, api_server, targets)
    ended = run(folder, api_server, command_line, targets)
    assert ended.code == 1
    problems = [
        json.loads((it).read_text())["problems"]
        for it in sorted(folder.glob("runs/*/drill-*.json"))
    ]
    assert [len(it) for it in problems] == [1, 1]
    assert "it is not gzip" in problems[0][0]
    assert "backups/weu-7 holds no backup" in problems[1][0]


def parsed(**more: Any) -> inventory.Cluster:
    return inventory.parsed({"ring": 0, "envoy_gateway_version": "1.9.1", **more})


def test_what_is_wanted_is_the_source_s_and_how_it_is_reached_the_target_s() -> None:
    source = parsed(envoy_gateway_version="1.8.3", namespace="eg", image_registry="far.io")
    target = parsed(image_registry="near.io", timeout=77, accept=["sick"], only=["Gateway a/b"])
    found = drill.data_of("weu-1", target, {"weu-1": source})
    assert found == target.model_copy(
        update={
            "envoy_gateway_version": "1.8.3",
            "namespace": "eg",
            "from_cluster": "weu-1",
            "accept": ["sick", "values"],
            "only": [],
            "backup": target.backup.model_copy(update={"enabled": False}),
        }
    )


def test_a_source_that_the_inventory_does_not_have_is_restored_as_the_target_says() -> None:
    target = parsed(envoy_gateway_version="1.8.3")
    assert drill.data_of("gone", target, {}).envoy_gateway_version == "1.8.3"

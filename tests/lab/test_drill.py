"""
A backup of the first cluster of the lab, tried on the last one: restored, proven, measured, taken
away; and the scenes of a game day, in which what was restored is really destroyed.
"""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.running import run, until
from tests.lab.test_crds import crds as crds_of
from tests.lab.test_restore import SYSTEM, at, certificate
from tests.leaks import watched
from tests.plans.test_evidence import SCHEMA

pytestmark = pytest.mark.lab

#: Every kind of which a drill or an installation makes objects that no namespace takes along.
KINDS = (
    "namespace,crd,clusterrole,clusterrolebinding,mutatingwebhookconfiguration,"
    "validatingadmissionpolicy,validatingadmissionpolicybinding"
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The first cluster with Envoy Gateway and a backup; the last one empty."""
    found = opened(tmp_path_factory.mktemp("drill"))
    source, target = found.names[0], found.names[-1]
    assert source != target, "a drill needs two clusters: python -m tasks.lab up 2"
    for deploy in ("install", "backup"):
        ended = found.pyinfra(deploy, "-y", "--limit", source, *at(found, source))
        assert ended.code == 0, ended.text
    empty(found)
    yield found
    empty(found)
    sample = run("sample", target, name=found.lab.name)
    assert sample.returncode == 0, sample.stderr


def empty(fleet: Fleet) -> None:
    """By hand, whatever the tests before this one left on the target."""
    target = fleet.names[-1]
    for it in ("gateway", "gatewayclass"):
        fleet.kubectl(target, "delete", it, "--all", "--all-namespaces", check=False)
    every = fleet.kubectl(target, "get", "namespace", "--output", "name").split()
    own = [it for it in every if not it.startswith(("namespace/kube-", "namespace/default"))]
    if own:
        fleet.kubectl(target, "delete", *own)
    for it in KINDS.split(",")[-2:]:
        fleet.kubectl(target, "delete", it, "--all")
    fleet.kubectl(target, "delete", "crd", "--all", "--wait=false")
    until("no CRDs", lambda: not fleet.kubectl(target, "get", "crd", "--output", "name"))
    mark = ("configmap", "envoyfleet-drill", "--namespace", "kube-system")
    fleet.kubectl(target, "delete", *mark, "--ignore-not-found")


def there(fleet: Fleet) -> list[str]:
    return sorted(fleet.kubectl(fleet.names[-1], "get", KINDS, "--output", "name").split())


def drilled(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra(*arguments(fleet), *more, inventory="inventory/drill.py")


def arguments(fleet: Fleet) -> tuple[str, ...]:
    source, target = fleet.names[0], fleet.names[-1]
    data = ("--data", f"drill_source={source}", *at(fleet, source))
    return ("drill", "-y", "--limit", target, *data)


def evidence(fleet: Fleet, source: str = "") -> dict[str, Any]:
    """Of the newest drill; it is what its schema says."""
    newest = max((fleet.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)
    text = (newest / f"drill-{source or fleet.names[0]}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    jsonschema.validate(found, SCHEMA)
    for it in (".md", ".html"):
        assert found["result"] in (newest / f"drill-{found['source']}{it}").read_text()
    return found


def proven(restore: dict[str, Any], served: str) -> None:
    """Every listener and route of the sample answered, with the certificate of the source."""
    answers = {it["request"].partition(" ")[0]: it for it in restore["answers"]}
    assert set(answers) == {"edge/public:http", "edge/public:https", "edge/public:tcp"}
    routes = {it["route"] for it in restore["answers"]}
    assert routes == {"HTTPRoute demo/blue", "HTTPRoute demo/green", "TCPRoute demo/echo"}
    for it in restore["answers"]:
        assert it["answer"].startswith(("200 from envoyfleet-drill/stand-in-", "connected")), it
    https = answers["edge/public:https"]
    assert (https["certificate"], https["as_archived"]) == (served, True)
    assert restore["stand_ins"] == ["Service demo/blue", "Service demo/green"]
    assert restore["differences"] == restore["unmet"] == restore["not_proven"] == []


@pytest.mark.nightly  # the scenes below begin with the same
def test_a_drill_proves_the_backup_and_leaves_nothing(fleet: Fleet) -> None:
    before = there(fleet)
    ended = drilled(fleet)
    assert ended.code == 0, ended.text
    found = evidence(fleet)
    [restore] = found["restores"]
    proven(restore, certificate(fleet.address(fleet.names[0])))
    left_nothing(fleet, before, found)


def left_nothing(fleet: Fleet, before: list[str], found: dict[str, Any]) -> None:
    assert found["emptied"]["nothing_left"]
    assert there(fleet) == before
    assert found["result"] == "restored"
    assert 0 < found["rto_seconds"] < found["seconds"]
    assert found["rpo_seconds"] > 0
    print(f"{found['scenario']}: RTO {found['rto_seconds']} s, in all {found['seconds']} s")


SCENES = {
    "namespace-deleted": "namespace demo is deleted",
    "tls-secrets-deleted": "1 TLS Secrets are deleted",
    "controller-deleted": f"namespace {SYSTEM}, with controller and proxies, is deleted",
    "crds-deleted": "CRDs are deleted, and with them every object",
}


@pytest.mark.parametrize(
    "scenario",
    [
        "namespace-deleted",
        *(pytest.param(it, marks=pytest.mark.nightly) for it in list(SCENES)[1:]),
    ],
)
def test_what_is_destroyed_comes_back(fleet: Fleet, scenario: str) -> None:
    before, served = there(fleet), certificate(fleet.address(fleet.names[0]))
    with watched(private_keys(fleet), fleet.folder) as leaks:
        ended = drilled(fleet, "--data", f"scenario={scenario}")
        leaks.look_at("output", ended.text.encode())
    assert ended.code == 0, ended.text
    assert leaks.found == set()
    print(f"canaries: 0 found in {leaks.files} files, {leaks.looks} looks at all processes")
    found = evidence(fleet)
    assert found["scenario"] == scenario
    first, second = found["restores"]
    assert first["after"] == "the cluster is lost"
    assert second["after"].endswith(SCENES[scenario])
    assert second["created"] > 0
    for it in (first, second):
        proven(it, served)
    left_nothing(fleet, before, found)


def private_keys(fleet: Fleet) -> list[str]:
    """A line of each private key of the source, as it stands in its PEM."""
    found = fleet.kubectl(fleet.names[0], "get", "secret", "--all-namespaces", "--output", "json")
    keys = [(it.get("data") or {}).get("tls.key") for it in json.loads(found)["items"]]
    lines = [base64.b64decode(it).decode().splitlines()[1] for it in keys if it]
    assert len(lines) >= 4  # three of the control plane, one of the Gateway
    return lines


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("archive-half-written", "is damaged, not all of it can be decrypted"),
        ("wrong-key", "is not for the key in"),
    ],
)
def test_what_must_be_refused_is_and_the_right_one_is_taken(
    fleet: Fleet, scenario: str, said: str
) -> None:
    ended = drilled(fleet, "--data", f"scenario={scenario}")
    assert ended.code == 0, ended.text
    found = evidence(fleet)
    [refusal] = found["refusals"]
    assert said in refusal["said"]
    assert found["result"] == "restored"


@pytest.mark.nightly
def test_a_drill_that_was_killed_is_emptied_and_begun_anew(fleet: Fleet) -> None:
    before = there(fleet)
    deploy, *rest = arguments(fleet)
    earlier = {*(fleet.folder / "runs").iterdir()}
    process = fleet.started("inventory/drill.py", f"deploys/{deploy}.py", *rest)
    until("objects are restored", lambda: "Objects" in journal(fleet, earlier), 300)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert there(fleet) != before
    ended = drilled(fleet)
    assert ended.code == 0, ended.text
    assert "was broken off here: what it left goes first" in ended.err
    assert evidence(fleet)["result"] == "restored"
    assert there(fleet) == before


def journal(fleet: Fleet, earlier: set[Path]) -> str:
    """Of the run that was begun since, or "" where there is none yet."""
    files = [it / "journal.jsonl" for it in {*(fleet.folder / "runs").iterdir()} - earlier]
    return "".join(it.read_text() for it in files if it.exists())


@pytest.mark.nightly
def test_a_backup_of_three_versions_ago_is_restored(fleet: Fleet) -> None:
    target = fleet.names[-1]
    archive = old_backup(fleet)
    before = there(fleet)
    ended = fleet.pyinfra(
        *("drill", "-y", "--limit", target, "--data", f"drill_source={target}"),
        *("--data", "scenario=old-backup", "--data", f"archive={relative(archive, fleet)}"),
        inventory="inventory/drill.py",
    )
    assert ended.code == 0, ended.text
    found = evidence(fleet, target)
    assert found["result"] == "restored"
    [restore] = found["restores"]
    assert restore["created"] > 0
    routes = {it["route"] for it in restore["answers"]}
    assert routes == {"HTTPRoute old/old", "TCPRoute old/old"}
    assert there(fleet) == before


def old_backup(fleet: Fleet) -> Path:
    """Made on the target with the CRDs of Envoy Gateway 1.6.7, one route in a version of then."""
    target = fleet.names[-1]
    apply(fleet, *crds_of("1.6.7"))
    fleet.kubectl(target, "wait", "crd", "--all", "--for=condition=Established", "--timeout=240s")
    apply(fleet, *old_objects())
    kept = fleet.pyinfra("backup", "-y", "--limit", target)
    assert kept.code == 0, kept.text
    empty(fleet)
    return max((fleet.folder / "backups" / target).iterdir())


@pytest.mark.nightly
def test_several_sources_are_tried_one_after_the_other(fleet: Fleet) -> None:
    source, target = fleet.names[0], fleet.names[-1]
    old_backup(fleet)
    before = there(fleet)
    both = ("--data", f'drill_source=["{source}", "{target}"]')
    ended = drilled(fleet, *both)
    assert ended.code == 0, ended.text
    for it in (source, target):
        found = evidence(fleet, it)
        assert (found["source"], found["result"]) == (it, "restored")
        assert found["emptied"]["nothing_left"]
    assert there(fleet) == before


def relative(path: Path, fleet: Fleet) -> str:
    return str(path.relative_to(fleet.folder))


def apply(fleet: Fleet, *things: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    how = ("--server-side", "--force-conflicts", "-f", "-")
    fleet.lab.kubectl("--context", fleet.names[-1], "apply", *how, text=text)


def old_objects() -> list[dict[str, Any]]:
    """A class, a Gateway and two routes, the TCPRoute in its alpha version."""
    api, meta = "gateway.networking.k8s.io", {"name": "old", "namespace": "old"}
    controller = {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "tcp", "port": 9000, "protocol": "TCP"},
    ]
    backends = [{"backendRefs": [{"name": "old", "port": 80}]}]

    def of(kind: str, version: str, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": f"{api}/{version}", "kind": kind, "metadata": meta, "spec": spec}

    def route(kind: str, version: str, listener: str) -> dict[str, Any]:
        parents = [{"name": "old", "sectionName": listener}]
        return of(kind, version, parentRefs=parents, rules=backends)

    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"port": 80}]},
        },
        {**of("GatewayClass", "v1", **controller), "metadata": {"name": "old"}},
        of("Gateway", "v1", gatewayClassName="old", listeners=listeners),
        route("HTTPRoute", "v1", "http"),
        route("TCPRoute", "v1alpha2", "tcp"),
    ]

"""
An upgrade rehearsed: of a cluster with more than twenty kinds of objects, some of which the new
release does not take. Each of these is found, nothing else, and nothing is written to the source.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fleet import NEW, OLD, Fleet, opened
from tests.lab.running import run, until
from tests.lab.test_drill import empty, there
from tests.leaks import watched

pytestmark = [pytest.mark.lab, pytest.mark.nightly]  # some nine minutes

OBJECTS = Path(__file__).with_name("rehearsal.yaml")
SYSTEM = "envoy-gateway-system"
KINDS = (
    *("GatewayClass", "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"),
    *("UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "EnvoyProxy", "Backend"),
    *("HTTPRouteFilter", "ClientTrafficPolicy", "BackendTrafficPolicy", "SecurityPolicy"),
    *("EnvoyExtensionPolicy", "Namespace", "Service", "Secret", "ConfigMap"),
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The first cluster with the old release and objects of every kind; the last one empty."""
    found = replace(opened(tmp_path_factory.mktemp("rehearsal")), longest=1500)
    source, target = found.names[0], found.names[-1]
    assert source != target, "a rehearsal needs two clusters: python -m tasks.lab up 2"
    ended = found.pyinfra("install", "-y", "--limit", source, *version(OLD))
    assert ended.code == 0, ended.text
    authority = found.kubectl(source, "get", "configmap", "kube-root-ca.crt", "-o", "json")
    crt = json.loads(authority)["data"]["ca.crt"]
    file = found.folder / "ca.crt"
    file.write_text(crt)
    place = ("--namespace", "demo", "--from-file", f"ca.crt={file}")
    found.kubectl(source, "create", "configmap", "authorities", *place, check=False)
    found.kubectl(source, "apply", "--filename", str(OBJECTS))
    until("the second Gateway serves", lambda: programmed(found, source), 240)
    empty(found)
    yield found
    found.kubectl(source, "delete", "--filename", str(OBJECTS), "--wait=false", check=False)
    empty(found)
    sample = run("sample", target, name=found.lab.name)
    assert sample.returncode == 0, sample.stderr


def version(of: str) -> tuple[str, str]:
    return "--data", f'envoy_gateway_version="{of}"'


def programmed(fleet: Fleet, cluster: str) -> bool:
    path = '{.status.conditions[?(@.type=="Programmed")].status}'
    place = ("--namespace", "edge", "--output", f"jsonpath={path}")
    return fleet.kubectl(cluster, "get", "gateway", "second", *place) == "True"


def values(fleet: Fleet) -> list[str]:
    """A line of each value of a Secret of the source, as it stands there."""
    found = fleet.kubectl(fleet.names[0], "get", "secret", "--all-namespaces", "--output", "json")
    secrets = [it for it in json.loads(found)["items"] if it["type"] != "helm.sh/release.v1"]
    texts = [
        base64.b64decode(it).decode("latin-1")
        for one in secrets
        for key, it in (one.get("data") or {}).items()
        if key in ("tls.key", ".htpasswd")
    ]
    assert len(texts) >= 5  # three of the control plane, one of the Gateway, a password
    return [it.splitlines()[1] if "-----BEGIN" in it else it for it in texts]


def rehearsed(fleet: Fleet) -> dict[str, Any]:
    newest = max((fleet.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)
    text = (newest / f"rehearsal-{fleet.names[0]}.json").read_text()
    assert (fleet.folder / "rehearsals" / f"{fleet.names[0]}.json").read_text() == text
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_is_planted_is_found_and_nothing_else(fleet: Fleet) -> None:
    source, target = fleet.names[0], fleet.names[-1]
    before, asked = there(fleet), len(fleet.requests(source))
    with watched(values(fleet), fleet.folder) as leaks:
        ended = fleet.pyinfra(
            *("rehearse", "-y", "--limit", target, "--data", f"rehearsal_source={source}"),
            inventory="inventory/rehearsal.py",
        )
        leaks.look_at("output", ended.text.encode())
    assert ended.code == 3, ended.text
    assert leaks.found == set()
    print(f"canaries: 0 found in {leaks.files} files, {leaks.looks} looks at all processes")
    found = rehearsed(fleet)
    print(json.dumps(found["outcome"], indent=1))
    assert (found["before"], found["after"], found["problems"]) == (OLD, NEW, [])
    assert set(KINDS) <= set(found["kinds"])
    names = {
        name: sorted({it["name"] for it in changes if it["severity"] != "info"})
        for name, changes in found["outcome"].items()
    }
    assert names["refused"] == [
        "BackendTrafficPolicy edge/second",
        "ClientTrafficPolicy edge/second",
        "EnvoyExtensionPolicy demo/scripted",
    ]
    assert names["pruned"] == ["HTTPRoute demo/sticky"]
    # What follows from those: the script's route fails, also while that happens; the route that
    # 1.8 does not serve for its idleTimeout is served without.
    follows = {"HTTPRoute demo/scripted", "HTTPRoute demo/sticky", "requests while upgrading"}
    assert "HTTPRoute demo/scripted" in names["traffic"]
    assert set(names["traffic"]) <= follows
    assert {it.partition(", ")[0] for it in names["configuration"]} == {"HTTPRoute demo/scripted"}
    assert set(names["way_back"]) <= follows
    written = [
        f"{it['verb']} {it['requestURI']}"
        for it in fleet.requests(source)[asked:]
        if it["verb"] not in ("get", "list", "watch")
    ]
    assert written == []
    assert there(fleet) == before


def test_the_upgrade_stops_for_what_was_found(fleet: Fleet) -> None:
    ended = fleet.pyinfra("upgrade", "--dry", "--limit", fleet.names[0], *version(NEW))
    assert ended.code == 1, ended.text
    assert "found what breaks: " in ended.text
    assert '(or accept "rehearsal")' in ended.text

"""
Objects of every kind, with every field of a ``spec``: backed up, restored into an empty cluster,
and the same again but for what an API server owns. No value of a Secret is in clear anywhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.lab import state
from tasks.lab.api import Api
from tests.lab.applying import apply, by_kind, served
from tests.lab.campaign.start import folder_for
from tests.lab.fleet import NEW, OLD, Ended, Fleet
from tests.lab.running import REPOSITORY, LabUnderTest, run
from tests.leaks import Leaks, watched
from tests.objects import certificate, crds_of_others, kinds, objects, unused, with_canaries

pytestmark = pytest.mark.lab

LAB = "whole"
CANARY = "canary-5e1f0c7a9b2d4386"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#: What an API server writes into objects itself.
OF_SERVER = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
ADDRESSES = {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"}
#: Added to every namespace by the API server of each cluster.
OF_NAMESPACES = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Whole:
    """A cluster with all of it, and one that was empty before the restore."""

    fleet: Fleet
    release: str
    source: Api
    target: Api
    leaks: Leaks
    runs: dict[str, Ended]


@pytest.fixture(scope="module", params=[pytest.param(OLD, marks=pytest.mark.nightly), NEW])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Whole]:
    release = str(request.param)
    run("down", name=LAB)
    up = run("up", "2", "--without-nodes", name=LAB)
    standin = None
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        command = [sys.executable, "-m", "tests.lab.standin", LAB]
        standin = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL)
        lab = LabUnderTest(LAB, json.loads(run("status", "--json", name=LAB).stdout))
        fleet = Fleet(lab, folder_for(tmp_path_factory.mktemp("whole") / "work"))
        yield carried_over(fleet, release, tmp_path_factory.mktemp("temporary"))
    finally:
        if standin is not None:
            standin.kill()
            standin.wait()
        run("down", name=LAB)


def carried_over(fleet: Fleet, release: str, temporary: Path) -> Whole:
    """Install and apply; back up, verify, look at the plan and restore, all under watch."""
    source, target = (Api(state.running(LAB).member(it)) for it in fleet.names)
    how = ("--data", f'envoy_gateway_version="{release}"', "--data", 'probe={"enabled": false}')

    def deploy(name: str, cluster: str, *more: str) -> Ended:
        environment = {"ENVOYFLEET_LAB": LAB, "TMPDIR": str(temporary)}
        ended = fleet.pyinfra(name, "-vvv", "--limit", cluster, *how, *more, **environment)
        (fleet.folder / f"{name}-{len(list(fleet.folder.iterdir()))}.log").write_text(ended.text)
        return ended

    first, second = fleet.names
    demo = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    apply(source, [demo])  # for the routes of inventory/lab.py
    installed = deploy("install", first, "-y")
    assert installed.code == 0, installed.text
    apply(source, crds_of_others())
    apply(source, with_canaries(objects(release), CANARY))
    apply(target, crds_of_others())  # cert-manager and Prometheus are not ours to restore
    other = ("--data", f'from_cluster="{first}"')
    secrets = (CANARY, certificate()[1].splitlines()[1])
    with watched(secrets, fleet.folder, temporary) as leaks:
        runs = {
            "backup": deploy("backup", first, "-y"),
            "verify": deploy("verify", first),
            "plan": deploy("restore", second, "--dry", "--diff", *other),
            "restore": deploy("restore", second, "-y", "--diff", *other),
            "again": deploy("restore", second, "-y", *other),
        }
    return Whole(fleet, release, source, target, leaks, runs)


def test_every_field_is_used(whole: Whole) -> None:
    """A field that a newer Envoy Gateway brings needs an object in tests/data/objects."""
    assert unused(whole.source.get(DEFINITIONS)["items"], objects(whole.release)) == []


@pytest.mark.parametrize("name", ["backup", "verify", "plan", "restore", "again"])
def test_every_run_ends_well(whole: Whole, name: str) -> None:
    assert whole.runs[name].code == 0, whole.runs[name].text


def test_all_kinds_are_the_same_again(whole: Whole) -> None:
    things = objects(whole.release)
    here, there = (by_kind(served(it)) for it in (whole.source, whole.target))
    differs = []
    for it in things:
        meta, kind = it["metadata"], (it["apiVersion"], it["kind"])
        title = f"{it['kind']} {meta.get('namespace', '')}/{meta['name']}"
        place = here[kind].path(meta.get("namespace"), meta["name"])
        wanted = lasting(whole.source.get(place))
        found = lasting(whole.target.get(there[kind].path(meta.get("namespace"), meta["name"])))
        if wanted != found:
            differs.append(title)
    print(f"Envoy Gateway {whole.release}: {len(things)} objects of {len(kinds(things))} kinds")
    assert differs == []
    assert len(kinds(things)) >= 30


def test_no_secret_is_in_clear(whole: Whole) -> None:
    print(f"{whole.leaks.looks} looks at processes, {whole.leaks.files} files")
    assert whole.leaks.looks > 10
    assert whole.leaks.files > 10
    assert whole.leaks.found == set()


def lasting(thing: dict[str, Any]) -> dict[str, Any]:
    """What of an object is somebody's word; a Secret's data too."""
    meta = {key: it for key, it in thing["metadata"].items() if key not in OF_SERVER}
    meta["labels"] = {
        key: it for key, it in (meta.get("labels") or {}).items() if key != OF_NAMESPACES
    }
    spec = {key: it for key, it in (thing.get("spec") or {}).items() if key not in ADDRESSES}
    return {**thing, "metadata": meta, "spec": spec, "status": None}

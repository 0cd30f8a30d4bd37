"""
Monitoring of AKS clusters: monitors of Azure's API group on a real API server, and rule groups that
the lab's Azure takes; a second run writes neither. The CRDs are those of the prometheus-operator in
the other group, for that is what Azure's add-on brings (Azure Monitor docs, "Customize collection
using CRDs"); its collector does not run here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tasks.lab import manifests, monitoring_parts, parts
from tasks.lab.monitoring import without_descriptions
from tasks.plans.kinds import AZURE_MONITOR, PROMETHEUS_OPERATOR
from tasks.plans.rule_groups import RULE_GROUPS, RULES, TAG
from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.test_azure_fleet import Azure

pytestmark = pytest.mark.lab
Object = dict[str, Any]
NAMESPACE, GROUP = "monitoring", "rules"
KINDS = ("PodMonitor", "ServiceMonitor")
#: Nobody collects in a lab: what Prometheus would say cannot be read.
UNREAD = "GW800"


@dataclass(frozen=True)
class Watched:
    """The fleet, its Azure, and ids there."""

    fleet: Fleet
    azure: Azure
    workspace: str
    pager: str

    def run(self, *more: str) -> Ended:
        """deploys/monitoring.py with Azure as its back end."""
        place = {"id": self.workspace, "resource_group": GROUP, "action_groups": [self.pager]}
        said = {"backend": "azure", "workspace": place}
        ended = self.fleet.pyinfra("monitoring", "--data", f"monitoring={json.dumps(said)}", *more)
        assert ended.code in (0, 3), ended.text
        return ended

    def groups(self, cluster: str) -> list[Object]:
        """The rule groups of a cluster in Azure."""
        every = [it for it in self.azure.run("show").split() if RULE_GROUPS.type in it]
        found = [self.azure.show(it) for it in every]
        return [it for it in found if it["tags"] == {TAG: cluster}]

    def written(self) -> dict[str, str]:
        """The ETags of all rule groups by name: each PUT gives another one."""
        every = [it for name in self.fleet.names for it in self.groups(name)]
        return {it["name"]: it["etag"] for it in every}

    def monitors(self, cluster: str) -> list[Object]:
        kinds = ",".join(f"{it.lower()}s.{AZURE_MONITOR}" for it in KINDS)
        text = self.fleet.kubectl(cluster, "get", kinds, "--all-namespaces", "--output", "json")
        found: list[Object] = json.loads(text)["items"]
        return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    fleet = opened(tmp_path_factory.mktemp("watched"))
    azure = Azure(fleet.lab)
    base = azure.group.rpartition("/")[0]
    there: dict[str, Object] = {
        f"{base}/{GROUP}": {},
        f"{base}/{GROUP}/providers/Microsoft.Monitor/accounts/all": {},
        f"{base}/{GROUP}/providers/Microsoft.Insights/actionGroups/pager": {},
    }
    for id_, properties in there.items():
        body = {"location": "westeurope", "properties": properties}
        azure.run("put", id_, "-", text=json.dumps(body))
    _, workspace, pager = there
    objects = [*crds(), *map(namespace, (NAMESPACE, "envoy-gateway-system"))]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    for cluster in fleet.names:
        azure.kubectl(cluster, "apply", "--server-side", "--filename", "-", text=text)
    try:
        yield Watched(fleet, azure, workspace, pager)
    finally:
        azure.run("delete", f"{base}/{GROUP}")
        for cluster in fleet.names:
            names = [f"crd/{it['metadata']['name']}" for it in crds()]
            fleet.kubectl(cluster, "delete", *names, f"namespace/{NAMESPACE}", "--wait=false")


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@cache
def crds() -> list[Object]:
    """Of Azure's monitors."""
    found = parts.find([it for it in monitoring_parts.parts() if it.name.endswith("-crds")])
    every = manifests.parsed(found["prometheus-operator-crds"] / "crds.yaml")
    wanted = [without_descriptions(it) for it in every if it["spec"]["names"]["kind"] in KINDS]
    renamed = json.dumps(wanted).replace(PROMETHEUS_OPERATOR, AZURE_MONITOR)
    monitors: list[Object] = json.loads(renamed)
    return monitors


def codes(ended: Ended) -> set[str]:
    """Of findings that were said."""
    return {it for it in ended.text.replace(":", " ").split() if it.startswith("GW8")}


def test_a_plan_writes_nothing(watched: Watched) -> None:
    ended = watched.run("--dry")
    first = watched.fleet.names[0]
    assert f"Will create rule group {GROUP}/envoyfleet-{first}-1" in ended.text, ended.text
    assert watched.written() == {}
    assert [it for name in watched.fleet.names for it in watched.monitors(name)] == []


def test_azure_takes_the_rules_and_the_cluster_the_monitors(watched: Watched) -> None:
    ended = watched.run("-y")
    assert codes(ended) <= {UNREAD}, ended.text
    for name in watched.fleet.names:
        groups = watched.groups(name)
        rules = [rule for it in groups for rule in it["properties"]["rules"]]
        assert len(rules) > 3 * RULES
        assert {it["properties"]["clusterName"] for it in groups} == {name}
        told = {one["actionGroupId"] for it in rules for one in it.get("actions", ())}
        assert told == {watched.pager}
        proxies = [it for it in watched.monitors(name) if it["kind"] == "PodMonitor"]
        assert all(it["spec"]["labelLimit"] == 63 for it in proxies)
        assert len(proxies) >= 1


def test_a_second_run_writes_nothing(watched: Watched) -> None:
    before = watched.written()
    versions = [it["metadata"]["resourceVersion"] for it in every_monitor(watched)]
    ended = watched.run("-y")
    assert codes(ended) <= {UNREAD}, ended.text
    assert watched.written() == before
    assert [it["metadata"]["resourceVersion"] for it in every_monitor(watched)] == versions


def test_a_rule_that_somebody_changed_is_shown_and_put_back(watched: Watched) -> None:
    first = watched.fleet.names[0]
    one = watched.groups(first)[0]
    one["properties"]["rules"][0]["expression"] = "vector(1)"
    watched.azure.run("plant", one["id"], "-", text=json.dumps(one))
    before = watched.written()
    ended = watched.run("-y", "--diff")
    assert f"Will change rule group {GROUP}/{one['name']}" in ended.text
    assert ": expression: vector(1)" in ended.text
    after = watched.written()
    assert [it for it in after if after[it] != before[it]] == [one["name"]]


def every_monitor(watched: Watched) -> list[Object]:
    return [it for name in watched.fleet.names for it in watched.monitors(name)]

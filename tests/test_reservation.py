"""
Reserving public IPs through the real command line: a cluster that a stand-in API server answers
for, and an Azure of this process. The Gateways are not there yet; those of a lab are in
tests/lab/test_azure_move.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.lab.azure.faults import Fault
from tests.aks_clusters import Aks, ip, node
from tests.api_server import GROUPS, Answer, ApiServer
from tests.azure import SUBSCRIPTION, Azure, environment, standing_azure
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.stand_in import NAMESPACE, listed

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/addresses"
IP = f"{GROUP}/providers/Microsoft.Network/publicIPAddresses/weu-1-public"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
MADE = [
    "made public IP addresses/weu-1-public",
    "made lock envoyfleet on public IP addresses/weu-1-public",
    "made role Network Contributor of cluster weu-1 on addresses",
]


@dataclass
class Fleet:
    """The two stand-ins, and runs against them."""

    azure: Azure
    api: ApiServer
    command_line: CommandLine
    folder: Path

    def stands(self, name: str = "weu-1", number: int = 0) -> None:
        """A cluster without Envoy Gateway, and its part of Azure."""
        it = Aks(name, number=number)
        cluster = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned", "principalId": it.principal},
            "properties": {"nodeResourceGroup": it.nodes, "provisioningState": "Succeeded"},
        }
        self.azure.plant(it.id, cluster)
        self.azure.plant(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{it.nodes}", cluster)
        self.api.cluster(name)
        meta = {"name": "envoyfleet", "namespace": NAMESPACE, "resourceVersion": "1"}
        lease = {"metadata": meta, "spec": {}}
        answers: dict[tuple[str, str], Any] = {
            ("GET", "/apis"): GROUPS,
            ("GET", "/api/v1/nodes"): listed("v1", "Node", [node(it)]),
            ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets"): listed("v1", "Secret", []),
            ("POST", LEASES): lease,
            ("PUT", f"{LEASES}/envoyfleet"): lease,
        }
        for (method, path), body in answers.items():
            self.api.answer(method, path, Answer(body=body), cluster=name)

    def group(self) -> None:
        self.azure.plant(GROUP, {"location": "westeurope", "properties": {}})

    def reserved(
        self,
        *more: str,
        names: tuple[str, ...] = ("weu-1",),
        merged_with: tuple[str, ...] = (),
        **public_ip: Any,
    ) -> Outcome:
        """
        + merged_with: other Gateways, which share the Service and name no public IP
        + public_ip: of the Gateway of each, over what it has anyway
        """
        own = {"name": "weu-1-public", "resource_group": "addresses", **public_ip}
        listeners = [{"name": "http", "port": 80}]
        others = [{"name": it, "namespace": "edge", "listeners": listeners} for it in merged_with]
        gateway = {"name": "public", "namespace": "edge", "listeners": listeners, "public_ip": own}
        data = {
            "ring": 0,
            "envoy_gateway_version": "1.9.1",
            "backup": {"enabled": False},
            "merge_gateways": bool(others),
            "gateways": [*others, gateway],
        }
        work = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        work.mkdir()
        case = Case("", [], inventory=f"clusters = {[(f'@kube/{it}', data) for it in names]!r}")
        kubeconfig = prepared(work, case, self.api)
        command = ["inventory/prod.py", "deploys/reserve_public_ip.py", *(more or ("-y",))]
        return self.command_line.run(work, command, KUBECONFIG=str(kubeconfig), **environment())

    def writes(self) -> list[str]:
        """What ARM was asked to change, the last part of each path."""
        return [
            it.path.partition("?")[0].rsplit("/", 2)[-2]
            for it in self.azure.requests
            if it.method in ("PUT", "DELETE", "PATCH") and "/providers/" in it.path
        ]

    def reads(self) -> list[str]:
        """The paths that ARM was read at, without the tokens that were fetched."""
        paths = [it.path.partition("?")[0] for it in self.azure.requests if it.method == "GET"]
        return [it for it in paths if it.startswith("/subscriptions/")]


@pytest.fixture
def fleet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    api_server: ApiServer,
    command_line: CommandLine,
) -> Iterator[Fleet]:
    with standing_azure(tmp_path / "azure", monkeypatch) as serving:
        yield Fleet(serving.azure, api_server, command_line, tmp_path)


def said(outcome: Outcome) -> list[str]:
    """What was said of the cluster, but for what every run says."""
    begun = [it.removeprefix("[weu-1] ") for it in outcome.lines if it.startswith("[weu-1] ")]
    return [it for it in begun if it not in ("No changes", "Success")]


def test_all_of_it_is_made_once(fleet: Fleet) -> None:
    """Nothing by a plan, and nothing the second time: what is read then is said here."""
    fleet.stands()
    fleet.group()
    outcome = fleet.reserved("--dry", "--diff")
    assert outcome.code == 0, outcome.text
    assert "Will make public IP addresses/weu-1-public" in outcome.lines
    assert fleet.writes() == []

    outcome = fleet.reserved()
    assert outcome.code == 0, outcome.text
    assert said(outcome) == MADE
    assert fleet.writes() == ["publicIPAddresses", "locks", "roleAssignments"]
    made = fleet.azure.get(IP)
    assert made is not None
    assert made["sku"]["name"] == "Standard"
    assert made["zones"] == ["1", "2", "3"]
    assert "Gateway edge/public: deploys/install.py makes it, with its address" in outcome.text

    fleet.azure.requests.clear()
    outcome = fleet.reserved()
    assert outcome.code == 0, outcome.text
    assert said(outcome) == []
    assert fleet.writes() == []
    assert len(fleet.reads()) == 6


def test_merged_gateways_share_what_one_of_them_names(fleet: Fleet) -> None:
    fleet.stands()
    fleet.group()
    outcome = fleet.reserved(merged_with=("other",))
    assert outcome.code == 0, outcome.text
    assert said(outcome) == MADE
    assert "Gateway edge/other, Gateway edge/public: deploys/install.py makes it" in outcome.text


def test_what_was_broken_off_is_gone_on_with(fleet: Fleet) -> None:
    fleet.stands()
    fleet.group()
    fault = fleet.azure.faults.add(Fault("PUT .*/locks/", 400, code="Odd"))
    first = fleet.reserved()
    assert first.code == 1
    fleet.azure.faults.faults.remove(fault)
    second = fleet.reserved()
    assert second.code == 0, second.text
    assert said(second) == MADE[1:]


def test_a_group_that_is_not_there(fleet: Fleet) -> None:
    fleet.stands()
    outcome = fleet.reserved()
    assert outcome.code == 1
    assert (
        "Gateway edge/public: resource group addresses does not exist: az group create "
        f"--subscription {SUBSCRIPTION} --name addresses --location westeurope"
    ) in outcome.text
    assert fleet.writes() == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        pytest.param(
            Fault("PUT .*/roleAssignments/", 403, code="AuthorizationFailed"),
            "role Network Contributor of cluster weu-1 on addresses is missing, and this identity "
            "may not make it: hand this to somebody who may, then run again: az role assignment "
            "create --assignee-object-id",
            id="may not give roles",
        ),
        pytest.param(
            Fault("PUT .*/publicIPAddresses/", 403, code="RequestDisallowedByPolicy"),
            "public IP addresses/weu-1-public was not made: Azure answers 403 "
            "RequestDisallowedByPolicy to PUT",
            id="a policy",
        ),
        pytest.param(
            Fault("PUT .*/publicIPAddresses/", 400, code="PublicIPCountLimitReached"),
            "ask for more: az network list-usages --location westeurope --output table",
            id="the quota",
        ),
        pytest.param(
            Fault("PUT .*/publicIPAddresses/", fails="InternalServerError"),
            "public IP addresses/weu-1-public was not made: ",
            id="an operation that fails",
        ),
    ],
)
def test_what_azure_refuses_is_a_line(fleet: Fleet, fault: Fault, line: str) -> None:
    fleet.stands()
    fleet.group()
    fleet.azure.faults.add(fault)
    outcome = fleet.reserved()
    assert outcome.code == 1
    assert line in outcome.text
    assert "Traceback" not in outcome.text


def test_one_that_another_cluster_holds(fleet: Fleet) -> None:
    fleet.stands()
    fleet.group()
    other = Aks("weu-2", number=1)
    fleet.stands("weu-2", 1)
    fleet.azure.plant(IP, ip("20.1.2.3", f"{other.balancer}/frontendIPConfigurations/a1"))
    outcome = fleet.reserved()
    assert outcome.code == 1
    assert (
        "public IP addresses/weu-1-public is held by load balancer kubernetes of cluster weu-2"
    ) in outcome.text
    assert fleet.writes() == []


def test_two_clusters_that_want_one(fleet: Fleet) -> None:
    fleet.stands()
    fleet.stands("neu-1", 1)
    outcome = fleet.reserved(names=("weu-1", "neu-1"))
    assert outcome.code == 2
    assert (
        "neu-1: public IP addresses/weu-1-public is wanted for weu-1 too: one of them can have it"
    ) in outcome.text
    assert fleet.writes() == []


def test_a_cluster_that_is_not_of_azure(fleet: Fleet) -> None:
    fleet.stands()
    nodes = listed("v1", "Node", [{"metadata": {"name": "one"}, "spec": {}}])
    fleet.api.answer("GET", "/api/v1/nodes", Answer(body=nodes))
    outcome = fleet.reserved()
    assert outcome.code == 1
    assert "it is not known which cluster of Azure this is" in outcome.text
    assert fleet.azure.requests == []

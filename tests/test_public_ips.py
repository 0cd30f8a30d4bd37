"""
The audit of public IPs through the real command line: clusters that a stand-in API server answers
for, an Azure of this process, a DNS server and a TLS server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dns import rcode

from tasks.lab.azure.faults import Fault
from tasks.plans.arm import KINDS
from tests.aks_clusters import Aks, answered, ip, node, planted, service
from tests.api_server import Answer, ApiServer, status
from tests.azure import Azure, environment, standing_azure
from tests.command_line import CommandLine, Outcome
from tests.dns_server import DnsServer, serving_names
from tests.fleet.test_run import Case, prepared
from tests.operations.test_handshakes import context, server
from tests.stand_in import NAMESPACE, listed

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "docs" / "public_ips.schema.json").read_text())
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
DATA = {"ring": 0, "envoy_gateway_version": "1.9.1", "probe": {"enabled": False}}

OWN = {"name": "public-0", "namespace": "edge", "listeners": [{"name": "https", "port": 80}]}


@dataclass
class Fleet:
    """What a test has to do with: the two stand-ins, and runs against them."""

    azure: Azure
    api: ApiServer
    command_line: CommandLine
    folder: Path

    def stands(self, it: Aks) -> None:
        planted(self.azure, it)
        answered(self.api, it)

    def audited(
        self,
        *arguments: str,
        names: tuple[str, ...] = ("weu-1",),
        folder: str = "work",
        deploy: str = "",
        **data: Any,
    ) -> Outcome:
        clusters = [(f"@kube/{it}", {**DATA, **data}) for it in names]
        work = self.folder / folder
        work.mkdir()
        files = {"deploys/public_ips.py": deploy} if deploy else {}
        case = Case("", [], inventory=f"clusters = {clusters!r}", files=files)
        kubeconfig = prepared(work, case, self.api)
        command = ["inventory/prod.py", "deploys/public_ips.py", *arguments]
        return self.command_line.run(work, command, KUBECONFIG=str(kubeconfig), **environment())

    def lists(self) -> list[str]:
        """What was listed of ARM, without queries."""
        return [it.path.partition("?")[0] for it in self.azure.requests if "/providers/" in it.path]


@pytest.fixture
def fleet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    api_server: ApiServer,
    command_line: CommandLine,
) -> Iterator[Fleet]:
    with standing_azure(tmp_path / "azure", monkeypatch) as serving:
        yield Fleet(serving.azure, api_server, command_line, tmp_path)


def findings(outcome: Outcome) -> list[str]:
    """Severity and code of each."""
    return [
        " ".join(it)
        for it in re.findall(r"^(error|warning|info) (GW\d{3})", outcome.text, flags=re.M)
    ]


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """Every name of two clusters leads to its Gateway's address."""
    here = [Aks(), Aks("neu-1", number=1)]
    with serving_names({it.host(): ([f"A {it.address()}"], rcode.NOERROR) for it in here}) as found:
        yield found


def test_what_is_healthy_is_a_row_and_nothing_more(fleet: Fleet, dns: DnsServer) -> None:
    fleet.stands(Aks())
    outcome = fleet.audited(resolvers=[dns.place])
    assert [it for it in outcome.lines if it.startswith("weu-1 ")] == [
        "weu-1 edge/public-0 127.20.0.1 addresses/weu-1-0 "
        "load balancer kubernetes of cluster weu-1 lock 1 of 1 -"
    ]
    assert (findings(outcome), outcome.code) == ([], 0)
    assert "weu-1: no address was asked: probe.enabled is False" in outcome.text
    assert len(fleet.api.asked) <= 2 + 8
    assert len(fleet.lists()) == len(KINDS)


def test_azure_is_asked_once_however_many_clusters_there_are(fleet: Fleet, dns: DnsServer) -> None:
    for it in (Aks(), Aks("neu-1", number=1)):
        fleet.stands(it)
    outcome = fleet.audited(names=("weu-1", "neu-1"), resolvers=[dns.place])
    assert (findings(outcome), outcome.code) == ([], 0)
    assert len(fleet.lists()) == len(KINDS)
    assert sorted(it.partition(" ")[0] for it in dns.asked) == [
        *["neu-1-0.example.com"] * 2,
        *["weu-1-0.example.com"] * 2,
    ]


def test_the_document_keeps_to_its_schema(fleet: Fleet, dns: DnsServer) -> None:
    fleet.stands(Aks())
    fleet.azure.delete(Aks().ip())
    outcome = fleet.audited("--data", "output=json", resolvers=[dns.place])
    document = json.loads(outcome.text[outcome.text.index("{\n") : outcome.text.rindex("}") + 1])
    jsonschema.validate(document, SCHEMA)
    [cluster] = document["clusters"]
    assert cluster["gateways"][0]["public_ip"] is None
    assert cluster["gateways"][0]["findings"] == ["GW701"]
    assert outcome.code == 3


@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        pytest.param("deleted", ["error GW701"], id="the public IP does not exist"),
        pytest.param("elsewhere", ["error GW706"], id="something else has it"),
        pytest.param("unlocked", ["warning GW708"], id="no lock keeps it"),
        pytest.param("no rights", ["warning GW705"], id="the cluster may not join it any more"),
        pytest.param("names", ["warning GW722"], id="DNS leads elsewhere"),
        pytest.param("forbidden", ["warning GW700"], id="a list may not be read"),
    ],
)
def test_what_is_broken_is_one_finding(
    fleet: Fleet, dns: DnsServer, broken: str, wanted: list[str]
) -> None:
    it, azure = Aks(), fleet.azure
    fleet.stands(it)
    match broken:
        case "deleted":
            azure.delete(it.ip())
        case "elsewhere":
            other = "/subscriptions/x/resourceGroups/vpn/providers/Microsoft.Network/natGateways/n"
            azure.plant(it.ip(), ip(it.address(), other))
        case "unlocked":
            azure.delete(azure.list("Microsoft.Authorization/locks")[0]["id"])
        case "no rights":
            [given] = [
                one["id"]
                for one in azure.list("Microsoft.Authorization/roleAssignments")
                if one["properties"]["principalId"] == it.principal
            ]
            azure.delete(given)
        case "names":
            dns.zone = {it.host(): (["A 127.99.0.1"], rcode.NOERROR)}
        case "forbidden":
            azure.faults.add(Fault("GET .*/loadBalancers", 403, code="AuthorizationFailed"))
    outcome = fleet.audited(resolvers=[dns.place])
    assert findings(outcome) == wanted, outcome.text
    assert outcome.code == 3


def test_what_answers_at_the_address_is_judged(
    fleet: Fleet, dns: DnsServer, tmp_path: Path
) -> None:
    with server(context(tmp_path)) as port:
        it = Aks(port=port, at="127.0.0.1")
        dns.zone = {it.host(): ([f"A {it.address()}"], rcode.NOERROR)}
        fleet.stands(it)
        outcome = fleet.audited(resolvers=[dns.place], probe={"enabled": True})
    assert findings(outcome) == ["error GW724"], outcome.text
    assert "shop.example.com" in outcome.text  # whose certificate it is


def test_a_service_without_address_says_why(fleet: Fleet, dns: DnsServer) -> None:
    it = Aks()
    fleet.stands(it)
    fleet.azure.delete(it.ip())
    here = {**service(it), "status": {"loadBalancer": {}}}
    fleet.api.answer("GET", SERVICES, Answer(body=listed("v1", "Service", [here])))
    events = [{"metadata": {}, "message": "Error syncing load balancer: it was not found"}]
    path = f"/api/v1/namespaces/{NAMESPACE}/events"
    fleet.api.answer("GET", path, Answer(body=listed("v1", "Event", events)))
    outcome = fleet.audited(resolvers=[dns.place])
    assert findings(outcome) == ["error GW701"], outcome.text
    assert 'Azure says "Error syncing load balancer: it was not found"' in outcome.text


def test_a_cluster_that_is_none_of_azure_asks_azure_nothing(fleet: Fleet, dns: DnsServer) -> None:
    it = Aks()
    answered(fleet.api, it)
    kind = {**node(it), "spec": {"providerID": "kind://docker/kind/kind-control-plane"}}
    fleet.api.answer("GET", "/api/v1/nodes", Answer(body=listed("v1", "Node", [kind])))
    outcome = fleet.audited(resolvers=[dns.place])
    assert findings(outcome) == ["warning GW700"], outcome.text
    assert fleet.azure.requests == []


def test_services_that_may_not_be_read_are_said(fleet: Fleet, dns: DnsServer) -> None:
    fleet.stands(Aks())
    fleet.api.answer("GET", SERVICES, status(403, "services is forbidden"))
    outcome = fleet.audited(resolvers=[dns.place])
    assert findings(outcome) == ["warning GW700"], outcome.text
    assert "services is forbidden" in outcome.text


def test_no_sign_in_is_said_once_a_cluster_and_no_secret_with_it(
    fleet: Fleet, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.stands(Aks())
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wr0ng-s3cret")
    outcome = fleet.audited("-vvv", "--debug", resolvers=[dns.place])
    assert findings(outcome) == ["warning GW700"], outcome.text
    assert "AADSTS7000215" in outcome.text
    assert "wr0ng-s3cret" not in outcome.text


def test_a_cluster_that_does_not_answer_has_a_row(fleet: Fleet, dns: DnsServer) -> None:
    fleet.stands(Aks())
    outcome = fleet.audited(names=("weu-1", "gone"), resolvers=[dns.place])
    assert any(it.startswith("gone - unreachable") for it in outcome.lines), outcome.text
    assert outcome.code == 1


def test_an_address_that_the_inventory_wants_elsewhere_is_not_called_unused(
    fleet: Fleet, dns: DnsServer
) -> None:
    fleet.stands(Aks())
    free = Aks("neu-1", number=1)
    fleet.azure.plant(free.ip(), ip(free.address()))
    kept = {"name": "neu-1-0", "resource_group": "addresses"}
    to_come = {
        "name": "public",
        "namespace": "edge",
        "listeners": [{"name": "http", "port": 80}],
    }
    turns: dict[str, dict[str, Any]] = {
        "unused": {},
        "claimed": {"gateways": [{**to_come, "public_ip": kept}]},
        "of others": {"unused_public_ips": False},
    }
    found = [
        findings(fleet.audited(resolvers=[dns.place], folder=name, **more))
        for name, more in turns.items()
    ]
    assert found == [["info GW726"], [], []]


def before_a_change(fleet: Fleet, **data: Any) -> str:
    """What preflight says of the public IPs of a cluster that is known to be of AKS."""
    look = (
        "from pyinfra import host\n"
        "from tasks import certificates, public_ips\n"
        "from tasks.fleet import run\n"
        "from tasks.fleet.guard import fleet_operation\n"
        "@fleet_operation()\n"
        "def look():\n"
        "    yield from ()\n"
        "    if public_ips.known_to_be_of_azure():\n"
        "        for it in public_ips.reasons(run.cluster(), certificates.objects()):\n"
        "            print('stop' if it.stops else 'warning', it.accept, it.text)\n"
        "run.audit()\n"
        "look(name='Look')\n"
    )
    outcome = fleet.audited(deploy=look, **data)
    assert outcome.code == 0, outcome.text
    said = re.findall(r"^(stop|warning) (\S+) (GW\d{3})", outcome.text, flags=re.M)
    return ", ".join(" ".join(it) for it in said)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        pytest.param({"aks_id": Aks().id, "gateways": [OWN]}, "stop sick GW701", id="our Gateway"),
        pytest.param({"aks_id": Aks().id}, "warning sick GW701", id="a Gateway of others"),
        pytest.param({"gateways": [OWN]}, "", id="it is not known to be of AKS"),
    ],
)
def test_before_a_change_an_error_of_the_chain_is_said(
    fleet: Fleet, data: dict[str, Any], wanted: str
) -> None:
    fleet.stands(Aks())
    fleet.azure.delete(Aks().ip())
    assert before_a_change(fleet, **data) == wanted
    assert bool(fleet.azure.requests) is bool(wanted)


def test_before_a_change_merged_gateways_are_one_chain(fleet: Fleet) -> None:
    """One is there, the other is to come, and only the first names the public IP of both."""
    fleet.stands(Aks())
    fleet.azure.delete(Aks().ip())
    named = {**OWN, "public_ip": {"name": "weu-1-0", "resource_group": "addresses"}}
    data = {"merge_gateways": True, "gateways": [named, {**OWN, "name": "other"}]}
    assert before_a_change(fleet, aks_id=Aks().id, **data) == "stop sick GW701"


def test_before_a_change_an_azure_that_is_out_is_a_warning(fleet: Fleet) -> None:
    fleet.stands(Aks())
    fleet.azure.faults.add(Fault("/providers/", 403, code="AuthorizationFailed"))
    assert before_a_change(fleet, aks_id=Aks().id, gateways=[OWN]) == "warning None GW700"

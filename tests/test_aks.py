"""
``@aks/...`` through the real command line: clusters that Azure lists, signed in to with one token,
and every way in which that goes wrong as a line. Azure is the lab's stand-in, the clusters are
stand-in API servers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.lab.azure.clusters import SERVER_APPLICATION
from tests.api_server import Answer, ApiServer, status
from tests.azure import SUBSCRIPTION, Serving, environment, standing_azure
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_audits import ALL, RULES
from tests.fleet.test_run import Case, prepared

OTHER = "5b000000-0000-4000-8000-000000000002"
SECRETS = "/api/v1/namespaces/envoy-gateway-system/secrets"
VERSION = ("--data", 'envoy_gateway_version="1.9.1"')
STATUS = ("deploys/status.py", *VERSION)
LOGIN = {
    "exec": {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "kubelogin",
        "args": ["get-token", "--server-id", SERVER_APPLICATION, "--login", "devicecode"],
    }
}


@dataclass
class Fleet:
    """+ folder: a clone of the repository; + cli: runs in it"""

    azure: Serving
    api: ApiServer
    folder: Path
    cli: CommandLine

    def cluster(
        self,
        name: str,
        group: str = "weu",
        subscription: str = SUBSCRIPTION,
        user: dict[str, Any] | None = None,
        answers: bool = True,
        **properties: Any,
    ) -> str:
        """An AKS cluster with an API server; its id. + properties: tags and location too"""
        place = f"/subscriptions/{subscription}/resourceGroups/{group}"
        server = name if group == "weu" else f"{group}-{name}"
        id_ = f"{place}/providers/Microsoft.ContainerService/managedClusters/{name}"
        state = properties.pop("provisioningState", "Succeeded")
        properties.setdefault("aadProfile", {"managed": True})
        body = {
            "location": properties.pop("location", "westeurope"),
            "tags": properties.pop("tags", {"ring": "0"}),
            "properties": properties,
        }
        made = self.azure.azure.put(id_, body)
        made["properties"]["provisioningState"] = state
        self.azure.azure.plant(id_, made)
        self.azure.azure.kubeconfigs[id_.lower()] = json.dumps(
            {
                "clusters": [{"name": name, "cluster": {"server": f"{self.url}/{server}"}}],
                "users": [{"name": "clusterUser", "user": LOGIN if user is None else user}],
            }
        )
        if answers:
            empty = {"apiVersion": "v1", "kind": "SecretList", "items": []}
            self.api.cluster(server)
            self.api.answer("GET", SECRETS, Answer(body=empty), cluster=server)
        return id_

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}"

    def run(self, *arguments: str, **more: str) -> Outcome:
        return self.cli.run(self.folder, arguments, **{**environment(), **more})

    def asked(self, text: str) -> list[str]:
        """Calls to Azure with this in their path."""
        return [it.path for it in self.azure.azure.requests if text in it.path]


@pytest.fixture
def fleet(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    api_server: ApiServer,
    command_line: CommandLine,
) -> Iterator[Fleet]:
    folder = tmp_path / "clone"
    folder.mkdir()
    prepared(folder, Case("", []), api_server)
    with standing_azure(tmp_path / "azure", monkeypatch) as azure:
        yield Fleet(azure, api_server, folder, command_line)


def test_the_clusters_of_a_subscription_are_hosts(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    fleet.cluster("neu-1", "neu", location="northeurope", tags={"Ring": "1"})
    outcome = fleet.run("@aks/LAB", *STATUS)
    assert [it.split()[:4] for it in outcome.lines if it.startswith(("weu", "neu"))] == [
        ["weu-1", "0", "1.35.4", "not"],
        ["neu-1", "1", "1.35.4", "not"],
    ]
    assert outcome.code == 0
    [token] = {it.headers["authorization"] for it in fleet.api.asked}
    assert token.startswith("Bearer ")
    assert len(fleet.asked("/subscriptions?")) == 1
    assert len(fleet.asked("managedClusters?")) == 1
    assert len(fleet.asked("listClusterUserCredential")) == 2
    assert len(fleet.asked("oauth2/v2.0/token")) == 2  # one for ARM, one for both clusters


def test_nothing_of_azure_is_on_disk_or_printed(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    outcome = fleet.run("@aks/lab", *STATUS, "-vvv", "--debug-all")
    assert outcome.code == 0
    token = fleet.api.asked[0].headers["authorization"].removeprefix("Bearer ")
    secret = os.environ["AZURE_CLIENT_SECRET"]
    assert token not in outcome.text
    assert secret not in outcome.text
    for path in [it for it in fleet.folder.rglob("*") if it.is_file()]:
        assert token not in path.read_text(errors="replace"), path


def test_stopped_clusters_are_shown_and_left_out(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    fleet.cluster("weu-2", powerState={"code": "Stopped"})
    outcome = fleet.run("@aks/lab", *STATUS)
    line = (
        "weu-2 is stopped in Azure and left out: az aks start --resource-group weu --name weu-2 "
        "starts it"
    )
    assert outcome.lines.count(line) == 1
    assert not [it for it in outcome.lines if it.startswith("weu-2 0")]
    assert outcome.code == 0


def test_members_of_a_fleet(fleet: Fleet) -> None:
    one = fleet.cluster("weu-1")
    fleet.cluster("weu-2")
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/fleets/providers"
    europe = f"{place}/Microsoft.ContainerService/fleets/europe"
    fleet.azure.azure.put(europe, {"location": "westeurope"})
    member = {"properties": {"clusterResourceId": one}}
    fleet.azure.azure.put(f"{europe}/members/weu-1", member)
    outcome = fleet.run("@aks/lab?fleet=fleets/Europe", *STATUS)
    assert [it.split()[0] for it in outcome.lines if it.startswith("weu-")] == ["weu-1"]
    assert outcome.code == 0


#: What an operator reads, with what stands before it of the clusters in ``azure_of_cases``.
CASES = [
    pytest.param(
        "@aks/", "@aks/: write @aks/<subscription>, or /<group> and /<cluster> behind it", id="none"
    ),
    pytest.param(
        "@aks/lba",
        "@aks/lba: this identity sees no subscription 'lba', but lab: correct it, or give the "
        "identity a role there",
        id="unknown subscription",
    ),
    pytest.param(
        f"@aks/{SUBSCRIPTION[:-1]}9",
        f"@aks/{SUBSCRIPTION[:-1]}9: Azure answers 404 SubscriptionNotFound to GET /subscriptions/"
        f"{SUBSCRIPTION[:-1]}9/providers/Microsoft.ContainerService/managedClusters: The "
        f"subscription '{SUBSCRIPTION[:-1]}9' could not be found: correct its id: az account list "
        "--output table",
        id="no such id",
    ),
    pytest.param(
        f"@aks/{OTHER}",
        f"@aks/{OTHER}: no permission for Microsoft.ContainerService/managedClusters/read on "
        f'/subscriptions/{OTHER}: az role assignment create --assignee {{owner}} --role "Azure '
        f'Kubernetes Service Cluster User Role" --scope /subscriptions/{OTHER}',
        id="no permission",
    ),
    pytest.param(
        f"@aks/{SUBSCRIPTION[:-1]}3",
        f"@aks/{SUBSCRIPTION[:-1]}3: this identity is of another tenant than the subscription, "
        "which is of T-2: set AZURE_TENANT_ID, or az login --tenant T-2",
        id="wrong tenant",
    ),
    pytest.param(
        "@aks/lab/neu",
        "@aks/lab/neu: no AKS cluster is in resource group neu: they are in weu",
        id="group without clusters",
    ),
    pytest.param(
        "@aks/lab/weu/weu-2",
        "@aks/lab/weu/weu-2: no AKS cluster weu-2 is in weu: did you mean weu-1?",
        id="unknown cluster",
    ),
    pytest.param(
        "@aks/lab?tag.environment=production",
        "@aks/lab?tag.environment=production: no AKS cluster passes these filters, of 2: correct "
        "them",
        id="filters that leave nothing",
    ),
    pytest.param(
        "@aks/lab?fleet=weu/europe",
        "@aks/lab?fleet=weu/europe: Azure answers 404 ParentResourceNotFound to GET "
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/weu/providers/Microsoft.ContainerService/fleets/europe/"
        "members: ",
        id="unknown fleet",
    ),
    pytest.param(
        "@aks/lab?name=off",
        "@aks/lab?name=off: all of its clusters are stopped: az aks start, or correct the entry",
        id="all are stopped",
    ),
]


@pytest.mark.parametrize(("entry", "line"), CASES)
def test_an_entry_that_means_nobody_ends_the_run(fleet: Fleet, entry: str, line: str) -> None:
    azure = fleet.azure.azure
    fleet.cluster("weu-1")
    fleet.cluster("off", powerState={"code": "Stopped"})
    azure.subscription(OTHER, "other")
    azure.subscription(f"{SUBSCRIPTION[:-1]}3", "foreign", tenant="T-2")
    outcome = fleet.run(entry, *STATUS)
    expected = line.format(owner=azure.identity("owner").object_id)
    said = [it for it in outcome.lines if " is stopped in Azure " not in it]
    assert len(said) == 1
    assert said[0] == expected or (expected.endswith(": ") and said[0].startswith(expected))
    assert (outcome.code, fleet.api.asked) == (2, [])


SIGN_INS = [
    pytest.param(
        {"AZURE_CLIENT_SECRET": "wrong"},
        "@aks/lab: no sign-in to Azure: AADSTS7000215: the client secret is wrong: set "
        "AZURE_CLIENT_SECRET to its value, not to its id",
        id="wrong secret",
    ),
    pytest.param(
        {"AZURE_CLIENT_ID": OTHER},
        "@aks/lab: no sign-in to Azure: AADSTS700016: the application is not in this tenant: "
        "correct AZURE_CLIENT_ID or AZURE_TENANT_ID",
        id="unknown application",
    ),
    pytest.param(
        {"AZURE_TENANT_ID": OTHER},
        "@aks/lab: no sign-in to Azure: AADSTS90002: there is no such tenant: correct "
        "AZURE_TENANT_ID, or AZURE_CLOUD",
        id="unknown tenant",
    ),
    pytest.param(
        {"AZURE_RESOURCE_MANAGER_AUDIENCE": "https://nothing.example"},
        "@aks/lab: no sign-in to Azure: AADSTS500011: the audience does not exist in this tenant: "
        "correct AZURE_TENANT_ID, AZURE_KUBERNETES_AUDIENCE or AZURE_RESOURCE_MANAGER_AUDIENCE",
        id="unknown audience",
    ),
    pytest.param(
        {"AZURE_CLOUD": "AzureGermanCloud"},
        "AZURE_CLOUD is 'AzureGermanCloud': set it to one of AzureCloud, AzureUSGovernment, "
        "AzureChinaCloud",
        id="unknown cloud",
    ),
    pytest.param(
        {"AZURE_RESOURCE_MANAGER_URL": "http://127.0.0.1:1"},
        "AZURE_RESOURCE_MANAGER_URL is 'http://127.0.0.1:1': it must be an address such as "
        "https://management.azure.com",
        id="an address without TLS",
    ),
    pytest.param(
        {"AZURE_AUTHORITY_HOST": "https://127.0.0.1:9"},
        "@aks/lab: no sign-in to Azure: https://127.0.0.1:9 cannot be reached: let this machine "
        "reach it (HTTPS_PROXY, REQUESTS_CA_BUNDLE), or correct AZURE_AUTHORITY_HOST",
        id="Entra ID is not there",
    ),
    pytest.param(
        {"AZURE_RESOURCE_MANAGER_URL": "https://127.0.0.1:9"},
        "@aks/lab: https://127.0.0.1:9 cannot be reached (",
        id="Azure is not there",
    ),
    pytest.param(
        {"REQUESTS_CA_BUNDLE": "/no/such/file"},
        "@aks/lab: no sign-in to Azure",
        id="no authority file",
    ),
]


@pytest.mark.parametrize(("environment", "line"), SIGN_INS)
def test_a_sign_in_that_fails_ends_the_run(
    fleet: Fleet, environment: dict[str, str], line: str
) -> None:
    fleet.cluster("weu-1")
    outcome = fleet.run("@aks/lab", *STATUS, **environment)
    assert len(outcome.lines) == 1
    assert outcome.lines[0].startswith(line)
    assert (outcome.code, fleet.api.asked) == (2, [])


def test_an_expired_secret_says_so(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    fleet.azure.azure.identity("owner").secret_ends = 1.0
    outcome = fleet.run("@aks/lab", *STATUS)
    assert outcome.lines == [
        "@aks/lab: no sign-in to Azure: AADSTS7000222: the client secret has expired: az ad app "
        'credential reset --append --id "$AZURE_CLIENT_ID", then set AZURE_CLIENT_SECRET'
    ]
    assert outcome.code == 2


def inventory(fleet: Fleet, *entries: Any) -> tuple[str, ...]:
    file = fleet.folder / "inventory" / "prod.py"
    file.write_text(f"clusters = {list(entries)!r}\n")
    return ("inventory/prod.py", *STATUS)


def test_two_clusters_of_one_name_are_refused(fleet: Fleet) -> None:
    one, two = fleet.cluster("weu-1"), fleet.cluster("weu-1", "shop")
    outcome = fleet.run("@aks/lab", *STATUS)
    assert outcome.lines == [
        f"weu-1 is the name of {two} and of {one}: write an entry for each group and give one of "
        "them other names: @aks/lab/weu?prefix=weu-"
    ]
    assert outcome.code == 2
    told_apart = inventory(fleet, "@aks/lab/weu", "@aks/lab/shop?prefix=shop-")
    outcome = fleet.run(*told_apart)
    assert outcome.code == 0
    rows = [it.split()[0] for it in outcome.lines if "not installed" in it]
    assert sorted(rows) == ["shop-weu-1", "weu-1"]


def test_a_cluster_in_two_entries_is_refused(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    outcome = fleet.run(*inventory(fleet, "@aks/lab", "@aks/lab/weu/weu-1"))
    assert outcome.lines == [
        "weu-1 is in @aks/lab and in @aks/lab/weu/weu-1: leave it out of one, such as with "
        "?name!=weu-1"
    ]
    assert outcome.code == 2


def test_a_context_and_a_cluster_of_one_name_are_refused(fleet: Fleet) -> None:
    one = fleet.cluster("weu-1")
    outcome = fleet.run(*inventory(fleet, ("@kube/weu-1", {"ring": 0}), "@aks/lab"))
    assert outcome.lines == [
        f"weu-1 is the name of context weu-1 and of {one}: write an entry for each group and give "
        "one of them other names: @aks/lab/weu?prefix=weu-"
    ]
    assert outcome.code == 2


def test_a_tag_that_is_no_ring_is_refused(fleet: Fleet) -> None:
    one = fleet.cluster("weu-1", tags={"Ring": "canary", "window": "at night"})
    outcome = fleet.run("@aks/lab", *STATUS)
    merge = f"az tag update --resource-id {one} --operation Merge --tags"
    assert outcome.lines == [
        f"@aks/lab: weu-1: tag ring of its AKS cluster is 'canary': {merge} ring=\"0\"",
        f"@aks/lab: weu-1: tag window of its AKS cluster is 'at night': {merge} "
        'window="sat,sun 22:00-04:00 Europe/Berlin"',
    ]
    assert outcome.code == 2


def test_what_stands_beside_the_entry_wins_over_tags(fleet: Fleet) -> None:
    fleet.cluster("weu-1", tags={"Ring": "canary", "window": "at night"})
    entry = ("@aks/lab", {"ring": 3, "window": None})
    outcome = fleet.run(*inventory(fleet, entry))
    assert [it.split()[:2] for it in outcome.lines if it.startswith("weu")] == [["weu-1", "3"]]
    assert outcome.code == 0


def test_groups_have_data_and_limits(fleet: Fleet) -> None:
    fleet.cluster("weu-1", tags={"environment": "Production"})
    fleet.cluster("weu-2", tags={"environment": "staging"})
    data = fleet.folder / "inventory" / "group_data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "production.py").write_text("ring = 4\n")
    (data / "staging.py").write_text("ring = 2\n")
    outcome = fleet.run(*inventory(fleet, "@aks/lab"), "--limit", "production")
    assert [it.split()[:2] for it in outcome.lines if it.startswith("weu")] == [["weu-1", "4"]]


def test_a_cluster_that_azure_changes_is_read_and_not_changed(fleet: Fleet) -> None:
    fleet.cluster("weu-1", provisioningState="Upgrading")
    assert fleet.run("@aks/lab", *STATUS).code == 0
    deploy = fleet.folder / "deploys" / "touch.py"
    deploy.write_text(
        "from pyinfra.operations import server\n"
        "from tasks.fleet.rings import rings\n"
        "for ring in rings():\n"
        "    server.shell(name='Touch', commands=['touch touched'])\n"
    )
    outcome = fleet.run("@aks/lab", "deploys/touch.py", *VERSION, "-y")
    why = (
        "Azure is changing it (Upgrading): wait until az aks show --resource-group weu --name "
        "weu-1 says Succeeded"
    )
    assert f"[weu-1] held, untouched: {why}" in outcome.lines
    assert outcome.code == 0


def test_a_cluster_with_accounts_of_its_own(fleet: Fleet) -> None:
    fleet.cluster("weu-1", user={"token": "l0cal-t0ken"}, aadProfile=None)
    assert fleet.run("@aks/lab", *STATUS).code == 0
    assert {it.headers["authorization"] for it in fleet.api.asked} == {"Bearer l0cal-t0ken"}


NOT_REACHED = [
    pytest.param(
        {"enableAzureRBAC": True, "managed": True},
        status(403, "User does not have access to the resource in Azure."),
        "403 User does not have access to the resource in Azure.: az role assignment create "
        '--assignee OBJECT_ID --role "Azure Kubernetes Service RBAC Cluster Admin" --scope {id}',
        id="Azure RBAC",
    ),
    pytest.param(
        {"managed": True},
        status(401, "Unauthorized"),
        "401 the credentials were not accepted: sign in again, or fetch them anew",
        id="a token that is not taken",
    ),
]


@pytest.mark.parametrize(("profile", "answer", "why"), NOT_REACHED)
def test_says_why_a_cluster_is_not_reached(
    fleet: Fleet, profile: dict[str, Any], answer: Answer, why: str
) -> None:
    id_ = fleet.cluster("weu-1", aadProfile=profile)
    fleet.api.answer("GET", "/version", answer)
    outcome = fleet.run("@aks/lab", *STATUS)
    line = f"cannot reach this cluster: {why.format(id=id_)}"
    assert any(line in it for it in outcome.lines), outcome.text
    assert outcome.code == 1


def test_a_role_that_is_missing_for_one_cluster_fails_that_one(fleet: Fleet) -> None:
    azure = fleet.azure.azure
    one = fleet.cluster("weu-1")
    fleet.cluster("weu-2")
    reader = azure.identity("reader", ("Reader", f"/subscriptions/{SUBSCRIPTION}"))
    azure.assign(reader.object_id, "Azure Kubernetes Service Cluster User Role", one)
    outcome = fleet.run(
        "@aks/lab",
        *STATUS,
        AZURE_CLIENT_ID=reader.client_id,
        AZURE_CLIENT_SECRET=str(reader.secret),
    )
    two = one.replace("weu-1", "weu-2")
    action = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
    line = (
        f"cannot reach this cluster: no permission for {action} on {two}: az role assignment "
        f'create --assignee {reader.object_id} --role "Azure Kubernetes Service Cluster User '
        f'Role" --scope {two}'
    )
    assert any(line in it for it in outcome.lines), outcome.text
    assert any(it.startswith("weu-1 0 1.35.4") for it in outcome.lines)
    assert outcome.code == 1


def test_a_private_cluster_says_so(fleet: Fleet) -> None:
    fleet.cluster(
        "weu-1",
        answers=False,
        apiServerAccessProfile={"enablePrivateCluster": True},
        privateFQDN="weu-1.invalid",
    )
    [key] = fleet.azure.azure.kubeconfigs
    text = fleet.azure.azure.kubeconfigs[key]
    fleet.azure.azure.kubeconfigs[key] = text.replace(f"{fleet.url}/weu-1", "https://weu-1.invalid")
    outcome = fleet.run("@aks/lab", *STATUS)
    line = "it is private: run from a machine whose network reaches it and resolves weu-1.invalid"
    assert any(line in it for it in outcome.lines), outcome.text
    assert outcome.code == 1


def test_doctor_says_how_it_signs_in(fleet: Fleet) -> None:
    fleet.cluster("weu-1")
    rules = {"status": {"resourceRules": [ALL]}}
    fleet.api.answer("POST", RULES, Answer(body=rules))
    outcome = fleet.run("@aks/lab", "deploys/doctor.py", *VERSION, "--data", "helm=no-such-helm")
    [row] = [it for it in outcome.lines if it.startswith("weu-1 1.35.4")]
    assert "Entra ID" in row


def test_a_run_without_aks_imports_nothing_of_azure(fleet: Fleet) -> None:
    fleet.api.cluster("weu-1")
    (fleet.folder / "deploys" / "look.py").write_text(
        "import sys\n"
        "from tasks import status\n"
        "status.of_the_fleet()\n"
        "print(sorted({it.partition('.')[0] for it in sys.modules} & {'azure', 'msal'}))\n"
    )
    inventory(fleet, ("@kube/weu-1", {"ring": 0}))
    kubeconfig = str(fleet.folder / "kubeconfig")
    outcome = fleet.run("inventory/prod.py", "deploys/look.py", *VERSION, KUBECONFIG=kubeconfig)
    assert "[]" in outcome.lines

"""Clusters of Azure in pyinfra's own engine: tokens on long runs, and what programs are given."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from pyinfra.api import Config, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import InventoryError

from tasks.connectors import aks_clusters, azure
from tasks.connectors.aks import AksConnector
from tasks.connectors.command import KubeCommand
from tasks.fleet import run as fleet_run
from tasks.lab.azure.faults import Fault
from tests.api_server import Answer, ApiServer, status
from tests.azure import SUBSCRIPTION, Serving, standing_azure
from tests.test_aks import LOGIN

SERVICES = "/api/v1/namespaces/demo/services"
CLUSTERS = "providers/Microsoft.ContainerService/managedClusters"


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(fleet_run, "_current", None)
    monkeypatch.chdir(tmp_path)
    with standing_azure(tmp_path / "azure", monkeypatch) as started:
        yield started


def planted(serving: Serving, api: ApiServer, *names: str, user: Any = LOGIN) -> None:
    for name in names:
        id_ = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/weu/{CLUSTERS}/{name}"
        aad = {"managed": True, "enableAzureRBAC": True}
        serving.azure.put(id_, {"location": "westeurope", "properties": {"aadProfile": aad}})
        server = {"server": f"http://127.0.0.1:{api.port}/{name}"}
        serving.azure.kubeconfigs[id_.lower()] = json.dumps(
            {
                "clusters": [{"name": name, "cluster": server}],
                "users": [{"name": "us", "user": user}],
            }
        )
        api.cluster(name)
        api.answer("GET", SERVICES, Answer(body={"items": []}), cluster=name)


@contextmanager
def connected(entry: str = "@aks/lab") -> Iterator[State]:
    data = {"ring": 0, "envoy_gateway_version": "1.9.1"}
    state = State(Inventory(([(entry, data)], {})), Config(CONNECT_TIMEOUT=5))
    try:
        connect_all(state)
        yield state
    finally:
        disconnect_all(state)


def connector(state: State, name: str = "weu-1") -> AksConnector:
    found = state.inventory.get_host(name).connector
    assert isinstance(found, AksConnector)
    return found


def tokens(serving: Serving) -> int:
    return len([it for it in serving.azure.requests if it.path.endswith("/token")])


def test_sixty_clusters_share_one_token(serving: Serving, api_server: ApiServer) -> None:
    names = [f"weu-{it}" for it in range(60)]
    planted(serving, api_server, *names)
    with connected() as state:
        assert len(state.active_hosts) == 60
    assert len({it.headers["authorization"] for it in api_server.asked}) == 1
    assert tokens(serving) == 2  # the other one is for Azure Resource Manager
    asked = [it.path.partition("?")[0].rpartition("/")[2] for it in serving.azure.requests]
    assert asked.count("subscriptions") == 1
    assert asked.count("managedClusters") == 2  # pages of 50
    assert asked.count("listClusterUserCredential") == 60


def test_names_are_asked_for_twice_and_azure_once(serving: Serving, api_server: ApiServer) -> None:
    planted(serving, api_server, "weu-1")
    first, second = (list(AksConnector.make_names_data("lab")) for _ in range(2))
    assert first == second
    [(name, data, groups)] = first
    assert (name, groups) == ("weu-1", ["aks", "westeurope", "lab"])
    assert data == {
        "kube_context": "weu-1",
        "aks_id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/weu/{CLUSTERS}/weu-1",
        "aks_tenant": serving.azure.tenant,
        "aks_state": "Succeeded",
        "aks_tags": {},
    }
    assert len([it for it in serving.azure.requests if "/subscriptions" in it.path]) == 2


def test_a_token_that_ends_during_a_run_is_renewed(serving: Serving, api_server: ApiServer) -> None:
    planted(serving, api_server, "weu-1")
    serving.entra.lifetime = 3
    with connected() as state:
        held = azure.tokens(azure.settings()).held(
            serving.azure.tenant, azure.settings().kubernetes_scope
        )
        gevent.sleep(max(held.renew - time.time(), 0) + 0.05)
        ok, _ = connector(state).run_shell_command(KubeCommand("GET", SERVICES))
        assert ok
    first, *_, last = [it.headers["authorization"] for it in api_server.asked]
    assert first != last


def test_a_401_is_answered_with_a_new_token_once(serving: Serving, api_server: ApiServer) -> None:
    planted(serving, api_server, "weu-1")
    with connected() as state:
        withdrawn = status(401, "Unauthorized")
        api_server.answer("GET", SERVICES, withdrawn, Answer(body={"items": []}))
        ok, _ = connector(state).run_shell_command(KubeCommand("GET", SERVICES))
        assert ok
        one, other = [it for it in api_server.asked if it.path == SERVICES]
        assert one.headers["authorization"] != other.headers["authorization"]
        api_server.answer("POST", SERVICES, withdrawn)
        ok, output = connector(state).run_shell_command(KubeCommand("POST", SERVICES, body={}))
        assert (ok, output.stderr) == (
            False,
            f"POST {SERVICES}: 401 the credentials were not accepted: sign in again, or fetch them "
            "anew",
        )
        assert len([it for it in api_server.asked if it.method == "POST"]) == 2


def test_a_403_later_on_names_the_role(serving: Serving, api_server: ApiServer) -> None:
    planted(serving, api_server, "weu-1")
    with connected() as state:
        api_server.answer("GET", SERVICES, status(403, "services is forbidden"))
        ok, output = connector(state).run_shell_command(KubeCommand("GET", SERVICES))
        assert not ok
        assert "Azure Kubernetes Service RBAC Cluster Admin" in output.stderr


def credential(shown: str) -> dict[str, Any]:
    """What the plugin of a kubeconfig answers to a program."""
    user = json.loads(shown)["users"][0]["user"]
    assert list(user) == ["exec"]
    command = [user["exec"]["command"], *user["exec"]["args"]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_program_gets_a_token_and_the_disk_does_not(
    serving: Serving, api_server: ApiServer
) -> None:
    planted(serving, api_server, "weu-1")
    with connected() as state:
        here = connector(state)
        ok, output = here.run_shell_command(
            StringCommand("cat $KUBECONFIG; stat -c %a $KUBECONFIG . >&2")
        )
        token = api_server.asked[0].headers["authorization"].removeprefix("Bearer ")
        assert (ok, output.stderr_lines) == (True, ["600", "700"])
        assert token not in output.stdout
        given = credential(output.stdout)["status"]
        assert given["token"] == token
        assert given["expirationTimestamp"].endswith("Z")
        scratch = here.scratch
    assert not scratch.exists()


def test_a_program_gets_an_account_of_the_cluster_the_same_way(
    serving: Serving, api_server: ApiServer
) -> None:
    planted(serving, api_server, "weu-1", user={"token": "l0cal"})
    with connected() as state:
        _, output = connector(state).run_shell_command(StringCommand("cat $KUBECONFIG"))
        assert "l0cal" not in output.stdout
        assert credential(output.stdout)["status"] == {"token": "l0cal"}
    assert {it.headers["authorization"] for it in api_server.asked} == {"Bearer l0cal"}


def test_an_entry_without_subscription(serving: Serving) -> None:
    with pytest.raises(InventoryError, match=r"^@aks/: write @aks/<subscription>, or /<group>"):
        list(AksConnector.make_names_data(""))


def test_what_azure_changes_is_asked_again_at_each_gate(
    serving: Serving,
    api_server: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    planted(serving, api_server, "weu-1")
    [(_, data, _)] = AksConnector.make_names_data("lab")
    id_ = data["aks_id"]
    made = serving.azure.get(id_)
    assert made is not None
    made["properties"]["provisioningState"] = "Upgrading"
    serving.azure.plant(id_, made)
    assert aks_clusters.states([id_]) == {id_: "Succeeded"}  # the list is of this minute
    monkeypatch.setattr(aks_clusters, "FRESH", 0.0)
    assert aks_clusters.states([id_]) == {id_: "Upgrading"}
    serving.azure.faults.add(Fault("managedClusters", 403, message="Gone."))
    assert aks_clusters.states([id_]) == {id_: "Upgrading"}
    said = capsys.readouterr().err
    assert said.startswith(
        "whether Azure changes clusters is as old as this run: Azure answers 403"
    )

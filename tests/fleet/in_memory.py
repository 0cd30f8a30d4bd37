"""A fleet of clusters in memory, and pyinfra's real engine running a deploy on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_config, ctx_state
from pyinfra_cli.util import load_deploy_file

from tasks.connectors.api import ApiError
from tasks.connectors.command import Call, KubeCommand
from tasks.facts.kube import KubeObject
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation


@dataclass
class Fleet:
    """
    Clusters in memory. + rings: by cluster; + faults: by cluster, "connect", "read" or the steps
    that fail, such as {"1", "back"}; + data: by cluster, more of its data; + written: the steps
    that reached a cluster, in order, such as ("c0", "1"); + on_write: called with each of them.
    """

    rings: dict[str, int]
    faults: dict[str, Any] = field(default_factory=dict)
    max_failed: int | str = 0
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    on_write: Callable[[str, str], None] = lambda cluster, step: None

    def answer(self, cluster: str, call: Call) -> str:
        fault = self.faults.get(cluster, ())
        if call.path == "/version":
            if "connect" in fault:
                raise ApiError(0, "ConnectionRefusedError: Connection refused")
            return json.dumps({"gitVersion": "v1.35.4"})
        if call.path == "/api/v1/namespaces/kube-system":
            return json.dumps({"metadata": {"uid": cluster}})
        if call.method == "GET":
            if "read" in fault:
                raise ApiError(500, "etcd is away")
            return "{}"
        number = call.path.removeprefix("/step/")
        self.written.append((cluster, number))
        self.on_write(cluster, number)
        if number in fault:
            raise ApiError(500, f"step {number} failed")
        return "{}"


FLEET: list[Fleet] = []


@fleet_operation()
def step(number: int | str) -> Steps:
    """Reads, then writes once."""
    fact(KubeObject, api_version="v1", kind="Namespace", resource="edge")
    yield KubeCommand("POST", f"/step/{number}")


@dataclass
class InMemory:
    """Stands in for the session with a cluster: ``tasks.connectors.api.Api``."""

    config: dict[str, Any]
    timeout: float

    def text(self, call: Call, timeout: float | None = None) -> str:
        return FLEET[0].answer(self.config["current-context"], call)

    def json(self, method: str, path: str, timeout: float | None = None) -> Any:
        return json.loads(self.text(Call(method, path, {}, None, "", None, frozenset())))

    def close(self) -> None:
        pass


@contextmanager
def prepared(fleet: Fleet, deploy: str, check: bool = True) -> Iterator[State]:
    """A run of ``deploy``, up to where pyinfra would ask whether to go on."""
    names = sorted(fleet.rings)
    kubeconfig = {
        "contexts": [{"name": it, "context": {"cluster": "c", "user": "u"}} for it in names],
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    Path("kubeconfig").write_text(json.dumps(kubeconfig))
    file = f"deploy-{sha256(deploy.encode()).hexdigest()[:8]}.py"  # pyinfra keeps what it compiled
    Path(file).write_text(deploy)
    data = {
        "envoy_gateway_version": "1.9.1",
        "kube_config": "kubeconfig",
        "max_failed": fleet.max_failed,
    }
    hosts = [
        (f"@kube/{it}", {**data, "ring": fleet.rings[it], **fleet.data.get(it, {})}) for it in names
    ]
    FLEET[:] = [fleet]
    fleet_run._current = None
    state = State(check_for_changes=check)
    with ctx_state.use(state), ctx_config.use(Config(DIFF=False)):
        state.init(Inventory((hosts, {})), Config())
        state.set_stage(StateStage.Connect)
        connect_all(state)
        state.set_stage(StateStage.Prepare)
        load_deploy_file(state, file)
        yield state


def executed(fleet: Fleet, deploy: str, check: bool = True) -> fleet_run.Run:
    """The whole run. pyinfra raises where the last cluster fails."""
    try:
        with prepared(fleet, deploy, check) as state:
            state.set_stage(StateStage.Execute)
            run_ops(state)
    except PyinfraError as error:
        if str(error) != "No hosts remaining!":
            raise
    return fleet_run.current()

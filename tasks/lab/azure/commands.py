"""``python -m tasks.lab azure ...``: look at the Azure of a lab, and change it past all rules."""

import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.lab import cluster as clusters
from tasks.lab import control_plane, node, state
from tasks.lab.api import Api
from tasks.lab.azure import fleet, orders, serve, signin
from tasks.lab.processes import kill, start
from tasks.lab.progress import UsageError, say, wait_for
from tasks.lab.state import Cluster, Lab

COMMANDS = {
    "env": "env: what signs in as the operator, for `eval`; prints a secret",
    "show": "show [ID]: all ids, or what one of them is",
    "put": "put ID FILE: a resource as this file (-: what comes in) says, whatever it breaks",
    "plant": "plant ID FILE: the same, without what Azure adds to it",
    "grant": "grant NAME ROLE SCOPE: such as azlab-1 'Network Contributor' /subscriptions/...",
    "delete": "delete ID: take it away with all that lies in it, whatever needs it",
    "fault": "fault [clear | NAME=VALUE ...]: such as status=429 share=0.2 retry_after=1",
    "requests": "requests [COUNT]: the last ones that were answered (20)",
    "lose": "lose CLUSTER: it is deleted with its node resource group; its API server stops",
    "return": "return CLUSTER: a new one of this name, its API server as it was",
}


def run(lab: Lab, name: str, arguments: Sequence[str]) -> None:
    """Raises `UsageError` for what cannot be understood."""
    if not lab.azure:
        raise UsageError(f"lab {lab.name!r} has no Azure: it comes up with --azure")
    command, fewest, most = _COMMANDS[name]
    if not fewest <= len(arguments) <= most:
        raise UsageError(f"usage: azure {COMMANDS[name]}")
    command(lab, *arguments)


def env(lab: Lab) -> None:
    said = {
        **signin.environment(lab),
        "AZURE_CLIENT_SECRET": signin.secret_file(lab).read_text(),
        "AZURE_SUBSCRIPTION_ID": fleet.subscription(lab),
    }
    for name, value in said.items():
        say(f"export {name}={shlex.quote(value)}")


def show(lab: Lab, id: str | None = None) -> None:
    if id is None:
        say("\n".join(sorted(ordered(lab, "ids"))))
        return
    found = ordered(lab, "get", id=id)
    if found is None:
        raise UsageError(f"Azure has no {id}: `azure show` prints all ids")
    say(json.dumps(found, indent=2))


def put(lab: Lab, id: str, file: str) -> None:
    ordered(lab, "put", id=id, body=_read(file))


def plant(lab: Lab, id: str, file: str) -> None:
    ordered(lab, "plant", id=id, body=_read(file))


def grant(lab: Lab, who: str, role: str, scope: str) -> None:
    say(ordered(lab, "grant", who=who, role=role, scope=scope))


def _read(file: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON: {error}") from None


def delete(lab: Lab, id: str) -> None:
    ordered(lab, "delete", id=id)


def fault(lab: Lab, *words: str) -> None:
    if not words:
        say("\n".join(ordered(lab, "faults")) or "none")
    elif words == ("clear",):
        ordered(lab, "clear")
    else:
        pairs = [it.partition("=") for it in words]
        say(ordered(lab, "fault", values={name: value for name, _, value in pairs}))


def requests(lab: Lab, count: str = "20") -> None:
    if not count.isdigit():
        raise UsageError(f"usage: azure {COMMANDS['requests']}")
    for it in ordered(lab, "requests", last=int(count)):
        say(f"{it['status']} {it['method']} {it['path']} {it['principal'] or '-'}")


def lose(lab: Lab, name: str) -> None:
    cluster = lab.member(name)
    kill([control_plane.apiserver(lab, cluster)], signal.SIGKILL)
    ordered(lab, "lose", cluster=name)
    faults = {**state.faults(cluster), "apiserver-killed": ""}
    state.keep_faults(cluster, faults)
    say(f"{name}: deleted, with its node resource group")


def bring_back(lab: Lab, name: str) -> None:
    cluster = lab.member(name)
    faults = state.faults(cluster)
    if ordered(lab, "get", id=fleet.cluster_id(lab, cluster)) is None:
        ordered(lab, "return", cluster=name)
    elif "apiserver-killed" not in faults:  # a new node resource group would take its addresses
        raise UsageError(f"{name} is not lost: Azure has it, and its API server runs")
    faults.pop("apiserver-killed", None)
    state.keep_faults(cluster, faults)
    server = control_plane.apiserver(lab, cluster)
    start(server)
    api = Api(cluster)
    wait_for(f"{name}: API server", api.ready, clusters.READY_SECONDS, f"see {server.log}")
    # New nodes: one that was cut off looks for itself again after up to two minutes, and is lost
    # to the control plane, and its Pods to the load balancer, for as long.
    nodes = {it: node.kubelet(lab, it) for it in lab.nodes_of(cluster)}
    kill(list(nodes.values()))
    for it, kubelet in nodes.items():
        start(kubelet)
        clusters.wait_until_ready(api, kubelet, it)
    say(f"{name}: there again, with a node resource group as new")


def return_lost(lab: Lab, cluster: Cluster) -> None:
    """Azure has the cluster again where it was lost; its API server is left to others."""
    if lab.azure and ordered(lab, "get", id=fleet.cluster_id(lab, cluster)) is None:
        ordered(lab, "return", cluster=cluster.name)


def ordered(lab: Lab, do: str, **order: object) -> Any:
    return orders.give(serve.socket(lab), do=do, **order)


#: The function, and how many arguments it takes at least and at most.
_COMMANDS: dict[str, tuple[Callable[..., None], int, int]] = {
    "env": (env, 0, 0),
    "show": (show, 0, 1),
    "put": (put, 2, 2),
    "plant": (plant, 2, 2),
    "grant": (grant, 3, 3),
    "delete": (delete, 1, 1),
    "fault": (fault, 0, 20),
    "requests": (requests, 0, 1),
    "lose": (lose, 1, 1),
    "return": (bring_back, 1, 1),
}

"""
Who may talk to a cluster: every component by a token of its own, with the groups Kubernetes has
built-in rights for, and the operator.

The operator is ``admin``, by token in ``kubeconfig`` and by client certificate in
``kubeconfig-certificate``. The lab itself uses another user, so that requests counted for ``admin``
in the audit log are the operator's alone.
"""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from tasks.lab.state import Cluster, Lab, SecondNode, write


@dataclass(frozen=True)
class User:
    """A user of a cluster; ``key`` names it among the lab's files."""

    key: str
    name: str
    groups: tuple[str, ...] = ()


ADMIN = User("admin", "admin", ("system:masters",))
LAB = User("lab", "system:envoyfleet:lab", ("system:masters",))
LOAD_BALANCER = User("load-balancer", "system:envoyfleet:load-balancer")
COREDNS = User("coredns", "system:envoyfleet:coredns")
SCHEDULER = User("scheduler", "system:kube-scheduler")
CONTROLLERS = User("controller-manager", "system:kube-controller-manager")
PROXY = User("proxy", "system:kube-proxy")


def kubelet(cluster: Cluster) -> User:
    """The user of a node."""
    key = "kubelet-2" if isinstance(cluster, SecondNode) else "kubelet"
    return User(key, f"system:node:{cluster.name}", ("system:nodes",))


def users(cluster: Cluster) -> list[User]:
    """Everyone who has a token."""
    nodes = (cluster, SecondNode(cluster.lab, cluster.number, cluster.block))
    others = (LOAD_BALANCER, COREDNS, SCHEDULER, CONTROLLERS, PROXY)
    return [ADMIN, LAB, *others, *map(kubelet, nodes)]


def write_tokens(cluster: Cluster) -> None:
    """The API server's file of tokens and a kubeconfig for each user, once."""
    folder = cluster.root / "users"
    file = folder / "tokens.csv"
    if file.exists():
        return
    lines = []
    for user in users(cluster):
        token = secrets.token_hex(16)
        groups = f',"{",".join(user.groups)}"' if user.groups else ""
        lines.append(f"{token},{user.name},{user.key}{groups}\n")
        write(folder / f"{user.key}.token", token)
        write(kubeconfig_of(cluster, user), json.dumps(_config([_entry(cluster, user)]), indent=2))
    write(file, "".join(lines))


def kubeconfig_of(cluster: Cluster, user: User) -> Path:
    """Where a component finds its kubeconfig."""
    return cluster.home / "users" / f"{user.key}.kubeconfig"


def token(cluster: Cluster, user: User) -> str:
    return (cluster.root / "users" / f"{user.key}.token").read_text()


def write_kubeconfigs(lab: Lab) -> None:
    """The operator's two kubeconfigs, with a context for each cluster."""
    write(lab.kubeconfig, _text([_entry(cluster, ADMIN) for cluster in lab.members()]))
    certificate = {
        "client-certificate-data": _data(lab.root / "operator.crt"),
        "client-key-data": _data(lab.root / "operator.key"),
    }
    entries = [{**_entry(cluster, ADMIN), "user": certificate} for cluster in lab.members()]
    write(lab.root / "kubeconfig-certificate", _text(entries))


def reached(cluster: Cluster) -> dict[str, object]:
    """What a kubeconfig says of a cluster."""
    authority = _data(cluster.root.parent / "ca.crt")
    return {"server": cluster.server, "certificate-authority-data": authority}


def _entry(cluster: Cluster, user: User) -> dict[str, object]:
    return {
        "name": cluster.name,
        "cluster": reached(cluster),
        "user": {"token": token(cluster, user)},
    }


def _config(entries: list[dict[str, object]]) -> dict[str, object]:
    """A kubeconfig; each entry is a context, its cluster and its user, all of one name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": entry["name"], "cluster": entry["cluster"]} for entry in entries],
        "users": [{"name": entry["name"], "user": entry["user"]} for entry in entries],
        "contexts": [
            {"name": entry["name"], "context": {"cluster": entry["name"], "user": entry["name"]}}
            for entry in entries
        ],
        "current-context": entries[0]["name"] if entries else "",
    }


def _text(entries: list[dict[str, object]]) -> str:
    import yaml

    return yaml.safe_dump(_config(entries), sort_keys=False)


def _data(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()

"""
A deploy as a service account that has the generated rights alone: what it then asked for, and
whether a secret of it or of its cluster got out.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tasks import rights
from tasks.fleet.inventory import files
from tasks.plans.permissions import Right
from tasks.plans.rights import deploys
from tests.lab.fleet import Ended, Fleet
from tests.lab.running import REPOSITORY, until
from tests.leaks import watched

#: Of the account; on a cluster that must be empty one that is always there.
SPACE, EMPTY = "envoyfleet", "default"
ADMINISTRATOR = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    },
}
KEY = "PRIVATE KEY"
#: Granted to everybody who has signed in.
OF_EVERYBODY = "authorization.k8s.io"


@dataclass(frozen=True)
class Run:
    """
    + cluster: by its number in the lab; + data: of the inventory; + code: how it ends
    + space: where its account is
    """

    deploy: str
    words: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[int, ...] = (0,)
    cluster: int = 0
    space: str = SPACE


@dataclass(frozen=True)
class Seen:
    """
    + rights: those that were given; + events: of the audit log, this account's
    + leaks: where the account's token, or the key of a Secret, was seen in clear
    """

    rights: Sequence[Right]
    events: Sequence[Mapping[str, Any]]
    ended: Ended
    leaks: set[str]

    @property
    def refused(self) -> list[str]:
        return [
            f"{it['verb']} {it['requestURI']}"
            for it in self.events
            if it["responseStatus"].get("code") == 403
        ]

    @property
    def asked(self) -> set[tuple[str, str, str | None, str | None]]:
        """Verb, resource, namespace and name; an apply that made something is two verbs."""
        return {one for it in self.events for one in _asked(it)}

    @property
    def unused(self) -> list[str]:
        """Rights that every run is said to need, and this one did not."""
        return [
            it.text
            for it in self.rights
            if not it.rare and it.verb not in deploys.UNASKED and not self._is_used(it)
        ]

    @property
    def uncovered(self) -> list[str]:
        """What was asked for and is no right of this deploy: of an administrator's run."""
        return sorted(
            {
                f"{verb} {resource} in {place}"
                for verb, resource, place, name in self.asked
                if not any(_covers(it, verb, resource, place, name) for it in self.rights)
            }
        )

    def _is_used(self, right: Right) -> bool:
        return any(_covers(right, *it) for it in self.asked)


def _covers(right: Right, verb: str, resource: str, place: str | None, name: str | None) -> bool:
    return (
        right.verb == verb
        and right.resource in (resource, "*.*")
        and right.namespace in (None, place)
        and (not right.names or name in right.names)
    )


def _asked(event: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None, str | None]]:
    about = event.get("objectRef") or {}
    group = about.get("apiGroup", "")
    if "resource" not in about or group == OF_EVERYBODY:
        return
    resource = about["resource"]
    resource += f"/{about['subresource']}" if "subresource" in about else ""
    resource += f".{group}" if group else ""
    made = event["verb"] == "patch" and event["responseStatus"].get("code") == 201
    for verb in ("create", "patch") if made else (event["verb"],):
        yield verb, resource, about.get("namespace"), about.get("name")


def seen(fleet: Fleet, run: Run, administrator: bool = False) -> Seen:
    """One run. + administrator: bound to cluster-admin too, to learn what it would need"""
    name = fleet.names[run.cluster]
    account = run.deploy.replace("_", "-")
    inventory = _inventory(fleet, run, account)
    data = files.clusters(inventory)[name]
    made = rights.manifests(
        run.deploy,
        name,
        data,
        {"kind": "ServiceAccount", "name": account, "namespace": run.space},
    )
    token = _bound(fleet, name, account, run.space, made, administrator)
    log = Path(next(it["audit_log"] for it in fleet.lab.data["clusters"] if it["name"] == name))
    start = log.stat().st_size
    words = (*run.words, "--limit", name, "-vvv", "--debug")
    written = [fleet.folder / it for it in ("runs", "rendered", "backups", "bundles", "adopted")]
    try:
        with watched([token, *_keys(fleet, name)], *written) as leaks:
            ended = fleet.run(inventory.name, f"deploys/{run.deploy}.py", *words)
        leaks.look_at("the output", ended.text.encode())
        mark = f"mark-{log.stat().st_ino}-{start}"
        fleet.kubectl(name, "get", "configmap", mark, "--namespace", "default", check=False)
        until("the log is written", lambda: mark.encode() in _rest(log, start))
    finally:
        _gone(fleet, name, made)
    who = f"system:serviceaccount:{run.space}:{account}"
    events = [json.loads(it) for it in _rest(log, start).splitlines()]
    mine = [it for it in events if it["user"]["username"] == who]
    assert leaks.looks > 0
    return Seen(rights.of(run.deploy, name, data), mine, ended, leaks.found)


def _keys(fleet: Fleet, name: str) -> list[str]:
    """A line out of each private key in the cluster."""
    listed = json.loads(fleet.kubectl(name, "get", "secrets", "--all-namespaces", "-o", "json"))
    values = [it for one in listed["items"] for it in (one.get("data") or {}).values()]
    texts = [b64decode(it).decode("latin-1") for it in values]
    return [it.splitlines()[1] for it in texts if it.startswith("-----BEGIN") and KEY in it[:40]]


def _rest(log: Path, start: int) -> bytes:
    return log.read_bytes()[start:].rpartition(b"\n")[0]


def _inventory(fleet: Fleet, run: Run, account: str) -> Path:
    """inventory/lab.py with other data and another kubeconfig for this cluster."""
    file = fleet.folder / f"{account}.py"
    more = {**run.data, "kube_config": str(fleet.folder / f"{account}.kubeconfig")}
    file.write_text(
        "import runpy\n"
        f"_lab = runpy.run_path({str(REPOSITORY / 'inventory/lab.py')!r})\n"
        f"_more = {more!r}\n"
        f"clusters = [(n, {{**d, **(_more if n.endswith({fleet.names[run.cluster]!r}) else {{}})}})"
        " for n, d in _lab['clusters']]\n"
    )
    return file


def _bound(
    fleet: Fleet,
    name: str,
    account: str,
    space: str,
    made: Iterable[Mapping[str, Any]],
    administrator: bool,
) -> str:
    """The account with these roles, and a kubeconfig that signs in as it; its token."""
    who = {"kind": "ServiceAccount", "name": account, "namespace": space}
    objects = [
        *[_space(it) for it in sorted(_places(made) | {space})],
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(who)},
        *made,
    ]
    if administrator:
        objects.append({**ADMINISTRATOR, "metadata": {"name": "envoyfleet-a"}, "subjects": [who]})
    text = "\n---\n".join(json.dumps(it) for it in objects)
    fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=text)
    token = fleet.kubectl(name, "create", "token", account, "--namespace", space).strip()
    config = yaml.safe_load(Path(fleet.lab.data["kubeconfig"]).read_text())
    config["users"] = [{"name": it["name"], "user": {"token": token}} for it in config["users"]]
    file = fleet.folder / f"{account}.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    return token


def _places(made: Iterable[Mapping[str, Any]]) -> set[str]:
    return {it["metadata"]["namespace"] for it in made if "namespace" in it["metadata"]}


def _space(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _named(who: Mapping[str, str]) -> dict[str, str]:
    return {key: who[key] for key in ("name", "namespace")}


def _gone(fleet: Fleet, name: str, made: Iterable[Mapping[str, Any]]) -> None:
    text = "\n---\n".join(json.dumps(it) for it in made)
    where = ("--context", name, "delete", "--ignore-not-found")
    fleet.lab.kubectl(*where, "-f", "-", text=text)
    fleet.lab.kubectl(*where, "clusterrolebinding", "envoyfleet-a")

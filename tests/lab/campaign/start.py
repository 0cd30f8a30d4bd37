"""
The state that every point begins with: Envoy Gateway 1.8.3 below CRDs that have to be written,
stored and guarded again, a route that is missing, and nothing that envoyfleet remembers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.lab.api import Api, ApiError
from tasks.plans import crds, memory
from tasks.plans import helm as releases
from tests.lab.campaign.snapshot import ADMISSION, CRDS, LEASE, NAMESPACE, RELEASE, SECRETS
from tests.lab.fleet import OLD, Fleet

#: Written again: their digest is taken away.
CHANGED = (
    "gateways.gateway.networking.k8s.io",
    "tcproutes.gateway.networking.k8s.io",
    "backends.gateway.envoyproxy.io",
)
#: Its objects are stored anew: it says that an older version is stored too.
MOVED, OLDER = "httproutes.gateway.networking.k8s.io", "v1beta1"
#: Made by the upgrade.
MISSING = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes/green"
AT_OLD = ("--data", f'envoy_gateway_version="{OLD}"')


def prepared(fleet: Fleet, *more: str, at: Sequence[str] = AT_OLD) -> None:
    """
    The clusters with Envoy Gateway 1.8.3 and the CRDs of 1.9.1, where they have none yet.

    + more: arguments for pyinfra; + at: those that name another release
    """
    if all(fleet.version(it) for it in fleet.names):
        return
    for deploy, version in (("crds", ()), ("install", at)):
        ended = fleet.pyinfra(deploy, "-y", *version, *more, ENVOYFLEET_LAB=fleet.lab.name)
        assert ended.code == 0, ended.text


def reset(fleet: Fleet, cluster: str, api: Api, values: dict[str, Any]) -> None:
    """
    The start state, by helm alone: for clusters where nothing serves.

    + values: those of the release of 1.8.3
    """
    older(fleet, cluster, api, values)
    unsettle(api)


def older(fleet: Fleet, cluster: str, api: Api, values: dict[str, Any]) -> None:
    """The release of 1.8.3, whatever the newest one is or is stuck in."""
    records = api.get(f"{SECRETS}?labelSelector=owner%3Dhelm,name%3D{RELEASE}")["items"]
    for it in records:
        if it["metadata"]["labels"]["status"] in releases.STUCK:
            api.request("DELETE", f"{SECRETS}/{it['metadata']['name']}")
    chart = next(it for it in fleet.lab.data["charts"] if it["version"] == OLD)
    command = [fleet.lab.data["helm"], "upgrade", "--install", RELEASE, chart["ref"]]
    command += ["--version", OLD, "--plain-http", "--namespace", NAMESPACE, "--values", "-"]
    command += ["--kubeconfig", fleet.lab.data["kubeconfig"], "--kube-context", cluster]
    subprocess.run(
        [*command, "--wait", "--timeout", "120s", "--history-max", "5"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    )


def values_of(fleet: Fleet, cluster: str) -> dict[str, Any]:
    """The values of the newest release, as helm tells them."""
    command = [fleet.lab.data["helm"], "get", "values", RELEASE, "--output", "json"]
    command += ["--namespace", NAMESPACE, "--kube-context", cluster]
    command += ["--kubeconfig", fleet.lab.data["kubeconfig"]]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def unsettle(api: Api) -> None:
    """All of the start state but the release."""
    for name in CHANGED:
        api.patch(f"{CRDS}/{name}", _without(crds.DIGEST))
    stored = [OLDER, *_storage(api.get(f"{CRDS}/{MOVED}"))]
    api.patch(f"{CRDS}/{MOVED}/status", {"status": {"storedVersions": stored}})
    api.patch(f"{CRDS}/{MOVED}", _without(crds.STORED))
    policies = f"{ADMISSION}/validatingadmissionpolicies"
    for it in api.get(policies)["items"]:
        if it["metadata"]["name"].startswith("safe-upgrades."):
            api.patch(f"{policies}/{it['metadata']['name']}", _without(crds.DIGEST))
    for path in (MISSING, LEASE, f"{SECRETS}/{memory.NAME}"):
        try:
            api.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise


def folder_for(where: Path) -> Path:
    """A folder to run pyinfra in, with the repository's files."""
    from tests.lab.running import REPOSITORY

    where.mkdir(parents=True)
    for part in ("config.py", "deploys", "inventory", "tests"):
        (where / part).symlink_to(REPOSITORY / part)
    return where


def _without(annotation: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {annotation: None}}}


def _storage(crd: dict[str, Any]) -> list[str]:
    return [it["name"] for it in crd["spec"]["versions"] if it["storage"]]

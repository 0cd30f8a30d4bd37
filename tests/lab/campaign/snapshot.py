"""
What a cluster is like when a run has ended, without what differs between two runs that did the
same: identities, times, generations, and numbers of revisions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.lab.api import Api, ApiError
from tasks.plans import crds, lease, memory
from tasks.plans import helm as releases

Object = dict[str, Any]

NAMESPACE, RELEASE = "envoy-gateway-system", "eg"
GROUPS = (
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "gateway.envoyproxy.io",
)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICIES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
OF_RELEASE = f"?labelSelector=app.kubernetes.io%2Finstance%3D{RELEASE}"
ROLES = ("clusterrole", "clusterrolebinding", "role", "rolebinding")
OURS = (
    f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    f"/api/v1/namespaces/{NAMESPACE}/services",
    f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
    *(f"/apis/rbac.authorization.k8s.io/v1/{it}s{OF_RELEASE}" for it in ROLES),
)
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{lease.NAME}"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
#: In any depth.
PASSING = {"lastTransitionTime", "lastUpdateTime", "observedGeneration", "resourceVersion", "uid"}
OF_METADATA = {"creationTimestamp", "generation", "managedFields"}
COUNTED = {
    "deployment.kubernetes.io/revision",
    crds.GENERATION,
    crds.STORED,
}
#: Whose fields are compared; controllers write statuses whenever they like.
MANAGERS = ("envoyfleet", "helm")
OF_DEPLOYMENTS = {"replicas", "updatedReplicas", "availableReplicas", "readyReplicas"}


def taken(api: Api, folder: Path) -> dict[str, Any]:
    """
    Everything, by its path or name. + folder: of the run, where the backup of the Lease must be.
    """
    found: dict[str, Any] = {}
    definitions = [it for it in _items(api, CRDS) if it["spec"]["group"] in GROUPS]
    for crd in definitions:
        found[f"CRD {crd['metadata']['name']}"] = _definition(crd)
        for path in _collections(crd):
            found |= {f"{path} {_name(it)}": stripped(it) for it in _items(api, path)}
    for path in OURS:
        found |= {f"{path} {_name(it)}": stripped(it) for it in _items(api, path)}
    for plural in POLICIES:
        path = f"{ADMISSION}/{plural}"
        found |= {f"{path} {_name(it)}": stripped(it) for it in _items(api, path)}
    records = _items(api, f"{SECRETS}?labelSelector=owner%3Dhelm,name%3D{RELEASE}")
    found["Helm"] = _release(records)
    found["Lease"] = _lease(api.get(LEASE), records, folder)
    found["memory"] = _memory(api)
    return found


def digest(snapshot: Mapping[str, Any]) -> str:
    return sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The names of what differs, such as ["Helm", "CRD gateways...", ...]."""
    return sorted(it for it in {*wanted, *found} if wanted.get(it) != found.get(it))


def stripped(thing: Object) -> Object:
    """An object without what passes, with the fields that we and Helm own."""
    meta = thing["metadata"]
    kept = {key: it for key, it in meta.items() if key not in OF_METADATA}
    notes = meta.get("annotations") or {}
    kept["annotations"] = {key: it for key, it in notes.items() if key not in COUNTED}
    kept["owned"] = sorted(
        json.dumps([it["manager"], it["operation"], it.get("fieldsV1")], sort_keys=True)
        for it in meta.get("managedFields") or ()
        if it["manager"] in MANAGERS and not it.get("subresource")
    )
    found = {**thing, "metadata": kept}
    if "replicas" in (thing.get("status") or {}):
        found["status"] = {key: thing["status"].get(key) for key in OF_DEPLOYMENTS}
    return lasting(found)  # type: ignore[no-any-return]


def lasting(thing: Any) -> Any:
    if isinstance(thing, Mapping):
        return {key: lasting(it) for key, it in thing.items() if key not in PASSING}
    return [lasting(it) for it in thing] if isinstance(thing, list) else thing


def _definition(crd: Object) -> Object:
    """A CRD by its versions and our marks, and whether those are of its generation."""
    meta, notes = crd["metadata"], crd["metadata"].get("annotations") or {}
    now = str(meta["generation"])
    return {
        "annotations": {key: it for key, it in notes.items() if key not in COUNTED},
        "marked": [notes.get(it) == now for it in (crds.GENERATION, crds.STORED)],
        "spec": sha256(json.dumps(crd["spec"], sort_keys=True).encode()).hexdigest(),
        "stored": crd["status"]["storedVersions"],
    }


def _collections(crd: Object) -> list[str]:
    spec = crd["spec"]
    return [
        f"/apis/{spec['group']}/{it['name']}/{spec['names']['plural']}"
        for it in spec["versions"]
        if it["storage"] and it["served"]
    ]


def _release(records: list[Object]) -> Object:
    newest = releases.newest(records)
    if newest is None:
        return {}
    release = releases.decode(newest)
    statuses = [it["metadata"]["labels"]["status"] for it in records]
    return {
        "status": release.status,
        "version": release.chart_version,
        "content": release.content,
        "values": dict(release.values),
        "deployed": statuses.count("deployed"),
        "stuck": [it for it in statuses if it in releases.STUCK],
    }


def _lease(found: Object, records: list[Object], folder: Path) -> Object:
    """What the Lease remembers, and whether that is still there to go back to."""
    good, before = lease.last_good(found), lease.came_from(found)
    revisions = {
        int(it["metadata"]["labels"]["version"]): releases.decode(it).version for it in records
    }
    return {
        "holder": found["spec"].get("holderIdentity"),
        "state": lease.state(found),
        "values": lease.applied_values(found),
        "good": good and good.version,
        "came from": before and before.version,
        "record": revisions.get(good.revision) if good else None,
        "backup": bool(good and good.backup and (folder / good.backup).is_file()),
    }


def _memory(api: Api) -> Object:
    """Our objects as they were, and whether they belong to the last good state of the Lease."""
    try:
        secret = api.get(f"{SECRETS}/{memory.NAME}")
    except ApiError:
        return {}
    good, kept = lease.last_good(api.get(LEASE)), memory.read(secret)
    return {
        "applied": lasting(list(kept.applied)),
        "absent": list(kept.absent),
        "belongs": bool(good and good.run == memory.run(secret)),
    }


def _items(api: Api, path: str) -> list[Object]:
    found: list[Object] = api.get(path).get("items") or []
    return found


def _name(thing: Object) -> str:
    meta = thing["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])

"""
Whether an archive may be restored into a cluster at all: whose it is, of which version, and whether
this cluster will have a place for each of its objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans import behaviour, crds, schemas, versions
from tasks.plans.kinds import ENVOY_GATEWAY, EXPERIMENTAL, GATEWAY_API, title
from tasks.plans.preflight import Reason, listed, warning
from tasks.plans.resources import Resource

Object = Mapping[str, Any]
GROUPS = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)


@dataclass(frozen=True)
class Places:
    """
    Where a cluster will keep each kind, once its CRDs are those that it is going to have.

    + resources: by group and kind, the preferred version first
    + definitions: CRDs, whole, by group and kind; of core kinds there are none
    """

    resources: Mapping[tuple[str, str], Sequence[Resource]]
    definitions: Mapping[tuple[str, str], Object]

    def schema(self, resource: Resource) -> Mapping[str, Any] | None:
        """The schema of a resource's version, or None where it has none."""
        crd = self.definitions.get((resource.group, resource.kind))
        return schemas.schema_of(crd, resource.version) if crd else None


def comes_otherwise(thing: Object, release: str) -> bool:
    """
    Whether an object of an archive is not written back: CRDs, the policies that guard them, and
    what the release made come with the chart; records of Helm would be of another cluster's.
    """
    meta = thing["metadata"]
    notes, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    return (
        kind_of(thing)[0] in ("apiextensions.k8s.io", "admissionregistration.k8s.io")
        or notes.get("meta.helm.sh/release-name") == release
        or (thing["kind"] == "Secret" and labels.get("owner") == "helm")
    )


def places(discovered: Iterable[Resource], definitions: Iterable[Object]) -> Places:
    """
    + discovered: what the API server serves now
    + definitions: CRDs, whole; those that are going to be written count before what is served now
    """
    found: dict[tuple[str, str], list[Resource]] = {}
    own = {(it["spec"]["group"], it["spec"]["names"]["kind"]): it for it in definitions}
    for it in discovered:
        if "/" not in it.plural and (it.group, it.kind) not in own:
            found.setdefault((it.group, it.kind), []).append(it)
    for key, crd in own.items():
        found[key] = _served(crd)
    return Places(found, own)


def _served(crd: Object) -> list[Resource]:
    """The version that is stored first."""
    spec = crd["spec"]
    names = [it["name"] for it in spec["versions"] if it["served"]]
    names.sort(key=lambda it: it != crds.storage_version(crd))
    namespaced = spec.get("scope", "Namespaced") == "Namespaced"
    return [
        Resource(spec["group"], it, spec["names"]["plural"], spec["names"]["kind"], namespaced)
        for it in names
    ]


def kind_of(thing: Object) -> tuple[str, str]:
    """Group and kind, such as ("gateway.networking.k8s.io", "Gateway")."""
    return thing["apiVersion"].rpartition("/")[0], thing["kind"]


def place(thing: Object, there: Places) -> Resource | str:
    """
    As what a cluster takes an object: in the archive's version, else in another one that it
    converts to without loss; or why it does not take it.
    """
    key = kind_of(thing)
    known = there.resources.get(key, ())
    if not known:
        return f"this cluster does not serve {key[1]} of {key[0] or 'v1'}"
    for it in known:
        if it.api_version == thing["apiVersion"]:
            return it
    crd = there.definitions.get(key)
    if crd is None or (crd["spec"].get("conversion") or {}).get("strategy", "None") != "None":
        served = ", ".join(it.version for it in known)
        return f"this cluster serves {key[1]} as {served}, the archive has {thing['apiVersion']}"
    lost = list(schemas.pruned(there.schema(known[0]) or {}, schemas.own(thing)))
    if lost:
        return f"as {known[0].api_version}, which this cluster serves, it would lose {lost[0]}"
    return known[0]


def of_places(objects: Iterable[Object], there: Places) -> tuple[list[Reason], dict[str, str]]:
    """
    Reasons against objects of the Gateway groups that this cluster has no place for; and objects of
    others, such as cert-manager's, that are left out, by title, and why.
    """
    refused, left_out = [], {}
    for it in objects:
        found = place(it, there)
        if isinstance(found, Resource):
            continue
        if kind_of(it)[0] in (*GROUPS, ""):
            refused.append(f"{title(it)}: {found}")
        else:
            left_out[title(it)] = f"{found}: install what brings it, then run again"
    reasons = (
        [
            Reason(
                f"{listed(refused)}: restore it with the Envoy Gateway that it was backed up with, "
                "or leave it out with only"
            )
        ]
        if refused
        else []
    )
    return reasons, left_out


def of_cluster(manifest: Object, name: str, given: str | None) -> list[Reason]:
    """
    + name: the cluster to restore into; + given: ``from_cluster`` of its data
    """
    of = manifest["cluster"]
    if of in (name, given):
        return []
    return [
        Reason(
            f"the archive is of cluster {of}: if it shall be restored into {name}, add "
            f"--data from_cluster={of}"
        )
    ]


def of_identity(manifest: Object, name: str, uid: str | None) -> list[Reason]:
    """The same name on another cluster is what a loss looks like: it is said."""
    if manifest["cluster"] != name or not manifest.get("uid") or manifest["uid"] == uid:
        return []
    return [warning(f"{name} is another cluster than the one that was backed up (another uid)")]


def of_versions(
    archived: str | None,
    wanted: str,
    objects: Mapping[str, Sequence[Object]],
    values: Mapping[str, Any],
) -> list[Reason]:
    """
    What is different where the objects come from another Envoy Gateway. Any older line may be
    restored, for objects are not upgraded but written anew; each change of behaviour on the way
    counts as in an upgrade. A newer one may be where this cluster's CRDs hold all that is used.

    + archived: of the archive, None where it could not tell; + objects: by kind
    """
    if archived is None:
        return [warning("which Envoy Gateway the archive is of is not known")]
    try:
        before, now = versions.parse(archived), versions.parse(wanted)
    except ValueError as error:
        return [warning(f"the archive: {error}")]
    if before > now:
        return [
            warning(
                f"the archive is of Envoy Gateway {archived}, newer than {wanted}: what its "
                "objects use is there, what they mean may differ"
            )
        ]
    found = behaviour.met(str(before), str(now), objects, values) if before != now else []
    if versions.line(archived) is None:
        found.append(
            warning(
                f"the archive is of Envoy Gateway {archived}, older than envoyfleet knows: read "
                "the release notes up to the first line it does"
            )
        )
    return found


def of_values(lines: Sequence[str]) -> list[Reason]:
    """+ lines: what the archive's Helm values say and the inventory's do not"""
    if not lines:
        return []
    return [
        Reason(
            "the archive's release had Helm values that the inventory does not render: "
            f"{listed(lines, 8)}: bring them into the inventory, or the template "
            "templates/envoy-gateway/values.yaml.j2",
            "values",
        )
    ]


def of_release(installed: str | None, wanted: str, only: Collection[str]) -> list[Reason]:
    """
    A restore brings no other release than the one that runs, and a selection no controller.

    + installed: the version that runs, None where there is no controller
    """
    if installed is None:
        if only:
            return [
                Reason(
                    "Envoy Gateway is not installed, and only selects objects: restore without "
                    "only, or install it with deploys/install.py"
                )
            ]
        return []
    if installed == wanted:
        return []
    return [
        Reason(
            f"Envoy Gateway {installed} runs, and the inventory wants {wanted}: a restore does not "
            "change releases: use deploys/upgrade.py, or --data envoy_gateway_version="
            f"'\"{installed}\"'"
        )
    ]


def of_namespace(archived: str | None, wanted: str) -> list[Reason]:
    """+ archived: where the controller was installed, None where the archive has no release"""
    if archived in (None, wanted):
        return []
    return [
        Reason(
            f"the archive's controller was in namespace {archived}, the inventory says {wanted}: "
            "set namespace to the archive's"
        )
    ]

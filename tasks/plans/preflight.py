"""
What speaks against changing a cluster, and what the inventory accepts of it all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from tasks.plans import crds, versions
from tasks.plans.owners import owner
from tasks.plans.served import Missing

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Reason:
    """
    One thing that speaks against a change.

    + text: one line: what, which object, what to do
    + accept: the word in the inventory's ``accept`` that turns this stop into a warning, such as
      "sick"; None is a stop whatever the inventory says
    + stops: False is a warning from the start
    """

    text: str
    accept: str | None = None
    stops: bool = True


def warning(text: str) -> Reason:
    return Reason(text, stops=False)


def settled(
    reasons: Iterable[Reason], accepted: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Stops and warnings, a line each, in order and each once."""
    stops: dict[str, None] = {}
    warnings: dict[str, None] = {}
    for it in reasons:
        if not it.stops:
            warnings[it.text] = None
        elif it.accept is None:
            stops[it.text] = None
        elif it.accept in accepted:
            warnings[f"accepted ({it.accept}): {it.text}"] = None
        else:
            stops[f'{it.text} (or accept "{it.accept}")'] = None
    return tuple(stops), tuple(warnings)


def listed(lines: Collection[str], most: int = 3) -> str:
    """Such as "a; b; c (and 4 more)": a message stays one that is read."""
    shown = list(lines)[:most]
    more = f" (and {len(lines) - most} more)" if len(lines) > most else ""
    return "; ".join(shown) + more


def version_reasons(
    installed: str | None, wanted: str, kubernetes: str, upgrading: bool
) -> list[Reason]:
    """
    Whether Envoy Gateway may go from ``installed`` (None where there is none) to ``wanted`` on this
    Kubernetes. Outside the support matrix is a stop for a new version, and a warning for the one
    that runs.
    """
    refused = versions.refusal(installed, wanted)
    if refused:
        return [Reason(refused)]
    if installed is None and upgrading:
        return [Reason("Envoy Gateway is not installed: deploys/install.py installs it")]
    if installed not in (None, wanted) and not upgrading:
        return [
            Reason(
                f"Envoy Gateway {installed} is installed: go to {wanted} with deploys/upgrade.py"
            )
        ]
    found = []
    problem = versions.kubernetes_problem(wanted, kubernetes)
    if problem:
        found.append(Reason(problem, stops=installed != wanted))
    if installed not in (None, wanted):
        now = versions.kubernetes_problem(str(installed), kubernetes)
        found += [warning(f"now: {now}")] if now else []
    return found


def installations(
    deployments: Iterable[Object], release: str, namespace: str, installed: bool
) -> list[Reason]:
    """
    Other controllers of the same chart in this cluster: one in our namespace would be fought over,
    one elsewhere shares CRDs and cluster-wide objects with ours.

    + deployments: all with the label app.kubernetes.io/name=gateway-helm
    + installed: whether our release has a record
    """
    found = []
    for it in deployments:
        meta = it["metadata"]
        labels = meta.get("labels") or {}
        if labels.get("app.kubernetes.io/name") != "gateway-helm":
            continue
        other = labels.get("app.kubernetes.io/instance", "unknown")
        where = f"Deployment {meta['namespace']}/{meta['name']}"
        if meta["namespace"] != namespace:
            version = labels.get("app.kubernetes.io/version", "")
            found.append(
                warning(
                    f"{where} is another Envoy Gateway {version} (release {other}): it shares the "
                    "CRDs with this one, so upgrade it in the same run"
                )
            )
        elif other != release or not installed:
            found.append(
                Reason(
                    f"{where} belongs to release {other}, "
                    + ("whose record is gone" if other == release else f"not to {release}")
                    + ": set release and namespace in the inventory to what is installed"
                )
            )
    return found


def written(chart: Iterable[Object], live: Sequence[Object], version: str) -> list[Object]:
    """
    The CRDs of a chart that this change would write: none where the cluster has newer ones, which
    stay. + live: metadata is enough; + version: of the chart
    """
    changed = crds.changed(chart, live)
    return [] if crds.downgrades(changed, live, version) else changed


def crd_reasons(
    changed: Sequence[Object],
    live: Sequence[Object],
    managers: Collection[str],
    chart: str,
) -> list[Reason]:
    """
    CRDs that this change must not write, because they are somebody else's.

    + changed: ``written``; + live: of the cluster, metadata is enough
    + managers: whose fields may be taken over, such as ["helm", "kubectl"]
    + chart: such as "gateway-helm 1.9.1"
    """
    theirs = {it["metadata"]["name"] for it in live if keeps_itself(it)}
    free = [it for it in changed if it["metadata"]["name"] not in theirs]
    kept = crds.kept_by_others(changed, live)
    foreign = crds.foreign_managers(free, live, managers)
    found = []
    if kept:
        found.append(
            f"{listed(kept, 1)}: two managers would undo each other: let it bring the CRDs of "
            f"{chart}, or take them from it first"
        )
    if foreign:
        found.append(listed(foreign, 1))
    return [Reason(it) for it in found]


def bundle_reasons(
    live: Iterable[Object], chart: Iterable[Object], installed: str | None
) -> list[Reason]:
    """
    What the Gateway API CRDs of the cluster are, beside what the chart brings and what the release
    that runs was built with.
    """
    bundle, channel = crds.bundle(list(live))
    _, coming = crds.bundle(list(chart))
    found = []
    if channel == "standard" and coming == "experimental":
        found.append(
            warning(
                "Gateway API CRDs go from channel standard to experimental, which the policy "
                "safe-upgrades refuses where it is installed: delete that policy first"
            )
        )
    for name, text in (("bundle versions", bundle), ("channels", channel)):
        if "+" in text:
            found.append(
                warning(
                    f"Gateway API CRDs are of several {name} ({text.replace('+', ', ')}): this "
                    "change makes them one"
                )
            )
    line = versions.line(installed) if installed else None
    if line and bundle and "+" not in bundle and _older(bundle, line.gateway_api):
        found.append(
            warning(
                f"Envoy Gateway {installed} runs with Gateway API {bundle}, and was built with "
                f"{line.gateway_api}"
            )
        )
    return found


def _older(one: str, other: str) -> bool:
    try:
        return Version(one) < Version(other)
    except InvalidVersion:
        return False


def unserved(wanted: str, missing: Iterable[Missing], used: Mapping[str, int]) -> list[Reason]:
    """
    What the new controller would lack with the CRDs that the cluster has after the upgrade.

    + missing: ``served.missing_served`` of that state; + used: objects by name of CRD
    """
    found = []
    for it in missing:
        have = f"serves {', '.join(it.served)}" if it.served else "is not installed"
        text = (
            f"CustomResourceDefinition {it.crd} {have} after this change, and Envoy Gateway "
            f"{wanted} needs {it.needs}"
        )
        count = used.get(it.crd, 0)
        if it.crashes:
            found.append(Reason(f"{text} to start: let its owner bring that version first"))
        elif count:
            then = f"or its {count} objects are left out in silence"
            found.append(Reason(f"{text}, {then}: let its owner bring that version first"))
        else:
            found.append(warning(f"{text}; no object of it is there"))
    return found


def stored_versions(live: Iterable[Object], chart: Iterable[Object]) -> list[Reason]:
    """
    Versions that objects are stored in and the chart's CRD no longer has: the API server would
    refuse that CRD (Kubernetes docs, Versions in CustomResourceDefinitions).

    + live: whole CRDs of the cluster
    """
    new = {it["metadata"]["name"]: {v["name"] for v in it["spec"]["versions"]} for it in chart}
    found = []
    for it in live:
        name = it["metadata"]["name"]
        stored = it.get("status", {}).get("storedVersions") or ()
        gone = [v for v in stored if v not in new.get(name, stored)]
        if gone:
            found.append(
                Reason(
                    f"CustomResourceDefinition {name}: objects are stored as {', '.join(gone)}, "
                    "which the new one does not have: rewrite them and mend status.storedVersions"
                )
            )
    return found


def moving(chart: Iterable[Object], served: Mapping[str, Collection[str]]) -> list[str]:
    """
    The CRDs whose storage version this change moves to one that the cluster does not serve yet,
    such as ["tcproutes.gateway.networking.k8s.io"].
    """
    return [
        it["metadata"]["name"]
        for it in chart
        if it["metadata"]["name"] in served
        and crds.storage_version(it) not in served[it["metadata"]["name"]]
    ]


def served_after(
    served: Mapping[str, Collection[str]], changed: Iterable[Object], live: Iterable[Object]
) -> dict[str, Collection[str]]:
    """
    Which versions of each CRD are served once the chart's are applied. What AKS, Argo CD or Flux
    keep up stays as it is.

    + served: now; + changed: ``written``; + live: CRDs of the cluster, metadata is enough
    """
    theirs = {it["metadata"]["name"] for it in live if keeps_itself(it)}
    ours = {
        it["metadata"]["name"]: [v["name"] for v in it["spec"]["versions"] if v["served"]]
        for it in changed
        if it["metadata"]["name"] not in theirs
    }
    return {**served, **ours}


def keeps_itself(crd: Object) -> bool:
    """Whether something brings this CRD up to date by itself, so that we must not."""
    return owner(crd) in ("aks", "argocd", "flux")

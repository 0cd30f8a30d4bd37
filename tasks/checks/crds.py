"""
What is wrong with the CRDs of a cluster, for the controller that runs there or shall run there.

CRDs may be whole or metadata alone (PartialObjectMetadata), where the served versions come from
discovery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.kinds import GATEWAY_API
from tasks.plans.owners import owner
from tasks.plans.served import Missing, missing_served, needed_crds
from tasks.plans.versions import line

_BUNDLE, _CHANNEL = f"{GATEWAY_API}/bundle-version", f"{GATEWAY_API}/channel"
#: The first bundle that has a kind in channel standard (config/crd/standard of the Gateway API,
#: v1.2.1 to v1.6.1).
_STANDARD_SINCE = {
    f"backendtlspolicies.{GATEWAY_API}": "1.4",
    f"listenersets.{GATEWAY_API}": "1.5",
    f"tlsroutes.{GATEWAY_API}": "1.5",
    f"tcproutes.{GATEWAY_API}": "1.6",
    f"udproutes.{GATEWAY_API}": "1.6",
}


@dataclass(frozen=True)
class Crd:
    """
    What counts of one CustomResourceDefinition.

    + bundle, channel: such as "v1.6.1" and "experimental", or ``None`` on one that is not the
      Gateway API's
    + owner: who brings it up to date, such as "aks" or "kubectl" (`owners.owner`)
    + served: such as {"v1", "v1alpha2"}, or ``None`` where only metadata was read
    """

    name: str
    bundle: str | None
    channel: str | None
    owner: str
    served: frozenset[str] | None


def read(crd: Mapping[str, Any]) -> Crd:
    """One CustomResourceDefinition or PartialObjectMetadata, as the API server returned it."""
    notes = crd["metadata"].get("annotations") or {}
    versions = (crd.get("spec") or {}).get("versions")
    return Crd(
        name=crd["metadata"]["name"],
        bundle=notes.get(_BUNDLE),
        channel=notes.get(_CHANNEL),
        owner=owner(crd),
        served=versions and frozenset(it["name"] for it in versions if it["served"]),
    )


def crd_findings(
    cluster: str,
    crds: Iterable[Mapping[str, Any]],
    controller: str,
    *,
    served: Mapping[str, Collection[str]] | None = None,
    used: Mapping[str, int] | None = None,
) -> Iterator[Finding]:
    """
    Everything to say about one cluster's CRDs, in no order.

    + controller: release to check for, such as "1.9.1"
    + served: versions by name of CRD, such as {"tcproutes.gateway...": ["v1"]}; needed where
      ``crds`` are metadata
    + used: number of objects by name of CRD, present or wanted, such as {"tcproutes.gateway...":
      4}; ``None`` where they were not counted
    """
    there = {it.name: it for it in map(read, crds)}
    if line(controller) is None:
        what = f"which CRDs Envoy Gateway {controller} needs is not known"
        yield Finding("GW100", "warning", Where(cluster), what, "update envoyfleet")
        return
    needed = needed_crds(controller)
    known = {
        name: crd.served if crd.served is not None else (served or {}).get(name)
        for name, crd in there.items()
    }
    unread = sorted(name for name, it in known.items() if it is None and name in needed)
    if unread:
        what = f"the served versions of {len(unread)} CRDs were not read, such as {unread[0]}"
        yield Finding("GW100", "warning", Where(cluster), what, "run the audit again")
    lacking = [
        it
        for it in missing_served(controller, {name: it or () for name, it in known.items()})
        if it.crd not in unread
    ]
    yield from (_lacking(cluster, controller, it, used) for it in lacking)
    bundle = [
        it
        for name, it in sorted(there.items())
        if name in needed and name.endswith(f".{GATEWAY_API}")  # leftovers keep an old bundle
    ]
    yield from _mixed(cluster, bundle)
    yield from _not_in_channel(cluster, bundle, used or {})
    yield from _owned_elsewhere(cluster, bundle)


def _lacking(
    cluster: str, controller: str, missing: Missing, used: Mapping[str, int] | None
) -> Finding:
    count = None if used is None else used.get(missing.crd, 0)
    severity: Severity = (
        "error" if missing.crashes or count else "info" if count == 0 else "warning"
    )
    then = "does not start without it" if missing.crashes else "leaves its objects out silently"
    have = (
        "is not installed"
        if missing.served is None
        else f"serves {', '.join(missing.served) or 'no version'}, not {missing.needs}"
    )
    return Finding(
        code="GW101" if missing.served is None else "GW102",
        severity=severity,
        where=Where(cluster, f"CustomResourceDefinition {missing.crd}"),
        what=f"{have}, and Envoy Gateway {controller} {then}",
        fix="apply the CRDs of this release first, deploys/upgrade.py does",
    )


def _mixed(cluster: str, crds: list[Crd]) -> Iterator[Finding]:
    for what, code, values in (
        ("bundle versions", "GW103", [it.bundle for it in crds]),
        ("channels", "GW104", [it.channel for it in crds]),
    ):
        counts = Counter(it or "none" for it in values)
        if len(counts) > 1:
            listed = ", ".join(f"{value} ({number})" for value, number in sorted(counts.items()))
            yield Finding(
                code=code,
                severity="warning",
                where=Where(cluster, "Gateway API CRDs"),
                what=f"are of several {what}: {listed}",
                fix="apply one whole bundle, server-side, deploys/upgrade.py does",
            )


def _not_in_channel(cluster: str, crds: list[Crd], used: Mapping[str, int]) -> Iterator[Finding]:
    gateways = next((it for it in crds if it.name == f"gateways.{GATEWAY_API}"), None)
    if gateways is None or gateways.channel != "standard":
        return
    for name, since in _STANDARD_SINCE.items():
        if used.get(name) and _older(gateways.bundle, since):
            yield Finding(
                code="GW105",
                severity="warning",
                where=Where(cluster, f"CustomResourceDefinition {name}"),
                what=f"{used[name]} objects need it, and channel standard of {gateways.bundle} "
                f"does not have it, only from v{since}.0 on",
                fix="apply the experimental channel of this bundle, or a newer bundle",
            )


def _older(bundle: str | None, than: str) -> bool:
    try:
        return Version(bundle or "") < Version(than)
    except InvalidVersion:
        return False


def _owned_elsewhere(cluster: str, crds: list[Crd]) -> Iterator[Finding]:
    owners = Counter(it.owner for it in crds)
    where = Where(cluster, "Gateway API CRDs")
    if owners["aks"]:
        yield Finding(
            code="GW106",
            severity="warning",
            where=where,
            what=f"{owners['aks']} of {len(crds)} belong to AKS, whose upgrades replace them",
            fix="turn off the managed Gateway API of this cluster, then run deploys/upgrade.py",
        )
    for tool, name in (("argocd", "Argo CD"), ("flux", "Flux"), ("helm", "a Helm release")):
        if owners[tool]:
            yield Finding(
                code="GW107",
                severity="info",
                where=where,
                what=f"{owners[tool]} of {len(crds)} belong to {name}, which undoes other changes",
                fix="change them there, or take them out of it before deploys/upgrade.py runs",
            )

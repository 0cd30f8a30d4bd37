"""
The state of the fleet, read in one look: what runs where, until when it is supported, and whether
it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra import host

from tasks import controller, gateways
from tasks.checks.crds import crd_findings
from tasks.checks.gateways import gateway_findings
from tasks.checks.versions import Installed, version_findings
from tasks.facts.kube import KubeObjects, ServedVersions
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation, kubernetes_version
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.plans import conditions, crds, versions

SCHEMA = "envoyfleet.status/1"
API = "apiextensions.k8s.io/v1"
COLUMNS = (
    "cluster",
    "ring",
    "kubernetes",
    "Envoy Gateway",
    "supported",
    "CRDs",
    "Gateways",
    "addresses",
)

_rows: dict[str, dict[str, Any]] = {}


def of_the_fleet() -> None:
    """
    Deploy code: read every cluster, print one table at the end, exit 3 where something is wrong.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    read(name="Status", data=fleet_run.cluster())


@fleet_operation()
def read(data: Cluster) -> Steps:
    """One row of the table. Reads only: at most ten requests."""
    yield from ()
    today = fleet_run.now().date()
    kubernetes = kubernetes_version()
    release = controller.newest_release(data)
    live = fact(KubeObjects, api_version=API, kind="CustomResourceDefinition", metadata_only=True)
    bundle, channel = crds.bundle(live)
    row: dict[str, Any] = {
        "ring": data.ring,
        "kubernetes": kubernetes,
        "envoy_gateway": release.version if release else None,
        "release": f"{release.namespace}/{release.name}" if release else None,
        "release_status": release.status if release else None,
        "end_of_life": versions.end_of_life(release.version, today) if release else None,
        "cves": [it.id for it in versions.known_cves(release.version)] if release else [],
        "bundle": bundle,
        "channel": channel,
        "gateways": [],
    }
    _rows[host.name] = row
    if release is None:
        return
    classes, own = gateways.ours(data) if bundle else ([], [])
    for gateway in own:
        meta = gateway["metadata"]
        row["gateways"].append(
            {
                "name": f"{meta['namespace']}/{meta['name']}",
                "addresses": [
                    it["value"] for it in gateway.get("status", {}).get("addresses") or ()
                ],
                "problems": conditions.gateway(gateway),
            }
        )
    installed = Installed(release.chart_version, controller.image_version(data), kubernetes)
    served = fact(ServedVersions)
    fleet_run.current().findings += [
        *version_findings(host.name, installed, today),
        *crd_findings(host.name, live, release.version, served=served),
        *gateway_findings(host.name, classes, own),
    ]


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, SCHEMA, COLUMNS, _line)


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreachable" in row:
        return (name, str(row["ring"]), "-", f"not read: {row['unreachable']}", "", "", "", "")
    bad = sum(bool(it["problems"]) for it in row["gateways"])
    serving = (
        f"{len(row['gateways']) - bad} of {len(row['gateways'])} serve"
        if row["gateways"]
        else "none"
    )
    version = row["envoy_gateway"] or "not installed"
    if row["release_status"] not in (None, "deployed"):
        version += f" ({row['release_status']})"
    if row["cves"]:
        version += f" ({len(row['cves'])} CVEs)"
    addresses = [a for it in row["gateways"] for a in it["addresses"]]
    return (
        name,
        str(row["ring"]),
        row["kubernetes"],
        version,
        row["end_of_life"] or "",
        f"{row['bundle']} {row['channel']}".strip() or "none",
        serving,
        ", ".join(dict.fromkeys(addresses)),
    )

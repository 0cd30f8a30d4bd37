"""All that the inventory wants of one cluster: what its keys say, and its own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.checks import teams
from tasks.checks import wanted as checks
from tasks.checks.findings import Finding
from tasks.checks.limits import rates_without_redis
from tasks.checks.wanted import files as file_checks
from tasks.checks.wanted import traffic
from tasks.desired.files import from_files
from tasks.desired.objects import objects
from tasks.fleet.inventory import Cluster
from tasks.plans import kinds
from tasks.plans.ours import labelled
from tasks.plans.references import Reference, to

#: The key of the inventory that an object comes from, by kind; routes are of "routes".
KEYS = {
    "GatewayClass": "gateway_class",
    "EnvoyProxy": "proxy",
    "Namespace": "gateways",
    "Gateway": "gateways",
    "ClientTrafficPolicy": "gateways",
    "BackendTrafficPolicy": "limits",
    "ReferenceGrant": "teams",
}


@dataclass(frozen=True)
class Wanted:
    """
    + objects: in the order in which they are applied; + origins: where each is written, a file
      such as "objects/shop.yaml.j2" or a key such as "gateways"
    + findings: what is wrong without having seen the cluster; an error must stop whoever applies
    """

    objects: tuple[dict[str, Any], ...]
    origins: Mapping[Reference, str]
    findings: tuple[Finding, ...]


def wanted(name: str, data: Cluster) -> Wanted:
    """
    What one cluster is to have, and what is wrong with it as far as that can be told without the
    cluster. Pure but for the copy in rendered/. Raises TemplateRefused for our own templates; a
    file of the operator that cannot be used is a finding.
    """
    found: dict[Reference, dict[str, Any]] = {}
    origins: dict[Reference, str] = {}
    findings: list[Finding] = []
    for thing in objects(name, data):
        key = to(thing)
        found[key], origins[key] = thing, KEYS.get(thing["kind"], "routes")
    for it in from_files(name, data):
        if isinstance(it, Finding):
            findings.append(it)
            continue
        path, thing = it
        key = to(thing)
        if key in found and (key.kind != "Namespace" or path == origins[key]):
            findings.append(file_checks.twice(name, thing, origins[key], path))
            continue
        found[key], origins[key] = labelled(thing), path
    every = tuple(kinds.in_order([*found.values()]))
    view = checks.View(name, every, origins)
    findings += checks.findings(view)
    findings += teams.findings(name, data.teams, every)
    if data.rate_limit_redis is None:
        findings += traffic.located(view, rates_without_redis(name, every))
    return Wanted(every, origins, tuple(findings))

"""
The diagnosis of a fleet: what is known of each cluster is read, explained, and said once for all
clusters that have the same cause.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pyinfra import host

from tasks.checks.findings import Finding, Where
from tasks.checks.findings import as_json as findings_as_json
from tasks.diagnosis import cluster as cluster_causes
from tasks.diagnosis import report
from tasks.diagnosis.causes import NOT_READ
from tasks.diagnosis.diagnosis import Diagnosis, Found, as_json
from tasks.diagnosis.evidence import Evidence, Gap
from tasks.diagnosis.explain import diagnosis
from tasks.facts.loki import Place
from tasks.fleet import environment
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.silences import judged
from tasks.fleet.tables import chosen, print_table
from tasks.operations.evidence import Look, evidence
from tasks.plans.requests import parsed

SCHEMA = "envoyfleet.diagnose/1"
COLUMNS = ("cluster", "ring", "Gateways", "proxies", "answer", "who answered", "first finding")

_rows: dict[str, dict[str, Any]] = {}
_diagnoses: dict[str, Diagnosis] = {}


def of_the_fleet() -> None:
    """
    Deploy code: read every cluster, print one table at the end, exit 3 where something is wrong.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    read(name="Diagnosis", data=fleet_run.cluster())


@fleet_operation()
def read(data: Cluster) -> Steps:
    """
    One cluster. Reads only: a list a kind, one request for each proxy, and the request that is
    asked about.
    """
    yield from ()
    row: dict[str, Any] = {"ring": data.ring}
    seen = evidence(session(), host.name, look(data), fleet_run.now().timestamp())
    _rows[host.name] = row
    if not cluster_causes.installed(seen):
        row["installed"] = False
        return
    found = diagnosed(seen)
    row |= described(seen, found)
    _diagnoses[host.name] = found
    fleet_run.current().findings += findings(host.name, found)


def look(data: Cluster) -> Look:
    """What an inventory wants to be looked at."""
    return Look(
        asked=parsed(data.request) if data.request else None,
        send=data.send,
        lines=data.diagnosis.lines,
        seconds=60 * data.diagnosis.minutes,
        servers=tuple(data.resolvers),
        controller=data.controller_name,
        loki=_loki(data),
    )


def _loki(data: Cluster) -> Place | None:
    if (it := data.diagnosis.loki) is None:
        return None
    return Place(
        it.url, it.selector, environment.secret(it.token_env) if it.token_env else None, it.tenant
    )


def diagnosed(seen: Evidence) -> Diagnosis:
    """The diagnosis of a live cluster, with what changed last."""
    found = diagnosis(seen)
    return replace(found, notes=(*found.notes, *cluster_causes.notes(seen)))


def described(seen: Evidence, found: Diagnosis) -> dict[str, Any]:
    """A cluster's row: {"gateways": 1, "proxies": 2, "answer": ..., "diagnosis": {...}}."""
    objects = seen.objects or ()
    question = seen.question
    answer = None
    if question is not None:
        answer = question.error or (str(question.status) if question.status else None)
    return {
        "installed": True,
        "gateways": sum(it["kind"] == "Gateway" for it in objects),
        "proxies": len(seen.proxies),
        "looked_at": report.looked_at(seen),
        "answer": answer,
        "diagnosis": as_json(found),
    }


def findings(cluster: str, found: Diagnosis) -> Iterator[Finding]:
    """What a diagnosis found and what it could not read, as every audit says it."""
    yield from (_finding(cluster, it) for it in found.findings)
    yield from (_not_read(cluster, it) for it in found.gaps)


def _finding(cluster: str, it: Found) -> Finding:
    where = Where(cluster, it.object.text, it.where or it.field or None)
    return Finding(it.code, it.severity, where, it.sentence, it.fix)


def _not_read(cluster: str, it: Gap) -> Finding:
    what = f"not read: {it.why}; not known without it: {it.cost}"
    fix = "give the right, or go by what was read" if "right" in it.why else "see why"
    return Finding(NOT_READ, "info", Where(cluster, it.what), what, fix)


def without(found: Diagnosis, cluster: str, silent: Collection[Finding]) -> Diagnosis:
    """A diagnosis without what a silence holds back."""
    kept = [it for it in found.findings if _finding(cluster, it) not in silent]
    return replace(found, findings=tuple(kept))


def _print(results: list[ClusterResult]) -> None:
    run = fleet_run.current()
    for it in results:
        _rows.setdefault(it.name, {"ring": it.ring, "unreachable": it.why or "no answer"})
    output = next((it.output for it in run.clusters.values() if it.output), None)
    judgement = judged(run)
    silent = [it for it, _ in judgement.silent]
    open_ = {name: without(it, name, silent) for name, it in sorted(_diagnoses.items())}
    if output == "json":
        found = findings_as_json(judgement.open, judgement.silent)
        document = {
            "schema": SCHEMA,
            "clusters": [{"name": name, **_rows[name]} for name in sorted(_rows)],
            "same_cause": [
                {"code": it.first.code, "cause": it.first.cause, "clusters": it.clusters}
                for it in report.same(open_)
                if len(it.clusters) > 1
            ],
            **{key: found[key] for key in ("findings", "silenced")},
        }
        print(json.dumps(document, indent=2))
        return
    form = output if output in ("markdown", "html") else chosen(output, sys.stdout)
    looked = {name: _rows[name]["looked_at"] for name in open_}
    if form in ("table", "lines"):
        lines = [_line(it.name, _rows[it.name], open_.get(it.name)) for it in results]
        print_table(COLUMNS, lines, output=output)
    if open_:
        report.of_fleet(open_, form, sys.stdout, looked)
    if silent:
        print(f"{len(silent)} silenced")


def _line(name: str, row: Mapping[str, Any], found: Diagnosis | None) -> tuple[str, ...]:
    ring = str(row["ring"])
    if "unreachable" in row:
        return (name, ring, "-", f"not read: {row['unreachable']}", "", "", "")
    if found is None:
        return (name, ring, "-", "Envoy Gateway is not installed", "", "", "")
    first = found.findings[0] if found.findings else None
    said = f"{first.code} {first.cause}" if first else "nothing found"
    who = found.answered_by if row["answer"] else ""
    return (
        name,
        ring,
        str(row["gateways"]),
        str(row["proxies"]),
        row["answer"] or "",
        who,
        said,
    )

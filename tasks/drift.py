"""
Gateways, routes and policies of a cluster, and what the inventory wants of them: compared, shown,
or put right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks import change, desired, gateways, undo
from tasks.checks import drift as drift_checks
from tasks.checks import teams
from tasks.checks import wanted as checks
from tasks.checks.findings import Finding
from tasks.connectors.command import KubeCommand
from tasks.desired import Wanted
from tasks.facts.kube import KubeApplyPlan, Manifest
from tasks.fleet import audits, silences
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.operations import kube, objects, others_fields
from tasks.operations import wanted as reading
from tasks.plans import conditions, drift, kinds, memory
from tasks.plans.kinds import GATEWAY_API, title
from tasks.plans.objects import diff
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]
SCHEMA = "envoyfleet.gateways/1"
STATES: tuple[drift.State, ...] = (
    "missing",
    "changed",
    "set by others",
    "not wanted",
    "kept by others",
)
COLUMNS = ("cluster", "objects", *STATES, "wrong")
POLICIES = tuple(kind for _, kind in checks.POLICIES)

_rows: dict[str, dict[str, Any]] = {}
#: By cluster: what routes and policies lacked before this run wrote anything.
_unmet: dict[str, list[str]] = {}


@dataclass(frozen=True)
class Compared:
    """One cluster: what it has, what differs, and what is wrong with what is wanted."""

    live: Mapping[Reference, dict[str, Any]]
    drift: drift.Drift
    findings: Sequence[Finding]


def only_shown() -> bool:
    """Whether this run is to show drift. Raises Refused where clusters say different things."""
    said = {it.check for it in fleet_run.current().clusters.values()}
    if len(said) > 1:
        raise fleet_run.Refused("check is true for some clusters: use --data check=true for all")
    return fleet_run.cluster().check


def of_the_fleet() -> None:
    """Deploy code: compare every cluster, print one table at the end, exit 3 where one differs."""
    run = fleet_run.audit()
    run.finish_audit = _print
    data = fleet_run.cluster()
    shown(name="Gateways", wanted=desired.wanted(host.name, data), data=data)


def put_right() -> None:
    """Deploy code: everything that the inventory wants of this cluster. Raises Refused."""
    data = fleet_run.cluster()
    wanted = refused_where_wrong(data)
    with attempt("Gateways") as it:
        gateways.watched(name="Watch traffic", data=data)
        applied(name="Objects", wanted=wanted, data=data)
        proven(name="Traffic", wanted=wanted, data=data)
    with it.rescue():
        undo.objects(name="Objects as they were", data=data)
        undo.proven(name="Traffic as before", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def refused_where_wrong(data: Cluster) -> Wanted:
    """
    Deploy code: all that the inventory wants of this cluster, files too. Raises Refused, before any
    cluster is touched, where it is wrong as it is written.
    """
    wanted = desired.wanted(host.name, data)
    wrong = _errors(wanted.findings, data)
    if wrong:
        raise fleet_run.Refused("\n".join(it.text for it in wrong))
    return wanted


@fleet_operation()
def fit(wanted: Wanted, data: Cluster) -> Steps:
    """Stop where what is wanted does not fit this cluster. Reads only."""
    yield from ()
    _heed(compared(wanted, data), data)


@fleet_operation()
def shown(wanted: Wanted, data: Cluster) -> Steps:
    """
    One cluster as it is beside what is wanted of it. Reads only: one LIST a kind, and a dry run for
    what looks changed.
    """
    yield from ()
    found = compared(wanted, data)
    differs = [it for it in found.drift.differences if _would_change(it, found.live)]
    fleet_run.current().findings += [
        *found.findings,
        *drift_checks.findings(host.name, differs, wanted.origins),
        *_holes(found.live, data),
    ]
    _rows[host.name] = {
        "objects": len(wanted.objects),
        "wrong": len(found.findings),
        "drift": [drift.as_dict(it, wanted.origins.get(to(it.thing))) for it in differs],
    }


def _would_change(it: drift.Difference, live: Mapping[Reference, Object]) -> bool:
    """
    Whether an apply would change it: the server writes some values in its own way, such as "1" for
    "1000m". Where it cannot be asked, it is what it looks like.
    """
    if it.state != "changed":
        return True
    try:
        planned = fact(KubeApplyPlan, manifest=Manifest(it.thing), force=True)
    except FactFailed:
        return True
    return planned is None or bool(diff(live[to(it.thing)], planned))


def _holes(live: Mapping[Reference, dict[str, Any]], data: Cluster) -> Iterator[Finding]:
    """What teams could take from each other, on the cluster as it is; routes of others count."""
    _, mine = gateways.of_our_controller(data, _of(live, "GatewayClass"), _of(live, "Gateway"))
    own = {to(it) for it in mine}
    every = [it for key, it in live.items() if key.kind != "Gateway" or key in own]
    return teams.findings(host.name, data.teams, every, whole=True)


@fleet_operation()
def applied(wanted: Wanted, data: Cluster) -> Steps:
    """
    Apply what differs, in reference order, and take away what is not wanted any more where that is
    asked for. Whatever is wrong stops the cluster before the first write.
    """
    found = compared(wanted, data)
    _heed(found, data)
    _unmet[host.name] = _unproven(wanted.objects, found.live, data)
    left = found.drift.leftovers
    gone = sorted(left, key=_rank, reverse=True) if data.prune else []
    _heed_users(gone, found.live, data)
    for it in found.drift.differences:
        if it.state == "kept by others" or (it.state == "set by others" and not data.take_back):
            [hint] = drift_checks.findings(host.name, [it], wanted.origins)
            host.log(f"hint: {_said(hint)}")
    if left and not data.prune:
        names = ", ".join(title(it) for it in left)
        fleet_run.note(host, "not wanted any more", f"{names} (prune=true deletes them)")

    taking = found.drift.added if data.take_back else {}
    others_fields.planned(taking, found.live, found.drift.writes)

    def before() -> None:
        _, every = gateways.of_our_controller(
            data, _of(found.live, "GatewayClass"), _of(found.live, "Gateway")
        )
        gateways.remember_the_sick(data, [it for it in every if to(it) not in wanted.origins])
        change.begin(data)
        undo.remember(every)
        identities = [memory.identity(it) for it in (*gone, *(found.live[key] for key in taking))]
        was = {to(it): it for it in (*found.drift.writes, *identities)}
        change.remember_objects(data, [*was.values()], found.drift.writes, whole=data.take_back)

    gateways.keep_others_proxies(data)
    steps = kube.apply_steps(
        found.drift.writes,
        data.take_back,
        before,
        live=reading.by_path(found.live),
        place=lambda it: wanted.origins[to(it)],
        conflict="write it into the inventory, or take it back with --data take_back=true",
    )
    yield from [*gateways.with_numbers_held(steps, wanted.objects), *_taken_away(gone, before)]
    if taking:
        before()
        yield from others_fields.taken_out(taking, found.live)


@fleet_operation()
def proven(wanted: Wanted, data: Cluster, always: bool = False) -> Steps:
    """
    Wait until the controller has taken up every route and policy, then ask for real answers. Where
    nothing was written and nothing is wanting, nobody is asked.

    + always: ask there too
    """
    yield from ()
    if not state.is_executing:
        return
    untouched = host.name not in fleet_run.current().changed and not _unmet.get(host.name)
    if untouched and not always:
        fleet_run.note(host, "objects", f"{len(wanted.objects)} as they should be")
        return
    things = [it for it in wanted.objects if it["kind"] in (*checks.ROUTES, *POLICIES)]

    def missing() -> list[str]:
        there = {to(it): it for it in kube.live_objects(things).values()}
        return _unproven(things, there, data)

    kube.wait_until(missing, data.timeout)
    yield from gateways.serving._inner(data=data, more=wanted.objects)


def compared(wanted: Wanted, data: Cluster) -> Compared:
    """A cluster beside what is wanted of it. Reads only."""
    live = reading.live(wanted.objects)
    differs = drift.drift(wanted.objects, live, _as_new(drift.suspect(wanted.objects, live)))
    going = {to(it) for it in differs.leftovers if data.prune}
    stays = [it for key, it in live.items() if key not in going]
    view = checks.View(
        host.name,
        wanted.objects,
        wanted.origins,
        stays,
        unmeasured=reading.unmeasured(wanted.objects),
        no_priorities=reading.missing_priorities(wanted.objects),
    )
    of_files = [it for it in wanted.findings if it.code in checks.OF_FILES]
    of_teams = teams.findings(host.name, data.teams, view.every.values(), whole=True)
    return Compared(live, differs, [*of_files, *checks.findings(view), *of_teams])


def _as_new(suspects: Sequence[Object]) -> dict[Reference, Object]:
    """
    What the server would store of these if they were new: a field that is the same then was set by
    nobody. Empty where that may not be asked, as by whoever only reads.
    """
    try:
        found = objects.as_new(suspects)
    except OperationError as error:
        host.log(f"hint: some of what others set may be defaults: {error}")
        return {}
    return {to(it): new for it, new in zip(suspects, found, strict=True) if new is not None}


def _said(it: Finding) -> str:
    """Without the cluster, where every line begins with it."""
    place = ", ".join(filter(None, (it.where.object, it.where.part)))
    return f"{it.code} {place}: {it.what}: {it.fix}"


def _heed(found: Compared, data: Cluster) -> None:
    """Warnings are said; raises OperationError where an error is not silenced."""
    wrong = _errors(found.findings, data)
    for it in found.findings:
        if it.severity == "warning":
            host.log(f"warning: {_said(it)}")
    if wrong:
        raise OperationError("; ".join(map(_said, wrong)))


def _heed_users(gone: Sequence[Object], live: Mapping[Reference, Object], data: Cluster) -> None:
    users = drift.still_used(gone, live.values()) if gone else {}
    found = [drift_checks.still_used(host.name, *it) for it in users.items()]
    wrong = _errors(found, data)
    if wrong:
        raise OperationError("; ".join(map(_said, wrong)))


def _errors(findings: Iterable[Finding], data: Cluster) -> list[Finding]:
    """Those that no silence of the inventory holds back."""
    judgement = silences.held_back(findings, data, fleet_run.now().date())
    return [it for it in judgement.open if it.severity == "error"]


def _unproven(
    things: Iterable[Object], live: Mapping[Reference, Object], data: Cluster
) -> list[str]:
    """What routes and policies lack of being in force, as the cluster says it."""
    found = []
    for thing in things:
        there = live.get(to(thing))
        if there is None:
            continue
        if thing["kind"] in checks.ROUTES:
            found += conditions.route(there, data.controller_name)
        elif thing["kind"] in POLICIES and not thing["spec"].get("targetSelectors"):
            found += conditions.policy(there, data.controller_name)
        elif thing["kind"] == "Gateway":
            found += conditions.gateway(there)
    return found


def _taken_away(gone: Sequence[Object], before: Any) -> Iterator[KubeCommand]:
    """Only these very objects: the server compares the uid."""
    if gone:
        for it in gone:
            kube.show(f"Will delete {title(it)}", [])
        before()
    for it in gone:
        same = {"preconditions": {"uid": it["metadata"]["uid"]}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **same}
        yield KubeCommand("DELETE", kinds.path_of(it), body=body, ok=[404])


def _rank(thing: Object) -> int:
    return kinds.kind_of(thing["apiVersion"], thing["kind"]).rank


def _of(live: Mapping[Reference, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [it for key, it in live.items() if (key.group, key.kind) == (GATEWAY_API, kind)]


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, SCHEMA, COLUMNS, _line)


def _line(name: str, row: Mapping[str, Any]) -> list[str]:
    if "unreachable" in row:
        return [name, str(row["unreachable"]), *[""] * (len(COLUMNS) - 2)]
    counts = [sum(it["state"] == one for it in row["drift"]) for one in STATES]
    return [name, str(row["objects"]), *map(str, counts), str(row["wrong"])]

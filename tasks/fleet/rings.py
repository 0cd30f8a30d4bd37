"""
Rings: clusters that are changed together, one ring after the other, until too many have failed.

A gate between rings is an operation that every cluster has, so pyinfra's order of operations
cannot let a later ring begin (order is a graph of each host's own chain; ``host.loop`` alone
interleaves the rings). ``tasks.plans.rings`` decides at each gate; here is what it decides on.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, cast

import gevent
from gevent.lock import RLock
from pyinfra import host, state
from pyinfra.api.exceptions import OperationError
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host

from tasks.fleet import approve, notify
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation, one_line
from tasks.fleet.tables import print_table
from tasks.plans import aks, windows
from tasks.plans import rings as plan
from tasks.plans.budget import allowed, disagreement, parse_budget
from tasks.plans.rings import Rule, Situation, Wave

#: Seconds between two looks while baking, and looks in a row that a problem must outlast.
LOOK_EVERY, LOOKS = 5.0, 3
SAY_EVERY = 30.0
_lock = RLock()


@dataclass(frozen=True)
class Rules:
    """What holds for this run; + bake, approval: by ring, seconds and whether it needs one."""

    waves: Sequence[Wave]
    allowed: int
    bake: Mapping[int, int]
    approval: Mapping[int, bool]


def rings(
    max_failed: int | str = 0,
    bake: str | None = None,
    max_parallel: int | None = None,
    approval: bool = False,
    newest_first: bool = False,
) -> Iterator[int]:
    """
    Deploy code for each ring in turn: ``for ring in rings(max_failed="10%"): ...``. Each cluster
    has its ``ring`` in the inventory; the loop's body runs for its own ring only. Never ``break``
    out of it. The inventory's data of the same names wins over what the deploy file says.

    + max_failed: clusters of the whole run that may fail before later rings are held; "10%" is a
      share of all, rounded down
    + bake: such as "10m": for how long a ring must hold before the next one begins
    + max_parallel: clusters of a ring that are changed at a time
    + approval: whether each ring but the first waits for one
    + newest_first: from the last ring to the first, for the way back
    """
    fleet_run.ready()
    rules = _rules(max_failed, bake, max_parallel, approval, newest_first)
    _gate(name=f"Gate before {rules.waves[0].text}", rules=rules, number=0)
    for number in host.loop(range(len(rules.waves))):
        wave = rules.waves[number]
        if host.name in wave.clusters:
            block = wave.text.capitalize()
            with host.deploy(block, cast(Any, {"_if": []}), None, in_deploy=False):
                yield wave.ring
        if number + 1 < len(rules.waves):
            _gate(name=f"Gate after {wave.text}", rules=rules, number=number + 1)


def _rules(
    max_failed: int | str,
    bake: str | None,
    max_parallel: int | None,
    approval: bool,
    newest_first: bool,
) -> Rules:
    run = fleet_run.current()
    data = {it.name: run.clusters[it.name] for it in _members()}
    if len({run.clusters[name].ring for name in run.sharded}) > 1:
        raise fleet_run.Refused(
            "shard: processes beside each other keep no order of rings: take one ring alone with "
            "--limit, or leave shard out"
        )
    budgets = {
        name: max_failed if it.max_failed is None else it.max_failed for name, it in data.items()
    }
    try:
        problem = disagreement(budgets, len(list(state.inventory)))
        if problem:
            raise ValueError(problem)
        may_fail = allowed(parse_budget(next(iter(budgets.values()))), len(data))
    except ValueError as error:
        raise fleet_run.Refused(f"max_failed: {error}") from error
    members = {
        it.ring: [one for one in data.values() if one.ring == it.ring] for it in data.values()
    }
    waves = plan.waves(
        {name: it.ring for name, it in data.items()},
        {
            name: max_parallel if it.max_parallel is None else it.max_parallel
            for name, it in data.items()
        },
        newest_first,
    )
    try:
        baking = {
            ring: max(plan.seconds(it.bake or bake or "0s") for it in its)
            for ring, its in members.items()
        }
    except ValueError as error:
        raise fleet_run.Refused(f"bake: {error}") from error
    approvals = {
        ring: any(it.approval for it in its) or (approval and ring != waves[0].ring)
        for ring, its in members.items()
    }
    return Rules(waves, may_fail, baking, approvals)


def _members() -> list[Any]:
    return [it for it in state.inventory if state.is_host_in_limit(it)]


@fleet_operation(is_idempotent=False)
def _gate(rules: Rules, number: int) -> Steps:
    """
    The first cluster to arrive decides for all: wave ``number`` begins, or every later one is held.
    """
    yield from ()
    if not state.is_executing:
        return
    with _lock:
        run, gate = fleet_run.current(), str(host.current_op_hash)
        if gate in run.gates or run.closed:
            return
        done = rules.waves[number - 1] if number else None
        late = _unfinished(done, gate)
        if late:
            raise OperationError(
                f"ring {done and done.ring} still works on {', '.join(late)}: rings need pyinfra's "
                "own order, without --serial and --no-wait"
            )
        if done is None:
            _begin(rules)
        _pass(rules, number, gate)
        run.gates.add(gate)


def _unfinished(done: Wave | None, gate: str) -> list[str]:
    names = []
    for it in _members():
        if done is None or it not in state.active_hosts or it.name not in done.clusters:
            continue
        if not all(state.ops[it][key].operation_meta.is_complete() for key in _before(it, gate)):
            names.append(it.name)
    return names


def _before(cluster: Any, gate: str) -> list[str]:
    return list(cluster.op_hash_order[: cluster.op_hash_order.index(gate)])


def _begin(rules: Rules) -> None:
    """Write down who is in which ring, and show what preflight says of each cluster."""
    run = fleet_run.current()
    names = {it.name: run.clusters[it.name].ring for it in _members()}
    fleet_run.journal("rings", rings=names, max_failed=rules.allowed)
    if not run.verdicts:
        return
    rows = []
    for name in sorted(names, key=lambda it: (names[it], it)):
        verdict, why = run.verdicts.get(name), run.failures.get(name, [])
        change = verdict.change if verdict else ""
        said = why or (verdict.warnings if verdict else ())
        rows.append((name, str(names[name]), "stop" if why else "go", change, "; ".join(said)))
    columns = ("cluster", "ring", "preflight", "change", "why")
    print_table(columns, rows, stream=sys.stderr, title="Preflight")


def _pass(rules: Rules, number: int, gate: str) -> None:
    run, following = fleet_run.current(), rules.waves[number]
    done = rules.waves[number - 1] if number else None
    at = Situation(
        done,
        following,
        clusters=len(_members()),
        failed=_failed() if done or run.verdicts else (),  # without preflight a ring tries first
        allowed=rules.allowed,
        waiting=done is not None and _all_wait(rules, done),
        stop=_stop(),
        approval=rules.approval[following.ring],
        approved_by=plan.approved(run.before).get(following.ring),
        bake=rules.bake[done.ring] if done and _must_bake(rules, done.ring, gate) else 0,
    )
    decision = plan.decide(at)
    if decision.action == "bake":
        baked = _bake(rules, at, gate)
        at = replace(at, baked=baked, failed=_failed(), stop=_stop())
        decision = plan.decide(at)
    if decision.rule == "approval":
        approved_by, why = approve.given(run, following.ring, _stop)
        at = replace(at, approved_by=approved_by, stop=_stop())
        decision = plan.decide(at)
        if decision.rule == "approval":
            decision = replace(decision, why=why)
    fleet_run.journal(
        "gate",
        ring=done and done.ring,
        part=done and done.part,
        parts=done and done.parts,
        following=following.ring,
        passed=decision.action == "go on",
        why=decision.why,
        approved_by=at.approved_by,
    )
    later = rules.waves[number:]
    if decision.rule is not None:
        run.closed = True
        for it in _active([name for wave in later for name in wave.clusters]):
            _hold(it, decision.rule, str(decision.why), gate)
        notify.event("gate", f"{run.deploy}: {following.text} is held: {decision.why}")
        return
    if done is not None:
        notify.event("gate", f"{run.deploy}: {following.text} begins")
    _leave_out(following, gate)


def _all_wait(rules: Rules, done: Wave) -> bool:
    held_by = fleet_run.current().held_by
    names = {name for wave in rules.waves if wave.ring == done.ring for name in wave.clusters}
    return all(held_by.get(name) == "window" for name in names)


def _leave_out(following: Wave, gate: str) -> None:
    """
    Hold those of a wave that have a hold of their own, or are outside their window now; but not
    one that an earlier run left half changed.
    """
    run, now = fleet_run.current(), fleet_run.now()
    half_changed = plan.broken_off(run.before)
    members = _active([name for name in following.clusters if name not in half_changed])
    by_azure = _held_by_azure(members)
    for it in members:
        data = run.clusters[it.name]
        closed = windows.problem(data.window, now)
        on_hold = windows.held(data.hold, now) or by_azure.get(it.name)
        if on_hold or closed:
            why = on_hold or str(closed)
            fleet_run.journal("held", cluster=it.name, why=why)
            _hold(it, "hold" if on_hold else "window", why, gate)


def _held_by_azure(members: Sequence[Any]) -> dict[str, str]:
    """Why, by cluster, of those that Azure changes at this moment."""
    ids = {it.name: str(it.data.aks_id) for it in members if it.data.get("aks_state")}
    if not ids:
        return {}
    from tasks.connectors.aks_clusters import states

    now = states(ids.values())
    held = {name: aks.held(id_, now.get(id_)) for name, id_ in ids.items()}
    return {name: why for name, why in held.items() if why}


def _active(names: Sequence[str]) -> list[Any]:
    return [it for it in _members() if it in state.active_hosts and it.name in names]


def _failed() -> list[str]:
    return [it.name for it in _members() if it in state.failed_hosts or not it.connected]


def _stop() -> str | None:
    run = fleet_run.current()
    if run.stop is None and (run.folder / "stop").exists():
        run.stop = f"{run.folder}/stop"
    return run.stop


def _must_bake(rules: Rules, ring: int, gate: str) -> bool:
    """
    Whether a ring changed in this run; or in the one that this run goes on with, which then did
    not see the gate behind it.
    """
    before = fleet_run.current().before
    if ring in plan.passed(before):
        return False
    names = {name for wave in rules.waves if wave.ring == ring for name in wave.clusters}
    if any(it.get("event") == "change" and it.get("cluster") in names for it in before):
        return True
    metas = [
        state.ops[it][key].operation_meta
        for it in _active(list(names))
        for key in _before(it, gate)
    ]
    return any(it.is_complete() and it.did_change() for it in metas)


def _bake(rules: Rules, at: Situation, gate: str) -> dict[str, str]:
    """
    Look at the clusters of a ring until its time is over; those with a problem that stays have
    failed, and come back with it.
    """
    ring = cast(Wave, at.done).ring
    names = [name for wave in rules.waves if wave.ring == ring for name in wave.clusters]
    members = _active(names)
    fleet_run.journal("bake", ring=ring, seconds=at.bake)
    found = _look_until(monotonic() + at.bake, ring, members, min(LOOK_EVERY, at.bake / 4))
    for it in members:
        if it.name in found:
            it.log_styled(f"while baking: {found[it.name]}", fg="red")
            fleet_run.note_failure(it, f"while baking: {found[it.name]}")
            fleet_run.current().stopped_at[it.name] = f"Bake of ring {ring}"
            fleet_run.current().rolled_back.pop(it.name, None)
            state.failed_hosts.add(it)
            state.active_hosts.discard(it)
            notify.event("failure", f"{fleet_run.current().deploy}: {it.name} failed while baking")
    return found


def _look_until(end: float, ring: int, members: Sequence[Any], every: float) -> dict[str, str]:
    """Problems by cluster, of those that had one in ``LOOKS`` looks in a row."""
    streaks: Counter[str] = Counter()
    said = 0.0
    while True:
        now = monotonic()
        if now - said >= SAY_EVERY:
            said = now
            checks = sum(it.name in fleet_run.current().bakes for it in members)
            text = f"ring {ring} bakes: {max(end - now, 0):.0f} s left, {checks} clusters watched"
            print(text, file=sys.stderr, flush=True)
        looks = {it.name: gevent.spawn(_look, it) for it in members}
        gevent.joinall(list(looks.values()))
        problems = {name: look.value for name, look in looks.items() if look.value}
        streaks = Counter({name: streaks[name] + 1 for name in problems})
        lasting = {name: it for name, it in problems.items() if streaks[name] >= LOOKS}
        if lasting or _stop() or (monotonic() >= end and not streaks):
            return lasting
        gevent.sleep(every)


def _look(cluster: Any) -> str:
    """What is wrong with one cluster by the check that it registered, or nothing."""
    check = fleet_run.current().bakes.get(cluster.name)
    if check is None:
        return ""
    with ctx_host.use(cluster):
        try:
            return "; ".join(check())
        except Exception as error:
            return one_line(error)


def _hold(cluster: Any, rule: Rule, why: str, gate: str) -> None:
    """pyinfra never touches it again; it is not failed, and its steps count as "No Change"."""
    run = fleet_run.current()
    run.held[cluster.name], run.held_by[cluster.name] = why, rule
    cluster.log_styled(f"held, untouched: {why}", fg="yellow")
    state.active_hosts.discard(cluster)
    for key in cluster.op_hash_order[cluster.op_hash_order.index(gate) + 1 :]:
        state.ops[cluster][key].operation_meta.set_complete(True, [], CommandOutput([]))

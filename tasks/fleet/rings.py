"""
Rings: clusters that are changed together, one ring after the other, until too many have failed.

A gate between rings is an operation that every cluster has, so pyinfra's order of operations
cannot let a later ring begin (order is a graph of each host's own chain; ``host.loop`` alone
interleaves the rings).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from gevent.lock import RLock
from pyinfra import host, state
from pyinfra.api.exceptions import OperationError
from pyinfra.connectors.util import CommandOutput

from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation
from tasks.plans.budget import allowed, parse_budget

_lock = RLock()


def rings(max_failed: int | str = 0) -> Iterator[int]:
    """
    Deploy code for each ring in turn: ``for ring in rings(max_failed="10%"): ...``. Each cluster
    has its ``ring`` in the inventory; the loop's body runs for its own ring only. Never ``break``
    out of it.

    + max_failed: clusters of the whole run that may fail before later rings are held; "10%" is a
      share of all, rounded down. ``max_failed`` in the inventory's data wins over the deploy file.
    """
    fleet_run.ready()
    own = fleet_run.cluster()
    try:
        budget = parse_budget(max_failed if own.max_failed is None else own.max_failed)
    except ValueError as error:
        raise fleet_run.Refused(f"max_failed: {error}") from error
    present = sorted({fleet_run.current().clusters[it.name].ring for it in _members()})
    for ring in host.loop(present):
        if ring == own.ring:
            with host.deploy(f"Ring {ring}", cast(Any, {"_if": []}), None, in_deploy=False):
                yield ring
        if ring != present[-1]:
            _gate(name=f"Gate after ring {ring}", ring=ring, budget=budget)


def _members() -> list[Any]:
    return [it for it in state.inventory if state.is_host_in_limit(it)]


@fleet_operation(is_idempotent=False)
def _gate(ring: int, budget: int | float) -> Steps:
    """
    The first cluster to arrive decides for all: within the budget, or every later ring is held.
    """
    yield from ()
    if not state.is_executing:
        return
    with _lock:
        run, gate = fleet_run.current(), str(host.current_op_hash)
        clusters = _members()
        late = _unfinished(clusters, ring, gate)
        if late:
            raise OperationError(
                f"ring {ring} still works on {', '.join(late)}: rings need pyinfra's own order, "
                "without --serial and --no-wait"
            )
        failed = [it.name for it in clusters if it in state.failed_hosts or not it.connected]
        if len(failed) <= allowed(budget, len(clusters)):
            return
        why = (
            f"after ring {ring}: {len(failed)} of {len(clusters)} clusters failed "
            f"({', '.join(failed)}), max_failed allows {allowed(budget, len(clusters))}"
        )
        for it in clusters:
            if it in state.active_hosts and run.clusters[it.name].ring > ring:
                _hold(it, why, gate)


def _unfinished(clusters: Sequence[Any], ring: int, gate: str) -> list[str]:
    names = []
    for it in clusters:
        if it not in state.active_hosts or fleet_run.current().clusters[it.name].ring != ring:
            continue
        before = it.op_hash_order[: it.op_hash_order.index(gate)]
        if not all(state.ops[it][key].operation_meta.is_complete() for key in before):
            names.append(it.name)
    return names


def _hold(cluster: Any, why: str, gate: str) -> None:
    """pyinfra never touches it again; it is not failed, and its steps count as "No Change"."""
    fleet_run.current().held[cluster.name] = why
    cluster.log_styled(f"held, untouched: {why}", fg="yellow")
    state.active_hosts.discard(cluster)
    for key in cluster.op_hash_order[cluster.op_hash_order.index(gate) + 1 :]:
        state.ops[cluster][key].operation_meta.set_complete(True, [], CommandOutput([]))

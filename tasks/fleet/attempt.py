"""
Operations of one cluster that stand or fall together, what is done where one failed, and what is
done either way.

    with attempt("Upgrade") as a:
        controller(name="Controller", ...)
        serving(name="Traffic", ...)
    with a.rescue():
        rolled_back(name="To the last good release", ...)
    with a.always():
        released(name="Lease", ...)
    settle(a)

All of them are flat operations: they are planned for every cluster and skipped where they have no
part. No ``host.when`` and no ``host.deploy`` inside: pyinfra 3.10 drops the arguments of the block
around theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pyinfra import host, state
from pyinfra.context import ctx_host

from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Fail, Steps, fleet_operation

#: What stands before the message of a failure after the first.
_SAID = {"attempt": "", "rescue": "rolling back failed too: ", "always": "afterwards: "}


class Attempt:
    """
    One attempt on one cluster. Each of its blocks knows its operations by their keys in pyinfra.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._ops: dict[str, list[str]] = {"attempt": [], "rescue": [], "always": []}

    @contextmanager
    def rescue(self, name: str = "Roll back") -> Iterator[None]:
        """
        What is done where the attempt failed, until one of these fails too. Yields nothing while a
        run is planned: there is nothing to mend yet.

        The operation after which the cluster serves again says so:
        ``fleet_run.current().rolled_back[host.name] = "to 1.8.3 (revision 1), serving"``.
        """
        with self._block(
            "rescue",
            name,
            lambda: self.failed("attempt") and not self.failed("rescue"),
            planned=False,
        ):
            yield

    @contextmanager
    def always(self, name: str = "Afterwards") -> Iterator[None]:
        """What is done however the attempt and the rescue went, each of it whatever the others."""
        with self._block("always", name, lambda: True, planned=True):
            yield

    def failed(self, block: str) -> bool:
        """Whether an operation of "attempt", "rescue" or "always" has failed."""
        metas = [state.ops[self._cluster][key].operation_meta for key in self._ops[block]]
        return any(it.is_complete() and it.did_error() for it in metas)

    @contextmanager
    def _block(
        self, block: str, name: str, due: Callable[[], bool], planned: bool
    ) -> Iterator[None]:
        cluster, begun = self._cluster, len(self._cluster.op_hash_order)
        told = self._unless_skipped(due)
        arguments = cast(Any, {"_if": [told], "_ignore_errors": True})
        data = None if planned else {"_not_planned": True}
        with cluster.deploy(name, arguments, data, in_deploy=False):
            yield
        added = cluster.op_hash_order[begun:]
        self._ops[block] += added
        fleet_run.current().conditions.update({(cluster.name, key): due for key in added})

    def _unless_skipped(self, due: Callable[[], bool]) -> Callable[[], bool]:
        """For the report: a step that was not due is "skipped", not "unchanged"."""

        def told() -> bool:
            if due():
                return True
            fleet_run.current().skipped.add((self._cluster.name, self._cluster.executing_op_hash))
            return False

        return told


@contextmanager
def attempt(name: str) -> Iterator[Attempt]:
    """Operations of which the first that fails on this cluster ends the rest of the block."""
    it = Attempt(ctx_host.get())
    with it._block("attempt", name, lambda: not it.failed("attempt"), planned=True):
        yield it


def settle(it: Attempt, name: str = "Outcome") -> None:
    """
    Deploy code: fail this cluster where the attempt, its rescue or what is always done failed. The
    message is the cause; what failed after it is said as well.
    """
    _settled(name=name, it=it)


@fleet_operation()
def _settled(it: Attempt) -> Steps:
    failed = [block for block in ("attempt", "rescue", "always") if it.failed(block)]
    if not failed:
        return
    run = fleet_run.current()
    if "rescue" in failed:
        run.rolled_back.pop(host.name, None)
    messages = run.failures[host.name]
    for number in range(1, len(messages)):
        block = failed[min(number, len(failed) - 1)]
        messages[number] = _SAID[block] + messages[number]
    messages[:] = dict.fromkeys(messages)  # what several operations say is said once
    yield Fail("; ".join(messages))

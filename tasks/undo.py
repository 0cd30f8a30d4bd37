"""
Back to the objects of a cluster as they were, where a run of ``deploys/gateways.py`` failed after
its first write: the old ones applied again, the new ones deleted, and requests that prove it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra import host, state

from tasks import change, gateways
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.operations.kube import apply_steps, deleted_steps

Object = Mapping[str, Any]
#: By cluster: the Gateways of our controller before the first write.
_gateways: dict[str, Sequence[Object]] = {}


def remember(every: Sequence[Object]) -> None:
    """+ every: the Gateways of our controller, as they were before the first write"""
    _gateways.setdefault(host.name, every)


@fleet_operation()
def objects(data: Cluster) -> Steps:
    """
    What this run wrote as it was before; what it made goes, but for a Namespace: others may have
    put something in there by now.
    """
    before = change.objects_before_this_change(data) if change.begun() else None
    if before is None:
        host.noop("nothing was written")
        return
    yield from gateways.with_numbers_held(apply_steps(before.applied), before.applied)
    yield from deleted_steps([it for it in before.absent[::-1] if it["kind"] != "Namespace"])


@fleet_operation()
def proven(data: Cluster) -> Steps:
    """
    Every listener answers, and every route that answered before, as before. What did not serve
    before this run is not waited for.
    """
    if host.name not in _gateways or not state.is_executing:
        return
    bare = data.model_copy(update={"gateways": [], "routes": []})
    gateways.remember_the_sick(bare, _gateways[host.name])
    yield from gateways.serving._inner(data=bare)
    fleet_run.current().rolled_back[host.name] = "to the objects of before this run, serving"

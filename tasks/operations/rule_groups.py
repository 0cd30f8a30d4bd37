"""Rule groups of Azure Monitor: what differs is put, what is not wanted any more is taken away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyinfra import host, state
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps
from tasks.operations.kube import show
from tasks.plans import arm, rule_group_changes
from tasks.plans.rule_group_changes import Changes
from tasks.plans.rule_groups import RULE_GROUPS, WORKSPACES, Place, RuleGroup

#: Seconds that Azure may take for one of them.
TIMEOUT = 120.0


def location(workspace: str) -> str:
    """
    Where an Azure Monitor workspace is, such as "westeurope"; one list a resource group and run.
    Raises ArmError where that cannot be read, LookupError where the workspace is not there.
    """
    from tasks.connectors.arm import session

    of = arm.parse(workspace)
    path = f"{arm.group_id(of.subscription, str(of.group))}/providers/{WORKSPACES.type}"
    for it in session().listed(path, WORKSPACES.api_version):
        if arm.same(arm.text(it, "id"), workspace):
            return arm.text(it, "location")
    raise LookupError(
        f"Azure Monitor workspace {of.group}/{of.name} does not exist: correct "
        "monitoring.workspace.id, or make it"
    )


def listed(where: Place) -> list[dict[str, Any]]:
    """All rule groups of the resource group; one list a group and run. Raises ArmError."""
    from tasks.connectors.arm import session

    return session().listed(where.path, RULE_GROUPS.api_version)


def changes(wanted: Sequence[RuleGroup], where: Place) -> Changes:
    """What differs, as far as this run has read it. Raises ArmError."""
    return rule_group_changes.changes(wanted, where, listed(where))


def applied_steps(
    wanted: Sequence[RuleGroup], where: Place, before: Callable[[], None] = lambda: None
) -> Steps:
    """
    Bring the rule groups of a cluster to what is wanted, and read back what was written. Nothing is
    written where one of them may not be. Raises ArmError and OperationError.

    + before: called where something is going to be written, and not else
    """
    found = changes(wanted, where)
    if found.refusals:
        raise OperationError("; ".join(found.refusals))
    for it in found.puts:
        show(f"Will {it.verb} {it.group.title}", it.lines)
    for id_ in found.gone:
        show(f"Will delete rule group {where.resource_group}/{arm.parse(id_).name}", [])
    if not found.puts and not found.gone:
        host.noop(f"{len(wanted)} rule groups are as they should be")
        return
    before()
    writing = Write([it.group for it in found.puts], found.gone)
    yield writing
    if writing.refused:
        raise OperationError(writing.refused)
    if state.is_executing:
        written = f"{len(found.puts)} written, {len(found.gone)} deleted"
        fleet_run.note(host, "rule groups in Azure", written)


class Write(StringCommand):
    """
    ``written``, as one command; ``refused`` is what it said, and whoever yields this fails then.
    Prints as ``azure put 2 rule groups, delete 1``.
    """

    def __init__(self, puts: Sequence[RuleGroup], gone: Sequence[str]) -> None:
        super().__init__("azure", "put", f"{len(puts)} rule groups,", "delete", str(len(gone)))
        self.puts, self.gone = puts, gone
        self.refused: str | None = None

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        host.connector.last_error = None  # of a command before this one
        self.refused = written(host.name, self.puts, self.gone)
        return True, CommandOutput([])


def written(cluster: str, puts: Sequence[RuleGroup], gone: Sequence[str]) -> str | None:
    """
    Put these groups, reading each back, and delete those, one after the other. None where all went
    well; else what Azure said of the first that did not, the rest is left.

    + gone: ids
    """
    from tasks.connectors.arm import ArmError, session

    try:
        for it in puts:
            fleet_run.journal("azure", cluster=cluster, puts=it.title, id=it.id)
            session().put(it.id, RULE_GROUPS.api_version, it.body, TIMEOUT)
            kept = session().get(it.id, RULE_GROUPS.api_version)
            lines = rule_group_changes.differing(it, kept)
            if lines:
                return f"{it.title}: Azure did not keep what was written: {'; '.join(lines[:4])}"
        for id_ in gone:
            fleet_run.journal("azure", cluster=cluster, deletes=id_)
            session().delete(id_, RULE_GROUPS.api_version, TIMEOUT)
    except ArmError as error:
        return str(error)
    return None

"""What is made in Azure. Nothing is changed or taken away here that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.fleet import run as fleet_run
from tasks.plans import arm, reservation
from tasks.plans.arm import KINDS, RESOURCE_GROUPS
from tasks.plans.reservation import Make

#: Seconds that Azure may take for one of them.
TIMEOUT = 300.0
#: What Azure says of a role that the identity has already, under another name.
THERE = frozenset({"roleassignmentexists"})


class Created(StringCommand):
    """
    Makes resources one after the other, as one command; the first that is refused ends it. Prints
    as ``azure make 2 resources``.

    + location: of the cluster

    Afterwards ``made`` has what Azure answered, by id in lower case, and ``refused`` is why one was
    not made, or None; whoever yields this fails then.
    """

    def __init__(self, makes: Sequence[Make], location: str) -> None:
        super().__init__("azure", "make", f"{len(makes)} resources")
        self.makes, self.location = makes, location
        self.made: dict[str, Mapping[str, Any]] = {}
        self.refused: str | None = None

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        host.connector.last_error = None  # of a command before this one
        for it in self.makes:
            fleet_run.journal("azure", cluster=host.name, makes=it.title, id=it.id)
            found = _made(it, self.location)
            if isinstance(found, str):
                self.refused = found
                break
            self.made[it.id.lower()] = found
            host.log(f"made {it.title}")
        return True, CommandOutput([])


def _made(make: Make, location: str) -> Mapping[str, Any] | str:
    """Or why it was not. What somebody made meanwhile is left as it is."""
    from tasks.connectors.arm import ArmError, session

    version = KINDS[make.kind].api_version
    try:
        return session().put(make.id, version, make.body, TIMEOUT, headers={"If-None-Match": "*"})
    except ArmError as error:
        if error.code.lower() in THERE:
            return {}
        if error.status == 412:
            return f"{make.title} was made by somebody else meanwhile: run again"
        return reservation.refused(make, location, error.status, error.code, str(error))


def missing_group(subscription: str, group: str) -> bool:
    """Whether a resource group does not exist; one call. Raises ArmError where that is not told."""
    from tasks.connectors.arm import ArmError, session

    try:
        session().get(arm.group_id(subscription, group), RESOURCE_GROUPS.api_version)
    except ArmError as error:
        if error.status == 404:
            return True
        raise
    return False

"""How a run goes: proofs, backups, windows, who is told, and what does not count."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.fleet.inventory.base import Strict, Text, day
from tasks.plans import windows

#: The account is in the host's name; behind another host, such as an emulator's, in the path.
_PART = r"[^/\s?#@]+"
_CONTAINER = re.compile(
    rf"https://(?:(?=[^/]*\.blob\.){_PART}|(?![^/]*\.blob\.){_PART}/{_PART})/{_PART}"
)


class Probe(Strict):
    """
    How the run proves that traffic flows. + enabled: false only where the load balancer cannot be
    reached from here. + timeout: seconds for all listeners of a cluster to answer. + rate: requests
    a second through each listener while the cluster is changed; 0 sends none.
    """

    enabled: bool = True
    timeout: Annotated[int, Field(ge=1)] = 120
    rate: Annotated[int, Field(ge=0, le=100)] = 5


class Keep(Strict):
    """How many backups stay: the newest of so many days, weeks and months that have one."""

    daily: Annotated[int, Field(ge=1)] = 7
    weekly: Annotated[int, Field(ge=0)] = 5
    monthly: Annotated[int, Field(ge=0)] = 12


class Backup(Strict):
    """
    What is kept of a cluster. + recipients: age public keys, "age1ql3z..."; + folder: where the
    archives go, one folder a cluster; + identity: the file with an age identity that opens them,
    None where this machine has none; + secrets: false leaves Secrets out; + keep: what is not
    deleted; + container: of Azure Blob Storage, where a copy of each archive goes.
    """

    enabled: bool = True
    recipients: list[Annotated[str, Field(pattern=r"^age1[a-z0-9]+$")]] = []
    folder: Text = "backups"
    identity: Text | None = None
    secrets: bool = True
    keep: Keep = Keep()
    container: str | None = None

    @field_validator("container")
    @classmethod
    def _is_a_container(cls, value: str | None) -> str | None:
        """What was given is not said again: it may hold a token."""
        if value is not None and not _CONTAINER.fullmatch(value):
            raise ValueError(
                "must be https://<account>.blob.core.windows.net/<container>, without a folder or "
                "a token: sign-in is by an identity"
            )
        return value


class Rehearsal(Strict):
    """
    What an upgrade asks rehearsals. + folder: where deploys/rehearse.py keeps the newest of each
    cluster; + days: how long one counts.
    """

    folder: Text = "rehearsals"
    days: Annotated[int, Field(ge=1)] = 14


class Window(Strict):
    """
    When a cluster may be changed. + opens, closes: "22:00" every day, or "2026-11-28T22:00" once;
    + days: on which a daily window opens, such as ["sat", "sun"], empty means all; + zone: such as
    "Europe/Berlin".
    """

    opens: Text
    closes: Text
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    zone: Text = "UTC"

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        problem = windows.unreadable(self)
        if problem:
            raise ValueError(problem)
        return self


class Hold(Strict):
    """A cluster that no roll-out touches. + until: the last day, such as "2027-01-31"."""

    until: Text
    reason: Text

    @field_validator("until")
    @classmethod
    def _is_aday(cls, value: str) -> str:
        return day(value)


class Notification(Strict):
    """
    Who is told. + url_env: the environment variable that holds the address, which is a secret;
    + events: empty means all.
    """

    kind: Literal["webhook", "teams", "slack"]
    url_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    events: list[Literal["start", "gate", "failure", "end"]] = []


class Proof(Strict):
    """
    A run on another inventory that must have gone well first. + report: its report.json; + days:
    how old it may be.
    """

    report: Text
    days: Annotated[int, Field(ge=1)] = 30


class Silence(Strict):
    """
    A finding that does not count for now, on this cluster; see docs/findings.md. + code, where:
    patterns such as "GW103" and "weu-1: Gateway edge/*". + until: the last day, such as
    "2027-01-31".
    """

    code: Text
    where: Text
    until: Text
    reason: Text

    @field_validator("until")
    @classmethod
    def _is_aday(cls, value: str) -> str:
        return day(value)

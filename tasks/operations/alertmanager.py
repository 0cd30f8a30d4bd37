"""Silences in Alertmanager, through its API of version 2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.connectors.api import ApiError
from tasks.connectors.command import Call
from tasks.facts.kube import KubeObjects
from tasks.facts.prometheus import sent
from tasks.fleet.guard import fact, session
from tasks.fleet.inventory import Monitoring
from tasks.plans import back_ends
from tasks.plans.kinds import PROMETHEUS_OPERATOR

#: Seconds for one answer: a roll-out does not wait for Alertmanager.
TIMEOUT = 10.0


def place(settings: Monitoring) -> str | None:
    """
    Where it is: what the inventory says, else the one that the operator runs; None where there is
    none. One request at most. Raises FactFailed.
    """
    if settings.alertmanager.address is not None:
        return settings.alertmanager.address
    owners = fact(KubeObjects, api_version=f"{PROMETHEUS_OPERATOR}/v1", kind="Alertmanager")
    return back_ends.place(owners, (), {}, back_ends.ALERTMANAGER)


def silenced(at: str, body: Mapping[str, Any]) -> str:
    """The id of a silence that is made. Raises DeployError."""
    answer = _asked("POST", at, "/api/v2/silences", body)
    if not isinstance(answer, dict) or "silenceID" not in answer:
        raise DeployError(f"{at}: the answer is not Alertmanager's")
    return str(answer["silenceID"])


def lifted(at: str, silence: str) -> None:
    """End a silence; one that has ended, or is not there, is fine. Raises DeployError."""
    found = _asked("GET", at, f"/api/v2/silence/{silence}", absent=True)
    if isinstance(found, dict) and (found.get("status") or {}).get("state") != "expired":
        _asked("DELETE", at, f"/api/v2/silence/{silence}", absent=True)


def _asked(
    method: str, at: str, path: str, body: Mapping[str, Any] | None = None, absent: bool = False
) -> Any:
    """+ absent: None where it is not there"""
    if back_ends.is_url(at):
        return sent(method, at, path, body=body, absent=absent, timeout=TIMEOUT)
    call = Call(
        method, f"{back_ends.proxied(at)}{path}", {}, body, "application/json", None, frozenset()
    )
    try:
        text = session().text(call, TIMEOUT)
    except ApiError as error:
        if absent and error.status == 404:
            return None
        raise DeployError(f"{at}: {method} {path}: {error}") from error
    return json.loads(text) if text.strip() else None

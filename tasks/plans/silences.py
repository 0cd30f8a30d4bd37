"""
What a roll-out of ours silences: alerts that tell of proxies and controllers that are being
replaced, of this cluster, for as long as that takes. Never those that tell what users get.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tasks.plans.alerts import ALERTS

Object = Mapping[str, Any]
AUTHOR = "envoyfleet"
#: Entries of a journal.
MADE, LIFTED = "silence", "silence lifted"
#: A change of a cluster is a handful of waits, each of which may take its timeout.
WAITS = 6
#: What proxies that are being replaced look like, and a controller that is. Warnings alone: who is
#: paged for users, or for a proxy that lost its controller, is paged during a roll-out too.
_PROXIES = (
    "EnvoyProxyDown",
    "EnvoyProxyReplicasMissing",
    "EnvoyProxyRestarts",
    "EnvoyProxyWaitsForConfiguration",
    "EnvoyProxiesDisagree",
)
_ALL = (*_PROXIES, "EnvoyGatewayControllerRestarts", "EnvoyGatewayNoLeader")
#: By deploy. A rotation of certificates that clients see replaces nothing.
ROLL_OUTS: Mapping[str, tuple[str, ...]] = {
    "install": _ALL,
    "upgrade": _ALL,
    "rollback": _ALL,
    "restore": _ALL,
    "rotate_control_plane": _ALL,
}


def body(
    cluster: str,
    alerts: Iterable[str],
    run: str,
    person: str,
    now: datetime,
    timeout: int,
) -> dict[str, Any]:
    """
    A silence as Alertmanager takes it (its API, version 2). It ends by itself: a run that died
    hides nothing for long.

    + timeout: seconds for each wait of the run
    """
    names = "|".join(re.escape(it) for it in sorted(alerts))
    return {
        "matchers": [
            {"name": "cluster", "value": cluster, "isRegex": False, "isEqual": True},
            {"name": "alertname", "value": names, "isRegex": True, "isEqual": True},
        ],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=WAITS * timeout)).isoformat(),
        "createdBy": AUTHOR,
        "comment": f"run {run} of {person} changes {cluster}",
    }


def of(deploy: str) -> list[str]:
    """
    The alerts that a deploy silences, such as ["EnvoyProxyRestarts"]; none where it replaces
    nothing.
    """
    warnings = {it.name for it in ALERTS if it.severity == "warning"}
    return [it for it in ROLL_OUTS.get(deploy, ()) if it in warnings]


def left_over(journal: Iterable[Object], cluster: str) -> list[str]:
    """Ids of silences that an earlier run made for a cluster and did not lift."""
    entries = [it for it in journal if it.get("cluster") == cluster]
    lifted = {it.get("silence") for it in entries if it.get("event") == LIFTED}
    made = [str(it["silence"]) for it in entries if it.get("event") == MADE]
    return [it for it in made if it not in lifted]

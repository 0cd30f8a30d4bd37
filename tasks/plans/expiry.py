"""
Certificates of listeners that run out: a running proxy serves an expired one on, and the first
event, an upgrade among them, takes the listener down (observed with Envoy Gateway 1.8.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tasks.plans.chains import Held
from tasks.plans.kinds import title
from tasks.plans.preflight import Reason, warning

Object = Mapping[str, Any]
SOON = timedelta(days=7)


def reasons(
    gateways: Iterable[Object], ends: Mapping[tuple[str, str], datetime], now: datetime
) -> list[Reason]:
    """
    + ends: by namespace and name of the Secret, when its certificate ends (``ends_of``)
    """
    found = []
    for it in gateways:
        for listener in it["spec"].get("listeners") or ():
            for place in _secrets(it, listener):
                end = ends.get(place)
                if end is None or end - now > SOON:
                    continue
                text = f"{title(it)}, listener {listener['name']}: the certificate in Secret "
                text += "/".join(place)
                if end <= now:
                    found.append(
                        Reason(
                            f"{text} expired on {end:%Y-%m-%d}, and this change would take the "
                            "listener down: renew it first",
                            "sick",
                        )
                    )
                else:
                    found.append(warning(f"{text} expires on {end:%Y-%m-%d}: renew it"))
    return found


def ends_of(secrets: Iterable[Held]) -> dict[tuple[str, str], datetime]:
    """
    When the first certificate of each chain ends, for with any of them expired Envoy Gateway
    refuses the Secret; one that cannot be read is left out, its listener's condition tells of it.
    """
    return {
        (it.namespace, it.name): min(each.not_after for each in it.chain.certificates)
        for it in secrets
        if it.chain.certificates
    }


def secrets_of(gateway: Object) -> set[tuple[str, str]]:
    """Namespace and name of each Secret that a Gateway's listeners refer to."""
    listeners = gateway["spec"].get("listeners") or ()
    return {place for it in listeners for place in _secrets(gateway, it)}


def _secrets(gateway: Object, listener: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for ref in (listener.get("tls") or {}).get("certificateRefs") or ():
        if ref.get("kind", "Secret") == "Secret" and not ref.get("group"):
            yield ref.get("namespace") or gateway["metadata"]["namespace"], ref["name"]

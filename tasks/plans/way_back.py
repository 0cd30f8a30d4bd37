"""Whether the controller of today would still work with the CRDs of tomorrow."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tasks.plans.preflight import Reason, warning
from tasks.plans.served import missing_served


def reasons(
    installed: str,
    now: Mapping[str, Collection[str]],
    after: Mapping[str, Collection[str]],
    used: Mapping[str, int],
) -> list[Reason]:
    """
    What a rollback to ``installed`` would lose: CRDs only go forward, so the old controller would
    meet the new ones (facts A5: channel standard of 1.6 no longer serves v1alpha2 of TCPRoute).

    + now, after: served versions by name of CRD, such as {"tcproutes.gateway...": ["v1"]}
    + used: objects by name of CRD
    """
    lacks_now = {it.crd for it in missing_served(installed, now)}
    found = []
    for it in missing_served(installed, after):
        if it.crd in lacks_now:
            continue
        have = ", ".join(it.served or ()) or "nothing"
        text = (
            f"no way back to {installed}: the new CustomResourceDefinition {it.crd} serves {have}, "
            f"and that release watches {it.needs}"
        )
        if it.crashes:
            found.append(Reason(f"{text} and would not start", "no-way-back"))
        elif used.get(it.crd):
            count = used[it.crd]
            objects = f"its {count} objects" if count > 1 else "its object"
            found.append(Reason(f"{text} and would leave {objects} out in silence", "no-way-back"))
        else:
            found.append(warning(f"{text}; no object of it is there"))
    return found

"""The certificates between controller and proxies: when they end, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans import control_plane as plan
from tasks.plans.control_plane import CONTROLLER, PROXY, RATE_LIMIT, Shown

ROTATE = "run deploys/rotate_control_plane.py"
#: Who must trust whose certificate: xDS, the rate limit service's own stream, and its answers.
_PAIRS = (
    (PROXY, CONTROLLER),
    (CONTROLLER, PROXY),
    (RATE_LIMIT, CONTROLLER),
    (CONTROLLER, RATE_LIMIT),
    (PROXY, RATE_LIMIT),
    (RATE_LIMIT, PROXY),
)


def findings(
    cluster: str,
    secrets: Iterable[Mapping[str, Any]],
    now: datetime,
    warning: timedelta,
    error: timedelta,
) -> Iterator[Finding]:
    """
    + secrets: of the controller's namespace, ca.crt and tls.crt of those named envoy-gateway, envoy
      and envoy-rate-limit; keys are not needed. None of the three: no Envoy Gateway, no finding
    + warning, error: how long before its end a certificate is one
    """
    shown = plan.shown(secrets)
    if not shown:
        return
    for it in shown.values():
        where = Where(cluster, f"Secret {it.namespace}/{it.name}")
        yield from _ending(where, it, now, warning, error)
    yield from _apart(cluster, shown)


def _ending(
    where: Where, it: Shown, now: datetime, warning: timedelta, error: timedelta
) -> Iterator[Finding]:
    for one, what in ((it.leaf, "certificate"), (it.authority, "authority")):
        if one is None:
            continue
        left = one.not_after - now
        severity: Severity = "error" if left <= error else "warning"
        if left <= warning:
            word = "ended" if left <= timedelta(0) else "ends"
            text = f"control-plane {what} {one.serial} {word} on {one.not_after:%Y-%m-%d}"
            yield Finding("GW640", severity, where, text, ROTATE)


def _apart(cluster: str, shown: Mapping[str, Shown]) -> Iterator[Finding]:
    namespace = next(iter(shown.values())).namespace
    for name in plan.NAMES:
        if name not in shown:
            yield Finding(
                "GW641",
                "error",
                Where(cluster, f"Secret {namespace}/{name}"),
                "does not exist: certgen would make it under an authority of its own",
                "restore it from the backup, or delete all three and run deploys/install.py",
            )
    for it in shown.values():
        if it.leaf is None or not it.trusted:
            where = Where(cluster, f"Secret {namespace}/{it.name}")
            what = "holds no ca.crt and tls.crt that can be read"
            yield Finding("GW641", "error", where, what, "restore the three from the backup")
    said = set()
    for reader, owner in _PAIRS:
        if reader not in shown or owner not in shown or owner in said:
            continue
        one, other = shown[reader], shown[owner]
        if other.leaf is None or not one.trusted:
            continue
        if not any(it.fingerprint == other.signed_by for it in one.trusted):
            said.add(owner)
            yield Finding(
                "GW641",
                "error",
                Where(cluster, f"Secret {other.namespace}/{owner}"),
                f"certificate {other.leaf.serial} is of an authority that Secret {reader} does not "
                "trust: proxies keep what they have and cannot connect anew",
                ROTATE,
            )

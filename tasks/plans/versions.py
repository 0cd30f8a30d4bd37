"""
May this release go on that cluster, and what is known about it? The rows are in ``releases.py``.

Versions are text such as "1.9.1" or "v1.9.1", compared as numbers.
"""

from __future__ import annotations

import re
from datetime import date

from packaging.version import Version

from tasks.plans.releases import CVES, LINES, Cve, Line

_RELEASE = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+)")
_EXAMPLE = 'write a release such as "1.9.1"'


def parse(text: object) -> Version:
    """
    "1.9.1" and "v1.9.1" as a Version. Raises ValueError, in one line for the operator, for anything
    else: "1.9", "latest", or the float that pyinfra makes of ``--data envoy_gateway_version=1.10``.
    """
    if not isinstance(text, str):
        raise ValueError(
            f"Envoy Gateway version {text} is not text: quote it for the shell and for pyinfra,"
            f""" --data envoy_gateway_version='"1.9.1"'"""
        )
    match = _RELEASE.fullmatch(text)
    if match:
        return Version(match[1])
    if re.fullmatch(r"v?\d+\.\d+", text):
        raise ValueError(f'Envoy Gateway version "{text}" has no patch number: {_EXAMPLE}')
    raise ValueError(f'Envoy Gateway version "{text}" is not a release: {_EXAMPLE}')


def line(version: str) -> Line | None:
    """
    The release line of a version such as "1.9.1", or ``None`` where it is not known: a later line,
    or text that is no release at all.
    """
    try:
        return LINES.get(_minor(parse(version)))
    except ValueError:
        return None


def envoy_version(version: str) -> str | None:
    """
    The Envoy that a release runs by default, such as "1.39.1", or ``None`` where it is not known.
    """
    found = line(version)
    return found.envoy.get(str(parse(version))) if found else None


def end_of_life(version: str, today: date) -> str:
    """
    Such as "2027-02-14", "ended 2026-11-08", or "unknown" for a line that is not in the table.
    """
    found = line(version)
    if found is None:
        return "unknown"
    return f"ended {found.end_of_life}" if today > found.end_of_life else f"{found.end_of_life}"


def known_cves(version: str) -> tuple[Cve, ...]:
    """
    The published faults that a release has, oldest first; empty does not mean that it has none.
    """
    mine = parse(version)
    return tuple(it for it in CVES if _hits(it, mine))


def _hits(cve: Cve, mine: Version) -> bool:
    if cve.since is not None and mine < Version(cve.since):
        return False
    fixes = sorted(Version(it) for it in cve.fixed_in)
    of_my_line = [it for it in fixes if _minor(it) == _minor(mine)]
    return mine < (of_my_line or fixes)[0]


def refusal(installed: str | None, wanted: str) -> str | None:
    """
    Why this change of version must not run, or ``None`` where it may. ``installed`` is ``None`` on
    a cluster without Envoy Gateway. One minor at a time: each line's upgrade notes assume the line
    before (Envoy Gateway docs, Install with Helm, "Upgrading from the previous version").
    """
    to = parse(wanted)
    target = line(wanted)
    if target is None:
        return (
            f"Envoy Gateway {to} is of no release line that envoyfleet knows ({', '.join(LINES)}): "
            "correct envoy_gateway_version, or update envoyfleet"
        )
    if installed is None:
        return None if target.operated else _only_way_out(to)
    try:
        now = parse(installed)
    except ValueError:
        return (
            f'the installed Envoy Gateway "{installed}" is not a release, so what an upgrade to '
            f"{to} changes is not known: bring it to a release by hand first"
        )
    if now > to:
        return f"Envoy Gateway {now} is newer than {to}: go back with deploys/rollback.py"
    if line(installed) is None:
        return (
            f"Envoy Gateway {now} is older than envoyfleet knows: upgrade it to "
            f"{next(iter(LINES.values())).newest} first, by its own release notes"
        )
    between = [
        it.stop
        for it in LINES.values()
        if now.release[:2] < Version(it.minor).release < to.release[:2]
    ]
    if between:
        path = ", then ".join([*between, str(to)])
        return f"Envoy Gateway {now} cannot go to {to} in one step: upgrade to {path}"
    return None


def _only_way_out(to: Version) -> str:
    operated = " or ".join(it.minor for it in LINES.values() if it.operated)
    return (
        f"Envoy Gateway {to} is of a release line that envoyfleet only leads out of: "
        f"install {operated}"
    )


def kubernetes_problem(envoy_gateway: str, kubernetes: str) -> str | None:
    """
    Why this Kubernetes is outside the support matrix, or ``None`` where it is inside.
    ``kubernetes`` is "1.35", or what ``GET /version`` calls gitVersion, such as "v1.35.4".
    """
    found = line(envoy_gateway)
    match = re.match(r"v?(\d+\.\d+)", kubernetes)
    if found is None or match is None:
        return (
            f"whether Envoy Gateway {envoy_gateway} supports Kubernetes {kubernetes} is not known"
        )
    oldest, newest = found.kubernetes
    if Version(oldest) <= Version(match[1]) <= Version(newest):
        return None
    return (
        f"Kubernetes {match[1]} is outside of {oldest} to {newest}, which Envoy Gateway "
        f"{found.minor} supports"
    )


def _minor(version: Version) -> str:
    return f"{version.major}.{version.minor}"

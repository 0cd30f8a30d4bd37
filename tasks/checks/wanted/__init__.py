"""
What is wrong with the objects that an inventory wants, before any of them is written.

Each check is a function of a ``View``: the wanted objects, and what the cluster has beside them
where it was read. It yields findings, each at the object and the file or key that it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tasks.checks.findings import Finding
from tasks.checks.wanted import (
    backends,
    conflicts,
    namespaces,
    parents,
    policies,
    scaling,
    traffic,
)
from tasks.checks.wanted.policies import POLICIES as POLICIES
from tasks.checks.wanted.view import ROUTES as ROUTES
from tasks.checks.wanted.view import View as View

#: Findings about files, which are there without a view.
OF_FILES = ("GW310", "GW311", "GW312")

Check = Callable[[View], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    namespaces.missing,
    parents.missing,
    backends.missing,
    backends.weightless,
    backends.not_granted,
    conflicts.routes,
    conflicts.ports,
    policies.aimless,
    policies.rivals,
    traffic.on_the_way,
    scaling.sizes,
    scaling.unmeasured,
    scaling.unprioritised,
)


def findings(view: View) -> Iterator[Finding]:
    """All that is wrong, in no order."""
    for check in CHECKS:
        yield from check(view)

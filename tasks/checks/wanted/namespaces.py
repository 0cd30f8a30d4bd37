"""Namespaces that nobody makes."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.checks.findings import Finding
from tasks.checks.wanted.view import View
from tasks.plans.references import Reference


def missing(view: View) -> Iterator[Finding]:
    """GW321: an object in a namespace that is neither there nor wanted."""
    if view.live is None:
        return
    for thing in view.wanted:
        name = thing["metadata"].get("namespace")
        if name and Reference("", "Namespace", None, name) not in view.every:
            what, fix = f"namespace {name} does not exist", "add a Namespace, or correct it"
            yield view.finding("GW321", "error", thing, what, fix)

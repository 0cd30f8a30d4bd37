"""What happens to requests on the way that the wanted objects make for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.checks.findings import Finding
from tasks.checks.http2 import http2_findings
from tasks.checks.limits import limit_findings
from tasks.checks.timeouts import timeout_findings
from tasks.checks.wanted.view import View
from tasks.plans.kinds import title
from tasks.plans.shapes import shaped


def on_the_way(view: View) -> Iterator[Finding]:
    """Of wanted objects alone, each with where it is written."""
    every = [shaped(it) for it in view.every.values()]
    origins = {
        title(it): view.origins[key] for key, it in view.every.items() if key in view.origins
    }
    services = [shaped(it) for it in view.of("Service", "")]
    for it in (
        *timeout_findings(view.cluster, every),
        *limit_findings(view.cluster, every),
        *http2_findings(view.cluster, every, services),
    ):
        if it.where.object in origins:
            part = ", ".join(filter(None, (it.where.part, origins[it.where.object])))
            yield replace(it, where=replace(it.where, part=part))

"""What happens to requests on the way that the wanted objects make for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.checks.findings import Finding
from tasks.checks.http2 import http2_findings
from tasks.checks.limits import limit_findings
from tasks.checks.timeouts import timeout_findings
from tasks.checks.wanted.view import View
from tasks.plans.kinds import title
from tasks.plans.references import to
from tasks.plans.shapes import shaped


def on_the_way(view: View) -> Iterator[Finding]:
    """GW350 to GW368, of wanted objects alone."""
    every = [shaped(it) for it in view.every.values()]
    services = [shaped(it) for it in view.of("Service", "")]
    yield from located(view, timeout_findings(view.cluster, every))
    yield from located(view, limit_findings(view.cluster, every))
    yield from located(view, http2_findings(view.cluster, every, services))


def located(view: View, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those of wanted objects, with where each is written."""
    origins = {title(it): view.origins[to(it)] for it in view.wanted}
    for it in findings:
        if it.where.object in origins:
            part = ", ".join(filter(None, (it.where.part, origins[it.where.object])))
            yield replace(it, where=replace(it.where, part=part))

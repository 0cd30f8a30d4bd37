"""
What is surely wrong on a cluster, whether or not somebody asks about a request.

Each module knows one layer. Nothing is yielded of a cluster that is well.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.cluster import (
    certificates,
    changes,
    configuration,
    control_plane,
    gateways,
    names,
    networks,
    policies,
    proxies,
    routes,
)
from tasks.diagnosis.cluster.known import Known
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.evidence import Evidence

#: What others stand on comes first.
LAYERS = (
    control_plane,
    names,
    proxies,
    gateways,
    certificates,
    configuration,
    routes,
    policies,
    networks,
)


def causes(evidence: Evidence) -> Iterator[Found]:
    """
    What ails a cluster, the layer that others stand on first: control plane, proxies, Gateways and
    certificates, routes and backends. Only where ``evidence.live``: of a few objects nobody can say
    what is missing.
    """
    if not evidence.live or evidence.objects is None:
        return
    known, said = Known(evidence), set()
    for layer in LAYERS:
        for it in layer.causes(known):
            if (it.cause, it.object) not in said:
                said.add((it.cause, it.object))
                yield it


def installed(evidence: Evidence) -> bool:
    """Whether there is anything of Envoy Gateway on this cluster."""
    known = Known(evidence)
    return bool(known.classes or known.controllers or not known.read("deployments.apps"))


def notes(evidence: Evidence) -> tuple[str, ...]:
    """What changed last, the newest first, and what may be on purpose: no accusation."""
    if not evidence.live:
        return ()
    known = Known(evidence)
    return (*names.notes(known), *changes.notes(known))

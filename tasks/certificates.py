"""
Certificates of the fleet: from each name and address to the Secret, who keeps it, and the bytes
that every proxy really serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache, partial
from typing import Any

from pyinfra import host

from tasks import gateways
from tasks.checks import authorities as authority_checks
from tasks.checks import cert_manager as cert_manager_checks
from tasks.checks import certificates as certificate_checks
from tasks.checks import control_plane as control_plane_checks
from tasks.checks import handshakes as handshake_checks
from tasks.checks import overlap as overlap_checks
from tasks.checks.findings import Finding
from tasks.facts.kube import KubeObjects, ServedVersions
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.trust import trusted
from tasks.operations.certificates import (
    Seen,
    look,
    read_authorities,
    read_own,
    read_secrets,
    try_overlaps,
)
from tasks.plans import certificates, istio, listeners, overlap
from tasks.plans.cert_manager import Attempts
from tasks.plans.kinds import ACME, CERT_MANAGER, ENVOY_GATEWAY, GATEWAY_API, ISTIO, KINDS
from tasks.plans.listeners import Listener
from tasks.plans.rings import seconds

Object = Mapping[str, Any]
Every = Callable[[str, str], list[dict[str, Any]]]
SCHEMA = "envoyfleet.certificates/1"
#: Seconds after which what differs is looked at once more: a Secret that changes this moment is at
#: the proxies within two.
AGAIN = 3.0

_rows: dict[str, dict[str, Any]] = {}
_seen: dict[str, Seen] = {}


def of_the_fleet() -> None:
    """
    Deploy code: read every cluster, print one table at the end, exit 3 where something is wrong.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    read(name="Certificates", data=fleet_run.cluster())


@fleet_operation()
def read(data: Cluster) -> Steps:
    """
    All about one cluster. Reads only: at most twenty requests, one more for each proxy Pod, for
    each Secret that is missing and for each authority.
    """
    yield from ()
    roots = trusted(data)
    every = objects()
    seen = Seen([*listeners_of(data, every), *_of_istio(every)])
    if data.read_secrets:
        read_secrets(seen)
        read_own(seen, data.namespace)
    read_authorities(seen, _policies(every), every(GATEWAY_API, "ReferenceGrant"))
    place, addresses = data.proxy_namespace, data.probe.enabled
    look(seen, place, addresses)
    if any(_of_sockets(seen)):
        time.sleep(AGAIN)
        if seen.held is not None:
            read_secrets(seen)
        look(seen, place, addresses)
    try_overlaps(seen, every(GATEWAY_API, "Gateway"), _routes(every), addresses)
    issued = certificates.issued_by(every(CERT_MANAGER, "Certificate"))
    findings = [*_findings(seen, data, roots), *_of_cert_manager(seen, every)]
    fleet_run.current().findings += findings
    _seen[host.name] = seen
    _rows[host.name] = certificates.row(
        seen.listeners, seen.held, issued, seen.handshakes, seen.authorities
    )


def objects() -> Every:
    """
    Reads all objects of a kind by group and kind, once, in the first version that this cluster
    serves; none, without a request, where it does not. One request at once.
    """
    served = fact(ServedVersions)

    @cache
    def every(group: str, kind: str) -> list[dict[str, Any]]:
        versions = served.get(f"{KINDS[group, kind].plural}.{group}")
        if not versions:
            return []
        return fact(KubeObjects, api_version=f"{group}/{versions[0]}", kind=kind)

    return every


def listeners_of(data: Cluster, every: Every | None = None) -> list[Listener]:
    """
    The listeners of our controller that take TLS. One request for each kind that the cluster
    serves, ten at most. + every: ``objects``, where it is at hand
    """
    every = every or objects()
    classes, own = gateways.of_our_controller(
        data, every(GATEWAY_API, "GatewayClass"), every(GATEWAY_API, "Gateway")
    )
    return listeners.of_gateways(
        host.name,
        own,
        every(GATEWAY_API, "ReferenceGrant"),
        listeners.merged(classes, every(ENVOY_GATEWAY, "EnvoyProxy")),
        every(GATEWAY_API, "ListenerSet"),
        _routes(every),
        every(ENVOY_GATEWAY, "ClientTrafficPolicy"),
    )


def _routes(every: Every) -> list[dict[str, Any]]:
    return [
        it for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute") for it in every(GATEWAY_API, kind)
    ]


def _policies(every: Every) -> list[dict[str, Any]]:
    """Those that name authorities."""
    return [
        *every(GATEWAY_API, "BackendTLSPolicy"),
        *every(ENVOY_GATEWAY, "Backend"),
        *every(ENVOY_GATEWAY, "ClientTrafficPolicy"),
    ]


def _of_istio(every: Every) -> list[Listener]:
    """Of Istio's own Gateways; a request for each selector and for each namespace of its Pods."""
    written = every(ISTIO, "Gateway")
    selectors = {
        ",".join(f"{key}={it}" for key, it in sorted((one["spec"].get("selector") or {}).items()))
        for one in written
    }
    listed = partial(fact, KubeObjects, api_version="v1")
    pods = [it for one in sorted(selectors) for it in listed(kind="Pod", labels=one or None)]
    places = sorted({it["metadata"]["namespace"] for it in pods})
    services = [it for one in places for it in listed(kind="Service", namespace=one)]
    return istio.of_istio(host.name, written, pods, services)


def _findings(seen: Seen, data: Cluster, roots: frozenset[str] | None) -> Iterable[Finding]:
    now = fleet_run.now()
    warning, error = (
        timedelta(seconds=seconds(it)) for it in (data.expiring.warning, data.expiring.error)
    )
    times = (now, warning, error)
    if seen.held is None:
        yield from handshake_checks.served(seen.handshakes, *times, roots)
    else:
        yield from certificate_checks.findings(
            host.name, seen.listeners, seen.held, *times, roots, seen.types
        )
        yield from control_plane_checks.findings(host.name, seen.own, *times)
    yield from _of_sockets(seen)
    yield from authority_checks.findings(host.name, seen.authorities, *times)
    for what, fix in seen.not_read.items():
        yield handshake_checks.not_read(host.name, what, fix)


def _of_sockets(seen: Seen) -> Iterable[Finding]:
    return handshake_checks.findings(seen.handshakes, seen.held, fleet_run.now())


def _of_cert_manager(seen: Seen, every: Every) -> list[Finding]:
    """What is being tried for a certificate is read where one does not come."""

    def judged(attempts: Attempts) -> list[Finding]:
        now = fleet_run.now()
        return [*cert_manager_checks.findings(host.name, those, attempts, seen.held, now)]

    those = every(CERT_MANAGER, "Certificate")
    if not judged(Attempts()):
        return []
    requests = every(CERT_MANAGER, "CertificateRequest")
    return judged(Attempts(requests, every(ACME, "Order"), every(ACME, "Challenge")))


def _print(results: list[ClusterResult]) -> None:
    fleet_run.current().findings += _of_overlaps()
    audits.show_lines(results, _rows, SCHEMA, certificates.COLUMNS, certificates.lines)


def _of_overlaps() -> Iterator[Finding]:
    """Of all clusters together, for some of them may share an address."""
    every = [it for seen in _seen.values() for it in seen.listeners]
    served = {it: found for seen in _seen.values() for it, found in seen.leaves.items()}
    answers = {pair: it for seen in _seen.values() for pair, it in seen.answers.items()}
    written = {place: it for seen in _seen.values() for place, it in seen.cures.items()}
    yield from overlap_checks.findings(overlap.overlaps(every, served), answers, written)

"""
Certificates of the fleet: from each name and address to the Secret, who keeps it, and the bytes
that every proxy really serves.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import gateways
from tasks.checks import authorities as authority_checks
from tasks.checks import cert_manager as cert_manager_checks
from tasks.checks import certificates as certificate_checks
from tasks.checks import control_plane as control_plane_checks
from tasks.checks import handshakes as handshake_checks
from tasks.checks import overlap as overlap_checks
from tasks.checks.findings import Finding
from tasks.facts.kube import KubeObject, KubeObjects, ServedVersions
from tasks.facts.secrets import PublicParts, SecretType
from tasks.facts.tls import TlsSecrets
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.operations import coalescing, cures, handshakes
from tasks.plans import authorities, certificates, chains, istio, listeners, overlap
from tasks.plans.authorities import AuthorityRef
from tasks.plans.cert_manager import Attempts
from tasks.plans.chains import Certificate, Held
from tasks.plans.kinds import ACME, CERT_MANAGER, ENVOY_GATEWAY, GATEWAY_API, ISTIO, KINDS
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.overlap import Answers, Pair
from tasks.plans.rings import seconds

Object = Mapping[str, Any]
Every = Callable[[str, str], list[dict[str, Any]]]
SCHEMA = "envoyfleet.certificates/1"
#: Seconds after which what differs is looked at once more: a Secret that changes this moment is at
#: the proxies within two.
AGAIN = 3.0
ROLE = "allow list on secrets, or set read_secrets to False"


@dataclass
class Seen:
    """
    What was read of one cluster. + held: Secrets of type TLS, None where they were not read
    + types: of Secrets that listeners refer to and ``held`` does not have
    + own: the controller's own Secrets, without their keys
    + answers: what a client met where certificates overlap; + cures: manifests against that
    + not_read: what was not looked at, and what to do about it
    """

    listeners: Sequence[Listener] = ()
    held: dict[tuple[str, str], Held] | None = None
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    own: list[dict[str, Any]] = field(default_factory=list)
    handshakes: Sequence[Handshake] = ()
    authorities: dict[AuthorityRef, authority_checks.Found] = field(default_factory=dict)
    answers: Mapping[Pair, Answers] = field(default_factory=dict)
    cures: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)


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
    roots = _roots(data)
    every = objects()
    seen = Seen([*listeners_of(data, every), *_of_istio(every)])
    if data.read_secrets:
        _read_secrets(seen)
        _read_own(seen, data)
    issued = certificates.issued_by(every(CERT_MANAGER, "Certificate"))
    _read_authorities(seen, data, every)
    _look(seen, data)
    if any(_of_sockets(seen)):
        time.sleep(AGAIN)
        if seen.held is not None:
            _read_secrets(seen)
        _look(seen, data)
    _try_overlaps(seen, data, every)
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


def _of_istio(every: Every) -> list[Listener]:
    """Of Istio's own Gateways; a request for each selector and for each namespace of its Pods."""
    found = every(ISTIO, "Gateway")
    selectors = {
        ",".join(f"{key}={it}" for key, it in sorted((one["spec"].get("selector") or {}).items()))
        for one in found
    }
    listed = partial(fact, KubeObjects, api_version="v1")
    pods = [it for one in sorted(selectors) for it in listed(kind="Pod", labels=one or None)]
    places = sorted({it["metadata"]["namespace"] for it in pods})
    services = [it for one in places for it in listed(kind="Service", namespace=one)]
    return istio.of_istio(host.name, found, pods, services)


def of_proxies(data: Cluster) -> str | None:
    """The namespace of all proxies, None where each is beside its Gateway."""
    return data.namespace if data.deploy_type == "ControllerNamespace" else None


def _roots(data: Cluster) -> frozenset[str] | None:
    """What clients trust, None where the inventory does not say. Raises DeployError."""
    if data.trust is None:
        return None
    try:
        found = chains.roots(Path(data.trust).read_bytes())
    except OSError as error:
        raise DeployError(f"trust: {data.trust}: {error.strerror}") from error
    if not found:
        raise DeployError(f"trust: {data.trust}: no certificate in it that can be read")
    return found


def _read_secrets(seen: Seen) -> None:
    """Those of type TLS, in one request; of others that listeners refer to, their type alone."""
    try:
        seen.held = {(it.namespace, it.name): it for it in fact(TlsSecrets)}
        missing = {
            (ref.namespace, ref.name)
            for it in seen.listeners
            for ref in it.secrets
            if (ref.namespace, ref.name) not in seen.held
        }
        for namespace, name in sorted(missing):
            found = fact(SecretType, resource=name, namespace=namespace)
            if found is not None:
                seen.types[namespace, name] = found
    except FactFailed as error:
        if ": 403 " not in str(error):
            raise
        seen.held = None
        seen.not_read["no right to read Secrets: only what is served was checked"] = ROLE


def _read_own(seen: Seen, data: Cluster) -> None:
    """Of the controller, where Secrets may be read."""
    if seen.held is not None:
        seen.own = fact(PublicParts, namespace=data.namespace)


def _read_authorities(seen: Seen, data: Cluster, every: Every) -> None:
    """
    What clients and backends are verified with, one request each at most. A Secret with an
    authority is seldom of type TLS, and what others hold is not read.
    """
    policies = [
        *every(GATEWAY_API, "BackendTLSPolicy"),
        *every(ENVOY_GATEWAY, "Backend"),
        *every(ENVOY_GATEWAY, "ClientTrafficPolicy"),
    ]
    refs = authorities.refs(policies, every(GATEWAY_API, "ReferenceGrant"))
    read: dict[tuple[str, str, str], authority_checks.Found | None] = {}
    for ref in refs:
        place = ref.kind, ref.namespace, ref.name
        if place not in read:
            read[place] = _authority(ref, seen)
        found = read[place]
        if found is not None or not ref.allowed:
            seen.authorities[ref] = found or ()


def _authority(ref: AuthorityRef, seen: Seen) -> authority_checks.Found | None:
    """What a reference leads to, None where that may not be read."""
    where = {"resource": ref.name, "namespace": ref.namespace}
    try:
        if ref.kind == "Secret":
            return _in_secret(ref, seen)
        thing = fact(KubeObject, api_version="v1", kind="ConfigMap", **where)
    except FactFailed as error:
        if ": 403 " not in str(error):
            raise
        seen.not_read[f"no right to read {ref.title}"] = "allow get on configmaps"
        return None
    if thing is None:
        return "does not exist"
    return authorities.bundle(thing.get("data") or {})


def _in_secret(ref: AuthorityRef, seen: Seen) -> authority_checks.Found | None:
    """``_authority`` for a Secret. What one holds is read where its type is TLS."""
    if seen.held is None:
        return None
    where = {"resource": ref.name, "namespace": ref.namespace}
    found = fact(PublicParts, **where)
    if found:
        data = found[0]["data"].items()
        return authorities.bundle({key: _decoded(it) for key, it in data})
    if fact(SecretType, **where) is None:
        return "does not exist"
    what = f"the authority in {ref.title} was not read: Secrets of type TLS alone are"
    seen.not_read[what] = "keep it in a ConfigMap, for it is no secret"
    return None


def _decoded(text: str) -> str:
    try:
        return b64decode(text).decode(errors="replace")
    except ValueError:
        return ""


def _look(seen: Seen, data: Cluster) -> None:
    """
    Ask the proxies. A load balancer that the inventory says cannot be reached from here is not
    asked; Pods are reached through the API server.
    """
    found: list[Handshake] = []
    try:
        found += handshakes.at_pods(seen.listeners, of_proxies(data))
    except handshakes.Denied as denied:
        fix = "allow it (deploys/doctor.py has the list)"
        seen.not_read[f"{denied}: Pods were not asked one by one"] = fix
    if data.probe.enabled:
        found += handshakes.at_addresses(seen.listeners)
    seen.handshakes = found


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

    def found(attempts: Attempts) -> list[Finding]:
        now = fleet_run.now()
        return [*cert_manager_checks.findings(host.name, those, attempts, seen.held, now)]

    those = every(CERT_MANAGER, "Certificate")
    first = found(Attempts())
    if not first:
        return []
    requests = every(CERT_MANAGER, "CertificateRequest")
    return found(Attempts(requests, every(ACME, "Order"), every(ACME, "Challenge")))


def _try_overlaps(seen: Seen, data: Cluster, every: Every) -> None:
    """Ask as a client would that reuses connections, and write down what would end it."""
    served = _leaves(seen)
    found = overlap.overlaps(seen.listeners, served)
    if not found:
        return
    if data.probe.enabled:
        seen.answers = coalescing.ask_all(found)
    gateways_, routes = every(GATEWAY_API, "Gateway"), _routes(every)
    seen.cures = cures.write(found, served, {host.name: gateways_}, {host.name: routes})


def _print(results: list[ClusterResult]) -> None:
    fleet_run.current().findings += _of_overlaps()
    audits.show_lines(results, _rows, SCHEMA, certificates.COLUMNS, certificates.lines)


def _of_overlaps() -> Iterator[Finding]:
    """Of all clusters together, for some of them may share an address."""
    every = [it for seen in _seen.values() for it in seen.listeners]
    served = {it: found for seen in _seen.values() for it, found in _leaves(seen).items()}
    answers = {pair: it for seen in _seen.values() for pair, it in seen.answers.items()}
    written = {place: it for seen in _seen.values() for place, it in seen.cures.items()}
    yield from overlap_checks.findings(overlap.overlaps(every, served), answers, written)


def _leaves(seen: Seen) -> dict[Listener, list[Certificate]]:
    """What each listener serves, by its Secrets, else by what was seen of it."""
    found: dict[Listener, list[Certificate]] = {}
    for it in seen.handshakes:
        leaf = it.served.leaf
        if leaf and leaf not in found.setdefault(it.listener, []):
            found[it.listener].append(leaf)
    for listener in seen.listeners:
        held = [(seen.held or {}).get((it.namespace, it.name)) for it in listener.secrets]
        leaves = [leaf for it in held if it and (leaf := it.chain.leaf)]
        if leaves:
            found[listener] = leaves
    return found

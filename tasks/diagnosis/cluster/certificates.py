"""
Certificates that are served with every condition True: past their time by the clock, for another
name, or not the one that the Secret has by now.

Envoy Gateway looks at a date when something changes, not when the clock passes it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tasks.diagnosis.cluster.known import Known, Object, Ref, at, found
from tasks.diagnosis.diagnosis import Found
from tasks.plans import chains, listeners
from tasks.plans.listeners import Listener
from tasks.plans.x509 import Certificate, covers

#: An end that is so close, in days and as a share of its life, is a warning.
CLOSE, SHARE = timedelta(days=7), 10


def causes(known: Known) -> Iterator[Found]:
    now = known.evidence.now
    if now is None or not known.read("secrets"):
        return
    moment = datetime.fromtimestamp(now, UTC)
    routes = list(known.of("HTTPRoute", "GRPCRoute", "TLSRoute"))
    ending = listeners.of_gateways(
        known.evidence.cluster,
        known.gateways,
        tuple(known.of("ReferenceGrant")),
        known.merged,
        tuple(known.of("ListenerSet")),
        routes,
        tuple(known.of("ClientTrafficPolicy")),
    )
    said: set[Ref] = set()
    for listener in ending:
        if not listener.passthrough:
            yield from _of_listener(known, listener, moment, said)


def _of_listener(
    known: Known, listener: Listener, now: datetime, said: set[Ref]
) -> Iterator[Found]:
    leaves: list[tuple[Ref, Certificate]] = []
    for it in listener.secrets:
        whose = Ref("Secret", it.name, it.namespace)
        secret = known.get(whose)
        leaf = _leaf(secret) if secret is not None else None
        if leaf is None:
            continue
        leaves.append((whose, leaf))
        if whose not in said and (problem := _dates(whose, leaf, listener, now)):
            said.add(whose)
            yield problem
    if len(leaves) == len(listener.secrets) and leaves:
        yield from _names(listener, leaves)


def _leaf(secret: Object) -> Certificate | None:
    """The certificate that is served; None where it is malformed, which the controller says."""
    try:
        text = b64decode(at(secret, "data", "tls.crt") or "")
    except ValueError:
        return None
    return chains.read(text, None).leaf


def _dates(whose: Ref, leaf: Certificate, listener: Listener, now: datetime) -> Found | None:
    life, left = leaf.not_after - leaf.not_before, leaf.not_after - now
    evidence = [f"{whose.text}: {leaf.title}, not after {leaf.not_after:%Y-%m-%dT%H:%M:%SZ}"]
    fix = "deploys/rotate_certificates.py, or ask whoever keeps this Secret for a new one"
    if left < timedelta(0):
        return found(
            "certificate_expired",
            whose,
            "data[tls.crt]",
            f"the certificate of {listener.text} expired at {leaf.not_after:%Y-%m-%d %H:%M} UTC: "
            "clients refuse it; conditions are True until anything changes, and then the listener "
            "goes",
            fix,
            [*evidence, f"now: {now:%Y-%m-%dT%H:%M:%SZ}"],
            where=listener.text,
        )
    if now < leaf.not_before:
        return found(
            "certificate_invalid",
            whose,
            "data[tls.crt]",
            f"the certificate of {listener.text} is not valid before "
            f"{leaf.not_before:%Y-%m-%d %H:%M} UTC",
            fix,
            evidence,
            where=listener.text,
        )
    if left < CLOSE and left * SHARE < life:
        return found(
            "certificate_expired",
            whose,
            "data[tls.crt]",
            f"the certificate of {listener.text} ends at {leaf.not_after:%Y-%m-%d %H:%M} UTC, in "
            f"{left.days} days",
            fix,
            evidence,
            severity="warning",
            confidence=0.4,
            where=listener.text,
        )
    return None


def _names(listener: Listener, leaves: list[tuple[Ref, Certificate]]) -> Iterator[Found]:
    wanted = [listener.hostname] if listener.hostname else [*listener.hosts]
    lacking = [it for it in wanted if it and not any(covers(leaf.names, it) for _, leaf in leaves)]
    if not lacking:
        return
    whose, leaf = leaves[0]
    have = ", ".join(leaf.names[:5]) or "no DNS name"
    yield found(
        "certificate_wrong_name",
        whose,
        "data[tls.crt]",
        f"the certificate of {listener.text} is not for {', '.join(lacking[:3])}, only for {have}: "
        "clients that look refuse it, and no condition tells",
        f"have one made that names {lacking[0]}, or correct the hostname of the listener",
        [
            f"{whose.text}: {leaf.title}, names {have}",
            f"{listener.text}: {'hostname' if listener.hostname else 'routes for'} "
            f"{', '.join(lacking[:3])}",
        ],
        where=listener.text,
    )

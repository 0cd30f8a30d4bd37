"""
Which certificates are due, what may take their place, and when a new one counts as served.

A rotation that nobody proved yet is told by an annotation of its Secret, which also keeps what was
there before, in keys that no proxy reads: whatever ended the run, the next one finds the way back.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tasks.plans import chains
from tasks.plans.chains import Chain
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.x509 import Certificate, Problem, covers

Object = Mapping[str, Any]
TYPE = "kubernetes.io/tls"
#: The run that wrote a certificate which was not proven yet, and the certificate's fingerprint.
UNPROVEN = "envoyfleet.dev/unproven"
#: A certificate is not due in this share of its life, a third, however early it is to be renewed:
#: one that lives for six days is not renewed every day.
YOUNG = 3
#: Why a certificate is rotated that is not due.
ASKED = "renew_now asks for it"
#: Keys of a Secret: what is served, and what was before.
NOW, BEFORE = ("tls.crt", "tls.key"), ("previous.crt", "previous.key")


@dataclass(frozen=True)
class Pair:
    """A chain and its key, as PEM; neither is ever printed."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Feeder:
    """
    What writes a Secret besides us and would write over it. + title: such as "ExternalSecret
    edge/shop"; + certificate: name of the cert-manager Certificate, which can be asked to renew
    """

    title: str
    certificate: str | None = None


@dataclass(frozen=True)
class Decision:
    """
    What becomes of one certificate.

    + why: why it is rotated, such as "it ends 2026-12-01", None where it stays
    + refused: why it must not be, although it is due or its source is newer
    + waits: why it is due and nothing newer is there
    """

    why: str | None = None
    refused: str | None = None
    waits: str | None = None


def pair(secret: Object | None, keys: tuple[str, str] = NOW) -> Pair | None:
    """What a Secret holds, None where it lacks one half or holds no base64."""
    data = (secret or {}).get("data") or {}
    try:
        certificate, key = (b64decode(data[it], validate=True) for it in keys)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    return Pair(certificate, key) if certificate and key else None


def unproven(secret: Object | None, leaf: Certificate | None) -> str | None:
    """
    The run that put the certificate there which is in place, and did not prove it. None where there
    is none, and where somebody has put another certificate there since.
    """
    notes = ((secret or {}).get("metadata") or {}).get("annotations") or {}
    run, _, fingerprint = str(notes.get(UNPROVEN) or "").partition(" ")
    return run if run and leaf is not None and leaf.fingerprint == fingerprint else None


def manifest(
    namespace: str,
    name: str,
    now: Pair,
    before: Pair | None = None,
    mark: str | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """
    The Secret as it is applied.

    + before: what to keep until ``now`` is proven; + mark: for ``UNPROVEN``, see ``marked``
    + version: the resourceVersion that it must still have, None whatever it has
    """
    data = _encoded(NOW, now) | (_encoded(BEFORE, before) if before else {})
    notes: dict[str, Any] = {"annotations": {UNPROVEN: mark}} if mark else {}
    if version:
        notes["resourceVersion"] = version
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, **notes},
        "type": TYPE,
        "data": data,
    }


def marked(run: str, leaf: Certificate) -> str:
    """The annotation that ``unproven`` reads."""
    return f"{run} {leaf.fingerprint}"


def _encoded(keys: tuple[str, str], it: Pair) -> dict[str, str]:
    halves = zip(keys, (it.certificate, it.key), strict=True)
    return {key: b64encode(data).decode() for key, data in halves}


#: Labels and annotations of controllers that write Secrets again and again, besides those that
#: ``chains.owner`` knows.
_MARKS = {
    "reconcile.external-secrets.io/data-hash": "the External Secrets operator",
    "reflector.v1.k8s.emberstack.com/reflects": "Reflector, from another Secret",
    "kustomize.toolkit.fluxcd.io/name": "a Kustomization of Flux",
    "helm.toolkit.fluxcd.io/name": "a HelmRelease of Flux",
    "argocd.argoproj.io/tracking-id": "an Application of Argo CD",
}
#: Field managers of the same, where labels and annotations were left out.
_MANAGERS = ("externalsecrets.external-secrets.io", "cert-manager-certificates-issuing")


def feeder(secret: Object | None) -> Feeder | None:
    """Who would write over what we write into a Secret, None where nobody does."""
    meta = (secret or {}).get("metadata") or {}
    owner = chains.owner(meta)
    if owner is not None:
        kind, _, name = owner.partition(" ")
        return Feeder(owner, name.rpartition("/")[2] if kind == "Certificate" else None)
    notes = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    for mark, title in _MARKS.items():
        if notes.get(mark):
            return Feeder(title)
    for entry in meta.get("managedFields") or ():
        if str(entry.get("manager")).startswith(_MANAGERS) and _owns_certificate(entry):
            return Feeder(f"the field manager {entry['manager']}")
    return None


def _owns_certificate(entry: Object) -> bool:
    return "f:tls.crt" in ((entry.get("fieldsV1") or {}).get("f:data") or {})


def users(
    listeners: Iterable[Listener], namespace: str, name: str, grants: Sequence[str] = ()
) -> list[Listener]:
    """
    The listeners that serve a Secret, and may. + grants: namespaces whose listeners may as soon as
    a ReferenceGrant is written
    """
    return [
        it
        for it in listeners
        if not it.passthrough
        and any(
            (ref.namespace, ref.name) == (namespace, name)
            and (ref.allowed or _place_of(it) in grants)
            for ref in it.secrets
        )
    ]


def _place_of(listener: Listener) -> str:
    """The namespace of its owner, "edge" for "Gateway edge/public"."""
    return listener.owner.partition(" ")[2].partition("/")[0]


def names(own: Sequence[str], listeners: Iterable[Listener]) -> tuple[str, ...]:
    """
    What a certificate must cover: its names in the inventory, and those of its listeners; of one
    without a host name those of its routes.
    """
    asked = [name for it in listeners for name in ([it.hostname] if it.hostname else it.hosts)]
    return tuple(dict.fromkeys(it.lower() for it in (*own, *asked)))


def needed(
    own: Sequence[str], listeners: Iterable[Listener], held: Sequence[str]
) -> tuple[str, ...]:
    """
    ``names`` without which clients are turned away: a listener "*.example.com" is content with the
    hosts of its routes, unless the certificate that it has covers the wildcard.

    + held: names of the certificate in place
    """
    every = list(listeners)
    wide = {it.hostname for it in every if it.hosts and str(it.hostname).startswith("*.")}
    less = {str(it) for it in wide if not covers(held, str(it))}
    kept = [it for it in names(own, every) if it in own or it not in less]
    return tuple(
        dict.fromkeys([*kept, *(x for it in every if it.hostname in less for x in it.hosts)])
    )


def decide(
    current: Chain | None,
    offered: Chain | None,
    problems: Sequence[Problem],
    wanted: Sequence[str],
    now: datetime,
    before: timedelta,
    asked: bool,
) -> Decision:
    """
    Whether a certificate is rotated.

    + current: what is in place, None where there is no Secret
    + offered: what its source has, None where the source makes a new one whenever it is asked
    + problems: what speaks against ``offered``, whoever uses it
    + wanted: the names to cover; + before: how long before its end it is due
    + asked: whether to renew what is not due
    """
    due = _due(current, wanted, now, before)
    if offered is None:
        return Decision(due or (ASKED if asked else None))
    leaf, old = offered.leaf, current.leaf if current else None
    if leaf is None or _broken(offered):
        return Decision(refused=_said(problems))
    newer = old is None or leaf.not_before > old.not_before
    same = old is not None and leaf.fingerprint == old.fingerprint
    rechained = same and current is not None and _prints(offered) != _prints(current)
    if not due and not newer and not rechained:
        return Decision()
    if due and same and not rechained and not _broken(current):
        return Decision(waits=f"{due}, and its source has the same certificate, {leaf.text}")
    if problems:
        return Decision(refused=_said(problems))
    if due and old is not None and not same and _older(leaf, old) and old.not_after > now:
        return Decision(
            refused=f"{due}, and its source has an older one: {leaf.text}, in place is {old.text}"
        )
    if rechained and not _broken(current):
        return Decision("its source has another chain for it")
    return Decision(due or f"its source has a newer one, {leaf.text}")


def _due(
    current: Chain | None, wanted: Sequence[str], now: datetime, before: timedelta
) -> str | None:
    if current is None:
        return "it is missing"
    leaf = current.leaf
    broken = _broken(current)
    if broken:
        return f"what is in place is not good: {broken}"
    if leaf is None:
        return "what is in place is no certificate"
    if leaf.not_after <= now:
        return f"it has ended {leaf.not_after:%Y-%m-%d}"
    young = leaf.not_before + (leaf.not_after - leaf.not_before) / YOUNG
    if leaf.not_after - before <= now and now > young:
        return f"it ends {leaf.not_after:%Y-%m-%d}"
    missing = [it for it in wanted if not covers(leaf.names, it)]
    return f"it does not cover {', '.join(missing)}" if missing else None


def _broken(chain: Chain | None) -> str | None:
    problems = [it.what for it in (chain.problems if chain else ()) if it.severity == "error"]
    return problems[0] if problems else None


def _prints(chain: Chain) -> tuple[str, ...]:
    return tuple(it.fingerprint for it in chain.certificates)


def _older(leaf: Certificate, old: Certificate) -> bool:
    return leaf.not_before <= old.not_before and leaf.not_after <= old.not_after


def _said(problems: Sequence[Problem]) -> str:
    return "; ".join(f"{it.what}: {it.fix}" for it in problems) or "it holds no certificate"


def wrong_type(secret: Object | None) -> str | None:
    """Why a Secret that is there cannot become one of type kubernetes.io/tls, or None."""
    if secret is None or secret.get("type") == TYPE:
        return None
    return (
        f"is of type {secret.get('type')}, and the type of a Secret cannot be changed: delete it "
        "and run again at once, or name another Secret here and in the Gateway"
    )


def unserved(
    handshakes: Iterable[Handshake],
    users: Iterable[Listener],
    wanted: Chain,
    old: Certificate | None,
) -> list[str]:
    """
    Who does not serve the whole of ``wanted`` yet, a line each.

    + users: the listeners of the Secret
    + old: what the Secret held before: a listener with several Secrets may serve any other of them
    """
    mine, prints = list(users), _prints(wanted)
    asked = [it for it in handshakes if it.listener in mine]
    silent = [it for it in mine if not any(one.listener == it for one in asked)]
    found = [f"{it.text}: no proxy is ready, no address is there" for it in silent]
    for it in asked:
        if not it.chain:
            found.append(f"{_place(it)}: no handshake: {it.why}")
        elif it.chain != prints and not _of_another(it, old):
            found.append(f"{_place(it)}: serves serial {it.serial}")
    return found


def _of_another(it: Handshake, old: Certificate | None) -> bool:
    several = len(it.listener.secrets) > 1
    return several and (old is None or it.chain[0] != old.fingerprint)


def serials(before: Iterable[Handshake], after: Iterable[Handshake]) -> dict[str, str]:
    """
    By place, listener and name, what it served and what it serves: {"Pod eg/envoy-1, Gateway
    edge/public, listener https (blue.lab.test)": "serial 3fa1 → 77c0"}.
    """
    was = {_place(it): it.serial for it in before}
    return {
        _place(it): f"serial {was.get(_place(it)) or 'none'} → {it.serial or 'none'}"
        for it in after
    }


def _place(it: Handshake) -> str:
    return f"{it.place}, {it.listener.text}" + (f" ({it.sni})" if it.sni else "")


def places(handshakes: Iterable[Handshake]) -> str:
    """Such as "2 Pods and 1 address"."""
    found = {it.place for it in handshakes}
    pods = sum(it.startswith("Pod ") for it in found)
    counts = ((pods, "Pod", "Pods"), (len(found) - pods, "address", "addresses"))
    return " and ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)

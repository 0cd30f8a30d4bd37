"""
The certificates of one cluster, as far as they may be read: Secrets, authorities, and what proxies
serve.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host

from tasks.facts.kube import KubeObject
from tasks.facts.secrets import PublicParts, SecretType
from tasks.facts.tls import TlsSecrets
from tasks.fleet.guard import FactFailed, fact
from tasks.operations import coalescing, cures, handshakes
from tasks.plans import authorities, overlap
from tasks.plans.authorities import AuthorityRef, Found
from tasks.plans.chains import Held
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.overlap import Answers, Pair
from tasks.plans.x509 import Certificate

Object = Mapping[str, Any]
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
    authorities: dict[AuthorityRef, Found] = field(default_factory=dict)
    answers: Mapping[Pair, Answers] = field(default_factory=dict)
    cures: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)

    @property
    def leaves(self) -> dict[Listener, list[Certificate]]:
        """What each listener serves, by its Secrets, else by what was seen of it."""
        found: dict[Listener, list[Certificate]] = {}
        for it in self.handshakes:
            leaf = it.served.leaf
            if leaf and leaf not in found.setdefault(it.listener, []):
                found[it.listener].append(leaf)
        for listener in self.listeners:
            held = [(self.held or {}).get((it.namespace, it.name)) for it in listener.secrets]
            leaves = [leaf for it in held if it and (leaf := it.chain.leaf)]
            if leaves:
                found[listener] = leaves
        return found


def read_secrets(seen: Seen) -> None:
    """Those of type TLS; of others that listeners refer to, their type alone."""
    try:
        seen.types = {}
        seen.held = {(it.namespace, it.name): it for it in _tls_secrets(seen.listeners)}
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
        if not error.forbidden:
            raise
        seen.held = None
        seen.not_read["no right to read Secrets: only what is served was checked"] = ROLE


def _tls_secrets(listeners: Iterable[Listener]) -> list[Held]:
    """In one request, or where that is not allowed in one for each namespace that is named."""
    try:
        return fact(TlsSecrets)
    except FactFailed as error:
        places = sorted({ref.namespace for it in listeners for ref in it.secrets})
        if not error.forbidden or not places:
            raise
        return [it for place in places for it in fact(TlsSecrets, namespace=place)]


def read_own(seen: Seen, namespace: str) -> None:
    """The controller's own Secrets, where Secrets may be read. + namespace: the controller's"""
    if seen.held is None:
        return
    try:
        seen.own = fact(PublicParts, namespace=namespace)
    except FactFailed as error:
        if not error.forbidden:
            raise
        seen.not_read["no right to read the controller's own Secrets"] = ROLE


def read_authorities(seen: Seen, policies: Iterable[Object], grants: Sequence[Object]) -> None:
    """
    What clients and backends are verified with, one request each at most. A Secret with an
    authority is seldom of type TLS, and what others hold is not read.

    + policies: BackendTLSPolicies, Backends and ClientTrafficPolicies; + grants: ReferenceGrants
    """
    read: dict[tuple[str, str, str], Found | None] = {}
    for ref in authorities.refs(policies, grants):
        place = ref.kind, ref.namespace, ref.name
        if place not in read:
            read[place] = _authority(ref, seen)
        found = read[place]
        if found is not None or not ref.allowed:
            seen.authorities[ref] = found or ()


def _authority(ref: AuthorityRef, seen: Seen) -> Found | None:
    """What a reference leads to, None where that may not be read."""
    where = {"resource": ref.name, "namespace": ref.namespace}
    try:
        if ref.kind == "Secret":
            return _in_secret(ref, seen)
        thing = fact(KubeObject, api_version="v1", kind="ConfigMap", **where)
    except FactFailed as error:
        if not error.forbidden:
            raise
        seen.not_read[f"no right to read {ref.title}"] = "allow get and list there"
        return None
    if thing is None:
        return "does not exist"
    return authorities.bundle(thing.get("data") or {})


def _in_secret(ref: AuthorityRef, seen: Seen) -> Found | None:
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


def look(seen: Seen, namespace: str | None, addresses: bool) -> None:
    """
    Ask the proxies.

    + namespace: where they all are, None where each is beside its Gateway
    + addresses: whether load balancers can be reached from here; Pods are asked in any case,
      through the API server
    """
    found: list[Handshake] = []
    try:
        found += handshakes.at_pods(seen.listeners, namespace)
    except handshakes.Denied as denied:
        fix = "allow it (deploys/doctor.py has the list)"
        seen.not_read[f"{denied}: Pods were not asked one by one"] = fix
    if addresses:
        found += handshakes.at_addresses(seen.listeners)
    seen.handshakes = found


def try_overlaps(
    seen: Seen, gateways: Sequence[Object], routes: Sequence[Object], addresses: bool
) -> None:
    """
    Ask as a client would that reuses connections, and write down what would end it.

    + gateways, routes: of this cluster; + addresses: as for ``look``
    """
    served = seen.leaves
    found = overlap.overlaps(seen.listeners, served)
    if not found:
        return
    if addresses:
        seen.answers = coalescing.ask_all(found)
    seen.cures = cures.write(found, served, {host.name: gateways}, {host.name: routes})

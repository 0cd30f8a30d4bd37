"""
cert-manager as the inventory wants it: ACME ClusterIssuers, a Certificate for each entry of that
source, and proof that its certificate is issued and served.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks import certificates, change, gateways
from tasks.certificates import Every
from tasks.connectors import documents
from tasks.facts.kube import KubeObject, KubeObjects, ServedVersions
from tasks.facts.tls import TlsSecrets
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Certificate, Cluster
from tasks.fleet.render import render
from tasks.operations import cert_manager, handshakes
from tasks.operations.kube import apply_steps, wait_until
from tasks.plans import cert_manager as said
from tasks.plans import challenges, rotation
from tasks.plans.chains import Held
from tasks.plans.challenges import Installed, Ways
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, title
from tasks.plans.listeners import Handshake
from tasks.plans.rings import seconds

Object = Mapping[str, Any]
Place = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """A Certificate to be; + names: those of its entry, else of the listeners that use it"""

    entry: Certificate
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.entry.title


def set_up() -> None:
    """
    Deploy code: issuers, Certificates and grants of this cluster. Raises Refused for what the
    inventory rules out, before any cluster is touched.
    """
    data = fleet_run.cluster()
    bundles = _agreed(host.name, data)
    with attempt("Issuers") as it:
        fit(name="Preflight", data=data)
        gateways.watched(name="Watch traffic", data=data)
        applied(name="Issuers and Certificates", data=data, bundles=bundles)
        issued(name="Issued", data=data)
        served(name="Served", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def _agreed(name: str, data: Cluster) -> dict[str, str]:
    """By issuer, the authority of its ACME server in base64. Raises Refused."""
    problems = challenges.contradictions(_entries(data), data.issuers)
    bundles = {}
    for issuer in data.issuers:
        if issuer.ca is None:
            continue
        try:
            content = Path(issuer.ca).read_bytes()
        except OSError as error:
            problems.append(f"issuer {issuer.name}: ca: {issuer.ca}: {error.strerror}")
            continue
        if b"-----BEGIN CERTIFICATE-----" not in content:
            problems.append(f"issuer {issuer.name}: ca: {issuer.ca} holds no PEM certificate")
        bundles[issuer.name] = base64.b64encode(content).decode()
    if problems:
        raise fleet_run.Refused("\n".join(f"{name}: {it}" for it in problems))
    return bundles


def _entries(data: Cluster) -> list[Certificate]:
    return [it for it in data.certificates if it.source == "cert-manager"]


@fleet_operation()
def fit(data: Cluster) -> Steps:
    """Stop where cert-manager could not do what the inventory wants. Reads only."""
    yield from ()
    if not (data.issuers or _entries(data)):
        return
    every = certificates.objects()
    problems = challenges.missing(_installed(), data.issuers)
    if not problems:
        wanted = _wanted(data, every)
        problems = [*_unissuable(data, wanted), *_kept_by_others(wanted)]
        problems += _closed(data, wanted, every)
    if problems:
        raise DeployError("; ".join(problems))


@fleet_operation()
def applied(data: Cluster, bundles: Mapping[str, str]) -> Steps:
    """Server-side apply of issuers, grants and Certificates; nothing is deleted."""
    if not (data.issuers or _entries(data)):
        host.noop("the inventory has no issuers, and no certificate of source cert-manager")
        return

    def before() -> None:
        change.begin(data, release=False)

    yield from apply_steps(_objects(data, bundles), before=before)


@fleet_operation()
def issued(data: Cluster) -> Steps:
    """
    Wait until every issuer and Certificate is Ready. One that failed before this run is asked for
    again: cert-manager itself would wait for an hour and more.
    """
    yield from ()
    places = [_place(it) for it in _entries(data)]
    if not state.is_executing or not (places or data.issuers):
        return
    wait_until(partial(_unready_issuers, data), data.timeout)
    before: dict[Place, Object] = {}
    before.update((cert_manager.place(it), it) for it in cert_manager.certificates())
    for place in places:
        if place in before and said.gave_up(before[place]):
            change.begin(data, release=False)
            before[place] = cert_manager.asked(*place)
    wait_until(partial(_unissued, places, before), data.timeout)


@fleet_operation()
def served(data: Cluster) -> Steps:
    """
    Wait until every ready proxy and every address serve what was issued. Where nothing uses a
    Secret, the report says so.
    """
    yield from ()
    places = [_place(it) for it in _entries(data)]
    if not state.is_executing or not places:
        return
    listeners, held = certificates.listeners_of(data), _held(places)
    users = {it: rotation.users(listeners, *it) for it in places}
    seen: list[Handshake] = []

    def missing() -> list[str]:
        seen[:] = handshakes.look(data, [one for some in users.values() for one in some])
        return [
            f"Secret {'/'.join(it)}: {line}"
            for it in places
            for line in rotation.unserved(seen, users[it], held[it].chain, None)
        ]

    wait_until(missing, data.probe.timeout)
    for it in places:
        leaf, mine = held[it].chain.leaf, [one for one in seen if one.listener in users[it]]
        by = f"served by {rotation.places(mine)}" if mine else "no listener uses it"
        fleet_run.note(host, held[it].title, f"{leaf.text if leaf else 'empty'}, {by}")


def _place(entry: Certificate) -> Place:
    return entry.namespace, entry.secret


def _installed() -> Installed:
    """At most three requests."""
    served = fact(ServedVersions)
    found = fact(
        KubeObjects, api_version="apps/v1", kind="Deployment", labels=challenges.CONTROLLER
    )
    for it in found:
        for volume in it["spec"]["template"]["spec"].get("volumes") or ():
            if volume["name"] == "config" and volume.get("configMap"):
                return Installed(served, found, _configuration(it, volume["configMap"]["name"]))
    return Installed(served, found)


def _configuration(controller: Object, name: str) -> Object | None:
    """What cert-manager's chart writes from its value ``config``."""
    import yaml

    namespace = controller["metadata"]["namespace"]
    found = fact(KubeObject, api_version="v1", kind="ConfigMap", resource=name, namespace=namespace)
    try:
        read = documents.one(((found or {}).get("data") or {}).get("config.yaml", ""))
    except yaml.YAMLError:
        return None
    return read if isinstance(read, dict) else None


def _wanted(data: Cluster, every: Every) -> list[Wanted]:
    """The Certificates to be, with the names that each needs on this cluster."""
    entries = _entries(data)
    unnamed = any(not it.names for it in entries)
    listeners = certificates.listeners_of(data, every) if unnamed else []
    return [
        Wanted(
            it,
            tuple(it.names)
            or rotation.names((), rotation.users(listeners, *_place(it), it.grants)),
        )
        for it in entries
    ]


def _unissuable(data: Cluster, wanted: Sequence[Wanted]) -> list[str]:
    """Certificates that nobody could issue, a line each."""
    issuers = {f"ClusterIssuer {it.name}": it for it in data.issuers}
    found = []
    for it in wanted:
        if not it.names:
            found.append(f"{it.title}: no listener with a host name uses it: set names")
        issuer = issuers.get(str(it.entry.issuer))
        if issuer is not None:
            found += challenges.unprovable(it.title, it.names, issuer)
    return found


def _kept_by_others(wanted: Sequence[Wanted]) -> list[str]:
    """Secrets that somebody else writes again and again, a line each."""
    there = {cert_manager.place(it): it for it in cert_manager.certificates()}
    others = {
        (it["metadata"]["namespace"], it["spec"]["secretName"]): title(it)
        for place, it in there.items()
        if place != (it["metadata"]["namespace"], it["spec"]["secretName"])
    }
    held = _held([_place(it.entry) for it in wanted])
    found = []
    for it in wanted:
        place = _place(it.entry)
        own = f"Certificate {'/'.join(place)}"
        by = others.get(place) or (held[place].owner if place in held else None)
        if by not in (None, own):
            found.append(
                f"{it.title}: {by} keeps it, and two would undo each other: delete that, or take "
                "the certificate out of the inventory"
            )
    return found


def _closed(data: Cluster, wanted: Sequence[Wanted], every: Every) -> list[str]:
    """What stands in the way of challenges through Gateways, a line each."""
    if not any(it.http01 for it in data.issuers):
        return []
    classes, own = gateways.of_our_controller(
        data, every(GATEWAY_API, "GatewayClass"), every(GATEWAY_API, "Gateway")
    )
    namespaces = fact(KubeObjects, api_version="v1", kind="Namespace")
    ways = Ways(
        own,
        namespaces,
        every(GATEWAY_API, "HTTPRoute"),
        challenges.in_order(classes, own, every(ENVOY_GATEWAY, "EnvoyProxy")),
        every(ENVOY_GATEWAY, "SecurityPolicy"),
    )
    found = []
    for issuer in data.issuers:
        names: dict[str, list[str]] = {}
        for it in wanted:
            if it.entry.issuer == f"ClusterIssuer {issuer.name}":
                mine = [name for name in it.names if challenges.by_http01(name, issuer)]
                names.setdefault(it.entry.namespace, []).extend(mine)
        found += challenges.closed(issuer, names, ways)
    return found


def _objects(data: Cluster, bundles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Raises TemplateRefused."""
    found = []
    for issuer in data.issuers:
        found += render(
            "cert-manager/clusterissuer.yaml.j2",
            host.name,
            part=issuer.name,
            issuer=issuer,
            ca_bundle=bundles.get(issuer.name),
        )
    for it in _wanted(data, certificates.objects()):
        about = {"part": f"{it.entry.namespace}-{it.entry.secret}"}
        before = seconds(it.entry.renew_before or data.renew_before)
        found += render(
            "cert-manager/certificate.yaml.j2",
            host.name,
            **about,
            certificate=it.entry,
            names=list(it.names),
            renew_before=said.duration(before),
        )
        if it.entry.grants:
            found += render(
                "certificates/referencegrant.yaml.j2",
                host.name,
                **about,
                secret=it.entry.secret,
                namespace=it.entry.namespace,
                grants=it.entry.grants,
            )
    return found


def _unready_issuers(data: Cluster) -> list[str]:
    names = {it.name for it in data.issuers}
    if not names:
        return []
    listed = fact(KubeObjects, api_version=cert_manager.API, kind="ClusterIssuer")
    found = [said.not_ready(it) for it in listed if it["metadata"]["name"] in names]
    return [it for it in found if it]


def _unissued(places: Sequence[Place], before: Mapping[Place, Object]) -> list[str]:
    """Raises DeployError for a Certificate of which an attempt has failed meanwhile."""
    there = cert_manager.certificates()
    late = {
        cert_manager.place(it): it
        for it in there
        if cert_manager.place(it) in places and said.not_ready(it)
    }
    if not late:
        return []
    attempts = cert_manager.attempts()
    lines = []
    for place, it in late.items():
        why = said.cause(it, attempts)
        line = f"{title(it)}: {why}" if why else str(said.not_ready(it))
        if place in before and said.failed(it, before[place]):
            raise DeployError(line)
        lines.append(line)
    return lines


def _held(places: Iterable[Place]) -> dict[Place, Held]:
    """The Secrets that are there; one request a namespace."""
    found = [
        it for namespace in {it[0] for it in places} for it in fact(TlsSecrets, namespace=namespace)
    ]
    return {(it.namespace, it.name): it for it in found}

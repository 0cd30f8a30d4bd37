"""
What is due on a cluster, with what its source has for it, and the writes that bring it and take it
back. Nothing here waits for what is served.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks.checks.certificates import usable
from tasks.checks.findings import Finding, Severity, Where
from tasks.connectors.api import Api
from tasks.facts.kube import KubeObject
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact
from tasks.fleet.inventory import Certificate, Cluster
from tasks.fleet.trust import trusted
from tasks.operations import cert_manager, sources
from tasks.operations.objects import applied
from tasks.plans import chains, kinds, rotation, x509
from tasks.plans.chains import Chain
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.rings import seconds
from tasks.plans.rotation import Pair


@dataclass
class Rotation:
    """
    One Secret on its way.

    + why: such as "it ends 2026-12-01"; + users: listeners that serve it
    + current: what was in place, None for a first import; + former: the same with its key
    + pair: what to write, None where it is written already or where its owner writes it
    + certificate: the Certificate of cert-manager that is asked to renew it, None where none is
    + wanted: what must be served; + before: what was served
    + written: since when the cluster has it, on the monotonic clock
    """

    entry: Certificate
    why: str
    users: Sequence[Listener]
    current: Chain | None
    former: Pair | None = None
    pair: Pair | None = None
    certificate: str | None = None
    wanted: Chain = field(default_factory=lambda: Chain(()))
    before: Sequence[Handshake] = ()
    written: float | None = None
    proven: bool = False

    @property
    def title(self) -> str:
        return self.entry.title

    @property
    def old(self) -> x509.Certificate | None:
        return self.current.leaf if self.current else None


@dataclass
class Decided:
    """+ refused: by title, why what should be rotated must not be"""

    rotations: list[Rotation] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def decided(data: Cluster, listeners: Sequence[Listener]) -> Decided:
    """
    What is due on this cluster. One request a Secret, and those of its source.

    + listeners: all that take TLS
    """
    found = Decided()
    for entry in wanted(data):
        try:
            _decide_one(data, entry, listeners, found)
        except DeployError as error:
            found.refused[entry.title] = str(error)
    return found


def _decide_one(
    data: Cluster, entry: Certificate, listeners: Sequence[Listener], found: Decided
) -> None:
    """Raises DeployError where its source cannot be read."""
    secret = _secret(entry)
    unfit = rotation.wrong_type(secret)
    if unfit:
        raise DeployError(unfit)
    users = rotation.users(listeners, entry.namespace, entry.secret, entry.grants)
    current = chains.of_secret(secret).chain if secret else None
    run = rotation.unproven(secret, current.leaf if current else None)
    if run and current:
        former, why = rotation.pair(secret, rotation.BEFORE), f"run {run} did not prove it"
        before = chains.read(former.certificate, former.key) if former else None
        it = Rotation(entry, why, users, before, former, wanted=current, written=time.monotonic())
        found.rotations.append(it)
        return
    feeder = rotation.feeder(secret)
    pair = rotation.pair(secret)
    it = Rotation(entry, "", users, current, pair)
    if entry.source == "cert-manager" or feeder is not None:
        _decide_fed(data, it, feeder, found)
        return
    made_for = rotation.names(entry.names, users)
    names = rotation.needed(entry.names, users, it.old.names if it.old else ())
    offered = None
    if entry.source != "self-signed":
        it.pair = sources.material(data, entry, made_for)
        offered = it.wanted = chains.read(it.pair.certificate, it.pair.key)
    now = fleet_run.now()
    decision = rotation.decide(
        current,
        offered,
        usable(it.wanted, names, now, trusted(data)) if offered else (),
        names,
        now,
        _before(data, entry),
        data.renew_now,
    )
    if decision.refused:
        raise DeployError(decision.refused)
    if decision.waits:
        found.findings.append(_waiting(data, it, decision.waits))
    elif decision.why:
        it.why = decision.why
        if it.pair is None:
            it.pair = sources.material(data, entry, made_for)
            it.wanted = chains.read(it.pair.certificate, it.pair.key)
        found.rotations.append(it)


def _secret(entry: Certificate) -> dict[str, Any] | None:
    return fact(
        KubeObject,
        api_version="v1",
        kind="Secret",
        resource=entry.secret,
        namespace=entry.namespace,
    )


def _decide_fed(
    data: Cluster, it: Rotation, feeder: rotation.Feeder | None, found: Decided
) -> None:
    """A Secret that somebody else writes: he is asked where he can be. Raises DeployError."""
    before, asked = _before(data, it.entry), data.renew_now
    decision = rotation.decide(it.current, None, (), (), fleet_run.now(), before, asked)
    if decision.why is None:
        return
    it.why, it.former = decision.why, None
    if feeder is None:
        raise DeployError(
            f"{decision.why}, and no Certificate of cert-manager makes it: run deploys/issuers.py"
        )
    if feeder.certificate is None:
        raise DeployError(
            f"{decision.why}, and {feeder.title} writes it, over what would be written here: "
            "renew it there, or let go of the Secret there"
        )
    it.certificate = feeder.certificate
    found.rotations.append(it)


def wanted(data: Cluster) -> list[Certificate]:
    """The entries of the inventory that ``only`` leaves."""
    return [
        it
        for it in data.certificates
        if not data.only or any(fnmatchcase(it.title, one) for one in data.only)
    ]


def _before(data: Cluster, entry: Certificate) -> timedelta:
    return timedelta(seconds=seconds(entry.renew_before or data.renew_before))


def _waiting(data: Cluster, it: Rotation, why: str) -> Finding:
    """Due, and nothing to renew it with: as bad as its end is near."""
    end = it.old.not_after if it.old else fleet_run.now()
    left = (end - fleet_run.now()).total_seconds()
    severity: Severity = "info"
    if left <= seconds(data.expiring.warning):
        severity = "error" if left <= seconds(data.expiring.error) else "warning"
    return Finding(
        "GW603", severity, Where(host.name, it.title), why, "put the renewed one into its source"
    )


def lines(it: Rotation) -> list[str]:
    """For the plan: what goes and what comes."""
    new = it.wanted.leaf
    if it.certificate is not None:
        return [f"asks Certificate {it.entry.namespace}/{it.certificate} to renew it"]
    if it.pair is None:
        return []
    made = it.entry.source == "self-signed" and not state.is_executing
    comes = "made when it is written, self-signed" if made or new is None else new.text
    return [f"-{it.old.text}" if it.old else "-nothing", f"+{comes}"]


def write(it: Rotation, api: Api) -> None:
    """Raises ApiError."""
    if it.pair is None:
        return
    leaf = it.wanted.leaf
    mark = rotation.marked(fleet_run.current().id, leaf) if leaf and it.users else None
    _apply(api, it, it.pair, before=it.former if mark else None, mark=mark)
    it.written = time.monotonic()


def forget(it: Rotation, api: Api) -> None:
    """
    The former certificate and the mark, once the new one is proven. What cert-manager writes is not
    ours. Raises ApiError, 409 where somebody was faster.
    """
    if it.certificate is None:
        secret = api.json("GET", kinds.path("v1", "Secret", it.entry.namespace, it.entry.secret))
        pair = rotation.pair(secret)
        if pair is not None:
            _apply(api, it, pair, version=secret["metadata"]["resourceVersion"])


def write_back(it: Rotation, api: Api) -> None:
    if it.former is not None:
        _apply(api, it, it.former)


def _apply(api: Api, it: Rotation, now: Pair, **more: Any) -> None:
    """+ more: as ``rotation.manifest`` takes it"""
    manifest = rotation.manifest(it.entry.namespace, it.entry.secret, now, **more)
    applied(api, kinds.path_of(manifest), manifest)


def ask_cert_manager(data: Cluster, it: Rotation, found: Decided) -> None:
    """Waits for what it writes, which has to be served then; why it writes nothing is said."""
    try:
        cert_manager.renewed(data, it.entry.namespace, str(it.certificate), data.timeout)
    except DeployError as error:
        found.refused[it.title] = str(error)
        return
    secret = _secret(it.entry)
    if secret is not None:
        it.wanted, it.written = chains.of_secret(secret).chain, time.monotonic()

"""
TLS Secrets renewed in place: from their source, checked, written, and proven by handshakes with
every proxy and address. What is not proven goes back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import certificates, change, gateways
from tasks.checks.certificates import usable
from tasks.checks.findings import Finding, Severity, Where
from tasks.connectors.api import Api
from tasks.facts.kube import KubeObject
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Certificate, Cluster
from tasks.fleet.render import render
from tasks.operations import handshakes, sources
from tasks.operations.kube import apply_steps, show, wait_until
from tasks.operations.objects import Batch, applied
from tasks.plans import chains, kinds, rotation
from tasks.plans.chains import Chain
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.rings import seconds
from tasks.plans.rotation import Pair

Object = Mapping[str, Any]
#: Seconds between two looks at what is served.
LOOK = 0.25


@dataclass
class _Rotation:
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
        return _title(self.entry)

    @property
    def old(self) -> chains.Certificate | None:
        return self.current.leaf if self.current else None


@dataclass
class _Decided:
    """+ refused: by title, why what should be rotated must not be"""

    rotations: list[_Rotation] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


#: By cluster: what this run rotates.
_decided: dict[str, _Decided] = {}


def rotate() -> None:
    """
    Deploy code: the certificates of this cluster that are due; one that is not served in time goes
    back.
    """
    data = fleet_run.cluster()
    _known(data)
    with attempt("Rotate") as it:
        gateways.watched(name="Watch traffic", data=data)
        renewed(name="Certificates", data=data)
        proven(name="Served", data=data)
        refused(name="Refused", data=data)
    with it.rescue():
        put_back(name="Former certificates", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def _known(data: Cluster) -> None:
    """
    Raises Refused for a pattern that fits no certificate of the whole inventory, and for a Secret
    that has two sources.
    """
    own = [_title(it) for it in data.certificates]
    twice = next((it for it in own if own.count(it) > 1), None)
    if twice:
        raise fleet_run.Refused(
            f"{host.name}: {twice} is in certificates twice: remove one of them"
        )
    clusters = fleet_run.current().clusters.values() if data.only else ()
    every = {_title(it) for one in clusters for it in one.certificates}
    for pattern in data.only:
        if not any(fnmatchcase(it, pattern) for it in every):
            raise fleet_run.Refused(
                f'only: "{pattern}" fits no certificate of the inventory: write such as '
                '"Secret edge/shop-tls"'
            )


@fleet_operation()
def renewed(data: Cluster) -> Steps:
    """
    Write what is due, or ask cert-manager to. Where nothing is, nothing is written and no Lease is
    taken.
    """
    found = _decided[host.name] = _decide(data)
    if found.rotations and change.begin(data, release=False):
        found = _decided[host.name] = _decide(data)
    for finding in found.findings:
        if finding not in fleet_run.current().findings:  # the plan has said it
            fleet_run.current().findings.append(finding)
            host.log(finding.text)
    for it in found.rotations:
        show(f"Will rotate {it.title}: {it.why}", _lines(it))
    yield from _granted(data)
    if not found.rotations:
        host.noop("no certificate is due")
        return
    if state.is_executing:
        before = _look(data, [one for it in found.rotations for one in it.users])
        for it in found.rotations:
            it.before = [shake for shake in before if shake.listener in it.users]
            _leave_out_dead(it)
    unwritten: list[str] = []
    yield Batch([(it.title, partial(_write, it)) for it in found.rotations], unwritten)
    if state.is_executing:
        found.refused.update(it.partition(": ")[::2] for it in unwritten)
        for it in found.rotations:
            if it.certificate is not None:
                _ask_cert_manager(data, it, found)


@fleet_operation()
def proven(data: Cluster) -> Steps:
    """
    Wait until every ready proxy and every address serve the new certificates, and forget the former
    ones.
    """
    work = [it for it in _written() if not it.proven]
    if not state.is_executing or not work:
        return
    late: OperationError | None = None
    try:
        wait_until(partial(_unproven, data, work), data.probe.timeout, every=LOOK)
    except OperationError as error:
        late = error
    good = [it for it in work if it.proven]
    if good:
        left: list[str] = []
        yield Batch([(it.title, partial(_forget, it)) for it in good], left)
        for line in left:
            host.log(f"{line}: its former certificate stays in it until the next run")
    served = [(it.users, it.wanted, it.old) for it in good]
    fleet_run.current().bakes[host.name] = lambda: _unserved_addresses(data, served)
    if late is not None:
        raise late


@fleet_operation()
def refused(data: Cluster) -> Steps:
    """Fail the cluster where something was due and must not be, once all others are done."""
    yield from ()
    found = _decided.get(host.name)
    if found is None or not found.refused:
        return
    lines = [f"{title}: {why}" for title, why in found.refused.items()]
    if state.is_executing or fleet_run.current().dry:
        raise DeployError("; ".join(lines))
    for line in lines:
        show(f"Will not rotate {line}", [])


@fleet_operation()
def put_back(data: Cluster) -> Steps:
    """What nobody proved goes back to what was there, and that is proven too."""
    work = [it for it in _written() if not it.proven]
    back = [it for it in work if it.former is not None and it.certificate is None]
    for it in work:
        if it not in back:
            why = "nothing was there before" if it.certificate is None else "it is cert-manager's"
            fleet_run.note(host, it.title, f"stays as it was written: {why}")
    if not back:
        return
    unwritten: list[str] = []
    yield Batch([(it.title, partial(_write_back, it)) for it in back], unwritten)
    if unwritten:
        raise OperationError("; ".join(unwritten))
    after: list[Handshake] = []

    def missing() -> list[str]:
        after[:] = _look(data, [one for it in back for one in it.users])
        return [line for it in back for line in _not_back(it, after)]

    wait_until(missing, data.probe.timeout, every=LOOK)
    serials = ", ".join(f"{it.title} serial {it.old.serial}" for it in back if it.old)
    where = rotation.places(after)
    fleet_run.current().rolled_back[host.name] = f"to {serials}, served by {where}"
    fleet_run.journal("put back", cluster=host.name, secrets=[it.title for it in back])


def _decide(data: Cluster) -> _Decided:
    """What is due on this cluster. One request for each kind of the Gateway API, one a Secret."""
    found = _Decided()
    entries = [it for it in data.certificates if _chosen(it, data.only)]
    listeners = certificates.listeners_of(data) if entries else []
    for entry in entries:
        try:
            _decide_one(data, entry, listeners, found)
        except DeployError as error:
            found.refused[_title(entry)] = str(error)
    return found


def _decide_one(
    data: Cluster, entry: Certificate, listeners: Sequence[Listener], found: _Decided
) -> None:
    """Raises DeployError where its source cannot be read."""
    secret = fact(
        KubeObject,
        api_version="v1",
        kind="Secret",
        resource=entry.secret,
        namespace=entry.namespace,
    )
    unfit = rotation.wrong_type(secret)
    if unfit:
        raise DeployError(unfit)
    users = rotation.users(listeners, entry.namespace, entry.secret)
    current = chains.of_secret(secret).chain if secret else None
    run = rotation.unproven(secret, current.leaf if current else None)
    if run and current:
        former = rotation.pair(secret, rotation.BEFORE)
        why = f"run {run} did not prove it"
        found.rotations.append(
            _Rotation(entry, why, users, current, former, wanted=current, written=time.monotonic())
        )
        return
    feeder = rotation.feeder(secret)
    pair = rotation.pair(secret)
    it = _Rotation(entry, "", users, current, pair)
    if entry.source == "cert-manager" or feeder is not None:
        _decide_fed(data, it, feeder, found)
        return
    wanted = rotation.names(entry.names, users)
    offered = None
    if entry.source != "self-signed":
        it.pair = sources.material(data, entry, wanted)
        offered = it.wanted = chains.read(it.pair.certificate, it.pair.key)
    now = fleet_run.now()
    decision = rotation.decide(
        current,
        offered,
        usable(it.wanted, wanted, now, _roots(data)) if offered else (),
        wanted,
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
            it.pair = sources.material(data, entry, wanted)
            it.wanted = chains.read(it.pair.certificate, it.pair.key)
        found.rotations.append(it)


def _decide_fed(
    data: Cluster, it: _Rotation, feeder: rotation.Feeder | None, found: _Decided
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


def _chosen(entry: Certificate, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(_title(entry), it) for it in only)


def _title(entry: Certificate) -> str:
    return f"Secret {entry.namespace}/{entry.secret}"


def _before(data: Cluster, entry: Certificate) -> timedelta:
    return timedelta(seconds=seconds(entry.renew_before or data.renew_before))


def _roots(data: Cluster) -> frozenset[str] | None:
    """The authorities that a new chain must lead to, None where the inventory names none."""
    if data.trust is None:
        return None
    try:
        return chains.roots(Path(data.trust).read_bytes())
    except OSError as error:
        raise DeployError(f"trust: {data.trust} cannot be read: {error.strerror}") from error


def _waiting(data: Cluster, it: _Rotation, why: str) -> Finding:
    """Due, and nothing to renew it with: as bad as its end is near."""
    end = it.old.not_after if it.old else fleet_run.now()
    left = (end - fleet_run.now()).total_seconds()
    severity: Severity = "info"
    if left <= seconds(data.expiring.warning):
        severity = "error" if left <= seconds(data.expiring.error) else "warning"
    return Finding(
        "GW603", severity, Where(host.name, it.title), why, "put the renewed one into its source"
    )


def _lines(it: _Rotation) -> list[str]:
    """For the plan: what goes and what comes."""
    new = it.wanted.leaf
    if it.certificate is not None:
        return [f"asks Certificate {it.entry.namespace}/{it.certificate} to renew it"]
    if it.pair is None:
        return []
    made = it.entry.source == "self-signed" and not state.is_executing
    comes = "made when it is written, self-signed" if made or new is None else new.text
    return [f"-{it.old.text}" if it.old else "-nothing", f"+{comes}"]


def _granted(data: Cluster) -> Steps:
    """The ReferenceGrants of ``grants``; those of cert-manager are made by deploys/issuers.py."""
    grants = [
        thing
        for it in data.certificates
        if it.grants and it.source != "cert-manager" and _chosen(it, data.only)
        for thing in render(
            "certificates/referencegrant.yaml.j2",
            host.name,
            part=f"{it.namespace}-{it.secret}",
            secret=it.secret,
            namespace=it.namespace,
            grants=it.grants,
        )
    ]

    def before() -> None:
        change.begin(data, release=False)

    if grants:
        yield from apply_steps(grants, before=before)


def _write(it: _Rotation, api: Api) -> None:
    """Raises ApiError."""
    if it.pair is None:
        return
    leaf = it.wanted.leaf
    mark = rotation.marked(fleet_run.current().id, leaf) if leaf and it.users else None
    _apply(api, it, it.pair, before=it.former if mark else None, mark=mark)
    it.written = time.monotonic()


def _forget(it: _Rotation, api: Api) -> None:
    """
    The former certificate and the mark, once the new one is proven. What cert-manager writes is not
    ours. Raises ApiError, 409 where somebody was faster.
    """
    if it.certificate is None and it.users:
        secret = api.json("GET", kinds.path("v1", "Secret", it.entry.namespace, it.entry.secret))
        pair = rotation.pair(secret)
        if pair is not None:
            _apply(api, it, pair, version=secret["metadata"]["resourceVersion"])


def _write_back(it: _Rotation, api: Api) -> None:
    if it.former is not None:
        _apply(api, it, it.former)


def _apply(api: Api, it: _Rotation, now: Pair, **more: Any) -> None:
    """+ more: as ``rotation.manifest`` takes it"""
    manifest = rotation.manifest(it.entry.namespace, it.entry.secret, now, **more)
    applied(api, kinds.path_of(manifest), manifest)


def _ask_cert_manager(data: Cluster, it: _Rotation, found: _Decided) -> None:
    from tasks.operations import cert_manager

    try:
        cert_manager.renewed(data, it.entry.namespace, str(it.certificate), data.timeout)
    except DeployError as error:
        found.refused[it.title] = str(error)
        return
    secret = fact(
        KubeObject,
        api_version="v1",
        kind="Secret",
        resource=it.entry.secret,
        namespace=it.entry.namespace,
    )
    if secret is not None:
        it.wanted, it.written = chains.of_secret(secret).chain, time.monotonic()


def _written() -> list[_Rotation]:
    found = _decided.get(host.name)
    return [it for it in found.rotations if it.written is not None] if found else []


def _look(data: Cluster, listeners: Iterable[Listener]) -> list[Handshake]:
    """What is served where this machine can look. Raises DeployError where that is nowhere."""
    asked = list(dict.fromkeys(listeners))
    if not asked:
        return []
    place = data.namespace if data.deploy_type == "ControllerNamespace" else None
    found = handshakes.at_addresses(asked) if data.probe.enabled else []
    try:
        found += handshakes.at_pods(asked, place)
    except handshakes.Denied as error:
        if not data.probe.enabled:
            raise DeployError(
                f"nothing can be proven: {error}, and probe.enabled is false: allow one of them"
            ) from error
        fleet_run.note(host, "proxies", f"not asked one by one: {error}")
    return found


def _leave_out_dead(it: _Rotation) -> None:
    """A listener that served nothing before proves nothing, unless all of them are to begin now."""
    alive = [
        one for one in it.users if any(shake.chain for shake in it.before if shake.listener == one)
    ]
    dead = [one.text for one in it.users if one not in alive]
    if alive and dead:
        fleet_run.note(
            host, f"{it.title}: not proven", f"nothing was served before: {', '.join(dead)}"
        )
        it.users = alive


def _unproven(data: Cluster, work: Sequence[_Rotation]) -> list[str]:
    """What is missing, a line each; what is not missing any more is noted."""
    left = [it for it in work if not it.proven]
    _with_addresses(data, left)
    after = _look(data, [one for it in left for one in it.users])
    lines = []
    for it in left:
        missing = rotation.unserved(after, it.users, it.wanted, it.old)
        if data.probe.enabled:
            missing += [f"{one.text}: no address yet" for one in it.users if not one.addresses]
        if missing:
            lines += [f"{it.title}: {line}" for line in missing]
        else:
            _note(it, [one for one in after if one.listener in it.users])
    return lines


def _with_addresses(data: Cluster, work: Sequence[_Rotation]) -> None:
    """A Gateway gets its address when its first listener is programmed."""
    if not data.probe.enabled or all(one.addresses for it in work for one in it.users):
        return
    listeners = certificates.listeners_of(data)
    for it in work:
        mine = {(one.owner, one.name) for one in it.users}
        users = rotation.users(listeners, it.entry.namespace, it.entry.secret)
        it.users = [one for one in users if (one.owner, one.name) in mine] or it.users


def _note(it: _Rotation, after: Sequence[Handshake]) -> None:
    it.proven = True
    took = time.monotonic() - (it.written or 0.0)
    old, new = it.old.serial if it.old else "none", it.wanted.leaf
    serial = new.serial if new else "none"
    by = (
        f"served by {rotation.places(after)} after {took:.1f} s" if after else "no listener uses it"
    )
    fleet_run.note(host, it.title, f"serial {old} → {serial}, {by}: {it.why}")
    for place, text in rotation.serials(it.before, after).items():
        fleet_run.note_answer(host, place, text)
    fleet_run.journal(
        "rotated", cluster=host.name, secret=it.title, old=old, new=serial, seconds=round(took, 3)
    )


def _not_back(it: _Rotation, after: Sequence[Handshake]) -> list[str]:
    """Where the former certificate was served before, and is not again."""
    good = {(one.place, one.listener, one.sni) for one in it.before if one.chain}
    asked = [one for one in after if (one.place, one.listener, one.sni) in good]
    users = {one.listener for one in asked}
    missing = rotation.unserved(asked, users, it.current or Chain(()), None)
    return [f"{it.title}: {line}" for line in missing]


def _unserved_addresses(
    data: Cluster,
    served: Sequence[tuple[Sequence[Listener], Chain, chains.Certificate | None]],
) -> list[str]:
    """For baking: what was proven and does not hold any more."""
    if not data.probe.enabled:
        return []
    return [
        line
        for users, wanted, old in served
        if users
        for line in rotation.unserved(handshakes.at_addresses(users), users, wanted, old)
    ]

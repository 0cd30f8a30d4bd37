"""
TLS Secrets renewed in place: from their source, checked, written, and proven by handshakes with
every proxy and address. What is not proven goes back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import certificates, change, gateways
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.render import render
from tasks.operations import handshakes, renewals
from tasks.operations.kube import apply_steps, show, wait_until
from tasks.operations.objects import Batch
from tasks.operations.renewals import Decided, Rotation
from tasks.plans import rotation, x509
from tasks.plans.chains import Chain
from tasks.plans.listeners import Handshake, Listener

#: Seconds between two looks at what is served.
LOOK = 0.25

#: By cluster: what this run rotates.
_decided: dict[str, Decided] = {}


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
    own = [it.title for it in data.certificates]
    twice = next((it for it in own if own.count(it) > 1), None)
    if twice:
        raise fleet_run.Refused(
            f"{host.name}: {twice} is in certificates twice: remove one of them"
        )
    clusters = fleet_run.current().clusters.values() if data.only else ()
    every = {it.title for one in clusters for it in one.certificates}
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
    found = _decided[host.name] = _look_for_due(data)
    if found.rotations and change.begin(data, release=False):
        found = _decided[host.name] = _look_for_due(data)
    for finding in found.findings:
        if finding not in fleet_run.current().findings:  # the plan has said it
            fleet_run.current().findings.append(finding)
            host.log(finding.text)
    for it in found.rotations:
        show(f"Will rotate {it.title}: {it.why}", renewals.lines(it))
    yield from _granted(data)
    if not found.rotations:
        host.noop("no certificate is due")
        return
    if state.is_executing:
        before = handshakes.look(data, [one for it in found.rotations for one in it.users])
        for it in found.rotations:
            it.before = [shake for shake in before if shake.listener in it.users]
            _leave_out_dead(it)
    unwritten: list[str] = []
    yield Batch([(it.title, partial(renewals.write, it)) for it in found.rotations], unwritten)
    if state.is_executing:
        found.refused.update(it.partition(": ")[::2] for it in unwritten)
        for it in found.rotations:
            if it.certificate is not None:
                renewals.ask_cert_manager(data, it, found)


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
        yield Batch([(it.title, partial(renewals.forget, it)) for it in good], left)
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
    if not change.begun():  # somebody else works here
        return
    change.begin(data, release=False)
    work = [it for it in _written() if not it.proven]
    back = [it for it in work if it.former is not None and it.certificate is None]
    for it in work:
        if it not in back:
            why = "nothing was there before" if it.certificate is None else "it is cert-manager's"
            fleet_run.note(host, it.title, f"stays as it was written: {why}")
    if not back:
        return
    unwritten: list[str] = []
    yield Batch([(it.title, partial(renewals.write_back, it)) for it in back], unwritten)
    if unwritten:
        raise OperationError("; ".join(unwritten))
    after: list[Handshake] = []

    def missing() -> list[str]:
        after[:] = handshakes.look(data, [one for it in back for one in it.users])
        return [line for it in back for line in _not_back(it, after)]

    wait_until(missing, data.probe.timeout, every=LOOK)
    serials = ", ".join(f"{it.title} serial {it.old.serial}" for it in back if it.old)
    where = rotation.places(after)
    fleet_run.current().rolled_back[host.name] = f"to {serials}, served by {where}"
    fleet_run.journal("put back", cluster=host.name, secrets=[it.title for it in back])


def _look_for_due(data: Cluster) -> Decided:
    """One request for each kind of the Gateway API; none where the inventory has no certificate."""
    listeners = certificates.listeners_of(data) if renewals.wanted(data) else []
    return renewals.decided(data, listeners)


def _granted(data: Cluster) -> Steps:
    """The ReferenceGrants of ``grants``; those of cert-manager are made by deploys/issuers.py."""
    grants = [
        thing
        for it in renewals.wanted(data)
        if it.grants and it.source != "cert-manager"
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


def _written() -> list[Rotation]:
    found = _decided.get(host.name)
    return [it for it in found.rotations if it.written is not None] if found else []


def _leave_out_dead(it: Rotation) -> None:
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


def _unproven(data: Cluster, work: Sequence[Rotation]) -> list[str]:
    """What is missing, a line each; what is not missing any more is noted."""
    left = [it for it in work if not it.proven]
    _with_addresses(data, left)
    after = handshakes.look(data, [one for it in left for one in it.users])
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


def _with_addresses(data: Cluster, work: Sequence[Rotation]) -> None:
    """A Gateway gets its address when its first listener is programmed."""
    if not data.probe.enabled or all(one.addresses for it in work for one in it.users):
        return
    listeners = certificates.listeners_of(data)
    for it in work:
        mine, entry = {(one.owner, one.name) for one in it.users}, it.entry
        users = rotation.users(listeners, entry.namespace, entry.secret, entry.grants)
        it.users = [one for one in users if (one.owner, one.name) in mine] or it.users


def _note(it: Rotation, after: Sequence[Handshake]) -> None:
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


def _not_back(it: Rotation, after: Sequence[Handshake]) -> list[str]:
    """Where the former certificate was served before, and is not again."""
    good = {(one.place, one.listener, one.sni) for one in it.before if one.chain}
    asked = [one for one in after if (one.place, one.listener, one.sni) in good]
    users = {one.listener for one in asked}
    missing = rotation.unserved(asked, users, it.current or Chain(()), None)
    return [f"{it.title}: {line}" for line in missing]


def _unserved_addresses(
    data: Cluster,
    served: Sequence[tuple[Sequence[Listener], Chain, x509.Certificate | None]],
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

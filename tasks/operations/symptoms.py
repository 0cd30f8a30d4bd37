"""
What a walk through a runbook sees beside objects: how requests of ours ended, how long others took,
which certificates proxies show, and what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.connectors.api import ApiError
from tasks.diagnosis import access_logs
from tasks.diagnosis.evidence import Entry, Evidence, Exchange
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import session
from tasks.fleet.inventory import Cluster
from tasks.operations import admin, asked, probe
from tasks.plans import probes, requests
from tasks.plans.kinds import KINDS, title
from tasks.plans.runbooks import reading
from tasks.plans.runbooks.source import Asked, Served, Timed, Wanted

Object = Mapping[str, Any]
#: Lines of each access log, for the step that asks whose time it is.
LINES, SECONDS = 500, 900


def unread(known: Evidence) -> frozenset[str]:
    """Kinds that could not be listed; a gap names them by their resource."""
    resources = {
        f"{it.plural}.{group}" if group else it.plural: kind for (group, kind), it in KINDS.items()
    }
    return frozenset(resources[it.what] for it in known.gaps if it.what in resources)


def unserved(known: Evidence, wanted: Wanted) -> frozenset[str]:
    """Kinds of the inventory's objects that the API server does not know."""
    if known.served is None:
        return frozenset()
    kinds = {(it["apiVersion"].rpartition("/")[0], it["kind"]) for it in wanted.manifests.values()}
    return frozenset(
        kind
        for group, kind in kinds
        if group and f"{KINDS[group, kind].plural}.{group}" not in known.served
    )


def sent(
    data: Cluster,
    wanted: Wanted,
    known: Evidence,
    about: Sequence[str],
    question: Exchange | None,
) -> list[Asked]:
    """Requests of ours, and how they ended: the one that is asked about, else one a route."""
    if not data.probe.enabled:
        return []
    if data.request:
        return list(_question(data, wanted, known, question))
    objects = known.objects or ()
    routes = {title(it): it for it in wanted.manifests.values() if it["kind"] == "HTTPRoute"}
    routes |= {title(it): it for it in objects if it["kind"] == "HTTPRoute"}
    every = [
        request
        for it in objects
        if it["kind"] == "Gateway" and "/".join(reading.place(it)) in about
        for request in _requests(it, wanted, routes.values())
    ]
    outcomes = probe.send_all(list(dict.fromkeys(every)))
    return [_asked(request, outcome) for request, outcome in outcomes.items()]


def _requests(
    gateway: Object, wanted: Wanted, routes: Iterable[Object]
) -> Iterator[probes.Request]:
    """Of the Gateway as the inventory has it, where it does: one that was changed is the fault."""
    manifest = wanted.manifests.get(title(gateway), gateway)
    listed = list(routes)
    shown = {**gateway, "spec": {**gateway["spec"], "listeners": manifest["spec"]["listeners"]}}
    own = [wanted.manifests.get(title(it), it) for it in listed]
    yield from probes.requests(shown, own)


def _asked(request: probes.Request, outcome: probes.Answer | str) -> Asked:
    problem = (
        f"{request.text}: {outcome}"
        if isinstance(outcome, str)
        else probes.problem(request, outcome)
    )
    text = "" if isinstance(outcome, str) else outcome.text
    return Asked(request.gateway, request.text, request.host, request.route, problem, text)


def _question(
    data: Cluster, wanted: Wanted, known: Evidence, question: Exchange | None
) -> Iterator[Asked]:
    assert data.request is not None
    meant = requests.parsed(data.request)
    listed = [it for it in known.objects or () if it["kind"] == "Gateway"]
    at = requests.entrance(meant, listed)
    if question is None and at is not None and at.address and (meant.safe or data.send):
        question = asked.send(meant, at)
    gateway = at.gateway if at else ""
    if question is None or (question.status is None and question.error is None):
        if meant.safe:
            lost = f"{meant.text}: no Gateway has an address for it"
            yield Asked(gateway, meant.text, meant.host, "", lost)
        return
    status, empty = question.status or 0, not question.body
    problem = question.error
    if problem is None and (status >= 500 or (status == 404 and empty)):
        problem = f"{status}{' from Envoy itself' if empty else ''}"
    said = f"{meant.text}: {problem}" if problem else None
    yield Asked(gateway, meant.text, meant.host, "", said, str(status))


def times(known: Evidence, read: bool) -> Iterator[Timed]:
    """Newest lines of the access logs. + read: where nobody read them for a request"""
    entries = [*known.entries]
    if not entries and read:
        for it in known.proxies:
            namespace, _, pod = it.name.removeprefix("Pod ").partition("/")
            try:
                lines = admin.log(session(), namespace, pod, "envoy", lines=LINES, seconds=SECONDS)
            except ApiError:
                continue
            entries += [
                one for one in access_logs.entries(lines, it.name) if isinstance(one, Entry)
            ]
    for one in entries:
        if one.duration is not None:
            where = one.upstream_cluster or one.route or ""
            yield Timed(one.duration, one.upstream_time, one.status or 0, one.flags or "", where)


def served(known: Evidence, namespace: str) -> list[Served] | None:
    """What proxies show to clients, and to the controller, which runs in ``namespace``."""
    told = [it for it in known.proxies if it.certs is not None]
    if not told:
        return None
    found = []
    for it in told:
        for context in (it.certs or {}).get("certificates") or ():
            for leaf in (context.get("cert_chain") or ())[:1]:
                names = [one.get("dns") for one in leaf.get("subject_alt_names") or ()]
                days = leaf.get("days_until_expiration")
                own = f"*.{namespace}" in names
                if days is not None:
                    text = ", ".join(str(name) for name in names if name)
                    found.append(Served(it.name, text, _days(leaf, int(days)), own))
    return found


def _days(leaf: Object, said: int) -> int:
    """Envoy says 0 for a certificate that has ended."""
    try:
        until = datetime.fromisoformat(str(leaf.get("expiration_time")))
    except ValueError:
        return said
    return (until - fleet_run.now()).days

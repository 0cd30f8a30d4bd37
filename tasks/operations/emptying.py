"""
The target of a drill or a rehearsal: everything that is on it, and what was brought there taken
away again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import DeployError, OperationError

from tasks.connectors.api import Api, ApiError, anew
from tasks.connectors.command import METADATA_ONLY, Call, KubeCommand
from tasks.facts.kube import KubeObject, KubeObjects, Resources
from tasks.fleet.guard import Steps, fact, session
from tasks.fleet.render import render
from tasks.operations import stand_ins
from tasks.operations.kube import apply_steps, wait_until
from tasks.plans import emptying, kinds
from tasks.plans.emptying import NAME, NAMESPACE, Found, Mark
from tasks.plans.evidence import Emptied
from tasks.plans.resources import Resource

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
#: Requests at a time.
AT_ONCE = 8
#: Seconds in which a controller takes proxies away and gives its finalizers up.
PATIENCE = 60.0
PROXIES = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"


def everything() -> list[Found]:
    """Every object of this cluster without its contents, one LIST a kind."""
    resources: list[Resource] = fact(Resources)
    return _everything_of(emptying.listable(resources))


def read_mark() -> Mark | None:
    """What a drill noted here, or None. Raises DeployError where it cannot be understood."""
    found = fact(KubeObject, api_version="v1", kind="ConfigMap", resource=NAME, namespace=NAMESPACE)
    try:
        return emptying.read_mark(found) if found is not None else None
    except ValueError as error:
        raise DeployError(
            f"ConfigMap {NAMESPACE}/{NAME} cannot be read ({error}): empty this cluster by hand, "
            "then delete it"
        ) from error


def taken(
    what: str,
    about: tuple[str, str, str],
    objects: Sequence[Mapping[str, Any]],
    place: tuple[str, str],
    timeout: float,
) -> Generator[PyinfraCommand, None, Mark]:
    """
    The steps that take an empty cluster: what an own run that was broken off left there goes first;
    then it is noted what is there, before anything else is written. What is noted is returned.

    + what: such as "drill"; + about: run, source and archive; + objects: that will be brought
    + place: name and namespace of the Helm release

    Raises DeployError where the cluster is not empty.
    """
    old = read_mark()
    if old is not None:
        host.log(f"{what} {old.run} of {old.source} was broken off here: what it left goes first")
        if state.is_executing:
            empty(old, timeout)
            yield KubeCommand("DELETE", mark_path(), ok=[404])
    release, namespace = place
    brought = emptying.namespaces(objects, namespace, stand_ins.NAMESPACE)
    there = everything()
    in_the_way = emptying.in_the_way(there, objects, release, brought)
    if in_the_way and (state.is_executing or old is None):
        raise DeployError(
            f"{in_the_way[0]} is there{_more(in_the_way)}: a {what} restores into an empty cluster "
            "only, and deletes nothing that it did not bring: empty it, or name another target"
        )
    mark = Mark(*about, brought, release, namespace, frozenset(it.key for it in there))
    yield from apply_steps(_manifest(mark))
    return mark


def _manifest(mark: Mark) -> list[dict[str, Any]]:
    before = emptying.packed(mark.before)
    listed = {**vars(mark), "namespaces": sorted(mark.namespaces), "before": ()}  # no sets there
    return render("drill/mark.yaml.j2", host.name, name=NAME, mark=listed, before=before)


def mark_path() -> str:
    return kinds.path("v1", "ConfigMap", NAMESPACE, NAME)


def empty(mark: Mark, timeout: float) -> Emptied:
    """
    Delete what a drill brought, wave by wave, and wait until each is gone; a listing of every kind
    proves it. The mark stays, it is the caller's.

    Raises OperationError where something stays, or where the cluster is in use by others.
    """
    before = everything()
    in_use = emptying.of_others(mark, before)
    if in_use:
        raise OperationError(
            f"{in_use[0]} is not of the drill{_more(in_use)}: this cluster is in use, nothing is "
            "deleted: empty it by hand, or take drill_source away"
        )
    ours = emptying.made_by(mark, before)
    for name, things in emptying.waves(mark, ours):
        if not things:
            continue
        host.log(f"takes away {len(things)} objects: {name}")
        if name == "namespaces":
            _end_workloads([it.meta["name"] for it in things], timeout)
        _deleted(things)
        if things[0].resource.group in emptying.GROUPS:
            _leave_in_peace(things)
        wait_until(partial(_left, things), timeout)
    after = everything()
    left = [it.title for it in emptying.made_by(mark, after)]
    if left:
        raise OperationError(f"{left[0]} is still there{_more(left)}: run the same command again")
    return Emptied(emptying.counted(ours), True, emptying.came_meanwhile(mark, after))


def destroyed(mark: Mark, identities: Sequence[Mapping[str, Any]], timeout: float) -> Steps:
    """
    The steps that delete objects which a drill brought, and wait until they are gone, namespaces
    with all that is in them. Raises OperationError for one that was there before the drill.

    + identities: such as ``[{"apiVersion": "v1", "kind": "Namespace", "metadata": {...}}]``
    """
    wanted = {kinds.path_of(it) for it in identities}
    there = everything()
    things = [it for it in there if it.path in wanted]
    foreign = [it.title for it in things if it not in emptying.made_by(mark, things)]
    if foreign:
        raise OperationError(f"{foreign[0]} is not of this drill{_more(foreign)}: nothing is lost")
    _end_workloads([it.meta["name"] for it in things if it.kind == emptying.NAMESPACES], timeout)
    for it in things:
        yield KubeCommand("DELETE", it.path, ok=[404])
    if any(it.kind == emptying.CRDS for it in things):
        _leave_in_peace([it for it in there if it.resource.group in emptying.GROUPS])
    wait_until(partial(_left, things), timeout)


def _leave_in_peace(things: Sequence[Found]) -> None:
    """
    Give the controller time to take proxies and load balancers away and to let go of its objects;
    where it does not, or is gone itself, its finalizers are taken off.
    """

    def behind() -> list[str]:
        proxies = [
            kinds.title(it)
            for version, kind in (
                ("apps/v1", "Deployment"),
                ("apps/v1", "DaemonSet"),
                ("v1", "Service"),
            )
            for it in fact(KubeObjects, api_version=version, kind=kind, labels=PROXIES)
        ]
        return [*_left(things), *(f"{it} is still there" for it in proxies)]

    try:
        wait_until(behind, PATIENCE)
    except OperationError as error:
        host.log(f"no controller took them away: {error}")
        _refused(_each(partial(_let_go, session()), things))


def _deleted(things: Sequence[Found]) -> None:
    """
    Several at once; but CRDs one after the other, for an API server works each out on one core and
    answers several at once too late.
    """
    at_once = 1 if any(it.kind == emptying.CRDS for it in things) else AT_ONCE
    _refused(_each(partial(_delete, session()), things, at_once))


def _end_workloads(namespaces: Sequence[str], timeout: float) -> None:
    """
    Pods first, without grace: nobody sends to the proxies of a drill, and a namespace with Pods
    that may drain for six minutes is looked at again after three.
    """
    for it in namespaces:
        for kind in ("Deployment", "DaemonSet"):
            _ask(session(), _collection(kinds.path("apps/v1", kind, it)))

    def running() -> list[str]:
        for it in namespaces:
            _ask(session(), _collection(kinds.path("v1", "Pod", it), gracePeriodSeconds="0"))
        pods = (fact(KubeObjects, api_version="v1", kind="Pod", namespace=it) for it in namespaces)
        return [f"{kinds.title(one)} is still there" for them in pods for one in them]

    wait_until(running, timeout)


def _collection(path: str, **query: str) -> Call:
    return Call("DELETE", path, query, None, JSON, None, frozenset())


def _left(things: Sequence[Found]) -> list[str]:
    """Those that are still there, a line each."""
    wanted = {it.key for it in things}
    there = _everything_of(list(dict.fromkeys(it.resource for it in things)))
    return [f"{it.title} is still there" for it in there if it.key in wanted]


def _everything_of(resources: Sequence[Resource]) -> list[Found]:
    from gevent.pool import Pool

    pages = Pool(AT_ONCE).map(partial(_listed, session()), resources)
    return [it for page in pages for it in page]


def _listed(api: Api, resource: Resource) -> list[Found]:
    path = resource.path()

    def found() -> list[Found]:
        pages = api.pages(path, METADATA_ONLY)
        return [Found(resource, it["metadata"]) for page in pages for it in page["items"]]

    try:
        return anew(found)
    except ApiError as error:
        # Its CRD went meanwhile, and no group without a dot has one; or it is served, not stored.
        if error.status == 405 or (error.status == 404 and "." in resource.group):
            return []
        raise DeployError(f"GET {path}: {error}") from error


def _each(
    act: Callable[[Found], str | None], things: Sequence[Found], at_once: int = AT_ONCE
) -> list[str]:
    from gevent.pool import Pool

    return [it for it in Pool(at_once).map(act, things) if it]


def _refused(problems: Sequence[str]) -> None:
    if problems:
        raise OperationError(f"{problems[0]}{_more(problems)}")


def _delete(api: Api, it: Found) -> str | None:
    return _ask(api, Call("DELETE", it.path, {}, None, JSON, None, frozenset()))


def _let_go(api: Api, it: Found) -> str | None:
    body = {"metadata": {"finalizers": None}}
    return _ask(api, Call("PATCH", it.path, {}, body, MERGE_PATCH, None, frozenset()))


def _ask(api: Api, call: Call) -> str | None:
    """Why it was refused, or None; what is gone already needs nothing."""
    try:
        api.text(call)
    except ApiError as error:
        return None if error.status == 404 else f"{call.method} {call.path}: {error}"
    return None


def _more(lines: Sequence[str]) -> str:
    return f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""

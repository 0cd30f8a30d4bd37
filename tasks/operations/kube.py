"""Objects of a cluster: apply, delete, and wait until they hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks.connectors.command import KubeCommand
from tasks.facts.kube import KubeApplyPlan, KubeObject, KubeObjects, Manifest, apply_command
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation
from tasks.fleet.plan import coloured
from tasks.plans import kinds, objects

#: Seconds between two looks at the cluster, and between two lines that say what is still awaited.
POLL, SAY = 1.0, 10.0


@fleet_operation()
def apply(manifests: Sequence[Mapping[str, Any]], force: bool = False) -> Steps:
    """
    Server-side apply of objects, in the order of what they refer to. One LIST a kind, compared
    here; a dry run only for what differs, all of them before the first write, so that an object
    the server refuses stops the cluster while nothing of this operation was changed.

    + manifests: such as ``[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name":
      "edge"}}]``
    + force: take fields over from other managers; without it a conflict names manager and field
    """
    yield from apply_steps(manifests, force)


def apply_steps(
    manifests: Sequence[Mapping[str, Any]],
    force: bool = False,
    before: Callable[[], None] = lambda: None,
    live: Mapping[str, Mapping[str, Any]] | None = None,
    place: Callable[[Mapping[str, Any]], str] = lambda _: "",
    conflict: str = "let that manager give the field up, or leave it out of the inventory",
) -> Steps:
    """
    The steps of ``apply``, for operations that do more than that. + before: called where something
    is going to be written, and not else; + live: the objects by path, where they were read already
    + place: where an object is written, such as "objects/shop.yaml", for messages; + conflict: what
      to do where another manager has a field
    """
    wanted = kinds.in_order([dict(it) for it in manifests])
    live = live_objects(wanted) if live is None else live
    writes: list[Manifest] = []
    for manifest in map(Manifest, wanted):
        current = live.get(kinds.path_of(manifest))
        if objects.is_applied(manifest, current):
            continue
        where = f" ({place(manifest)})" if place(manifest) else ""
        planned, unchecked = _planned(manifest, force, where, conflict), ""
        if planned is None:
            if not any(_makes_way_for(manifest, it) for it in writes) and state.is_executing:
                raise OperationError(
                    f"{manifest}{where}: its namespace {manifest['metadata'].get('namespace')} or "
                    "its kind does not exist on this cluster: apply it, or the CRDs, first"
                )
            planned, unchecked = (
                manifest,
                " (not checked by the server: its namespace is not there yet)",
            )
        lines = objects.diff(current, planned)
        if not lines and current is not None and objects.owned_fields(current) is not None:
            continue
        show(f"Will {'change' if current else 'create'} {manifest}{unchecked}", lines)
        writes.append(manifest)
    if not writes:
        host.noop(f"{len(wanted)} objects are as they should be")
        return
    before()
    for manifest in writes:
        yield apply_command(manifest, force)


@fleet_operation()
def delete(api_version: str, kind: str, resource: str, namespace: str | None = None) -> Steps:
    """
    Delete one object and wait until it is gone.

    + resource: its name
    """
    path = kinds.path(api_version, kind, namespace, resource)
    place = f"{namespace}/" if namespace else ""
    if (
        fact(KubeObject, api_version=api_version, kind=kind, resource=resource, namespace=namespace)
        is None
    ):
        host.noop(f"{kind} {place}{resource} does not exist")
        return
    yield KubeCommand("DELETE", path, query={"propagationPolicy": "Foreground"}, ok=[404])

    def still_there() -> list[str]:
        found = fact(
            KubeObject, api_version=api_version, kind=kind, resource=resource, namespace=namespace
        )
        held_by = ((found or {}).get("metadata") or {}).get("finalizers") or []
        return [f"{kind} {place}{resource} is still there (finalizers {held_by})"] if found else []

    if state.is_executing:
        wait_until(still_there, timeout=120)


def deleted_steps(identities: Sequence[Mapping[str, Any]]) -> Steps:
    """
    Delete objects that may be there, such as ``[{"apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": "one", "namespace": "demo"}}]``.
    """
    live = live_objects(identities)
    for it in identities:
        if kinds.path_of(it) in live:
            show(f"Will delete {kinds.title(it)}", [])
            yield KubeCommand("DELETE", kinds.path_of(it), ok=[404])


def live_objects(wanted: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """
    The objects of the cluster by path, one LIST for each kind and, where all are in one, namespace.
    """
    found: dict[str, dict[str, Any]] = {}
    ordered = sorted(wanted, key=lambda it: (it["apiVersion"], it["kind"]))
    for (api_version, kind), group in groupby(
        ordered, key=lambda it: (it["apiVersion"], it["kind"])
    ):
        places = {it["metadata"].get("namespace") for it in group}
        listed = fact(
            KubeObjects,
            api_version=api_version,
            kind=kind,
            namespace=places.pop() if len(places) == 1 else None,
        )
        found.update({kinds.path_of(it): it for it in listed})
    return found


def _planned(manifest: Manifest, force: bool, where: str, conflict: str) -> dict[str, Any] | None:
    try:
        return fact(KubeApplyPlan, manifest=manifest, force=force)
    except FactFailed as error:
        text = str(error)
        if ": 409 " in text:
            reason = text.partition(": 409 ")[2]
            raise OperationError(f"{manifest}{where}: {reason}: {conflict}") from error
        raise OperationError(
            f"{manifest}{where}: refused by the API server: {text.partition(': ')[2]}"
        ) from error


def _makes_way_for(manifest: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """
    Whether ``other``, applied earlier in this operation, creates the namespace of ``manifest``.
    """
    namespace = manifest["metadata"].get("namespace")
    return bool(other["kind"] == "Namespace" and other["metadata"]["name"] == namespace)


def show(title: str, lines: Sequence[str]) -> None:
    """
    One change of this cluster, for the plan: once, while planning or while executing under ``-y``.
    A plan is printed for the whole fleet (``tasks.fleet.plan``), under ``-y --diff`` it is here.
    """
    if state.is_executing == state.should_check_for_changes():
        return
    changes = fleet_run.current().plan.setdefault(host.name, [])
    if (title, tuple(lines)) in changes:
        return
    changes.append((title, tuple(lines)))
    if state.is_executing and state.config.DIFF:
        host.log("\n    ".join([title, *map(coloured, lines)]))


@contextmanager
def narrated(what: str, missing: Callable[[], Sequence[str]]) -> Iterator[None]:
    """
    While a program works that says nothing itself (``helm --wait``), say every ten seconds what is
    missing.

    + what: such as ``"helm upgrade"``
    + missing: called in a greenlet of its own: read with the connector's ``api``, not with facts
    """
    import gevent
    from pyinfra.context import ctx_host, ctx_state

    this_host, this_state, begun = ctx_host.get(), ctx_state.get(), time.monotonic()

    def tell() -> None:
        with ctx_state.use(this_state), ctx_host.use(this_host):
            while True:
                time.sleep(SAY)
                try:
                    left = list(missing())
                except Exception as error:  # only the narration is lost
                    left = [f"cannot look: {error}"]
                text = left[0] if left else "nothing visible is missing"
                fleet_run.current().awaited[this_host.name] = text
                host.log(f"{what} ({time.monotonic() - begun:.0f} s): {text}")

    fleet_run.current().awaited.pop(this_host.name, None)
    teller = gevent.spawn(tell)
    try:
        yield
    finally:
        teller.kill()


def wait_until(
    missing: Callable[[], Sequence[str]], timeout: float, settled: float = 0, every: float = POLL
) -> None:
    """
    Look again and again until nothing is missing, and say what still is, on a change and every ten
    seconds.

    + missing: what is not yet so, such as ``["Gateway edge/public: Programmed is False:
      AddressNotAssigned"]``
    + timeout: seconds
    + settled: seconds for which nothing may be missing before that counts
    + every: seconds between two looks

    Raises OperationError with what was still missing.
    """
    begun = time.monotonic()
    said, said_at, good_since = "", begun, None
    while True:
        try:
            left = list(missing())
        except FactFailed as error:  # an API server that is away for a moment is awaited too
            left = [str(error)]
        now = time.monotonic()
        if not left:
            good_since = good_since or now
            if now - good_since >= settled:
                return
        else:
            good_since = None
        text = left[0] + (f" (and {len(left) - 1} more)" if len(left) > 1 else "") if left else ""
        if now - begun > timeout and left:
            raise OperationError(f"not reached within {timeout:.0f} s: {'; '.join(left)}")
        if text and (text != said or now - said_at >= SAY):
            if now - begun >= POLL:
                host.log(f"waits ({now - begun:.0f} of {timeout:.0f} s): {text}")
            said, said_at = text, now
        time.sleep(every)

"""Actions as values: what changes, how that is said, and what brings back what was there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.runbooks.source import Action, Object, Target, Verb

GONE = "a Pod that was deleted does not come back: its owner makes another, and its log is lost"


def of(thing: Object) -> Target:
    meta = thing["metadata"]
    return Target(thing["apiVersion"], thing["kind"], meta.get("namespace") or "", meta["name"])


def scaled(workload: Object, replicas: int) -> Action:
    now, target = workload["spec"].get("replicas", 1), of(workload)
    return Action(
        "patch",
        target,
        f"Scale {target.text} from {now} to {replicas}",
        f"kubectl scale {target.kind.lower()} {target.name} --namespace {target.namespace} "
        f"--replicas {replicas}",
        {"spec": {"replicas": replicas}},
    )


def patched(thing: Object, what: str, body: Object) -> Action:
    """A merge patch of ``thing`` (RFC 7386): null removes, a list replaces."""
    target = of(thing)
    command = (
        f"kubectl patch {target.kind.lower()} {target.name} --namespace {target.namespace} "
        "--type merge --patch ..."
    )
    return Action("patch", target, what, command, body)


def restarted(what: str, pods: Sequence[Object]) -> Action | None:
    """Delete Pods, so that their owner makes them anew; None where there are none."""
    if not pods:
        return None
    first, *others = (of(it) for it in pods)
    names = " ".join(it["metadata"]["name"] for it in pods)
    return Action(
        "delete",
        first,
        f"Restart {what}: delete {', '.join(title(it) for it in pods)}",
        f"kubectl delete pod {names} --namespace {first.namespace}",
        also=tuple(others),
        lost=GONE,
    )


def applied(manifest: Object, live: Object | None) -> Action:
    """The inventory's own manifest, put where it is missing or differs."""
    target = of(manifest)
    verb = "Create" if live is None else "Put back"
    return Action(
        "apply",
        target,
        f"{verb} {target.text} as the inventory has it",
        "kubectl apply --server-side --force-conflicts --filename rendered/...",
        manifest,
    )


def secret(namespace: str, name: str, source: str, command: str) -> Action:
    """
    + source: "inventory" or "backup"; + command: see ``Wanted.command``
    """
    target = Target("v1", "Secret", namespace, name)
    only = f"--data only='[\"{target.text}\"]'"
    if source == "inventory":
        return Action(
            "rotate",
            target,
            f"Make {target.text} from the source that the inventory names",
            f"{command.format('rotate_certificates')} {only} --data renew_now=true",
            lost="a Secret that was renewed keeps its new certificate: the one before is in the "
            "newest backup",
        )
    return Action(
        "restore",
        target,
        f"Create {target.text} from the newest backup",
        f"{command.format('restore')} {only}",
    )


def merged(live: Any, patch: Any) -> Any:
    """What a merge patch makes of an object (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(live) if isinstance(live, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def inverse(live: Any, patch: Object) -> dict[str, Any]:
    """The merge patch that brings back what ``patch`` changes in ``live``."""
    known = live if isinstance(live, Mapping) else {}
    found: dict[str, Any] = {}
    for key, value in patch.items():
        was = known.get(key)
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            found[key] = inverse(was, value)
        else:
            found[key] = was
    return found


def difference(was: Object, now: Object) -> dict[str, Any]:
    """The merge patch that makes ``was`` of ``now``; null for what ``was`` does not have."""
    found: dict[str, Any] = {key: None for key in now if key not in was}
    for key, value in was.items():
        other = now.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            below = difference(value, other)
            if below:
                found[key] = below
        elif value != other:
            found[key] = value
    return found


def undo(verb: Verb, target: Target, body: Object | None = None) -> dict[str, Any]:
    """One way back as the journal keeps it; ``undone`` reads it."""
    return {"verb": verb, **vars(target), "body": body or {}}


def undone(entries: Iterable[Mapping[str, Any]]) -> list[Action]:
    """The actions that take back what journal entries "action" did, newest first."""
    found = []
    for entry in reversed([*entries]):
        for it in reversed(entry.get("undo") or []):
            target = Target(it["api_version"], it["kind"], it["namespace"], it["name"])
            how = "Delete" if it["verb"] == "delete" else "Put back"
            what = f"{how} {target.text}, as it was before: {entry.get('what', '')}"
            found.append(Action(it["verb"], target, what, body=it.get("body") or {}))
    return found

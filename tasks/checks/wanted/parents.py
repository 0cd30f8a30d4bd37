"""Routes and ListenerSets whose parent is not there, or does not take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.checks.findings import Finding
from tasks.checks.wanted.view import ROUTES, Object, Slot, View
from tasks.plans.arm import at, objects, texts
from tasks.plans.kinds import GATEWAY_API, title
from tasks.plans.listeners import common
from tasks.plans.references import Reference

PARENTS = ("Gateway", "ListenerSet")


def missing(view: View) -> Iterator[Finding]:
    """GW314: no parent, no such listener, or one that does not admit the route."""
    for route in view.wanted_of(*ROUTES):
        for ref in objects(route, "spec", "parentRefs"):
            target = view.parent(route, ref)
            if target.group != GATEWAY_API or target.kind not in PARENTS:
                continue
            problem = _problem(view, route, ref, target)
            if problem:
                yield view.finding("GW314", "error", route, *problem)
    for owner in view.wanted_of("ListenerSet"):
        problem = _of_set(view, owner)
        if problem:
            yield view.finding("GW314", "error", owner, *problem)


def taking(view: View, route: Object, slots: Sequence[Slot]) -> list[Slot]:
    """Those of the listeners that take a route."""
    kind, namespace = route["kind"], route["metadata"]["namespace"]
    return [
        it
        for it in slots
        if it.takes_kind(kind) and view.admits(it, namespace) and hosts(route, it)
    ]


def hosts(route: Object, slot: Slot) -> list[str]:
    """The names for which a listener sends requests to a route, "*" for every name."""
    names = texts(route, "spec", "hostnames")
    if not names or slot.protocol in ("TCP", "UDP"):
        return [slot.hostname or "*"]
    return [found for it in names if (found := common(it, slot.hostname))]


def _problem(view: View, route: Object, ref: Object, target: Reference) -> tuple[str, str] | None:
    """What is wrong and what to do."""
    if view.every.get(target) is None:
        known = view.live is not None
        return (
            (f"{target.title} does not exist", "create it, or correct parentRefs")
            if known
            else None
        )
    named = view.named_slots(route, ref)
    if not named:
        wanted = ref.get("sectionName") or f"of port {ref.get('port')}"
        names = ", ".join(it.name for it in view.slots.get(target, ())) or "none"
        return f"{target.title} has no listener {wanted}", f"name one that it has: {names}"
    if taking(view, route, named):
        return None
    kind, namespace = route["kind"], route["metadata"]["namespace"]
    where = named[0].title if len(named) == 1 else f"no listener of {target.title}"
    verb = "takes no" if len(named) == 1 else "takes a"
    of_kind = [it for it in named if it.takes_kind(kind)]
    if not of_kind:
        return f"{where} {verb} {kind}", "attach it to a listener of its protocol"
    admitting = [it for it in of_kind if view.admits(it, namespace)]
    if not admitting:
        what = f"{where} {'does not take' if len(named) == 1 else 'takes'} routes of namespace"
        return f"{what} {namespace}", "let it in with allowedRoutes, or keep both together"
    names = ", ".join(it.hostname or "*" for it in admitting)
    what = f"no name of the route is one that {target.title} listens to ({names})"
    return what, "correct hostnames of the route or of the listener"


def _of_set(view: View, owner: Object) -> tuple[str, str] | None:
    target = view.parent(owner, at(owner, "spec", "parentRef"))
    gateway = view.every.get(target)
    if gateway is None:
        known = view.live is not None
        return (
            (f"{target.title} does not exist", "create it, or correct parentRef") if known else None
        )
    allowed = at(gateway, "spec", "allowedListeners")
    if view.lets_in(allowed, gateway, owner["metadata"]["namespace"], "None"):
        return None
    namespace = owner["metadata"]["namespace"]
    what = f"{title(gateway)} takes no ListenerSet of namespace {namespace}"
    return what, "let it in with allowedListeners of the Gateway"

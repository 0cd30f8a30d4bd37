"""Two routes for one request, and two listeners for one port."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding
from tasks.checks.wanted.parents import hosts, taking
from tasks.checks.wanted.view import ROUTES, Object, Slot, View
from tasks.plans.arm import number, objects, text
from tasks.plans.kinds import title
from tasks.plans.listeners import merged
from tasks.plans.references import to

#: What goes together on a port, if the host names differ (Gateway API spec, Listener).
FAMILY = {"HTTP": "HTTP", "HTTPS": "TLS", "TLS": "TLS", "TCP": "TCP", "UDP": "UDP"}


def routes(view: View) -> Iterator[Finding]:
    """GW315: of two routes for one host and one match, the younger one gets nothing."""
    first: dict[tuple[Any, ...], Object] = {}
    said = set()
    for kind in ROUTES:
        for route in view.of(kind):
            for place, request in _requests(view, route):
                key = (kind, *place, request)
                other = first.setdefault(key, route)
                pair = to(route), to(other)
                if other is route or pair in said or not view.is_wanted(route):
                    continue
                said.add(pair)
                owner, listener, host = place
                origin = view.origins.get(to(other))
                by = f"{title(other)}{f' ({origin})' if origin else ''}"
                what = f"takes {_text(host, request)} at listener {listener} of {owner}, "
                what += f"and so does {by}"
                fix = "give each its own host or match, or join them in one route"
                yield view.finding("GW315", "error", route, what, fix)


def ports(view: View) -> Iterator[Finding]:
    """GW316: listeners of one Gateway, its ListenerSets or merged Gateways that clash."""
    merging = merged(view.of("GatewayClass"), view.of_envoy("EnvoyProxy"))
    sockets: dict[tuple[str, int | None, bool], list[Slot]] = {}
    for slots in view.slots.values():
        for slot in slots:
            of_class = text(slot.gateway, "spec", "gatewayClassName")
            shared = of_class if of_class in merging else title(slot.gateway)
            port = number(slot.listener, "port")
            sockets.setdefault((shared, port, slot.protocol == "UDP"), []).append(slot)
    for (_, port, _), slots in sockets.items():
        for index, slot in enumerate(slots):
            for other in slots[:index]:
                why = _clash(other, slot)
                later = slot if view.is_wanted(slot.owner) else other
                if why and view.is_wanted(later.owner):
                    what = f"listener {later.name} shares port {port} with "
                    what += f"{(other if later is slot else slot).title}: {why}"
                    fix = "give it another port or hostname"
                    yield view.finding("GW316", "error", later.owner, what, fix)
                    break


def _clash(one: Slot, two: Slot) -> str | None:
    families = {FAMILY.get(it.protocol, it.protocol) for it in (one, two)}
    if len(families) > 1:
        return f"{one.protocol} and {two.protocol} cannot"
    if families & {"TCP", "UDP"} or one.hostname == two.hostname:
        return f"both are for {two.hostname or 'every name'}"
    return None


def _requests(view: View, route: Object) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Where it attaches, such as ("Gateway edge/public", "https", "a.example.com"), and matches."""
    matches = list(dict.fromkeys(_matches(route)))
    for ref in objects(route, "spec", "parentRefs"):
        for slot in taking(view, route, view.named_slots(route, ref)):
            for host in hosts(route, slot):
                for match in matches:
                    yield (title(slot.owner), slot.name, host), match


def _matches(route: Object) -> Iterator[str]:
    """Each match of a route in one form, whatever the order in which it is written."""
    for rule in objects(route, "spec", "rules") or [{}]:
        for match in objects(rule, "matches") or [{}]:
            yield json.dumps(_normal(route["kind"], match), sort_keys=True)


def _normal(kind: str, match: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    if kind == "HTTPRoute":
        path = match.get("path") if isinstance(match.get("path"), Mapping) else {}
        value = text(path, "value") or "/"
        by = text(path, "type") or "PathPrefix"
        found["path"] = [by, value.rstrip("/") or "/" if by == "PathPrefix" else value]
    if "method" in match:
        found["method"] = match["method"]
    for field in ("headers", "queryParams"):
        listed = objects(match, field)
        if listed:
            found[field] = sorted(
                [text(it, "type") or "Exact", text(it, "name").lower(), text(it, "value")]
                for it in listed
            )
    return found


def _text(host: str, request: str) -> str:
    """Such as "shop.example.com/cart with method and headers"."""
    match = json.loads(request)
    path = match.pop("path", None)
    name = "every name" if host == "*" else host
    return f"{name}{path[1] if path else ''}" + (f" with {' and '.join(match)}" if match else "")

"""Policies that are for nothing, and two of a kind for one target."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.checks.findings import Finding
from tasks.checks.wanted.view import Object, View
from tasks.plans.arm import objects, text
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS, title
from tasks.plans.listeners import selected
from tasks.plans.references import Reference, to

POLICIES = (
    (ENVOY_GATEWAY, "ClientTrafficPolicy"),
    (ENVOY_GATEWAY, "BackendTrafficPolicy"),
    (ENVOY_GATEWAY, "SecurityPolicy"),
    (ENVOY_GATEWAY, "EnvoyExtensionPolicy"),
    (ENVOY_GATEWAY, "EnvoyPatchPolicy"),
    (GATEWAY_API, "BackendTLSPolicy"),
)
#: Of which several may have one target: each adds patches.
SEVERAL = ("EnvoyPatchPolicy",)


def aimless(view: View) -> Iterator[Finding]:
    """GW319: a target that does not exist, or a selector that selects nothing."""
    for policy in view.wanted:
        if (policy["apiVersion"].rpartition("/")[0], policy["kind"]) not in POLICIES:
            continue
        for ref in _refs(policy):
            target = _target(policy, ref)
            there, section = view.every.get(target), text(ref, "sectionName")
            if there is None and view.live is not None:
                what, fix = f"{target.title} does not exist", "create it, or correct targetRefs"
                yield view.finding("GW319", "error", policy, what, fix)
            elif there is not None and section and section not in _sections(there):
                what = f"{target.title} has no {section}"
                fix = f"correct sectionName: {', '.join(sorted(_sections(there))) or 'none'}"
                yield view.finding("GW319", "error", policy, what, fix)
        for selector in objects(policy, "spec", "targetSelectors"):
            if view.live is not None and not any(
                _selects(policy, selector, it) for it in view.every.values()
            ):
                kind = text(selector, "kind")
                what = f"its targetSelectors select no {kind} in its namespace"
                yield view.finding("GW319", "warning", policy, what, "correct the labels")


def rivals(view: View) -> Iterator[Finding]:
    """GW320: of two policies of a kind for one target, the younger one does nothing."""
    for group, kind in POLICIES:
        if kind in SEVERAL:
            continue
        first: dict[tuple[Reference, str], Object] = {}
        for policy in view.of(kind, group):
            for ref in _refs(policy):
                key = _target(policy, ref), text(ref, "sectionName")
                other = first.setdefault(key, policy)
                if other is policy or not view.is_wanted(policy):
                    continue
                place = key[0].title + (f", {key[1]}" if key[1] else "")
                origin = view.origins.get(to(other))
                by = f"{title(other)}{f' ({origin})' if origin else ''}"
                what = f"is for {place}, and so is {by}: only the older one counts"
                yield view.finding("GW320", "error", policy, what, "join them in one policy")


def _refs(policy: Object) -> list[Object]:
    spec = policy.get("spec") or {}
    one = spec.get("targetRef")
    return [*objects(spec, "targetRefs"), *([one] if isinstance(one, dict) else [])]


def _target(policy: Object, ref: Object) -> Reference:
    group, kind = text(ref, "group"), text(ref, "kind")
    known = KINDS.get((group, kind))
    namespace = policy["metadata"]["namespace"] if known is None or known.namespaced else None
    return Reference(group, kind, namespace, text(ref, "name"))


def _sections(thing: Object) -> set[str]:
    """What a sectionName may name: listeners, rules of a route, ports of a Service."""
    lists = (objects(thing, "spec", it) for it in ("listeners", "rules", "ports"))
    return {text(it, "name") for found in lists for it in found} - {""}


def _selects(policy: Object, selector: Object, thing: Object) -> bool:
    meta = thing["metadata"]
    return bool(
        thing["kind"] == text(selector, "kind")
        and meta.get("namespace") == policy["metadata"]["namespace"]
        and selected(meta.get("labels") or {}, selector)
    )

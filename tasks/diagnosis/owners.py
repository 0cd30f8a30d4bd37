"""
Whose it is: the objects behind what Envoy did with a request, by names that Envoy Gateway gives
and by what the objects themselves say. Of a plain Envoy, its listener, table or cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.diagnosis.case import Case
from tasks.diagnosis.config import Listener, Route
from tasks.diagnosis.diagnosis import Ref
from tasks.diagnosis.objects import KINDS, OF_POLICY, OF_SERVICE, ROUTES, Rule, at, ref, rule_of

#: What filters are called that a policy's part becomes.
FILTERS: Mapping[str, str] = {
    "jwt": "jwt_authn",
    "authorization": "rbac",
    "extAuth": "ext_authz",
    "faultInjection": "fault",
    "rateLimit": "ratelimit",
}


def route_of(case: Case) -> Ref:
    """The route that this request takes; its table where no object is known."""
    return made_from(case.route, case.rule) or table_of(case)


def made_from(route: Route | None, rule: Rule | None = None) -> Ref | None:
    """The object that Envoy Gateway made a route from."""
    for it in route.resources if route is not None else ():
        if it.get("kind") in ROUTES:
            kind, name = str(it["kind"]), str(it.get("name", ""))
            return Ref(kind, name, str(it.get("namespace", "")))
    made = rule or (rule_of(route.name) if route is not None else None)
    return made.route if made is not None else None


def table_of(case: Case) -> Ref:
    table = case.matched.table if case.matched is not None else None
    return Ref("RouteConfiguration", table.name if table is not None else "")


def field_of(it: Ref, of_route: str, of_table: str) -> str:
    """What is wrong by its name in a route, or by its name in a RouteConfiguration."""
    return of_route if it.kind.endswith("Route") else of_table


def filters_of(case: Case, of_table: str) -> tuple[Ref, str]:
    """The route of the request, and the field that redirects, rewrites or answers there."""
    it = route_of(case)
    rule = f"spec.rules[{case.rule_index}].filters"
    return it, field_of(it, rule, f"virtual_hosts[].routes[].{of_table}")


def gateway_of(case: Case) -> Ref:
    """Of the listener that the request came to; of the port that the log names."""
    listener = case.listener
    if listener is None and case.configuration is not None:
        port = case.entry.port if case.entry is not None else None
        near = [it for it in case.configuration.listeners if it.port == port]
        listener = near[0] if len(near) == 1 else None
    return gateway_with(case, listener)


def gateway_with(case: Case, listener: Listener | None) -> Ref:
    """The Gateway of a listener; the listener itself where Envoy is not a Gateway's."""
    parts = listener.name.split("/") if listener is not None else []
    if len(parts) >= 3 and case.from_gateway:
        return Ref("Gateway", parts[1], parts[0])
    first = next(case.objects.of("Gateway"), None)
    if first is not None:
        return ref(first)
    kind = "Gateway" if listener is None and case.from_gateway else "Listener"
    return Ref(kind, listener.name if listener is not None else "")


def service_of(case: Case) -> Ref:
    """
    The Service behind the request: of the endpoint that was asked, else of the rule's
    backendRefs, else of Envoy's names; the cluster where there is none.
    """
    backends = case.objects.backends(case.rule) if case.rule is not None else ()
    asked = case.objects.services_at(case.upstream_host) if case.upstream_host else ()
    if asked:
        return next((it for it in asked if it in backends), asked[0])
    if backends:
        return _least_ready(case, backends)
    for it in case.endpoints or ():
        if found := case.objects.services_at(it.address):
            return found[0]
    if (named := OF_SERVICE.search(case.cluster_name)) is not None:
        return Ref("Service", named[2], named[1])
    if case.rule is not None:
        return Ref("Service", case.rule.route.name, case.rule.route.namespace)
    return _called_alike(case) or Ref("Cluster", case.cluster_name)


def cluster_of(case: Case) -> Ref:
    """As ``service_of``, but always the cluster where Envoy is not a Gateway's."""
    return service_of(case) if case.from_gateway else Ref("Cluster", case.cluster_name)


def _least_ready(case: Case, backends: Sequence[Ref]) -> Ref:
    """The first of those that are least ready."""

    def readiness(it: Ref) -> float:
        if it.kind == "Service" and case.objects.get(it) is None:
            return -1.0
        found = case.objects.readiness(it)
        return 1.0 if found is None else found[0] / max(found[1], 1)

    return min(backends, key=readiness)


def _called_alike(case: Case) -> Ref | None:
    """The one Service that is called as the cluster is."""
    services = [ref(it) for it in case.objects.of("Service")]
    found = [it for it in services if it.name == case.cluster_name]
    return found[0] if len(found) == 1 else None


def policy_of(case: Case, kind: str, *keys: str) -> Ref | None:
    """The policy for this request that has one of the keys in its spec, or that Envoy names."""
    backends = case.objects.backends(case.rule) if case.rule is not None else ()
    targets = [route_of(case), *(backends or (service_of(case),)), gateway_of(case)]
    for it in case.objects.policies(kind, targets):
        spec = at(it, "spec")
        if isinstance(spec, dict) and (not keys or any(key in spec for key in keys)):
            return ref(it)
    named = _named_policy(case, kind, keys)
    there = named is not None and case.objects.get(named) is not None
    return named if there or not case.objects.known else None


def _named_policy(case: Case, kind: str, keys: Sequence[str]) -> Ref | None:
    filters = [FILTERS[key] for key in keys if key in FILTERS]
    for one in case.filters_of_route:
        found = OF_POLICY.search(one)
        wanted = not filters or any(it in one for it in filters)
        if found is not None and wanted and KINDS[found[1]] == kind:
            return Ref(kind, found[3], found[2])
    return None


def carrier(case: Case, filter: str) -> Ref:
    """Where no policy is known: what has the filter's configuration."""
    if case.from_gateway:
        return route_of(case)
    matched = case.matched
    parts = (matched.route, matched.host, matched.table) if matched is not None else ()
    for it in parts:
        per_filter = at(it.raw, "typed_per_filter_config") if it is not None else None
        if isinstance(per_filter, dict) and any(filter in name for name in per_filter):
            return table_of(case)
        if filter == "ratelimit" and it is not None and "'rate_limits'" in str(it.raw):
            return table_of(case)
    listener = case.listener
    return Ref("Listener", listener.name) if listener is not None else table_of(case)

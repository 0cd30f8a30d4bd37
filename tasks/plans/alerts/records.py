"""
Recorded series: what rules and panels ask again and again, computed once.

Three levels. ``gateway:`` is what clients of a Gateway get, all its proxies together. ``backend:``
is a cluster of Envoy, which is one rule of a route; ``route:`` is all rules of a route. A level has
one series an object, however many proxies there are. Ratios over long windows are sums of the
five-minute rates, not rates over raw series: days of samples of every proxy would be read for each.
Those over days are sums of every fifth: five times the samples took a third of all evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks.plans import slo
from tasks.plans.alerts.source import Record
from tasks.plans.metrics import LISTENERS

GATEWAY = "gateway_namespace, gateway, gateway_class"
BACKEND = f"{GATEWAY}, envoy_cluster_name"
ROUTE = f"{GATEWAY}, route_kind, route_namespace, route"
HOURS, DAYS = slo.ALL[:-1], slo.ALL[-1:]
#: Listeners of users.
USERS = f'envoy_http_conn_manager_prefix=~"{LISTENERS}"'
#: Clusters of routes: "httproute/shop/cart/rule/0".
ROUTES = 'envoy_cluster_name=~"[a-z]+route/.+"'
#: Prometheus 3 writes the edge of a bucket as "1000.0".
WITHIN = 'le=~"${within}(\\\\.0)?"'
#: 503 of the circuit breaker: waiting requests, and since Envoy 1.38 parallel ones on their own.
SHED = ("envoy_cluster_upstream_rq_pending_overflow", "envoy_cluster_upstream_rq_active_overflow")
#: The backend ends a connection while it is asked (HTTP/1), a stream (HTTP/2), or speaks no HTTP.
BROKEN = (
    "envoy_cluster_upstream_cx_destroy_remote_with_active_rq",
    "envoy_cluster_upstream_rq_rx_reset",
    "envoy_cluster_upstream_cx_protocol_error",
)
#: What Envoy answers 5xx for a cluster without an answer of the backend, by what alerts call it;
#: ``cx_none_healthy`` is another one.
LOCAL = {
    "shed": SHED,
    "broken": BROKEN,
    "unreachable": ("envoy_cluster_upstream_rq_pending_failure_eject",),
    "timeouts": ("envoy_cluster_upstream_rq_timeout",),
}


def rate(by: str, name: str, matchers: str) -> str:
    """Of a counter over five minutes, which is at least four scrapes."""
    return f"sum by ({by}) (rate({name}{{{matchers}}}[5m]))"


def rates(by: str, names: Iterable[str], matchers: str) -> str:
    """
    Of counters of one object together, of which it has all or none. Each is summed up first: to
    match the label sets of all proxies takes three times as long.
    """
    return "\n+ ".join(rate(by, it, matchers) for it in names)


def _of_route(expr: str) -> str:
    """With the labels of the route that a cluster of Envoy is named for."""
    labels = ("route_kind", "route_namespace", "route")
    named = '"envoy_cluster_name", "([a-z]+)/([^/]+)/([^/]+)/.+"'
    parts = "\n".join(f', "{it}", "${number}", {named})' for number, it in enumerate(labels, 1))
    return f"{'label_replace(' * len(labels)}\n{expr}\n{parts}"


def _born(by: str, name: str, matchers: str) -> str:
    """
    Rate of a counter that Envoy makes when it first counts: five minutes long all that it counted,
    for ``rate`` does not see what a series is born with. Only where its proxy was scraped before
    that, as all series look new to a Prometheus that is.
    """
    series = f"{name}{{{matchers}}}"
    return f"""sum by ({by}) (
  ({series} unless {series} offset 5m) / 300
    and count_over_time({series}[5m])
      < on (namespace, pod) group_left
        max by (namespace, pod) (count_over_time(envoy_server_live[5m]))
  or rate({series}[5m])
)"""


def _ratios(level: str, part: str, whole: str, windows: tuple[str, ...]) -> list[Record]:
    """Such as gateway:envoy_errors:ratio1h, the part of all requests of an hour that failed."""

    def of(window: str) -> str:
        if window == "5m":
            return f"{level}:envoy_{part}:rate5m / {level}:envoy_{whole}:rate5m"
        if window in DAYS:
            # Of what is younger than what is kept, the longest window that it has.
            whole_window = _over(level, part, whole, "kept5m", window)
            return f"{whole_window}\nor {level}:envoy_{part}:ratio{HOURS[-1]}"
        return _over(level, part, whole, "rate5m", window)

    return [
        Record(
            f"{level}:envoy_{part}:ratio{it}", of(it), group="day-records" if it in DAYS else None
        )
        for it in windows
    ]


def _over(level: str, part: str, whole: str, kept: str, window: str) -> str:
    """The sum of a part by that of the whole."""
    return " / ".join(f"sum_over_time({level}:envoy_{it}:{kept}[{window}])" for it in (part, whole))


def _kept(level: str) -> list[Record]:
    """Every fifth of the five-minute rates: end to end, they are all that was counted."""
    return [
        Record(
            f"{level}:envoy_{it}:kept5m",
            f"{level}:envoy_{it}:rate5m",
            group="kept-records",
            every="5m",
        )
        for it in ("requests", "errors", "timed", "slow")
    ]


def _over_time(level: str, windows: tuple[str, ...], requests: tuple[str, ...]) -> list[Record]:
    """What a level has over long windows, and how many requests it is computed from."""
    return [
        *(
            Record(
                f"{level}:envoy_requests:rate{it}",
                f"avg_over_time({level}:envoy_requests:rate5m[{it}])",
            )
            for it in requests
        ),
        *_part_of_all(level, windows),
    ]


def _part_of_all(level: str, windows: tuple[str, ...]) -> list[Record]:
    return [
        *_ratios(level, "errors", "requests", windows),
        *_ratios(level, "slow", "timed", windows),
    ]


def _backend(name: str, expr: str) -> Record:
    return Record(f"backend:envoy_{name}:rate5m", _of_route(expr))


def _slow(timed: str, by: str, name: str, matchers: str) -> str:
    return f"{timed} - on ({by}) {rate(by, f'{name}_bucket', f'{matchers}, {WITHIN}')}"


def most(gauge: str) -> str:
    """Proxies learn of an endpoint one after another: the one that knows most."""
    return f"max by ({BACKEND}) ({gauge}{{{ROUTES}}})"


_TIME = "envoy_http_downstream_rq_time"
_BACKEND_TIME = "envoy_cluster_upstream_rq_time"
_ERRORS = rate(GATEWAY, "envoy_http_downstream_rq_xx", f'{USERS}, envoy_response_code_class="5"')
_BACKENDS = (
    _backend("requests", rate(BACKEND, "envoy_cluster_upstream_rq_xx", ROUTES)),
    _backend(
        "errors",
        _born(BACKEND, "envoy_cluster_upstream_rq_xx", f'{ROUTES}, envoy_response_code_class="5"')
        + "\nor sum by ("
        + BACKEND
        + ") (backend:envoy_requests:rate5m) * 0",
    ),
    *(Record(f"backend:envoy_{it}:rate5m", rates(BACKEND, LOCAL[it], ROUTES)) for it in LOCAL),
    _backend(
        "local_errors",
        "\n+ ".join(
            (
                *(f"backend:envoy_{it}:rate5m" for it in LOCAL),
                rate(BACKEND, "envoy_cluster_upstream_cx_none_healthy", ROUTES),
            )
        ),
    ),
    _backend("timed", rate(BACKEND, f"{_BACKEND_TIME}_count", ROUTES)),
    _backend("slow", _slow("backend:envoy_timed:rate5m", BACKEND, _BACKEND_TIME, ROUTES)),
    Record("backend:envoy_endpoints:max", most("envoy_cluster_membership_total")),
    # Beside what it is computed from: a round later, what failed since would be Envoy's own.
    Record(
        "gateway:envoy_own_errors:rate5m",
        f"""clamp_min({_ERRORS}
  - (sum by ({GATEWAY}) (backend:envoy_errors:rate5m) or {_ERRORS} * 0)
, 0)""",
        group="backend-records",
    ),
    *_over_time("backend", HOURS, ("1h",)),
)
_ROUTES = (
    *(
        Record(f"route:envoy_{it}:rate5m", f"sum by ({ROUTE}) (backend:envoy_{it}:rate5m)")
        for it in ("requests", "errors", "timed", "slow")
    ),
    *_over_time("route", HOURS, ("1h", "6h")),
)
_GATEWAYS = (
    Record("gateway:envoy_requests:rate5m", rate(GATEWAY, "envoy_http_downstream_rq_xx", USERS)),
    Record("gateway:envoy_errors:rate5m", _ERRORS),
    Record(
        "gateway:envoy_direct_responses:rate5m",
        rate(GATEWAY, "envoy_http_rq_direct_response", USERS),
    ),
    Record("gateway:envoy_no_route:rate5m", rate(GATEWAY, "envoy_http_no_route", USERS)),
    Record("gateway:envoy_timed:rate5m", rate(GATEWAY, f"{_TIME}_count", USERS)),
    Record("gateway:envoy_slow:rate5m", _slow("gateway:envoy_timed:rate5m", GATEWAY, _TIME, USERS)),
    *_over_time("gateway", HOURS, ("1h", "6h")),
)

#: A series stands after those that it is computed from.
RECORDS: tuple[Record, ...] = (
    *_BACKENDS,
    *_ROUTES,
    *_GATEWAYS,
    *(it for level in ("route", "gateway") for it in _kept(level)),
    *(it for level in ("route", "gateway") for it in _part_of_all(level, DAYS)),
)

"""Whether a cluster is well before it is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tasks.plans import conditions
from tasks.plans.preflight import Reason, listed, warning

Object = Mapping[str, Any]
Key = tuple[str, str]
#: A leader renews its Lease every 2 s; the rest is for two clocks that differ.
STALE = timedelta(minutes=2)
PROXY = "app.kubernetes.io/component"
OWNER = (
    "gateway.envoyproxy.io/owning-gateway-namespace",
    "gateway.envoyproxy.io/owning-gateway-name",
)
OWNING_CLASS = "gateway.envoyproxy.io/owning-gatewayclass"


def controller_problems(
    deployment: Object | None, lease: Object | None, name: str, now: datetime
) -> list[str]:
    """
    What keeps the controller from working: its Pods, or a Lease that nobody renews (a controller
    that lost its API server stays Ready for half a minute and reacts to nothing).

    + name: such as "envoy-gateway-system/envoy-gateway"
    """
    if deployment is None:
        return [f"Deployment {name} does not exist"]
    lines = conditions.rolled_out(deployment)
    spec = (lease or {}).get("spec") or {}
    if not spec.get("holderIdentity"):
        return [*lines, f"no controller of {name} leads: it holds no Lease"]
    renewed = _time(spec.get("renewTime"))
    if renewed is not None and now - renewed > STALE:
        lines.append(
            f"no controller of {name} leads: its Lease was last renewed {renewed:%Y-%m-%d %H:%M} "
            "UTC by this machine's clock"
        )
    return lines


def counting_problems(deployment: Object | None, name: str, redis: str) -> list[str]:
    """
    What keeps the rate limit service from counting. Its Pods end where their Redis does not answer
    when they begin, and until they run every request goes through uncounted.

    + name: such as "envoy-gateway-system/envoy-ratelimit"; + redis: its address
    """
    if deployment is None:
        return [f"Deployment {name} does not exist"]
    return [
        f"{line}: its image must be there (images.ratelimit), and {redis} must answer"
        for line in conditions.rolled_out(deployment)
    ]


def reasons(
    controller: Sequence[str],
    classes: Iterable[Object],
    gateways: Iterable[Object],
    routes: Iterable[Object],
    proxies: Iterable[Object],
    own_gateways: Collection[Key],
    own_routes: Collection[tuple[str, str, str]],
    own_class: str,
    controller_name: str,
    interrupted: bool,
) -> list[Reason]:
    """
    A controller, Gateway, route or proxy of the inventory that is not well stops the cluster; one
    of others is a warning.

    + controller: ``controller_problems``
    + classes, gateways: of our controller; + routes: all; + proxies: their Deployments
    + own_routes: such as {("HTTPRoute", "demo", "blue")}
    + interrupted: a run of ours was broken off here, which is why it may be sick: nothing stops
    """
    own = [*controller]
    theirs: list[str] = []
    for it in classes:
        mine = it["metadata"]["name"] == own_class
        (own if mine else theirs).extend(conditions.gateway_class(it))
    for it in gateways:
        (own if _key(it) in own_gateways else theirs).extend(conditions.gateway(it)[:1])
    for it in proxies:
        (own if is_own(it, own_gateways, own_class) else theirs).extend(conditions.rolled_out(it))
    rejected: list[str] = []
    for it in routes:
        mine = (it["kind"], *_key(it)) in own_routes
        taken = any(
            parent.get("controllerName") == controller_name
            for parent in it.get("status", {}).get("parents") or ()
        )
        if mine or taken:
            (own if mine else rejected).extend(conditions.route(it, controller_name)[:1])
    found = [
        Reason(f"{line}: mend it first", "sick", stops=not interrupted)
        for line in dict.fromkeys(own)
    ]
    found += [warning(f"not well, and left as it is: {line}") for line in dict.fromkeys(theirs)]
    if rejected:
        found.append(warning(f"{len(rejected)} routes of others are not well: {listed(rejected)}"))
    return found


def is_own(proxies: Object, own_gateways: Collection[Key], own_class: str) -> bool:
    """Whether a proxy Deployment serves a Gateway of the inventory."""
    labels = proxies["metadata"].get("labels") or {}
    if OWNING_CLASS in labels:
        return bool(labels[OWNING_CLASS] == own_class)
    return (labels.get(OWNER[0]), labels.get(OWNER[1])) in own_gateways


def split(
    deployments: Iterable[Object], namespace: str, name: str
) -> tuple[Object | None, list[Object]]:
    """The controller's Deployment, and those of all proxies, out of one list."""
    controller, proxies = None, []
    for it in deployments:
        labels = it["metadata"].get("labels") or {}
        if labels.get(PROXY) == "proxy":
            proxies.append(it)
        elif _key(it) == (namespace, name):
            controller = it
    return controller, proxies


def _key(thing: Object) -> Key:
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None

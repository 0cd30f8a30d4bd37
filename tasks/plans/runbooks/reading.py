"""What the steps look up among the objects of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from tasks.plans.kinds import title
from tasks.plans.runbooks.source import Object, Seen

CONTROLLER = "envoy-gateway"
#: The controller's leader election (Envoy Gateway 1.9 source,
#: internal/provider/kubernetes/kubernetes.go).
LEASE = "5b9825d2.gateway.envoyproxy.io"
OWNER = (
    "gateway.envoyproxy.io/owning-gateway-namespace",
    "gateway.envoyproxy.io/owning-gateway-name",
)
OWNING_CLASS = "gateway.envoyproxy.io/owning-gatewayclass"
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Reasons of a Pod that a restart does not mend.
NOT_BY_RESTART = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfig")
#: Seconds in which a controller that is well has taken up a change.
TAKES_UP = timedelta(seconds=20)
YOUNG = timedelta(seconds=60)


def every(seen: Seen, *kinds: str) -> list[Object]:
    return [it for it in seen.objects or () if it.get("kind") in kinds]


def one(seen: Seen, kind: str, namespace: str, name: str) -> Object | None:
    return next((it for it in every(seen, kind) if place(it) == (namespace, name)), None)


def place(thing: Object) -> tuple[str, str]:
    return thing["metadata"].get("namespace") or "", thing["metadata"]["name"]


def at(place_: str) -> tuple[str, str]:
    """("edge", "public") of "edge/public"."""
    namespace, _, name = place_.partition("/")
    return namespace, name


def gateways(seen: Seen) -> list[tuple[str, Object | None]]:
    """The Gateways that it is about, each with its object, None where it is not there."""
    return [(it, one(seen, "Gateway", *at(it))) for it in seen.gateways]


def is_of(thing: Object, gateway: Object) -> bool:
    """Whether a generated object is of a Gateway, or of its class where Gateways are merged."""
    labels = thing["metadata"].get("labels") or {}
    merged = labels.get(OWNING_CLASS)
    if merged is not None:
        return bool(merged == gateway["spec"]["gatewayClassName"])
    return tuple(labels.get(it) for it in OWNER) == place(gateway)


def workloads(seen: Seen, gateway: Object) -> list[Object]:
    """Deployments and DaemonSets of the proxies of a Gateway."""
    return [it for it in every(seen, "Deployment", "DaemonSet") if is_of(it, gateway)]


def proxies(seen: Seen, gateway: Object) -> list[Object]:
    return [it for it in every(seen, "Pod") if is_of(it, gateway)]


def service(seen: Seen, gateway: Object) -> Object | None:
    """The Service of the proxies of a Gateway."""
    return next((it for it in every(seen, "Service") if is_of(it, gateway)), None)


def controller(seen: Seen) -> Object | None:
    return one(seen, "Deployment", seen.wanted.namespace, CONTROLLER)


def controller_pods(seen: Seen) -> list[Object]:
    return [
        it
        for it in every(seen, "Pod")
        if place(it)[0] == seen.wanted.namespace
        and (it["metadata"].get("labels") or {}).get("control-plane") == CONTROLLER
    ]


def controller_available(seen: Seen) -> bool:
    found = controller(seen)
    return bool(found and (found.get("status") or {}).get("availableReplicas"))


def controller_is_young(seen: Seen) -> bool:
    """Whether the newest controller began so lately that proxies may not have found it."""
    began = []
    for pod in controller_pods(seen):
        for it in (pod.get("status") or {}).get("containerStatuses") or ():
            at_ = ((it.get("state") or {}).get("running") or {}).get("startedAt")
            if at_ is not None:
                began.append(datetime.fromisoformat(at_))
    return bool(began) and seen.now - max(began) < YOUNG


def ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def why_not_ready(pod: Object) -> str:
    """Such as "Pod edge/envoy-1: CrashLoopBackOff, 5 restarts, last ended OOMKilled (137)"."""
    status = pod.get("status") or {}
    if leaving(pod):
        return f"{title(pod)}: is being deleted"
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    for it in containers:
        if it.get("ready"):
            continue
        waiting = ((it.get("state") or {}).get("waiting") or {}).get("reason")
        ended = (it.get("lastState") or {}).get("terminated") or {}
        said = [waiting or "not ready"]
        if it.get("restartCount"):
            said.append(f"{it['restartCount']} restarts")
        if ended:
            said.append(f"last ended {ended.get('reason')} ({ended.get('exitCode')})")
        return f"{title(pod)}, container {it['name']}: {', '.join(said)}"
    scheduled: Object = next(
        (it for it in status.get("conditions") or () if it["type"] == "PodScheduled"), {}
    )
    if scheduled.get("status") == "False":
        return f"{title(pod)}: {scheduled.get('reason')}: {scheduled.get('message')}"
    return f"{title(pod)}: {status.get('phase', 'Pending')}, not ready"


def mends_by_restart(pod: Object) -> bool:
    """Whether a Pod that is not ready may be so once it is made anew."""
    text = why_not_ready(pod)
    pending = (pod.get("status") or {}).get("phase") == "Pending"
    return not (leaving(pod) or pending or any(it in text for it in NOT_BY_RESTART))


def starts(pod: Object, now: datetime) -> bool:
    """Whether a Pod was made less than a minute ago and has not been ready since it began."""
    made = pod["metadata"].get("creationTimestamp")
    if made is None or now - datetime.fromisoformat(str(made)) >= YOUNG:
        return False
    status = pod.get("status") or {}
    turned = condition(status.get("conditions"), "Ready").get("lastTransitionTime")
    began = [
        running["startedAt"]
        for it in status.get("containerStatuses") or ()
        if (running := (it.get("state") or {}).get("running"))
    ]
    return not (turned and began and turned > max(began))


def condition(conditions: Iterable[Object] | None, kind: str) -> Object:
    """A condition by its type, {} where it is not reported."""
    return next((it for it in conditions or () if it["type"] == kind), {})


def routes(seen: Seen, gateway: tuple[str, str] | None = None) -> list[Object]:
    """Routes of the Gateways that it is about, or of one of them; with a request, of its host."""
    places = [gateway] if gateway else [at(it) for it in seen.gateways]
    return [
        it
        for it in every(seen, *ROUTES)
        if any(parent in places for parent in parents(it)) and of_host(it, seen.host)
    ]


def parents(route: Object) -> Iterator[tuple[str, str]]:
    for ref in route["spec"].get("parentRefs") or ():
        if ref.get("kind", "Gateway") == "Gateway":
            yield ref.get("namespace") or place(route)[0], ref["name"]


def of_host(route: Object, host: str) -> bool:
    """Whether a route may take requests for a host, "" for any."""
    name = host.partition(":")[0]
    names = route["spec"].get("hostnames") or []
    if not name or not names:
        return True
    return any(it == name or (it.startswith("*.") and name.endswith(it[1:])) for it in names)


def is_proven(seen: Seen, route: Object) -> bool:
    """Whether a request of ours was served through this route just now."""
    name = "/".join(place(route))
    own = [it for it in seen.asked if it.route == name]
    return bool(own) and all(it.problem is None for it in own)


def failing(seen: Seen, gateway: str | None = None) -> list[str]:
    """Requests that were not served, a line each."""
    return [it.problem for it in seen.asked if it.problem and gateway in (None, it.gateway)]


def secrets(gateway: Object, listener: Object) -> list[tuple[str, str]]:
    """The Secrets that a listener names."""
    refs = (listener.get("tls") or {}).get("certificateRefs") or ()
    return [
        (it.get("namespace") or place(gateway)[0], it["name"])
        for it in refs
        if it.get("kind", "Secret") == "Secret"
    ]


def changed(thing: Object) -> datetime | None:
    """When somebody last wrote it, status apart."""
    times = [
        it["time"]
        for it in thing["metadata"].get("managedFields") or ()
        if it.get("time") and not it.get("subresource")
    ]
    return max(map(datetime.fromisoformat, times), default=None)


def events(seen: Seen, thing: Object) -> list[str]:
    """Warnings about an object, such as "SyncLoadBalancerFailed: ...", newest last."""
    wanted = (thing["kind"], *place(thing))
    found = []
    for it in every(seen, "Event"):
        about: Mapping[str, str] = it.get("involvedObject") or it.get("regarding") or {}
        key = (about.get("kind"), about.get("namespace", ""), about.get("name"))
        if key == wanted and it.get("type") == "Warning":
            stamp = str(it.get("lastTimestamp") or it.get("eventTime") or "")
            found.append((stamp, f"{it.get('reason')}: {it.get('message') or it.get('note')}"))
    return [text for _, text in sorted(found)]

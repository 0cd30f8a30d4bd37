"""Steps about the proxies of a Gateway: they are there, ready, reachable, and have room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tasks.plans import conditions
from tasks.plans.kinds import title
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.source import Action, Object, Seen, Step, Verdict, fine, this, unknown

LATELY = timedelta(days=1)


def there(seen: Seen) -> Verdict:
    """Whether each Gateway has a proxy that can take a request."""
    verdicts = [_of(seen, name, it) for name, it in reading.gateways(seen) if it is not None]
    return first(verdicts, "no Gateway is there whose proxies could be looked at")


def first(verdicts: list[Verdict], without: str) -> Verdict:
    """The worst of several verdicts of one question."""
    for says in ("this is it", "cannot tell"):
        for it in verdicts:
            if it.says == says:
                return it
    return verdicts[0] if verdicts else unknown(without)


def _of(seen: Seen, name: str, gateway: Object) -> Verdict:
    found = reading.workloads(seen, gateway)
    if not found:
        return _missing(seen, name)
    empty = [it for it in found if it["spec"].get("replicas", 1) == 0]
    if empty and len(empty) == len(found) and empty[0]["kind"] == "Deployment":
        return this(
            f"{title(empty[0])} is scaled to 0: Gateway {name} has no proxy",
            "spec.replicas: 0",
            action=actions.scaled(empty[0], seen.wanted.proxy_replicas),
        )
    pods = [it for it in reading.proxies(seen, gateway) if not reading.leaving(it)]
    good = [it for it in pods if reading.ready(it)]
    if good:
        return fine(f"Gateway {name}: {len(good)} of {len(pods)} proxies are ready")
    whys = tuple(reading.why_not_ready(it) for it in pods)
    lines = [line for it in found for line in conditions.rolled_out(it)]
    mend = [it for it in pods if reading.mends_by_restart(it)]
    if mend and all(reading.starts(it, seen.now) for it in pods):
        return unknown(f"Gateway {name}: its proxies were made a minute ago and are not ready yet")
    return this(
        f"Gateway {name}: no proxy is ready, so the load balancer sends nothing to one",
        *(whys or lines),
        action=actions.restarted(f"the proxies of Gateway {name}", mend),
        cure="" if mend else _cure(whys, seen),
    )


def _missing(seen: Seen, name: str) -> Verdict:
    what = f"Gateway {name}: it has no Deployment of proxies"
    if not reading.controller_available(seen):
        return this(f"{what}, and no controller runs that would make one")
    return this(
        f"{what}; a controller that works makes it within seconds",
        action=actions.restarted("the controller", reading.controller_pods(seen)),
    )


def _cure(whys: tuple[str, ...], seen: Seen) -> str:
    text = " ".join(whys)
    if "Unschedulable" in text:
        return "make room on a node, or lower proxy.cpu and proxy.memory in the inventory"
    if "Image" in text:
        return "the image cannot be pulled: images and image_pull_secrets in the inventory"
    return f"the controller has not configured them yet: {seen.wanted.command.format('status')}"


def all_ready(seen: Seen) -> Verdict:
    """Whether as many proxies serve as are wanted."""
    verdicts = []
    for name, gateway in reading.gateways(seen):
        for it in reading.workloads(seen, gateway) if gateway is not None else ():
            lines = conditions.rolled_out(it)
            pods = reading.proxies(seen, gateway) if gateway is not None else []
            sick = [pod for pod in pods if not reading.ready(pod)]
            if not lines:
                verdicts.append(fine(f"Gateway {name}: all its proxies are available"))
                continue
            whys = tuple(reading.why_not_ready(pod) for pod in sick)
            mend = [pod for pod in sick if reading.mends_by_restart(pod)]
            if mend and all(reading.starts(pod, seen.now) for pod in sick):
                what = f"{lines[0]}: they were made a minute ago"
                verdicts.append(unknown(f"Gateway {name}: {what}"))
                continue
            action = actions.restarted(f"proxies of Gateway {name}", mend)
            verdicts.append(
                this(lines[0], *whys, action=action, cure="" if mend else _cure(whys, seen))
            )
    return first(verdicts, "no Deployment of proxies was found")


def restarts(seen: Seen) -> Verdict:
    """Whether Envoy ended lately, and for want of memory."""
    found = [it for it in _containers(seen) if _ended_lately(it[1], seen.now)]
    if not found:
        return fine("no container of a proxy was ended and started again in the last day")
    out = [it for it in found if it[1]["lastState"]["terminated"].get("reason") == "OOMKilled"]
    pod, container = (out or found)[0]
    ended = container["lastState"]["terminated"]
    evidence = (
        f"{title(pod)}, container {container['name']}: {container.get('restartCount')} restarts, "
        f"last ended {ended.get('reason')} ({ended.get('exitCode')}) at {ended.get('finishedAt')}"
    )
    if out:
        return this(
            f"{title(pod)} had no memory left",
            evidence,
            cure="raise proxy.memory, or proxy.replicas, in the inventory, then "
            f"{seen.wanted.command.format('upgrade')}",
        )
    return this(
        f"{title(pod)} was started again",
        evidence,
        cure=f"kubectl logs {pod['metadata']['name']} --container {container['name']} --namespace "
        f"{pod['metadata']['namespace']} --previous",
    )


def _ended_lately(container: Object, now: datetime) -> bool:
    ended = (container.get("lastState") or {}).get("terminated")
    if not ended:
        return False
    try:
        return now - datetime.fromisoformat(str(ended.get("finishedAt"))) < LATELY
    except ValueError:
        return True


def _containers(seen: Seen) -> Iterator[tuple[Object, Object]]:
    for _, gateway in reading.gateways(seen):
        for pod in reading.proxies(seen, gateway) if gateway is not None else ():
            for it in (pod.get("status") or {}).get("containerStatuses") or ():
                yield pod, it


def room(seen: Seen) -> Verdict:
    """Whether an autoscaler has all that it may have; memory and CPU are the diagnosis's."""
    full = [
        it
        for it in reading.every(seen, "HorizontalPodAutoscaler")
        if (it.get("status") or {}).get("currentReplicas", 0) >= it["spec"].get("maxReplicas", 0)
    ]
    if full:
        return this(
            f"{title(full[0])} has all {full[0]['spec']['maxReplicas']} replicas that it may have",
            cure="raise envoyHpa.maxReplicas of the EnvoyProxy, where the nodes have room",
        )
    return fine("the diagnosis found no proxy that is short of memory, CPU or connections")


def service(seen: Seen) -> Verdict:
    """Whether the load balancer's Service leads to the proxies."""
    verdicts = []
    for name, gateway in reading.gateways(seen):
        if gateway is None:
            continue
        found, pods = reading.service(seen, gateway), reading.proxies(seen, gateway)
        if found is None:
            verdicts.append(
                this(
                    f"Gateway {name}: its Service does not exist",
                    action=actions.restarted("the controller", reading.controller_pods(seen)),
                )
            )
            continue
        selector = found["spec"].get("selector") or {}
        lost = [it for it in pods if not selector.items() <= _labels(it).items()]
        if pods and len(lost) == len(pods):
            verdicts.append(
                this(
                    f"{title(found)} selects none of the proxies of Gateway {name}",
                    f"spec.selector: {dict(selector)}",
                    f"{title(pods[0])}: {dict(_labels(pods[0]))}",
                    action=_reselected(found, pods),
                )
            )
        else:
            verdicts.append(
                fine(f"{title(found)} selects {len(pods) - len(lost)} of {len(pods)} proxies")
            )
    return first(verdicts, "no Gateway is there whose Service could be looked at")


def _labels(thing: Object) -> dict[str, str]:
    return dict(thing["metadata"].get("labels") or {})


def _reselected(found: Object, pods: list[Object]) -> Action:
    """The selector that Envoy Gateway writes: the labels that Service and Pods have in common."""
    common = {key: it for key, it in _labels(found).items() if _labels(pods[0]).get(key) == it}
    body = {"spec": {"selector": {**dict.fromkeys(found["spec"]["selector"]), **common}}}
    return actions.patched(found, f"Let {title(found)} select the proxies again", body)


_OF_PROXIES = ("Deployment", "Pod")
THERE = Step("proxies", "Is a proxy there and ready?", there, _OF_PROXIES, ("proxy_down",))
ALL = Step("replicas", "Are all proxies there?", all_ready, _OF_PROXIES, ("proxy_down",))
RESTARTS = Step("restarts", "Did Envoy end?", restarts, ("Pod",), ())
ROOM = Step(
    "room",
    "Have the proxies room for more?",
    room,
    (),
    ("memory_or_processor_short",),
)
SERVICE = Step("service", "Does the Service lead to the proxies?", service, ("Service", "Pod"), ())

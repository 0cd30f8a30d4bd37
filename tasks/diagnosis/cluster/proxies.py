"""The Pods of the proxies: there, ready, of the newest template, and with room to work in."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tasks.diagnosis.cluster.known import (
    Known,
    Object,
    at,
    condition,
    containers,
    found,
    listed,
    name,
    namespace,
    ready,
    ref,
    trouble,
)
from tasks.diagnosis.diagnosis import Found
from tasks.plans.quantities import quantity

#: Seconds for which the end of a container counts.
RECENT = 3600.0
#: Share of a limit from which a container is short of it.
SHORT = Decimal("0.95")


def causes(known: Known) -> Iterator[Found]:
    if not known.read("deployments.apps", "daemonsets.apps", "pods"):
        return
    for owner in dict.fromkeys(map(known.owner, known.gateways)):
        for workload in known.workloads(owner):
            yield from _of_workload(known, owner, workload)
        if not known.workloads(owner):
            yield from _absent(known, owner)


def _absent(known: Known, owner: str) -> Iterator[Found]:
    """Proxies that the controller would make, if one worked."""
    for gateway in known.gateways:
        programmed = condition(gateway, "Programmed")
        if known.owner(gateway) != owner or programmed is None:
            continue
        if programmed.get("status") == "True" and programmed.get("reason") == "Programmed":
            yield found(
                "proxy_down",
                ref(gateway),
                "status",
                "it is Programmed, and no Deployment and no DaemonSet of its proxies is there: "
                "nothing takes its traffic",
                "kubectl rollout restart deployment of the controller: it makes them anew",
                [
                    f"{ref(gateway).text}: Programmed=True {programmed.get('message', '')}",
                    "no Deployment or DaemonSet with its labels owning-gateway-name",
                ],
            )
            return


def _of_workload(known: Known, owner: str, workload: Object) -> Iterator[Found]:
    pods, whose = known.pods_of(workload), ref(workload)
    where = f"Gateway {owner}" if "/" in owner else f"GatewayClass {owner}"
    yield from _killed(known, workload, pods, where)
    yield from _used_up(known, workload, pods, where)
    if workload["kind"] == "Deployment" and at(workload, "spec", "replicas") == 0:
        yield found(
            "proxy_down",
            whose,
            "spec.replicas",
            f"the proxies of {where} are scaled to 0: nothing takes its traffic",
            f"kubectl scale deployment {whose.name} --namespace {whose.namespace} --replicas 1, "
            "and look who scaled it: replicas belong into the EnvoyProxy",
            [f"{whose.text}: spec.replicas 0"],
            where=where,
        )
        return
    waiting = [it for it in pods if not ready(it)]
    serving = len(pods) - len(waiting)
    stuck = [(it, why) for it in waiting if (why := trouble(it))]
    old = not known.begins(workload)
    if not pods and old:
        yield found(
            "proxy_down",
            whose,
            "status",
            f"no Pod of the proxies of {where} is there: nothing takes its traffic",
            f"kubectl describe {workload['kind'].lower()} {whose.name} --namespace "
            f"{whose.namespace}: its events say why none is made",
            [f"{whose.text}: no Pod", *_said(known, workload)],
            where=where,
        )
    elif pods and not serving and (stuck or (old and not known.headless)):
        yield _none_ready(known, workload, waiting, stuck, where)
    elif serving and stuck:
        yield _some_stuck(workload, serving, stuck, where)


def _none_ready(
    known: Known,
    workload: Object,
    waiting: list[Object],
    stuck: list[tuple[Object, str]],
    where: str,
) -> Found:
    whose = ref(workload)
    why = stuck[0][1] if stuck else "they run, and their readiness is not given"
    return found(
        "proxy_down",
        whose,
        "status.readyReplicas",
        f"no Pod of the proxies of {where} is ready ({why}): nothing takes its traffic",
        f"kubectl describe pod {name(waiting[0])} --namespace {whose.namespace}, and mend what it "
        "says",
        [
            *(f"{ref(it).text}: {why}" for it, why in stuck[:3]),
            *(
                f"{ref(it).text}: {at(it, 'status', 'phase')}, not ready"
                for it in waiting[:3]
                if not stuck
            ),
            *_said(known, waiting[0]),
        ],
        where=where,
    )


def _some_stuck(
    workload: Object, serving: int, stuck: list[tuple[Object, str]], where: str
) -> Found:
    whose = ref(workload)
    templates = {_template(it) for it, _ in stuck}
    newest = at(workload, "status", "updatedReplicas") or 0
    outdated = len(templates) == 1 and newest == len(stuck)
    sentence = (
        f"the proxies of {where} do not get their newest template: "
        if outdated
        else f"{len(stuck)} of {len(stuck) + serving} proxies of {where} do not run: "
    )
    return found(
        "proxy_outdated" if outdated else "proxy_down",
        whose,
        "spec.template" if outdated else "status.readyReplicas",
        f"{sentence}{stuck[0][1]}; {serving} serve on",
        f"kubectl describe pod {name(stuck[0][0])} --namespace {whose.namespace}; what a template "
        "says comes from the EnvoyProxy",
        [f"{ref(it).text}: {why}" for it, why in stuck[:3]],
        severity="warning",
        where=where,
    )


def _template(pod: Object) -> str:
    return str(at(pod, "metadata", "labels", "pod-template-hash") or "")


def _said(known: Known, it: Object) -> Iterator[str]:
    for event in known.events(ref(it))[:2]:
        yield f"event of {ref(it).text}: {event.get('reason')}: {event.get('message')}"


def _killed(
    known: Known, workload: Object, pods: tuple[Object, ...], where: str
) -> Iterator[Found]:
    """Containers that had more memory than their limit."""
    for pod in pods:
        for it in containers(pod):
            for state in ("state", "lastState"):
                ended = at(it, state, "terminated") or {}
                recent = known.age(ended.get("finishedAt")) < RECENT
                if ended.get("reason") != "OOMKilled" or not recent:
                    continue
                limit = _limits(pod).get((str(it.get("name")), "memory"), "that of its node")
                yield found(
                    "memory_or_processor_short",
                    ref(workload),
                    "spec.template.spec.containers[].resources.limits.memory",
                    f"container {it.get('name')} of the proxies of {where} was killed for its "
                    f"memory (limit {limit}): its connections broke",
                    "raise proxy.memory in the inventory, then deploys/install.py; by hand: "
                    "resources.limits.memory of the EnvoyProxy",
                    [
                        f"{ref(pod).text}: container {it.get('name')}: {state}.terminated "
                        f"OOMKilled at {ended.get('finishedAt')}, restartCount "
                        f"{it.get('restartCount')}",
                    ],
                    where=where,
                )
                return


def _used_up(
    known: Known, workload: Object, pods: tuple[Object, ...], where: str
) -> Iterator[Found]:
    """Containers close to a limit at this moment, as the metrics API says."""
    used = {(namespace(it), name(it)): it for it in known.of("PodMetrics")}
    for pod in pods:
        limits = _limits(pod)
        for it in listed((used.get((namespace(pod), name(pod))) or {}).get("containers")):
            for what, text in (it.get("usage") or {}).items():
                limit = limits.get((str(it.get("name")), str(what)))
                amount, most = quantity(text), quantity(limit)
                if amount is None or not most or amount < SHORT * most:
                    continue
                yield found(
                    "memory_or_processor_short",
                    ref(workload),
                    f"spec.template.spec.containers[].resources.limits.{what}",
                    f"container {it.get('name')} of the proxies of {where} uses "
                    f"{100 * amount / most:.0f} % of its limit of {what}",
                    f"raise proxy.{'memory' if what == 'memory' else 'cpu'} or proxy.replicas in "
                    "the inventory, then deploys/install.py",
                    [f"{ref(pod).text}: {it.get('name')}: {what} {text}, limit {limit}"],
                    severity="warning",
                    where=where,
                )
                return


def _limits(pod: Object) -> dict[tuple[str, str], str]:
    """By container and resource."""
    return {
        (str(it.get("name")), str(what)): str(amount)
        for it in listed(at(pod, "spec", "containers"))
        for what, amount in (at(it, "resources", "limits") or {}).items()
    }

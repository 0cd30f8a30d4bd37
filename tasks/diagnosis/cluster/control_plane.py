"""
The controller: whether one runs, leads, may read what it needs, and took its own configuration. A
controller that does not work leaves every condition green.

Measured with Envoy Gateway 1.8.3 and 1.9.1: it holds a Lease of 15 s, renews it every 2 s, and a
process that lost it stays Ready for half a minute and reacts to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.diagnosis.cluster.known import (
    BEGINS,
    LEASE,
    Known,
    Object,
    Ref,
    at,
    containers,
    found,
    labelled,
    leaving,
    listed,
    name,
    namespace,
    ready,
    ref,
    stamp_of,
    trouble,
)
from tasks.diagnosis.cluster.known import CONTROLLER as LABEL
from tasks.diagnosis.diagnosis import Found
from tasks.plans import served, versions
from tasks.plans.kinds import GATEWAY_API, KINDS

#: Seconds after the end of a Lease that nobody renews until that is sure.
GRACE = 10.0
#: Seconds for which a complaint in a log counts.
RECENT = 300.0
_FORBIDDEN = re.compile(
    r'(?P<what>[a-z0-9.]+) is forbidden: User \\?"(?P<who>[^"\\]+)\\?" cannot (?P<verb>\w+) '
    r'resource \\?"(?P<resource>[^"\\]+)\\?"(?: in API group \\?"(?P<group>[^"\\]*)\\?")?'
)
_SKIPPED = re.compile(r"(\w+Route|\w+Policy|ListenerSet|Backend|ReferenceGrant) CRD not found")
#: What a controller says before it ends because of its own configuration file.
_OWN_FILE = re.compile(
    r"unsupported provider type|failed to (decode|load|validate|read)[^\"]*config|"
    r"error (decoding|validating|loading)[^\"]*(config|EnvoyGateway)|strict decoding error|"
    r"unable to (decode|unmarshal)[^\"]*(config|EnvoyGateway)",
    re.IGNORECASE,
)


def causes(known: Known) -> Iterator[Found]:
    missing = tuple(crd_missing(known))
    yield from missing
    broken = tuple(rejected(known))
    yield from broken
    for it in down(known):
        if not any(one.severity == "error" for one in (*missing, *broken)):
            yield it
    yield from not_leading(known)
    yield from forbidden(known)


def down(known: Known) -> Iterator[Found]:
    """No Pod of the controller is ready."""
    if not known.read("deployments.apps", "pods"):
        return
    if not known.controllers:
        yield from _absent(known)
    for deployment in known.controllers:
        yield from _down(known, deployment)


def _absent(known: Known) -> Iterator[Found]:
    """Nobody works for the classes that are there."""
    elsewhere = any(labelled(it, LABEL) for it in known.of("Pod"))
    if not known.classes or elsewhere or not known.gateways:
        return
    whose = Ref("Deployment", "envoy-gateway", "envoy-gateway-system")
    yield found(
        "controller_down",
        whose,
        "",
        "no controller of Envoy Gateway is installed any more, while Gateways of its class are "
        "there: proxies go on with what they have, and nothing that changes reaches them",
        "install it again with deploys/install.py: it adopts what is there",
        [
            f"GatewayClass {name(known.classes[0])} names controller {known.evidence.controller}",
            f"no Deployment with label {LABEL[0]}={LABEL[1]}",
        ],
    )


def _down(known: Known, deployment: Object) -> Iterator[Found]:
    whose = ref(deployment)
    wanted = at(deployment, "spec", "replicas")
    pods = known.pods_of(deployment)
    said = [f"{whose.text}: {_replicas(deployment)}"]
    if any(ready(it) for it in pods):
        return
    if wanted == 0:
        yield found(
            "controller_down",
            whose,
            "spec.replicas",
            "the controller is scaled to 0: conditions stay as they were, and no change of routes, "
            "endpoints, certificates or proxies reaches Envoy",
            f"kubectl scale deployment {whose.name} --namespace {whose.namespace} --replicas 1",
            [*said, *_unserved(known)],
        )
        return
    why = next((it for pod in pods if (it := trouble(pod))), None)
    begins = pods and all(
        known.begins(it) and not any(one.get("restartCount") for one in containers(it))
        for it in pods
    )
    if why is None and begins:
        return
    reason = f" ({why})" if why else ""
    yield found(
        "controller_down",
        whose,
        "status.readyReplicas",
        f"no Pod of the controller is ready{reason}: conditions stay as they were, and no change "
        "of routes, endpoints, certificates or proxies reaches Envoy",
        f"kubectl describe pod --namespace {whose.namespace} --selector {LABEL[0]}={LABEL[1]}, and "
        "mend what it says",
        [*said, *_pods(pods), *_last_words(known, pods), *_unserved(known)],
    )


def _replicas(deployment: Object) -> str:
    status = at(deployment, "status") or {}
    wanted = at(deployment, "spec", "replicas")
    return f"spec.replicas {wanted}, {status.get('readyReplicas', 0)} ready"


def _pods(pods: tuple[Object, ...]) -> Iterator[str]:
    for it in pods:
        why = trouble(it) or f"{at(it, 'status', 'phase')}, not ready"
        yield f"{ref(it).text}: {why}"


def _last_words(known: Known, pods: tuple[Object, ...]) -> Iterator[str]:
    """The last line of a container that ended."""
    for pod in pods:
        place = f"{namespace(pod)}/{name(pod)}"
        lines = known.evidence.logs.get(f"{place}/previous") or ()
        if lines:
            yield f"log of Pod {place}, before: {lines[-1][:300]}"


def _unserved(known: Known) -> Iterator[str]:
    """What waits for a controller: newer than what was reported of it."""
    for it in (*known.gateways, *known.of("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")):
        line = unobserved(it)
        if line:
            yield line
            return


def unobserved(it: Object) -> str | None:
    """
    Such as "HTTPRoute shop/cart: generation 3, reported of 2", None where all is reported. What is
    said about a parent that a route no longer names stays there for ever, and counts not.
    """
    generation = at(it, "metadata", "generation")
    named = [_place(one, namespace(it)) for one in listed(at(it, "spec", "parentRefs"))]
    reported = listed(at(it, "status", "parents"))
    parents = [one for one in reported if _place(one.get("parentRef"), namespace(it)) in named]
    if reported and not parents:
        return None
    said = [one for parent in parents for one in listed(parent.get("conditions"))]
    said = said or list(listed(at(it, "status", "conditions")))
    newest = [one["observedGeneration"] for one in said if "observedGeneration" in one]
    if not newest or not isinstance(generation, int) or max(newest) >= generation:
        return None
    return f"{ref(it).text}: generation {generation}, reported of {max(newest)}"


def _place(parent: Object | None, home: str) -> tuple[object, ...]:
    keys = ("kind", "name", "sectionName", "port")
    kind, *rest = (at(parent, it) for it in keys)
    return (kind or "Gateway", at(parent, "namespace") or home, *rest)


def not_leading(known: Known) -> Iterator[Found]:
    """A controller that is Ready and has lost its Lease."""
    if not known.read("leases.coordination.k8s.io", "pods"):
        return
    for lease in known.of("Lease"):
        if name(lease) != LEASE:
            continue
        deployments = [it for it in known.controllers if namespace(it) == namespace(lease)]
        pods = [pod for it in deployments for pod in known.pods_of(it)]
        lasts = at(lease, "spec", "leaseDurationSeconds")
        age = known.age(at(lease, "spec", "renewTime"))
        stale = age > (lasts if isinstance(lasts, int) else 15) + GRACE
        if not stale or not any(ready(it) and _settled(known, it) for it in pods):
            continue
        holder = str(at(lease, "spec", "holderIdentity") or "")
        leads = next((it for it in pods if holder.rpartition("_")[0] == name(it)), pods[0])
        whose = next(iter(deployments))
        yield found(
            "controller_not_leading",
            ref(whose),
            "",
            f"no controller leads for {age:.0f} s, though its Pod is Ready: it reacts to nothing, "
            "and whatever goes wrong meanwhile leaves every condition green",
            f"kubectl delete pod {name(leads)} --namespace {namespace(leads)}",
            [
                f"{ref(lease).text}: renewTime {at(lease, 'spec', 'renewTime')}, "
                f"leaseDurationSeconds {lasts}, holderIdentity {holder or 'nobody'}",
                f"newest renewTime of all Leases: {age:.0f} s later",
                *(f"{ref(it).text}: Ready" for it in pods if ready(it)),
            ],
        )


def _settled(known: Known, pod: Object) -> bool:
    """Ready for longer than another's Lease lasts."""
    for it in listed(at(pod, "status", "conditions")):
        if it.get("type") == "Ready":
            return known.age(it.get("lastTransitionTime")) > BEGINS
    return False


def version(known: Known) -> str | None:
    """Of the controller, by its image, such as "1.9.1"."""
    for deployment in known.controllers:
        for it in listed(at(deployment, "spec", "template", "spec", "containers")):
            tag = str(it.get("image", "")).partition("@")[0].rpartition(":")[2].removeprefix("v")
            if it.get("name") == "envoy-gateway" and versions.line(tag) is not None:
                return tag
    return None


def crd_missing(known: Known) -> Iterator[Found]:
    """
    A kind that the API server does not serve in the version that the controller asks for. A kind
    that nobody uses is left out, unless the controller ends without it.
    """
    here, there = version(known), known.evidence.served
    if here is None or there is None:
        return
    for it in served.missing_served(here, there):
        kind = _kind(it.crd)
        used = [one for one in known.of(kind) if not leaving(one)] if kind else []
        if not used and not it.crashes:
            continue
        instead = f"only {', '.join(it.served)}" if it.served else "no version"
        effect = (
            "it ends without that, again and again"
            if it.crashes
            else f"it leaves {kind or it.crd} out without a word in any condition"
        )
        evidence = [f"/apis: {it.crd} is served in {instead}"]
        evidence += [f"{ref(one).text} is there" for one in used[:1]]
        yield found(
            "crd_missing",
            Ref("CustomResourceDefinition", it.crd),
            "spec.versions",
            f"Envoy Gateway {here} asks for {it.needs} of {it.crd}, the cluster serves {instead}: "
            f"{effect}",
            f"deploys/install.py brings the CRDs of {here}; by hand: kubectl apply --server-side "
            "--force-conflicts with the CRDs of its chart, then kubectl rollout restart "
            f"deployment of the controller",
            [*evidence, *_said(known, _SKIPPED)],
        )
    yield from _not_watched(known, there)


def _not_watched(known: Known, there: object) -> Iterator[Found]:
    """A CRD that came after the controller had begun: it looks for them once."""
    skipped = {
        found_[1]: line
        for lines in known.evidence.logs.values()
        for line in lines
        if (found_ := _SKIPPED.search(line))
    }
    for kind, line in sorted(skipped.items()):
        entry = KINDS.get((GATEWAY_API, kind))
        crd = f"{entry.plural}.{GATEWAY_API}" if entry else ""
        used = [it for it in known.of(kind) if not leaving(it) and not at(it, "status", "parents")]
        if not crd or not used or not isinstance(there, dict) or _needs(known, crd, there):
            continue
        whose = next(iter(known.controllers), None)
        if whose is not None:
            yield found(
                "crd_missing",
                Ref("CustomResourceDefinition", crd),
                "spec.versions",
                f"the controller began before {crd} was there, and does not look again: no {kind} "
                "is served",
                f"kubectl rollout restart deployment {name(whose)} --namespace {namespace(whose)}",
                [line[:300], f"{ref(used[0]).text}: no status"],
            )


def _needs(known: Known, crd: str, there: dict[str, list[str]]) -> bool:
    """Whether it is missing all the same, which is said already."""
    here = version(known)
    return here is None or any(it.crd == crd for it in served.missing_served(here, there))


def _kind(crd: str) -> str:
    plural, _, group = crd.partition(".")
    return next(
        (kind for (of, kind), it in KINDS.items() if (it.plural, of) == (plural, group)), ""
    )


def _said(known: Known, pattern: re.Pattern[str]) -> Iterator[str]:
    for place, lines in known.evidence.logs.items():
        for line in lines:
            if pattern.search(line):
                yield f"log of Pod {place}: {line[:300]}"
                return


def rejected(known: Known) -> Iterator[Found]:
    """A controller that ends because of its own configuration; an older Pod may serve on."""
    for deployment in known.controllers:
        pods = known.pods_of(deployment)
        for pod in pods:
            why = trouble(pod)
            place = f"{namespace(pod)}/{name(pod)}"
            for log in (f"{place}/previous", place):
                lines = known.evidence.logs.get(log) or ()
                line = next((it for it in reversed(lines) if _OWN_FILE.search(it)), None)
                if why is None or line is None:
                    continue
                serves = any(ready(it) for it in pods)
                effect = "an older Pod serves on, until it is restarted" if serves else "none runs"
                yield found(
                    "controller_rejected_configuration",
                    Ref("ConfigMap", _own_file(deployment), namespace(deployment)),
                    "data",
                    f"the controller does not take its own configuration: {effect}",
                    "correct config.envoyGateway in the values of the chart: "
                    "deploys/install.py, or deploys/rollback.py for the last good one",
                    [f"{ref(pod).text}: {why}", f"log of Pod {log}: {line[:300]}"],
                    severity="warning" if serves else "error",
                )
                return


def _own_file(deployment: Object) -> str:
    for it in listed(at(deployment, "spec", "template", "spec", "volumes")):
        found_ = at(it, "configMap", "name")
        if found_:
            return str(found_)
    return "envoy-gateway-config"


def forbidden(known: Known) -> Iterator[Found]:
    """Rights that the controller lacks, as its log says again and again."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for place, lines in known.evidence.logs.items():
        written = [it for line in lines if (it := stamp_of(line)) is not None]
        newest = max(written, default=0.0)
        for line in lines:
            said = _FORBIDDEN.search(line)
            recent = newest - (stamp_of(line) or newest) < RECENT
            if said and recent and not place.endswith("/previous"):
                resource = ".".join(filter(None, (said["resource"], said["group"])))
                seen[said["who"], resource] = (said["verb"], f"log of Pod {place}: {line[:300]}")
    for (who, resource), (verb, line) in sorted(seen.items()):
        _, _, account = who.partition("system:serviceaccount:")
        home, _, called = account.partition(":")
        yield found(
            "not_permitted",
            Ref("ServiceAccount", called or who, home),
            "",
            f"the controller has no right to {verb} {resource}: what is in there does not reach "
            "the proxies",
            "deploys/install.py puts back the ClusterRole of the chart; by hand: kubectl auth "
            f"can-i {verb} {resource} --as {who}",
            [line],
        )

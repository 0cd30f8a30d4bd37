"""Steps about the controller: it runs, it leads, and it has taken up what was written last."""

from __future__ import annotations

from tasks.plans import conditions, health
from tasks.plans.kinds import title
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.source import (
    Action,
    Object,
    Seen,
    Step,
    Target,
    Verdict,
    fine,
    this,
    unknown,
)

RATE_LIMIT = "envoy-ratelimit"


def runs(seen: Seen) -> Verdict:
    wanted, found = seen.wanted, reading.controller(seen)
    name = f"Deployment {wanted.namespace}/{reading.CONTROLLER}"
    if found is None:
        return this(
            f"{name} does not exist: nobody configures proxies, and nobody makes new ones",
            cure=wanted.command.format("install"),
        )
    if found["spec"].get("replicas", 1) == 0:
        return this(
            f"{name} is scaled to 0: nobody configures proxies, and nobody makes new ones",
            "spec.replicas: 0",
            action=actions.scaled(found, wanted.controller_replicas),
        )
    lines = conditions.rolled_out(found)
    if not lines:
        return fine(f"{name}: all its Pods are available")
    sick = [it for it in reading.controller_pods(seen) if not reading.ready(it)]
    whys = tuple(reading.why_not_ready(it) for it in sick)
    if reading.controller_available(seen):
        return unknown(f"{lines[0]}, the others work", *whys)
    may_mend = [it for it in sick if reading.mends_by_restart(it) and not _crashes(it)]
    return this(
        f"{lines[0]}: no controller works",
        *whys,
        action=actions.restarted("the controller", may_mend),
        cure=""
        if may_mend
        else f"{wanted.command.format('rollback')}, where a change did it; "
        f"its log says why: kubectl logs deployment/{reading.CONTROLLER} --namespace "
        f"{wanted.namespace} --previous",
    )


def _crashes(pod: Object) -> bool:
    return "CrashLoopBackOff" in reading.why_not_ready(pod)


def leads(seen: Seen) -> Verdict:
    wanted, found = seen.wanted, reading.controller(seen)
    if found is None or not reading.controller_available(seen):
        return unknown("no controller runs, so none can lead")
    lease = reading.one(seen, "Lease", wanted.namespace, reading.LEASE)
    if lease is None:
        return unknown(
            f"Lease {wanted.namespace}/{reading.LEASE} does not exist: leader election is switched "
            "off, or no controller ever led"
        )
    name = f"{wanted.namespace}/{reading.CONTROLLER}"
    lines = health.controller_problems(found, lease, name, seen.now)
    blind = [it for it in lines if " leads: " in it]
    spec = lease.get("spec") or {}
    said = f"Lease {wanted.namespace}/{reading.LEASE}: renewTime {spec.get('renewTime')}"
    if not blind:
        return fine(f"{spec.get('holderIdentity')} leads", said)
    return this(
        f"{blind[0]}: its Pod is Ready and reacts to nothing",
        said,
        action=actions.restarted("the controller", reading.controller_pods(seen)),
    )


def current(seen: Seen) -> Verdict:
    """Conditions for an older generation are the one sign of a controller that hangs."""
    late = [it for it in _judged(seen) if (behind := _behind(it)) and _is_over(seen, it, behind)]
    if not late:
        return fine("the controller has answered for the newest form of each object")
    evidence = tuple(f"{title(it)}: {_behind(it)}" for it in late[:5])
    what = f"{title(late[0])} was changed, and the controller has not taken it up"
    if not reading.controller_available(seen):
        return unknown(f"{what}: none runs", *evidence)
    pods = reading.controller_pods(seen)
    return this(what, *evidence, action=actions.restarted("the controller", pods))


def _judged(seen: Seen) -> list[Object]:
    own = [it for _, it in reading.gateways(seen) if it is not None]
    return [*own, *reading.routes(seen)]


def _behind(thing: Object) -> str:
    """Such as "generation 4, conditions are for 3", "" where they are current."""
    status, generation = thing.get("status") or {}, thing["metadata"].get("generation", 0)
    lists = [status.get("conditions") or ()]
    lists += [it.get("conditions") or () for it in status.get("parents") or ()]
    seen = [it["observedGeneration"] for one in lists for it in one if "observedGeneration" in it]
    if not seen or max(seen) >= generation:
        return ""
    return f"generation {generation}, conditions are for {max(seen)}"


def _is_over(seen: Seen, thing: Object, behind: str) -> bool:
    at = reading.changed(thing)
    return bool(behind) and (at is None or seen.now - at > reading.TAKES_UP)


def crds(seen: Seen) -> Verdict:
    """A controller that starts without a CRD leaves its objects alone, and says so in its log."""
    found = [it for it in seen.causes if it.cause == "crd_missing"]
    if found:
        return this(found[0].sentence, *found[0].evidence, action=_brought(seen, found[0].object))
    if seen.unserved:
        kinds = ", ".join(sorted(seen.unserved))
        return this(
            f"the API server does not know {kinds}, and the inventory has such objects",
            action=_brought(seen, kinds),
        )
    return fine("every kind that the inventory has is served")


def _brought(seen: Seen, name: str) -> Action:
    return Action(
        "crds",
        Target("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name),
        f"Bring the CRDs to those of Envoy Gateway {seen.wanted.version}, and restart the "
        "controller, which looks for them when it starts",
        seen.wanted.command.format("crds"),
        lost="CRDs never go back: a newer one keeps objects that an older one refuses",
    )


def rate_limit(seen: Seen) -> Verdict:
    wanted = seen.wanted
    found = reading.one(seen, "Deployment", wanted.namespace, RATE_LIMIT)
    name = f"Deployment {wanted.namespace}/{RATE_LIMIT}"
    if found is None:
        return unknown(
            f"{name} does not exist: global rate limits are not switched on",
            cure="rateLimit in the EnvoyGateway configuration of the release",
        )
    if found["spec"].get("replicas", 1) == 0:
        return this(f"{name} is scaled to 0", action=actions.scaled(found, 1))
    lines = conditions.rolled_out(found)
    if not lines:
        return fine(f"{name}: all its Pods are available")
    labels = found["spec"]["selector"].get("matchLabels") or {}
    pods = [
        it
        for it in reading.every(seen, "Pod")
        if reading.place(it)[0] == wanted.namespace
        and labels.items() <= (it["metadata"].get("labels") or {}).items()
        and not reading.ready(it)
    ]
    mend = [it for it in pods if reading.mends_by_restart(it)]
    return this(
        lines[0],
        *(reading.why_not_ready(it) for it in pods),
        action=actions.restarted("the rate limit service", mend),
        cure="" if mend else "look at its Redis: the service ends where it cannot be reached",
    )


def log(seen: Seen) -> Verdict:
    """What the controller says of objects that it cannot translate."""
    found = [it for it in seen.causes if it.cause in REFUSED]
    if found:
        return this(found[0].sentence, *found[0].evidence, cure=found[0].fix)
    return fine("the diagnosis found nothing that the controller refuses")


REFUSED = (
    "controller_rejected_configuration",
    "configuration_rejected",
    "policy_conflict",
    "policy_not_attached",
)
_OF_CONTROLLER = ("Deployment", "Pod")
RUNS = Step("controller", "Does the controller run?", runs, _OF_CONTROLLER, ("controller_down",))
LEADS = Step(
    "leader",
    "Does a controller lead?",
    leads,
    ("Deployment", "Lease"),
    ("controller_not_leading",),
)
CURRENT = Step(
    "taken-up",
    "Has the controller taken up what was written last?",
    current,
    ("Gateway", "HTTPRoute"),
    ("configuration_stale", "proxy_outdated"),
    settles=True,
)
CRDS = Step("crds", "Are the CRDs there?", crds, ("Gateway",), ("crd_missing",))
REFUSES = Step("refused", "Does it refuse an object?", log, (), REFUSED)
RATE_LIMIT_SERVICE = Step(
    "rate-limit-service", "Does the rate limit service run?", rate_limit, _OF_CONTROLLER
)

"""Steps about a Gateway: accepted, with an address, and listeners that serve."""

from __future__ import annotations

from tasks.plans import conditions, objects
from tasks.plans.kinds import title
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.proxies import first
from tasks.plans.runbooks.source import Action, Object, Seen, Step, Verdict, fine, this, unknown


def accepted(seen: Seen) -> Verdict:
    verdicts = [_accepted(seen, name, it) for name, it in reading.gateways(seen)]
    return first(verdicts, "no Gateway of this controller is there")


def _accepted(seen: Seen, name: str, gateway: Object | None) -> Verdict:
    if gateway is None:
        manifest = seen.wanted.manifests.get(f"Gateway {name}")
        action = actions.applied(manifest, None) if manifest else None
        return this(f"Gateway {name} does not exist", action=action)
    needed = gateway["spec"]["gatewayClassName"]
    found = reading.one(seen, "GatewayClass", "", needed)
    if found is None:
        manifest = seen.wanted.manifests.get(f"GatewayClass {needed}")
        return this(
            f"GatewayClass {needed} of Gateway {name} does not exist",
            action=actions.applied(manifest, None) if manifest else None,
            cure="" if manifest else "create it, or correct gatewayClassName",
        )
    parameters = _parameters(seen, found, gateway)
    if parameters is not None:
        return parameters
    lines = conditions.gateway_class(found)
    own = (gateway.get("status") or {}).get("conditions") or ()
    lines += conditions.unmet(gateway, own, ["Accepted"])
    if not lines:
        return fine(f"Gateway {name} is Accepted")
    if "reported" in lines[0]:
        return unknown(lines[0])
    return this(lines[0], action=drifted(seen, gateway), cure="correct what the condition names")


def _parameters(seen: Seen, gateway_class: Object, gateway: Object) -> Verdict | None:
    """The EnvoyProxy that class or Gateway name, where it is missing."""
    of_class = gateway_class["spec"].get("parametersRef")
    own = (gateway["spec"].get("infrastructure") or {}).get("parametersRef")
    for ref, namespace in ((own, reading.place(gateway)[0]), (of_class, "")):
        if not ref or ref.get("kind") != "EnvoyProxy":
            continue
        place = ref.get("namespace") or namespace, ref["name"]
        if "EnvoyProxy" in seen.unread or reading.one(seen, "EnvoyProxy", *place) is not None:
            continue
        named = f"EnvoyProxy {'/'.join(place)}"
        manifest = seen.wanted.manifests.get(named)
        return this(
            f"{named} does not exist, so {title(gateway)} is refused",
            action=actions.applied(manifest, None) if manifest else None,
            cure="" if manifest else "create it, or take parametersRef away",
        )
    return None


def drifted(seen: Seen, thing: Object) -> Action | None:
    """Put an object back where the inventory has it otherwise."""
    manifest = seen.wanted.manifests.get(title(thing))
    if manifest is None or objects.holds(thing, {**manifest, "apiVersion": thing["apiVersion"]}):
        return None  # several versions may be served
    return actions.applied(manifest, thing)


def address(seen: Seen) -> Verdict:
    verdicts = [_address(seen, name, it) for name, it in reading.gateways(seen) if it is not None]
    return first(verdicts, "no Gateway is there whose address could be looked at")


def _address(seen: Seen, name: str, gateway: Object) -> Verdict:
    found = reading.service(seen, gateway)
    if found is None:
        return unknown(f"Gateway {name}: its Service does not exist")
    given = [it["value"] for it in (gateway.get("status") or {}).get("addresses") or ()]
    balancer = (found.get("status") or {}).get("loadBalancer") or {}
    ingress = [it.get("ip") or it.get("hostname") for it in balancer.get("ingress") or ()]
    kind = found["spec"].get("type", "ClusterIP")
    if kind != "LoadBalancer":
        if given and seen.asked and not reading.failing(seen, name):
            return fine(f"Gateway {name}: {', '.join(given)}, by a Service of type {kind}")
        return unknown(f"{title(found)} is of type {kind}, without a load balancer")
    if ingress and given:
        return fine(f"Gateway {name}: {', '.join(given)}")
    said = reading.events(seen, found)[-3:]
    conditions_ = (gateway.get("status") or {}).get("conditions")
    programmed = reading.condition(conditions_, "Programmed")
    return this(
        f"Gateway {name}: its load balancer has no address, so no client reaches it",
        *said,
        f"{title(found)}: status.loadBalancer: {balancer or '{}'}",
        f"Programmed: {programmed.get('reason')}: {programmed.get('message')}",
        action=drifted(seen, gateway),
        cure=f"{seen.wanted.command.format('public_ips')} follows it into Azure; the events "
        "above say what the cloud refused, and nothing here can give what it does not",
    )


def listeners(seen: Seen) -> Verdict:
    verdicts = [_listeners(seen, name, it) for name, it in reading.gateways(seen) if it is not None]
    return first(verdicts, "no Gateway is there whose listeners could be looked at")


def _listeners(seen: Seen, name: str, gateway: Object) -> Verdict:
    reported = {it["name"]: it for it in (gateway.get("status") or {}).get("listeners") or ()}
    for listener in gateway["spec"].get("listeners") or ():
        entry = reported.get(listener["name"], {})
        lines = conditions.unmet(
            gateway,
            entry.get("conditions") or (),
            ["Accepted", "ResolvedRefs"],
            f"listener {listener['name']}",
        )
        lines = [it for it in lines if "reported" not in it]
        lost = [it for it in reading.secrets(gateway, listener) if _is_missing(seen, it)]
        if lost and any("not exist" in it or "not found" in it for it in lines):
            return _without_secret(seen, name, listener, lost[0], lines)
        if lines:
            return this(lines[0], action=drifted(seen, gateway), cure=_cure(lines[0]))
    action = drifted(seen, gateway)
    if action is not None and reading.failing(seen, name):
        return this(
            f"Gateway {name} is not as the inventory has it, and requests fail",
            *reading.failing(seen, name)[:3],
            action=action,
        )
    return fine(f"Gateway {name}: its listeners are as they should be")


def _is_missing(seen: Seen, place: tuple[str, str]) -> bool:
    return "Secret" not in seen.unread and reading.one(seen, "Secret", *place) is None


def _without_secret(
    seen: Seen, name: str, listener: Object, place: tuple[str, str], lines: list[str]
) -> Verdict:
    key = "/".join(place)
    source = seen.wanted.secrets.get(key) or ("backup" if seen.wanted.backup else None)
    command = seen.wanted.command
    return this(
        f"Gateway {name}, listener {listener['name']}: Secret {key} does not exist, so port "
        f"{listener['port']} is gone from proxies and load balancer",
        *lines,
        action=actions.secret(*place, source, command) if source else None,
        cure=""
        if source
        else f"kubectl create secret tls {place[1]} --namespace {place[0]} --cert FILE --key FILE",
    )


def _cure(line: str) -> str:
    if "InvalidCertificateRef" in line:
        return "renew the certificate in the Secret that the condition names"
    if "RefNotPermitted" in line:
        return "a ReferenceGrant in the namespace of the Secret, for Gateways of this namespace"
    return "correct the field that the condition names"


ACCEPTED = Step(
    "gateway",
    "Is the Gateway there and accepted?",
    accepted,
    ("Gateway", "GatewayClass"),
    ("gateway_not_accepted",),
)
ADDRESS = Step(
    "address",
    "Has the load balancer an address?",
    address,
    ("Gateway", "Service"),
    ("address_missing", "load_balancer_failed", "name_not_resolved"),
)
LISTENERS = Step(
    "listeners",
    "Do its listeners serve, with their certificates?",
    listeners,
    ("Gateway",),
    ("sni_no_filter_chain", "plaintext_to_tls_listener", "reference_not_permitted"),
)

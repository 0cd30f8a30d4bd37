"""
Policies that are not in force: for something that is not there, refused, or second to another one
for the same target. Nothing of that is seen at the Gateway or the route.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.cluster.known import (
    FRESH,
    Known,
    Object,
    Ref,
    at,
    found,
    leaving,
    listed,
    namespace,
    quoted,
    ref,
)
from tasks.diagnosis.diagnosis import Found

PATCH = "EnvoyPatchPolicy"
KINDS = (
    "ClientTrafficPolicy",
    "BackendTrafficPolicy",
    "SecurityPolicy",
    "EnvoyExtensionPolicy",
    "BackendTLSPolicy",
)
#: What is read of the kinds that policies may be for.
READ = {
    "Gateway": "gateways.gateway.networking.k8s.io",
    "GatewayClass": "gatewayclasses.gateway.networking.k8s.io",
    "HTTPRoute": "httproutes.gateway.networking.k8s.io",
    "GRPCRoute": "grpcroutes.gateway.networking.k8s.io",
    "TLSRoute": "tlsroutes.gateway.networking.k8s.io",
    "TCPRoute": "tcproutes.gateway.networking.k8s.io",
    "UDPRoute": "udproutes.gateway.networking.k8s.io",
    "ListenerSet": "listenersets.gateway.networking.k8s.io",
    "Service": "services",
    "Backend": "backends.gateway.envoyproxy.io",
}


def causes(known: Known) -> Iterator[Found]:
    for policy in known.of(PATCH):
        if (
            not known.headless
            and not known.begins(policy)
            and not at(policy, "status", "ancestors")
        ):
            yield _not_enabled(policy)
    for policy in known.of(*KINDS):
        if leaving(policy):
            continue
        if known.age(at(policy, "metadata", "creationTimestamp")) < FRESH:
            continue
        yield from _of_policy(known, policy)


def _not_enabled(policy: Object) -> Found:
    return found(
        "policy_not_attached",
        ref(policy),
        "spec.targetRef",
        "the controller says nothing of this patch: its target is not there, or the controller was "
        "not told to use patches (extensionApis.enableEnvoyPatchPolicy)",
        "set config.envoyGateway.extensionApis.enableEnvoyPatchPolicy in the values of the chart, "
        "or correct spec.targetRef",
        [f"{ref(policy).text}: no status"],
        confidence=0.8,
    )


def _of_policy(known: Known, policy: Object) -> Iterator[Found]:
    for it in known.refusals(policy, "ancestors"):
        if it.get("type") in ("Accepted", "ResolvedRefs"):
            yield _refused(policy, it)
            return
    yield from _without_target(known, policy)


def _refused(policy: Object, it: Object) -> Found:
    whose, reason, message = ref(policy), it.get("reason"), str(it.get("message"))
    evidence = [quoted(whose.text, it)]
    if reason == "Conflicted":
        return found(
            "policy_conflict",
            whose,
            "spec.targetRefs",
            f"another {whose.kind} is for the same target and older, so this one is not in force: "
            f"{message}",
            "put both into one, or give each a section of its own (sectionName)",
            evidence,
        )
    if reason == "RefNotPermitted":
        return found(
            "reference_not_permitted",
            whose,
            "spec",
            f"it may not refer to another namespace: {message}",
            "make a ReferenceGrant in the namespace of what it names, from this kind and namespace "
            f"{whose.namespace}",
            evidence,
        )
    effect = (
        "routes that it is for answer 500"
        if whose.kind in ("SecurityPolicy", "EnvoyExtensionPolicy")
        else "what it says does not happen"
    )
    return found(
        "policy_not_attached",
        whose,
        "spec.targetRefs" if reason == "TargetNotFound" else _field(policy, message),
        f"it is not in force ({effect}): {message}",
        "mend what it says: name, kind and sectionName of its target, then its own fields",
        evidence,
    )


def _field(policy: Object, message: str) -> str:
    """The part of a policy that a message is about, such as "spec.extAuth"."""
    said = message.lower().replace(" ", "")
    parts = [it for it in at(policy, "spec") or {} if not str(it).startswith("target")]
    if policy["kind"] == "BackendTLSPolicy":
        authority = "caCertificateRefs" in (at(policy, "spec", "validation") or {})
        return "spec.validation.caCertificateRefs" if authority else "spec.validation"
    meant = [it for it in parts if str(it).lower().removesuffix("s") in said]
    if len(meant) != 1 and len(parts) != 1:
        return "spec"
    return f"spec.{meant[0] if len(meant) == 1 else parts[0]}"


def _without_target(known: Known, policy: Object) -> Iterator[Found]:
    """A target that is not there: Envoy Gateway says nothing of such a policy."""
    refs = [*listed(at(policy, "spec", "targetRefs")), *listed([at(policy, "spec", "targetRef")])]
    for number, it in enumerate(refs):
        kind = str(it.get("kind"))
        whose = Ref(kind, str(it.get("name")), "" if kind == "GatewayClass" else namespace(policy))
        if kind not in READ or not known.read(READ[kind]) or known.get(whose) is not None:
            continue
        place = (
            "spec.targetRef" if at(policy, "spec", "targetRef") else f"spec.targetRefs[{number}]"
        )
        yield found(
            "policy_not_attached",
            ref(policy),
            f"{place}.name",
            f"it is for {whose.text}, which does not exist: what it says happens nowhere, and no "
            "condition tells",
            f"correct {place}: a policy is for objects of its own namespace",
            [f"{ref(policy).text}: {place} {kind} {whose.name}", f"no {whose.text}"],
        )
        return

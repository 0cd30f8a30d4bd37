"""
What stands in for applications that a drill's target does not have, and which routes that cannot
prove.

One echo server answers for all: a Service keeps its ports and its selector, and gets an
EndpointSlice beside those of its own Pods.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.public_ips import EXISTING, FROM_PREFIX, GROUP

Object = Mapping[str, Any]

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Of the echo server of the Gateway API's conformance tests.
HTTP, H2C = 3000, 3001
H2C_PROTOCOLS = ("kubernetes.io/h2c", "grpc")
IN_THE_CLUSTER = (".svc", ".svc.cluster.local")

#: Where a kind has annotations for the Service of its proxies.
ANNOTATIONS = {
    "Gateway": ("infrastructure", "annotations"),
    "EnvoyProxy": ("provider", "kubernetes", "envoyService", "annotations"),
}

#: What a SecurityPolicy asks of a client, by the field of its spec (Envoy Gateway 1.9 API
#: reference, SecurityPolicySpec).
ASKED = {
    "oidc": "a sign-in with OIDC",
    "extAuth": "an external authorisation",
    "jwt": "a JWT",
    "apiKeyAuth": "an API key",
    "basicAuth": "a password",
    "authorization": "a client that its authorization lets in",
}
#: What an EnvoyExtensionPolicy needs beside the proxy.
EXTENSIONS = {"extProc": "an external processor", "wasm": "a Wasm module from outside"}
#: Kinds that no request or handshake of ours proves.
SILENT = {
    "UDPRoute": "UDP: no answer proves nothing",
    "GRPCRoute": "gRPC: its listener is asked, not its method",
}


@dataclass(frozen=True, order=True)
class Service:
    namespace: str
    name: str


@dataclass(frozen=True)
class Port:
    """+ name: as the Service has it, "" for its only one; + number: of the echo server"""

    name: str
    number: int


def services(objects: Iterable[Object]) -> list[Service]:
    """
    The Services that routes send to: their backends, their mirrors, and Backends with the DNS name
    of a Service.
    """
    every = list(objects)
    backends = {_key(it): it for it in every if it["kind"] == "Backend"}
    found: set[Service] = set()
    for route in (it for it in every if it["kind"] in ROUTES):
        for reference in references(route):
            kind, key = reference.get("kind", "Service"), _of(route, reference)
            if kind == "Service":
                found.add(Service(*key))
            elif kind == "Backend" and key in backends:
                names = (_service(it) for it in _hostnames(backends[key]))
                found |= {it for it in names if it is not None}
    return sorted(found)


def references(route: Object) -> Iterator[Object]:
    """Each backendRef of a route, those of mirrors too."""
    for rule in route["spec"].get("rules") or ():
        refs = rule.get("backendRefs") or ()
        yield from refs
        for it in (rule, *refs):
            for one in it.get("filters") or ():
                if one.get("requestMirror"):
                    yield one["requestMirror"]["backendRef"]


def fixed_addresses(objects: Iterable[Object]) -> dict[str, str]:
    """What asks for an address that its own cluster has, by title, and which."""
    found = {}
    for it in objects:
        asked = [*_asked_of_azure(it).values()]
        if it["kind"] == "Gateway":
            asked += [one.get("value", "") for one in it["spec"].get("addresses") or ()]
        if asked:
            found[title(it)] = ", ".join(asked)
    return found


def without_address(thing: Object) -> dict[str, Any]:
    """
    The object, asking for no fixed address: the cluster that it was copied of still has that.
    """
    changed = copy.deepcopy(dict(thing))
    for key in (*EXISTING, GROUP, *FROM_PREFIX.values()):
        _annotations(changed).pop(key, None)
    if thing["kind"] == "Gateway":
        changed["spec"].pop("addresses", None)
    return changed


def _asked_of_azure(thing: Object) -> dict[str, str]:
    return {key: it for key, it in _annotations(thing).items() if key in EXISTING}


def _annotations(thing: Object) -> dict[str, str]:
    """The annotations that a Gateway or an EnvoyProxy gives the Service of its proxies."""
    spec: Any = thing.get("spec") or {}
    for key in ANNOTATIONS.get(thing["kind"], ()):
        spec = spec.get(key) or {}
    found: dict[str, str] = spec if thing["kind"] in ANNOTATIONS else {}
    return found


def through(objects: Iterable[Object], gateway: str, listener: str) -> list[str]:
    """
    The TCP and TLS routes that a connection through a listener is for, by title. + gateway: such as
    "edge/public"
    """
    return [
        title(it)
        for it in objects
        if it["kind"] in ("TCPRoute", "TLSRoute")
        and any(
            "/".join(_of(it, parent)) == gateway and parent.get("sectionName") in (None, listener)
            for parent in it["spec"].get("parentRefs") or ()
        )
    ]


def ports(service: Object) -> list[Port]:
    """Where the echo server answers for each port of a Service; UDP is left out."""
    return [
        Port(it.get("name", ""), H2C if it.get("appProtocol") in H2C_PROTOCOLS else HTTP)
        for it in service["spec"].get("ports") or ()
        if it.get("protocol", "TCP") == "TCP"
    ]


def without_pods(wanted: Iterable[Service], slices: Iterable[Object]) -> list[Service]:
    """Those Services for which no endpoint is ready."""
    ready = {
        Service(
            it["metadata"]["namespace"],
            (it["metadata"].get("labels") or {}).get("kubernetes.io/service-name", ""),
        )
        for it in slices
        if any(
            (one.get("conditions") or {}).get("ready", True) is not False
            for one in it.get("endpoints") or ()
        )
    }
    return [it for it in wanted if it not in ready]


def not_provable(objects: Iterable[Object]) -> dict[str, str]:
    """
    Why a route cannot be proven on a target that has nothing but the archive, by title:
    {"HTTPRoute shop/cart": "SecurityPolicy shop/login asks for a sign-in with OIDC"}.
    """
    every = list(objects)
    found: dict[str, str] = {}
    for route in (it for it in every if it["kind"] in ROUTES):
        whys = [
            SILENT.get(route["kind"]),
            *(_of_policy(it, route, every) for it in every),
            *(_of_backend(it, route, every) for it in references(route)),
            _of_match(route),
        ]
        why = next((it for it in whys if it), None)
        if why:
            found[title(route)] = why
    return found


def leaving(objects: Iterable[Object]) -> set[str]:
    """The routes, by title, that send to a name or an address outside of the cluster."""
    every = list(objects)
    found = set()
    for route in (it for it in every if it["kind"] in ROUTES):
        for reference in references(route):
            kind, key = reference.get("kind", "Service"), _of(route, reference)
            behind = (it for it in every if it["kind"] == kind and _key(it) == key)
            if any(_is_outside(it) for it in behind):
                found.add(title(route))
    return found


def _is_outside(backend: Object) -> bool:
    spec = backend["spec"]
    names = _hostnames(backend) if backend["kind"] == "Backend" else ()
    return (
        spec.get("type") in ("ExternalName", "DynamicResolver")
        or len(names) < len(spec.get("endpoints") or ())
        or any(_service(it) is None for it in names)
    )


def _of_policy(policy: Object, route: Object, every: Sequence[Object]) -> str | None:
    kind, spec = policy["kind"], policy.get("spec") or {}
    if kind == "SecurityPolicy" and _targets(policy, route, every):
        asked = next((text for field, text in ASKED.items() if field in spec), None)
        return f"{title(policy)} asks for {asked}" if asked else None
    if kind == "EnvoyExtensionPolicy" and _targets(policy, route, every):
        needed = next((text for field, text in EXTENSIONS.items() if spec.get(field)), None)
        return f"{title(policy)} needs {needed}" if needed else None
    validation = (spec.get("tls") or {}).get("clientValidation")
    if kind == "ClientTrafficPolicy" and validation and _targets(policy, route, every):
        return f"{title(policy)} asks clients for a certificate"
    return None


def _targets(policy: Object, route: Object, every: Sequence[Object]) -> bool:
    """Whether a policy stands on a route, on its Gateway, or on the listener it is attached to."""
    spec, place = policy["spec"], policy["metadata"]["namespace"]
    for it in [
        *(spec.get("targetRefs") or ()),
        *([spec["targetRef"]] if "targetRef" in spec else ()),
    ]:
        if it["kind"] == route["kind"]:
            if (place, it["name"]) == _key(route):
                return True
        elif it["kind"] == "Gateway" and any(
            _of(route, parent) == (place, it["name"])
            and it.get("sectionName") in (None, parent.get("sectionName", it.get("sectionName")))
            for parent in route["spec"].get("parentRefs") or ()
        ):
            return True
    for it in spec.get("targetSelectors") or ():
        labels = it.get("matchLabels") or {}
        parents = {_of(route, parent) for parent in route["spec"].get("parentRefs") or ()}
        for one in every:
            on = one is route or (one["kind"] == "Gateway" and _key(one) in parents)
            has = labels.items() <= (one["metadata"].get("labels") or {}).items()
            if on and has and one["kind"] == it.get("kind") and _key(one)[0] == place:
                return True
    return False


def _of_backend(reference: Object, route: Object, every: Sequence[Object]) -> str | None:
    kind, key = reference.get("kind", "Service"), _of(route, reference)
    backend = next((it for it in every if it["kind"] == kind and _key(it) == key), None)
    name = f"{kind} {'/'.join(key)}"
    if kind not in ("Service", "Backend"):
        return f"{name} is of a kind that nothing stands in for"
    if backend is None:
        return f"{name} is not in the archive"
    if kind == "Service" and backend["spec"].get("type") == "ExternalName":
        return f"{name} is an outside name"
    if kind == "Backend":
        why = _outside(backend)
        if why:
            return f"{name} {why}"
    for policy in (it for it in every if it["kind"] == "BackendTLSPolicy"):
        for it in policy["spec"].get("targetRefs") or ():
            if (policy["metadata"]["namespace"], it["name"]) == key and it["kind"] == kind:
                return f"{title(policy)} wants a certificate of {name} that no stand-in has"
    return None


def _outside(backend: Object) -> str | None:
    spec = backend["spec"]
    if spec.get("type") == "DynamicResolver":
        return "resolves what the request names"
    for it in spec.get("endpoints") or ():
        if "fqdn" not in it:
            return "has an address of its own"
        if _service(it["fqdn"]["hostname"]) is None:
            return f"is an outside name ({it['fqdn']['hostname']})"
    return "talks TLS to its backend" if spec.get("tls") else None


def _of_match(route: Object) -> str | None:
    """Where no request is to be read off a route's first match."""
    if route["kind"] != "HTTPRoute":
        return None
    rules = route["spec"].get("rules") or [{}]
    match = (rules[0].get("matches") or [{}])[0]
    if set(match) - {"path"} or (match.get("path") or {}).get("type") == "RegularExpression":
        return (
            "its first match is more than a path: which request it takes is not to be read off it"
        )
    return None


def _hostnames(backend: Object) -> list[str]:
    endpoints = backend["spec"].get("endpoints") or ()
    return [it["fqdn"]["hostname"] for it in endpoints if "fqdn" in it]


def _service(hostname: str) -> Service | None:
    """ "blue.demo.svc.cluster.local" is a Service; any other name is outside."""
    for ending in IN_THE_CLUSTER:
        if hostname.endswith(ending):
            parts = hostname.removesuffix(ending).split(".")
            return Service(parts[1], parts[0]) if len(parts) == 2 else None
    return None


def _of(route: Object, reference: Object) -> tuple[str, str]:
    return reference.get("namespace") or route["metadata"]["namespace"], reference["name"]


def _key(thing: Object) -> tuple[str, str]:
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]

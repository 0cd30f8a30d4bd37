"""
What an object refers to, and the order that follows from it: what is referred to comes first.

Defaults of kind and group are those of the APIs (Gateway API and Envoy Gateway API references;
cert-manager docs, CertificateSpec and IssuerSpec).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from tasks.plans.kinds import ENVOY_GATEWAY, EXPERIMENTAL, GATEWAY_API, KINDS, title

GROUPS = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)
CERT_MANAGER = "cert-manager.io"
_SECRET, _CONFIG_MAP = ("", "Secret"), ("", "ConfigMap")
#: Fields that refer, or list what they refer to, with group and kind where these are left out;
#: None where the API asks for both.
_FIELDS: Mapping[str, tuple[str, str] | None] = {
    "backendRef": ("", "Service"),
    "backendRefs": ("", "Service"),
    "caCertificateRef": _SECRET,
    "caCertificateRefs": _SECRET,
    "certificateRef": _SECRET,
    "certificateRefs": _SECRET,
    "clientCertificateRef": _SECRET,
    "clientIDRef": _SECRET,
    "clientSecret": _SECRET,
    "credentialRefs": _SECRET,
    "extensionRef": None,
    "issuerRef": (CERT_MANAGER, "Issuer"),
    "parametersRef": None,
    "parentRef": (GATEWAY_API, "Gateway"),
    "parentRefs": (GATEWAY_API, "Gateway"),
    "pullSecretRef": _SECRET,
    "refs": _SECRET,  # of crl
    "targetRef": None,
    "targetRefs": None,
    "users": _SECRET,  # of basicAuth
    "valueRef": _SECRET,
}
#: Fields of Pods, and of issuers, that name a thing of one kind: {"name": ...}.
_NAMED: Mapping[str, tuple[str, str]] = {
    "configMap": _CONFIG_MAP,
    "configMapKeyRef": _CONFIG_MAP,
    "configMapRef": _CONFIG_MAP,
    "imagePullSecrets": _SECRET,
    "nodePublishSecretRef": _SECRET,
    "secret": _SECRET,
    "secretKeyRef": _SECRET,
    "secretRef": _SECRET,
}
#: Kinds outside of ``kinds.KINDS``: whether they are namespaced, and when they are applied.
_CLUSTER_WIDE = frozenset({(CERT_MANAGER, "ClusterIssuer")})
_RANKS = {
    (CERT_MANAGER, "Issuer"): 12,
    (CERT_MANAGER, "ClusterIssuer"): 12,
    (CERT_MANAGER, "Certificate"): 13,
}


@dataclass(frozen=True)
class Reference:
    """+ group: "" is the core group; + namespace: None for what has none"""

    group: str
    kind: str
    namespace: str | None
    name: str

    @property
    def title(self) -> str:
        """Such as "Secret edge/shop-tls"."""
        return title(
            {"kind": self.kind, "metadata": {"namespace": self.namespace, "name": self.name}}
        )


def to(thing: Mapping[str, Any]) -> Reference:
    """What refers to this object."""
    meta = thing["metadata"]
    group = thing["apiVersion"].rpartition("/")[0]
    return Reference(group, thing["kind"], meta.get("namespace"), meta["name"])


def references(thing: Mapping[str, Any], proxies: str | None = None) -> list[Reference]:
    """
    Everything that an object of the Gateway API, Envoy Gateway or cert-manager refers to by name,
    its namespace first, each once; of any other object its namespace alone.

    + proxies: the namespace that proxies run in, where what an EnvoyProxy mounts is looked for;
      None is its own
    """
    own = thing["metadata"].get("namespace")
    found = [Reference("", "Namespace", None, own)] if own else []
    group, kind = thing["apiVersion"].rpartition("/")[0], thing["kind"]
    if group in GROUPS or group == CERT_MANAGER:
        spec = thing.get("spec") or {}
        found += _in_fields(spec, own)
        if kind == "Gateway" and spec.get("gatewayClassName"):
            found.append(Reference(GATEWAY_API, "GatewayClass", None, spec["gatewayClassName"]))
        if kind == "EnvoyProxy":
            found += _of_pods(spec.get("provider"), proxies or own)
        if group == CERT_MANAGER and own:  # a ClusterIssuer looks where cert-manager was told to
            found += _of_pods(spec, own)
    return list(dict.fromkeys(found))


def _in_fields(thing: Any, own: str | None) -> Iterator[Reference]:
    """References in the fields of the table, wherever they are."""
    for name, below in _fields(thing):
        for it in below if isinstance(below, list) else [below]:
            if name in _FIELDS and isinstance(it, Mapping):
                yield from _read(it, _FIELDS[name], own)
        yield from _in_fields(below, own)


def _fields(thing: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a mapping, or of the mappings in a list, that have something below them."""
    for it in thing if isinstance(thing, list) else [thing]:
        if isinstance(it, Mapping):
            yield from ((k, v) for k, v in it.items() if isinstance(v, Mapping | list))
        elif isinstance(it, list):
            yield from _fields(it)


def _read(
    it: Mapping[str, Any], default: tuple[str, str] | None, own: str | None
) -> Iterator[Reference]:
    group, kind = it.get("group"), it.get("kind")
    if default is not None:
        group, kind = default[0] if group is None else group, kind or default[1]
    name, namespace = it.get("name"), it.get("namespace") or own
    if isinstance(name, str) and name and isinstance(kind, str):
        group = group or ""
        wide = (group, kind) in _CLUSTER_WIDE or not _is_namespaced(group, kind)
        yield Reference(group, kind, None if wide else namespace, name)


def _is_namespaced(group: str, kind: str) -> bool:
    known = KINDS.get((group, kind))
    return known is None or known.namespaced


def _of_pods(thing: Any, namespace: str | None) -> Iterator[Reference]:
    """What Pods, issuers and Certificates name without saying its kind."""
    for it in thing if isinstance(thing, list) else [thing]:
        if not isinstance(it, Mapping):
            continue
        for name, below in it.items():
            if name == "secretName" and isinstance(below, str):
                yield Reference(*_SECRET, namespace, below)
            known = _NAMED.get(name) or (_SECRET if name.endswith("SecretRef") else None)
            for one in below if isinstance(below, list) else [below]:
                if known and isinstance(one, Mapping) and isinstance(one.get("name"), str):
                    yield Reference(*known, namespace, one["name"])
            if isinstance(below, Mapping | list):
                yield from _of_pods(below, namespace)


def in_order(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    The objects so that each stands behind what it needs: its namespace, its CRD, what it refers to,
    and the ReferenceGrants that allow it to. Where that leaves a choice, or goes in a circle, the
    ranks of their kinds decide, then the order in which they came.
    """
    things = [dict(it) for it in objects]
    needs = _needs(things)
    needed_by: dict[int, list[int]] = defaultdict(list)
    for number, others in enumerate(needs):
        for it in others:
            needed_by[it].append(number)
    ready = [(_rank(it), number) for number, it in enumerate(things) if not needs[number]]
    heapify(ready)
    left, ordered = dict.fromkeys(range(len(things))), []
    while left:
        if not ready:  # a circle
            ready = [min((_rank(things[it]), it) for it in left)]
        number = heappop(ready)[1]
        if number not in left:
            continue
        del left[number]
        ordered.append(things[number])
        for it in needed_by[number]:
            needs[it].discard(number)
            if not needs[it] and it in left:
                heappush(ready, (_rank(things[it]), it))
    return ordered


def _needs(things: Sequence[Mapping[str, Any]]) -> list[set[int]]:
    """By number of an object, the numbers of those that must be there before it."""
    places = {to(it): number for number, it in enumerate(things)}
    definitions = {
        (it["spec"]["group"], it["spec"]["names"]["kind"]): number
        for number, it in enumerate(things)
        if it["kind"] == "CustomResourceDefinition"
    }
    grants: dict[tuple[str | None, str, str], list[int]] = defaultdict(list)
    for number, it in enumerate(things):
        if it["kind"] == "ReferenceGrant":
            for one in (it.get("spec") or {}).get("to") or ():
                allowed = (it["metadata"].get("namespace"), one.get("group") or "", one["kind"])
                grants[allowed].append(number)
    found = []
    for number, it in enumerate(things):
        group, own = it["apiVersion"].rpartition("/")[0], it["metadata"].get("namespace")
        before = {definitions.get((group, it["kind"]))}
        for one in references(it):
            before.add(places.get(one))
            if one.namespace and one.namespace != own:
                before.update(grants.get((one.namespace, one.group, one.kind), ()))
        found.append({it for it in before if it is not None and it != number})
    return found


def _rank(thing: Mapping[str, Any]) -> int:
    kind = thing["apiVersion"].rpartition("/")[0], thing["kind"]
    known = KINDS.get(kind)
    return known.rank if known else _RANKS.get(kind, 50)

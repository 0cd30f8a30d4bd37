"""
Which rights a run needs on a cluster, so that a missing one is known before the first write.

``SelfSubjectRulesReview`` tells many in one request, but an authorizer outside of the cluster, such
as Azure RBAC, may leave its own out; what the rules do not show is asked for one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tasks.plans import control_plane
from tasks.plans.kinds import (
    ACME,
    CERT_MANAGER,
    ENVOY_GATEWAY,
    EXPERIMENTAL,
    GATEWAY_API,
    KINDS,
)
from tasks.plans.lease import NAME as LEASE

#: No namespace has this name, so rules asked for in it are those of the whole cluster.
NOWHERE = "envoyfleet-no-such-namespace"
_CRDS = "customresourcedefinitions"
_EXTENSIONS = "apiextensions.k8s.io"
_WRITE = ("get", "create", "patch")


@dataclass(frozen=True)
class Right:
    """
    + resource: "gateways.gateway.networking.k8s.io", a core one without its dot, a subresource
      before it: "customresourcedefinitions/status.apiextensions.k8s.io"
    + namespace: None is everywhere; + names: of objects, empty means all
    """

    verb: str
    resource: str
    namespace: str | None = None
    names: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Such as "patch deployments.apps in envoy-gateway-system"."""
        return f"{self.verb} {self.resource}" + (f" in {self.namespace}" if self.namespace else "")


#: A right that stands for all others, asked for first where rules are incomplete.
ALL = Right("*", "*.*")
#: Cluster-wide rights of a run: resources by verbs.
_EVERYWHERE: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("get", "list", "create", "patch"), (f"{_CRDS}.{_EXTENSIONS}",)),
    (("patch",), (f"{_CRDS}/status.{_EXTENSIONS}",)),
    (("create", "patch"), ("namespaces",)),
    (
        (*_WRITE, "delete"),  # hooks of the chart are deleted and made anew
        (
            "clusterroles.rbac.authorization.k8s.io",
            "clusterrolebindings.rbac.authorization.k8s.io",
            "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        ),
    ),
    (
        _WRITE,
        (
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        ),
    ),
    (("list",), ("deployments.apps", "daemonsets.apps", "services", "namespaces")),
)
#: Rights in the controller's namespace.
_INSIDE: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("get", "list", "create", "update", "patch", "delete"), ("secrets",)),
    (("get", "create", "update", "patch"), ("leases.coordination.k8s.io",)),
    (("list",), ("pods", "configmaps")),
    (
        (*_WRITE, "delete"),
        (
            "jobs.batch",
            "serviceaccounts",
            "roles.rbac.authorization.k8s.io",
            "rolebindings.rbac.authorization.k8s.io",
        ),
    ),
    (_WRITE, ("deployments.apps", "services", "configmaps")),
    (("create", "patch", "delete"), ("poddisruptionbudgets.policy",)),
)


def needed(
    namespace: str,
    written: Iterable[str] = (),
    proxies: Iterable[str] = (),
    referred: Iterable[str] = (),
    moving: Iterable[str] = (),
) -> list[Right]:
    """
    What install and upgrade do: CRDs, the chart's objects, Lease, backup, Gateways.

    + namespace: the controller's
    + written: resources of the inventory's objects, such as ["gateways.gateway.networking.k8s.io"]
    + proxies: namespaces of the proxies; + referred: namespaces whose Secrets and ConfigMaps are
      backed up
    + moving: resources whose objects are rewritten because their storage version moves
    """
    rights = [
        Right(verb, resource)
        for verbs, resources in _EVERYWHERE
        for resource in resources
        for verb in verbs
    ]
    rights += [Right("list", it) for it in kinds_read()]
    rights += [Right(verb, it) for it in sorted(set(written)) for verb in ("create", "patch")]
    rights += [Right("update", it) for it in moving]
    rights += [
        Right(verb, resource, namespace)
        for verbs, resources in _INSIDE
        for resource in resources
        for verb in verbs
    ]
    for place in sorted(set(proxies)):
        rights += [Right("list", "pods", place), Right("delete", "pods", place)]
    for place in sorted(set(referred)):
        rights += [Right("list", "secrets", place), Right("list", "configmaps", place)]
    return list(dict.fromkeys(rights))


def wished(proxies: Iterable[str]) -> list[Right]:
    """
    What a run can do without: proxies are then not probed one by one. A websocket is a GET: before
    Kubernetes 1.35 the API server asks for that verb alone, since then for create as well.
    """
    return [
        Right(verb, "pods/portforward", it)
        for it in sorted(set(proxies))
        for verb in ("get", "create")
    ]


#: The deploys that a schedule runs, and what each reads everywhere.
_ROUTED = tuple(f"{it}.{GATEWAY_API}" for it in ("gatewayclasses", "gateways", "httproutes"))
_TLS = (
    *_ROUTED,
    *(f"{it}.{GATEWAY_API}" for it in ("grpcroutes", "tlsroutes", "listenersets")),
    f"referencegrants.{GATEWAY_API}",
    *(f"{it}.{ENVOY_GATEWAY}" for it in ("clienttrafficpolicies", "envoyproxies")),
)
#: What cert-manager makes on the way to a certificate.
_ATTEMPTS = (
    f"certificaterequests.{CERT_MANAGER}",
    f"orders.{ACME}",
    f"challenges.{ACME}",
)
SCHEDULED: Mapping[str, tuple[str, ...]] = {
    "backup": ("namespaces", "services"),
    "certificates": (
        *_TLS,
        f"backendtlspolicies.{GATEWAY_API}",
        f"backends.{ENVOY_GATEWAY}",
        f"certificates.{CERT_MANAGER}",
        *_ATTEMPTS,
        *("gateways.networking.istio.io", "pods", "services"),
    ),
    "rotate_certificates": _TLS,
    "rotate_control_plane": _ROUTED,
}


def scheduled(
    deploy: str,
    namespace: str,
    proxies: Iterable[str] = (),
    secrets: Mapping[str, Collection[str]] = MappingProxyType({}),
    referred: Iterable[str] = (),
    asked: Collection[str] = (),
) -> list[Right]:
    """
    What one of the deploys of ``SCHEDULED`` does, and nothing more.

    + namespace: the controller's; + proxies: namespaces of the proxies
    + secrets: by namespace, names of the Secrets that are renewed; + asked: namespaces in which
      cert-manager is asked for it
    + referred: namespaces whose Secrets and ConfigMaps are backed up
    """
    rights = [Right("get", "namespaces", names=("kube-system",))]
    rights += [Right("list", it) for it in SCHEDULED[deploy]]
    if deploy == "backup":
        return rights + _backup(namespace, referred)
    for it in sorted(set(proxies)):
        rights += [Right("list", "pods", it), Right("list", "services", it)]
    rights += wished(proxies)
    if deploy == "certificates":
        rights += [Right(it, "secrets") for it in ("get", "list")]
        return [*rights, Right("get", "configmaps")]
    rights += [
        Right(verb, "leases.coordination.k8s.io", namespace, names)
        for verb, names in (("create", ()), ("get", (LEASE,)), ("update", (LEASE,)))
    ]
    if deploy == "rotate_control_plane":
        rights.append(Right("list", "pods", namespace))
        rights += wished([namespace])
        secrets = {namespace: control_plane.NAMES}
        webhook = (control_plane.webhook_name(namespace),)
        hooks = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
        rights += [Right(verb, hooks, names=webhook) for verb in ("get", "patch")]
    for place, names in sorted(secrets.items()):
        rights += [Right(it, "secrets", place, tuple(sorted(names))) for it in ("get", "patch")]
    for place in sorted(set(asked)):
        rights.append(Right("get", f"certificates.{CERT_MANAGER}", place))
        rights.append(Right("patch", f"certificates/status.{CERT_MANAGER}", place))
        rights += [Right("list", it, place) for it in _ATTEMPTS]
    return list(dict.fromkeys(rights))


def _backup(namespace: str, referred: Iterable[str]) -> list[Right]:
    policies = "validatingadmissionpolicies.admissionregistration.k8s.io"
    bindings = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
    rights = [Right("get", it) for it in (policies, bindings)]
    rights += [Right(it, f"{_CRDS}.{_EXTENSIONS}") for it in ("get", "list")]
    rights += [Right("list", it) for it in kinds_read()]
    rights += [Right("get", "deployments.apps", namespace), Right("get", "secrets", namespace)]
    rights.append(Right("get", "leases.coordination.k8s.io", namespace, (LEASE,)))
    for place in sorted({namespace, *referred}):
        rights += [Right("list", "secrets", place), Right("list", "configmaps", place)]
    return rights


def roles(rights: Iterable[Right]) -> dict[str | None, list[dict[str, list[str]]]]:
    """
    The rules of a ClusterRole, under None, and of a Role for each namespace: [{"apiGroups": [""],
    "resources": ["secrets"], "resourceNames": ["shop-tls"], "verbs": ["get", "patch"]}]. What is
    allowed in the same way stands together.
    """
    verbs: dict[tuple[str | None, str, str, tuple[str, ...]], list[str]] = {}
    for it in rights:
        named, _, group = it.resource.partition(".")
        verbs.setdefault((it.namespace, group, named, it.names), []).append(it.verb)
    resources: dict[tuple[str | None, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (place, group, resource, names), allowed in verbs.items():
        key = place, group, names, tuple(dict.fromkeys(allowed))
        resources.setdefault(key, []).append(resource)
    found: dict[str | None, list[dict[str, list[str]]]] = {}
    for (place, group, names, words), together in resources.items():
        rule = {"apiGroups": [group], "resources": together, "verbs": list(words)}
        if names:
            rule["resourceNames"] = list(names)
        found.setdefault(place, []).append(rule)
    return found


def kinds_read() -> list[str]:
    """The kinds that preflight and backup list, such as "httproutes.gateway.networking.k8s.io"."""
    groups = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)
    return [f"{it.plural}.{group}" for (group, _), it in KINDS.items() if group in groups]


def written_by(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """The resources of some manifests, core ones without a dot."""
    found: dict[str, None] = {}
    for it in manifests:
        group = it["apiVersion"].rpartition("/")[0]
        plural = KINDS[group, it["kind"]].plural
        found[f"{plural}.{group}" if group else plural] = None
    return list(found)


def not_shown(
    rights: Iterable[Right],
    cluster_wide: Iterable[Mapping[str, Any]],
    inside: Iterable[Mapping[str, Any]] = (),
    namespace: str | None = None,
) -> list[Right]:
    """
    Those of ``rights`` that no rule gives.

    + cluster_wide, inside: ``resourceRules`` of the reviews for NOWHERE and for ``namespace``
    """
    everywhere, there = _table(cluster_wide), _table(inside)
    return [
        it
        for it in rights
        if not _gives(everywhere, it)
        and not (it.namespace is not None and it.namespace == namespace and _gives(there, it))
    ]


def grouped(rights: Iterable[Right]) -> list[str]:
    """A line a resource, such as "get, list, patch secrets in envoy-gateway-system"."""
    verbs: dict[tuple[str, str | None], list[str]] = {}
    for it in rights:
        verbs.setdefault((it.resource, it.namespace), []).append(it.verb)
    return [Right(", ".join(found), *place).text for place, found in verbs.items()]


Table = list[tuple[frozenset[str], frozenset[str], frozenset[str]]]


def _table(rules: Iterable[Mapping[str, Any]]) -> Table:
    """Verbs, groups and resources of each rule; one for named objects alone does not count."""
    return [
        (
            frozenset(it.get("verbs") or ()),
            frozenset(it.get("apiGroups") or ()),
            frozenset(it.get("resources") or ()),
        )
        for it in rules
        if not it.get("resourceNames")
    ]


def _gives(table: Table, right: Right) -> bool:
    resource, _, group = right.resource.partition(".")
    sub = resource.partition("/")[2]
    names: Collection[str] = {"*", resource, f"*/{sub}"} if sub else {"*", resource}
    return any(
        (right.verb in verbs or "*" in verbs)
        and (group in groups or "*" in groups)
        and not resources.isdisjoint(names)
        for verbs, groups, resources in table
    )


def rules_review(namespace: str) -> dict[str, Any]:
    """The SelfSubjectRulesReview for one namespace (authorization.k8s.io/v1)."""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }


def review(right: Right) -> dict[str, Any]:
    """
    The SelfSubjectAccessReview that asks for it (Kubernetes API reference,
    authorization.k8s.io/v1).
    """
    named, _, group = right.resource.partition(".")
    resource, _, sub = named.partition("/")
    about = {"verb": right.verb, "resource": resource, "group": group}
    if sub:
        about["subresource"] = sub
    if right.namespace:
        about["namespace"] = right.namespace
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }


def granted(answer: Mapping[str, Any]) -> bool:
    """Whether the API server said yes; a review that it could not finish is a no."""
    return bool((answer.get("status") or {}).get("allowed"))

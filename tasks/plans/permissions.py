"""
Which rights a run needs on a cluster, so that a missing one is known before the first write.

``SelfSubjectRulesReview`` tells many in one request, but an authorizer outside of the cluster, such
as Azure RBAC, may leave its own out; what the rules do not show is asked for one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.plans.kinds import KINDS

#: No namespace has this name, so rules asked for in it are those of the whole cluster.
NOWHERE = "envoyfleet-no-such-namespace"


@dataclass(frozen=True)
class Right:
    """
    + resource: "gateways.gateway.networking.k8s.io", a core one without its dot, a subresource
      before it: "customresourcedefinitions/status.apiextensions.k8s.io"
    + namespace: None is everywhere; + names: of objects, empty means all
    + rare: why most runs do without it, "" where all need it
    """

    verb: str
    resource: str
    namespace: str | None = None
    names: tuple[str, ...] = ()
    rare: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """Such as "patch deployments.apps in envoy-gateway-system"."""
        return f"{self.verb} {self.resource}" + (f" in {self.namespace}" if self.namespace else "")


#: A right that stands for all others, asked for first where rules are incomplete.
ALL = Right("*", "*.*")


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


def written_by(manifests: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str | None], ...]:
    """The resources of some manifests with their namespaces, core ones without a dot."""
    found: dict[tuple[str, str | None], None] = {}
    for it in manifests:
        group = it["apiVersion"].rpartition("/")[0]
        kind = KINDS[group, it["kind"]]
        place = it["metadata"].get("namespace") if kind.namespaced else None
        found[f"{kind.plural}.{group}" if group else kind.plural, place] = None
    return tuple(found)


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


Table = list[tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]]


def _table(rules: Iterable[Mapping[str, Any]]) -> Table:
    """Verbs, groups and resources of each rule, and whose objects' names it has."""
    return [
        (
            frozenset(it.get("verbs") or ()),
            frozenset(it.get("apiGroups") or ()),
            frozenset(it.get("resources") or ()),
            frozenset(it.get("resourceNames") or ()),
        )
        for it in rules
    ]


def _gives(table: Table, right: Right) -> bool:
    resource, _, group = right.resource.partition(".")
    sub = resource.partition("/")[2]
    names: Collection[str] = {"*", resource, f"*/{sub}"} if sub else {"*", resource}
    return any(
        (right.verb in verbs or "*" in verbs)
        and (group in groups or "*" in groups)
        and not resources.isdisjoint(names)
        and (not objects or (right.names and objects.issuperset(right.names)))
        for verbs, groups, resources, objects in table
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
    if len(right.names) == 1:
        about["name"] = right.names[0]
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }


def granted(answer: Mapping[str, Any]) -> bool:
    """Whether the API server said yes; a review that it could not finish is a no."""
    return bool((answer.get("status") or {}).get("allowed"))

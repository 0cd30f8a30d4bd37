"""
What a drill may delete on its target: what came since it began and is of its making, nothing else.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import ENVOY_GATEWAY, EXPERIMENTAL, GATEWAY_API
from tasks.plans.objects import MANAGER
from tasks.plans.resources import CORE, Resource

Object = Mapping[str, Any]

#: The groups of a Gateway and of all that belongs to it.
GROUPS = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)
#: Namespaces that every cluster has.
SYSTEM = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
#: Groups whose objects come and go by themselves, and the policies that come with the CRDs.
RESTLESS = frozenset(
    {
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "metrics.k8s.io",
        "node.k8s.io",
        "storage.k8s.io",
    }
)
#: Made by controllers, one after the other, from what is looked at anyway.
GENERATED = frozenset({"controllerrevisions", "jobs", "replicasets"})
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", True)
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NAMESPACES = "namespaces"
#: The ConfigMap that says that a drill is at work, or was broken off.
NAME, NAMESPACE = "envoyfleet-drill", "kube-system"
MARK = f"configmaps {NAMESPACE}/{NAME}"


@dataclass(frozen=True)
class Found:
    """An object of a cluster without its contents. + meta: its metadata."""

    resource: Resource
    meta: Object

    @property
    def kind(self) -> str:
        """Such as "gateways.gateway.networking.k8s.io", "namespaces"."""
        group = f".{self.resource.group}" if self.resource.group else ""
        return f"{self.resource.plural}{group}"

    @property
    def key(self) -> str:
        """Whatever the version: "gateways.gateway.networking.k8s.io edge/public"."""
        return f"{self.kind} {self._place}{self.meta['name']}"

    @property
    def title(self) -> str:
        """Such as "Gateway edge/public"."""
        return f"{self.resource.kind} {self._place}{self.meta['name']}"

    @property
    def path(self) -> str:
        return self.resource.path(self.meta.get("namespace"), self.meta["name"])

    @property
    def _place(self) -> str:
        return f"{self.meta['namespace']}/" if self.meta.get("namespace") else ""


@dataclass(frozen=True)
class Mark:
    """
    What a drill writes on its target before anything else: enough for another run to undo it.

    + run: of the drill that began; + archive: what it restored; + namespaces: those that it brings;
      + release, namespace: of Helm; + before: keys of all objects that were there
    """

    run: str
    source: str
    archive: str
    namespaces: frozenset[str]
    release: str
    namespace: str
    before: frozenset[str]


def listable(resources: Iterable[Resource]) -> list[Resource]:
    """
    What is looked at before and after a drill: every kind that can be listed and deleted, once, but
    for those that change by themselves.
    """
    found: dict[tuple[str, str], Resource] = {}
    for it in (*CORE, SERVICE_ACCOUNTS, *resources):
        quiet = it.group not in RESTLESS and it.plural not in GENERATED
        if quiet and {"list", "delete"} <= it.verbs and "/" not in it.plural:
            found.setdefault((it.group, it.plural), it)
    return list(found.values())


def namespaces(archive: Iterable[Object], namespace: str, own: str) -> frozenset[str]:
    """
    The namespaces that a drill of these objects brings. + namespace: of the controller; + own: of
    the stand-ins
    """
    places = {
        it["metadata"]["name"] if it["kind"] == "Namespace" else it["metadata"].get("namespace")
        for it in archive
    }
    return frozenset({it for it in places if it} | {namespace, own}) - SYSTEM


def in_the_way(
    found: Iterable[Found],
    archive: Iterable[Object],
    release: str,
    brought: Collection[str],
) -> list[str]:
    """
    What makes a target not empty, by title; CRDs of the Gateway API and their policy are not in the
    way.

    + archive: the objects that would be restored; + brought: ``namespaces``
    """
    restored = {_key(it) for it in archive}
    lines = []
    for it in found:
        labels = it.meta.get("labels") or {}
        if it.kind == CRDS or it.resource.group == "admissionregistration.k8s.io":
            continue
        if it.kind == "secrets" and (labels.get("owner"), labels.get("name")) == ("helm", release):
            lines.append(f"Helm release {it.meta['namespace']}/{release}")
        elif (
            it.resource.group in GROUPS
            or (it.kind == NAMESPACES and it.meta["name"] in brought)
            or (it.meta.get("namespace") not in brought and _key_of(it) in restored)
        ):
            lines.append(it.title)
    return list(dict.fromkeys(lines))


def _key(thing: Object) -> tuple[str, str, str | None, str]:
    meta = thing["metadata"]
    group = thing["apiVersion"].rpartition("/")[0]
    place = None if thing["kind"] == "Namespace" else meta.get("namespace")
    restored = (group, thing["kind"], place, meta["name"])
    system = ("", "Namespace", None, meta["name"])
    return ("", "", None, "") if restored == system and meta["name"] in SYSTEM else restored


def _key_of(it: Found) -> tuple[str, str, str | None, str]:
    return it.resource.group, it.resource.kind, it.meta.get("namespace"), it.meta["name"]


def made_by(mark: Mark, found: Iterable[Found]) -> list[Found]:
    """What came since a drill began and is of its making; all of it may go."""
    return [it for it in found if it.key not in mark.before and _is_ours(mark, it)]


def came_meanwhile(mark: Mark, found: Iterable[Found]) -> list[str]:
    """What came since and is of somebody else, by title: it is left, and said."""
    return [
        it.title
        for it in found
        if it.key not in mark.before and it.key != MARK and not _is_ours(mark, it)
    ]


def of_others(mark: Mark, found: Iterable[Found]) -> list[str]:
    """
    Gateway API objects that somebody else made since, by title: this cluster is in use, and nothing
    of it may be deleted.
    """
    return [
        it.title
        for it in found
        if it.resource.group in GROUPS and it.key not in mark.before and not _is_ours(mark, it)
    ]


def _is_ours(mark: Mark, it: Found) -> bool:
    if it.key == MARK:  # it goes last, and by itself
        return False
    labels, notes = it.meta.get("labels") or {}, it.meta.get("annotations") or {}
    name = it.meta["name"]
    if it.kind == NAMESPACES:
        return name in mark.namespaces
    if it.kind == CRDS:
        return name.partition(".")[2] in GROUPS
    of_helm = (
        notes.get("meta.helm.sh/release-name"),
        notes.get("meta.helm.sh/release-namespace"),
    ) == (mark.release, mark.namespace)
    of_the_chart = (
        labels.get("app.kubernetes.io/name"),
        labels.get("app.kubernetes.io/instance"),
    ) == ("gateway-helm", mark.release)
    return (
        it.meta.get("namespace") in mark.namespaces
        or of_helm
        or of_the_chart
        or labels.get("app.kubernetes.io/managed-by") == "envoy-gateway"
        or any(one.get("manager") == MANAGER for one in it.meta.get("managedFields") or ())
    )


def packed(before: Iterable[str]) -> str:
    """For a ConfigMap, which holds 1 MB: some thousand keys are 30 kB."""
    text = json.dumps(sorted(before)).encode()
    return base64.b64encode(gzip.compress(text, mtime=0)).decode()


def read_mark(thing: Object) -> Mark:
    """
    The mark in a ConfigMap. Raises ValueError where it is none.
    """
    try:
        data = thing["data"]
        before = json.loads(gzip.decompress(base64.b64decode(thing["binaryData"]["before"])))
        return Mark(
            data["run"],
            data["source"],
            data["archive"],
            frozenset(data["namespaces"].split()),
            data["release"],
            data["namespace"],
            frozenset(before),
        )
    except (KeyError, TypeError, OSError, EOFError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


#: What is deleted together, in this order; each is gone before the next.
WAVES = (
    "Gateways, routes and policies",
    "GatewayClasses",
    "Helm release and the rest",
    "namespaces",
    "CRDs",
)


def waves(mark: Mark, ours: Iterable[Found]) -> list[tuple[str, list[Found]]]:
    """
    What is to be deleted, in the order of ``WAVES``. What goes with its namespace is not deleted by
    itself, but for Gateways and what hangs on them: the controller has to take proxies and load
    balancers away first.
    """
    found: dict[str, list[Found]] = {it: [] for it in WAVES}
    for it in ours:
        if it.kind == NAMESPACES:
            found["namespaces"].append(it)
        elif it.kind == CRDS:
            found["CRDs"].append(it)
        elif it.resource.kind in ("GatewayClass", "EnvoyProxy"):
            found["GatewayClasses"].append(it)
        elif it.resource.group in GROUPS:
            found["Gateways, routes and policies"].append(it)
        elif it.meta.get("namespace") not in mark.namespaces:
            found["Helm release and the rest"].append(it)
    return [(name, found[name]) for name in WAVES]


def counted(ours: Sequence[Found]) -> dict[str, int]:
    """How many of each kind: {"Gateway": 1, "Namespace": 4}."""
    counts: dict[str, int] = {}
    for it in sorted(ours, key=lambda it: it.resource.kind):
        counts[it.resource.kind] = counts.get(it.resource.kind, 0) + 1
    return counts

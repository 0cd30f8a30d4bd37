"""The scenes of a game day: what each destroys of what a drill has brought to its target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans.emptying import GROUPS, SYSTEM

Object = Mapping[str, Any]

#: Scenes in which a restored cluster is broken and restored again.
BROKEN = ("namespace-deleted", "crds-deleted", "tls-secrets-deleted", "controller-deleted")
#: Scenes in which the first thing that is tried must be refused.
REFUSED = ("archive-half-written", "wrong-key")
CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True)
class Damage:
    """+ text: such as "namespace shop is deleted"; + things: identities, as manifests"""

    text: str
    things: tuple[Object, ...]


def damage(scenario: str, archive: Iterable[Object], namespace: str, crds: Iterable[str]) -> Damage:
    """
    What a scene of ``BROKEN`` deletes. Raises LookupError, in one line, where the archive has
    nothing of the kind.

    + namespace: of the controller; + crds: names of those that the drill brought
    """
    every = list(archive)
    match scenario:
        case "namespace-deleted":
            name = _fullest(every, namespace)
            return Damage(f"namespace {name} is deleted", (_identity("v1", "Namespace", name),))
        case "controller-deleted":
            text = f"namespace {namespace}, with controller and proxies, is deleted"
            return Damage(text, (_identity("v1", "Namespace", namespace),))
        case "crds-deleted":
            names = sorted(it for it in crds if it.partition(".")[2] in GROUPS)
            if not names:
                raise LookupError(
                    "the CRDs were on the target before: a scene deletes only what a drill brought"
                )
            text = f"{len(names)} CRDs are deleted, and with them every object"
            return Damage(text, tuple(_identity(*CRD, it) for it in names))
    secrets = [
        it
        for it in every
        if it["kind"] == "Secret"
        and it.get("type") == "kubernetes.io/tls"
        and it["metadata"]["namespace"] != namespace
    ]
    if not secrets:
        raise LookupError("the archive has no TLS Secret to delete")
    things = tuple(
        _identity("v1", "Secret", it["metadata"]["name"], it["metadata"]["namespace"])
        for it in secrets
    )
    return Damage(f"{len(things)} TLS Secrets are deleted", things)


def _fullest(archive: Iterable[Object], namespace: str) -> str:
    """The namespace with most Gateway API objects: its loss hurts most."""
    places: Counter[str] = Counter(
        it["metadata"]["namespace"]
        for it in archive
        if it["apiVersion"].partition("/")[0] in GROUPS
        and it["metadata"].get("namespace") not in (None, namespace, *SYSTEM)
    )
    if not places:
        raise LookupError("the archive has no namespace with Gateway API objects to delete")
    return max(sorted(places), key=lambda it: places[it])


def _identity(api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **place}}

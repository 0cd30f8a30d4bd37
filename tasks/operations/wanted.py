"""What a cluster has of all that Gateways and traffic are made of: one LIST a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.facts.kube import KubeObject, KubeObjects, ServedApi, ServedVersions
from tasks.fleet.guard import FactFailed, fact
from tasks.plans import kinds, ours, priorities, replicas
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]
#: Many of these are not ours: those with our labels are listed, others asked for.
OF_MANY = (("", "ConfigMap"), ("apps", "Deployment"))
WHOLE = (("", "Namespace"), ("", "Service"))


def live(wanted: Iterable[Object]) -> dict[Reference, dict[str, Any]]:
    """
    The objects of a cluster, of every kind of the Gateway API and Envoy Gateway that it serves, and
    the Services and namespaces beside them. 24 requests, and one more for each wanted ConfigMap or
    Deployment that does not carry our labels.
    """
    things = list(wanted)
    versions = {_kind(it): it["apiVersion"] for it in things}
    served = fact(ServedVersions)
    found: dict[Reference, dict[str, Any]] = {}
    for group, kind in KINDS:
        if group in (GATEWAY_API, ENVOY_GATEWAY):
            known = served.get(f"{KINDS[group, kind].plural}.{group}")
            if known:
                first = versions.get((group, kind), f"{group}/{known[0]}")
                found |= _listed(first, kind)
    for _, kind in WHOLE:
        found |= _listed("v1", kind)
    marks = ",".join(f"{key}={it}" for key, it in ours.LABELS.items())
    for group, kind in OF_MANY:
        found |= _listed(f"{group}/v1" if group else "v1", kind, labels=marks)
    for it in things:
        if _kind(it) in OF_MANY and to(it) not in found:
            meta = it["metadata"]
            place = {"resource": meta["name"], "namespace": meta["namespace"]}
            there = fact(KubeObject, api_version=it["apiVersion"], kind=it["kind"], **place)
            found |= {to(it): there} if there else {}
    return found


def unmeasured(wanted: Iterable[Object]) -> list[Object]:
    """
    The EnvoyProxies whose number of proxies is to follow what metrics-server tells, where it tells
    nothing. One request where there are any.
    """
    asking = replicas.need_metrics(wanted)
    return asking if asking and not fact(ServedApi, api=replicas.METRICS) else []


def missing_priorities(wanted: Iterable[Object], *more: str | None) -> set[str]:
    """
    The PriorityClasses that EnvoyProxies name, and more, and that are not there. One request for
    each; one that may not be looked at counts as there.
    """
    names = {*map(priorities.named, wanted), *more} - {None, *priorities.BUILT_IN}
    return {it for it in names if it is not None and not _is_priority(it)}


def _is_priority(name: str) -> bool:
    about = {"api_version": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    try:
        return fact(KubeObject, **about, resource=name) is not None
    except FactFailed as error:
        if not error.forbidden:
            raise
        return True


def by_path(found: Mapping[Reference, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same by path, as ``kube.apply_steps`` takes it."""
    return {kinds.path_of(it): it for it in found.values()}


def _listed(api_version: str, kind: str, **more: Any) -> dict[Reference, dict[str, Any]]:
    return {to(it): it for it in fact(KubeObjects, api_version=api_version, kind=kind, **more)}


def _kind(thing: Object) -> tuple[str, str]:
    return thing["apiVersion"].rpartition("/")[0], thing["kind"]

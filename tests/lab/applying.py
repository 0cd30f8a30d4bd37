"""Many objects of any kind applied to a cluster, each at the place that its discovery names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from tasks.lab.api import Api, ApiError
from tasks.plans.resources import CORE, Resource
from tests.lab.running import until

Object = dict[str, Any]

AT_A_TIME = 8
FIRST = ("Namespace", "CustomResourceDefinition")
DEFINITION = Resource(
    *("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    *("CustomResourceDefinition", False),
)


def apply(api: Api, things: Iterable[Object]) -> None:
    """Namespaces and CRDs first; the others when their kinds are served."""
    every = list(things)
    first = [it for it in every if it["kind"] in FIRST]
    rest = [it for it in every if it["kind"] not in FIRST]
    kinds = {(it["spec"]["group"], it["spec"]["names"]["kind"]) for it in first if "spec" in it}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        known = by_kind([*CORE, DEFINITION])
        list(pool.map(lambda it: _applied(api, it, known), first))
        until("CRDs to be served", lambda: kinds <= {(it.group, it.kind) for it in served(api)})
        found = by_kind(served(api))
        list(pool.map(lambda it: _applied(api, it, found), rest))


def by_kind(resources: Iterable[Resource]) -> dict[tuple[str, str], Resource]:
    """By apiVersion and kind."""
    return {(it.api_version, it.kind): it for it in resources}


def served(api: Api) -> list[Resource]:
    """Asked version by version: the lab's own client knows no aggregated discovery."""
    found = [*CORE]
    for group in api.get("/apis")["groups"]:
        for version in group["versions"]:
            with suppress(ApiError):  # a group that comes or goes this moment
                for it in api.get(f"/apis/{version['groupVersion']}")["resources"]:
                    if "/" not in it["name"]:
                        names = (it["name"], it["kind"], it["namespaced"])
                        found.append(Resource(group["name"], version["version"], *names))
    return found


def _applied(api: Api, thing: Object, known: Mapping[tuple[str, str], Resource]) -> None:
    meta = thing["metadata"]
    it = known[thing["apiVersion"], thing["kind"]]
    api.apply(it.path(meta.get("namespace"), meta["name"]), thing)

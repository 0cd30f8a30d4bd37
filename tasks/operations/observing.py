"""A cluster as it is at one moment of a rehearsal: its objects, proxies and answers. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import OperationError

from tasks.connectors.api import Api, ApiError
from tasks.connectors.command import Call
from tasks.facts.kube import KubeObjects, Resources
from tasks.fleet.guard import fact, session
from tasks.operations import admin, probe
from tasks.operations.kube import wait_until
from tasks.operations.objects import listed
from tasks.plans import backup, probes, proxies
from tasks.plans.kinds import title
from tasks.plans.objects import MANAGER
from tasks.plans.probes import Answer, Request
from tasks.plans.rehearsals import observed
from tasks.plans.rehearsals.observed import Look
from tasks.plans.resources import Resource

FILE, JSON = "config_dump.json", "application/json"
#: Objects that are tried at a time.
AT_ONCE = 8
#: Seconds for which nothing may move before a cluster counts as come to rest, and between looks.
QUIET, EVERY = 10.0, 2.0
#: What Envoy says of when it took a configuration, in the JSON of its dump.
_WHEN = re.compile(rb'"(?:last_updated|version_info)": *"[^"]*"')


def look(data: Any, requests: Sequence[Request]) -> Look:
    """All of it, once nothing moves. + data: of the cluster; + requests: that are sent"""
    _at_rest(data)
    return Look(objects(), dumps(data), answers(requests))


def objects() -> dict[str, dict[str, Any]]:
    """Every object of the Gateway API and of Envoy Gateway, by title."""
    discovered: list[Resource] = fact(Resources)
    served = backup.preferred(discovered)
    return {title(it): it for it in listed((one, None) for one in served)}


def dumps(data: Any) -> dict[str, dict[str, Any]]:
    """What the first ready proxy of each Gateway runs, by "edge/public" or the name of a class."""
    return {owner: json.loads(text) for owner, text in _dumped(data).items()}


def _dumped(data: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    place = {"namespace": data.proxy_namespace, "labels": proxies.LABELS}
    for pod in fact(KubeObjects, api_version="v1", kind="Pod", **place):
        meta, owner = pod["metadata"], proxies.owner(pod)
        if owner is None or owner in found or meta.get("deletionTimestamp") or not _ready(pod):
            continue
        try:
            said = dict(admin.read(session(), meta["namespace"], meta["name"], [FILE]))[FILE]
        except ApiError as error:
            if error.status == 403:
                raise OperationError(
                    "no right to pods/portforward, by which proxies are asked what they run: give "
                    "it to this identity, docs/rehearse.md"
                ) from error
            continue
        if isinstance(said, bytes):
            found[owner] = said
    return found


def _ready(pod: Mapping[str, Any]) -> bool:
    said = {it["type"]: it["status"] for it in pod.get("status", {}).get("conditions") or ()}
    return said.get("Ready") == "True"


def _at_rest(data: Any) -> None:
    """Wait until conditions and configurations stay as they are; what never rests is said."""
    before = ""

    def moving() -> list[str]:
        nonlocal before
        said = sorted(observed.signature(it) for it in objects().values())
        now = "\n".join([*said, *(_canonical(owner, it) for owner, it in _dumped(data).items())])
        same, before = now == before, now
        return [] if same else ["conditions or configurations still change"]

    try:
        wait_until(moving, data.timeout, settled=QUIET, every=EVERY)
    except OperationError as error:
        host.log(f"goes on: {error}")


def _canonical(owner: str, dump: bytes) -> str:
    """A dump whenever it was taken, and in whatever order its maps came."""
    found = json.loads(_WHEN.sub(b'"": ""', dump))
    return json.dumps([owner, found], sort_keys=True)


def answers(requests: Sequence[Request]) -> dict[Request, Answer | str]:
    """What answers each, whatever its address."""
    return {probes.at(it): said for it, said in probe.send_all(requests).items()}


def settled_answers(
    requests: Callable[[], Sequence[Request]],
    before: Mapping[Request, Answer | str],
    timeout: float,
) -> dict[Request, Answer | str]:
    """
    The last word: asked again, for as long as something is answered otherwise than before. +
    requests: as they are now, for an address may be another
    """
    found: dict[Request, Answer | str] = {}

    def otherwise() -> list[str]:
        found.clear()
        found.update(answers(requests()))
        return [it.text for it in observed.answered(before, found)]

    with suppress(OperationError):
        wait_until(otherwise, timeout)
    return found


def refusals(
    things: Iterable[tuple[Resource, Mapping[str, Any]]],
) -> dict[str, str]:
    """
    Which of these objects the API server would not take if they were new, by title, and why; asked
    as a dry run, nothing is stored. + things: with where this cluster keeps them
    """
    from gevent.pool import Pool

    every = list(things)
    found = Pool(AT_ONCE).map(partial(_refused, session()), every)
    return {title(it): why for (_, it), why in zip(every, found, strict=True) if why}


def _refused(api: Api, it: tuple[Resource, Mapping[str, Any]]) -> str | None:
    resource, thing = it
    meta = {key: one for key, one in thing["metadata"].items() if key in ("namespace", "labels")}
    body = {
        "apiVersion": resource.api_version,
        "kind": thing["kind"],
        "metadata": {**meta, "generateName": f"{MANAGER}-"},
        "spec": thing.get("spec") or {},
    }
    query = {"dryRun": "All", "fieldManager": MANAGER, "fieldValidation": "Ignore"}
    path = resource.path(meta.get("namespace"))
    try:
        api.text(Call("POST", path, query, body, JSON, None, frozenset()))
    except ApiError as error:
        return str(error)
    return None

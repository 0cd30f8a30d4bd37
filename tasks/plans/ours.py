"""Which objects of a cluster the inventory made, told by their labels and their field manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans.objects import MANAGER, owned_fields

Object = Mapping[str, Any]
#: On every object that an inventory wants. The second tells them from what other deploys apply,
#: such as dashboards, so that nobody deletes the other's.
DEPLOY = "envoyfleet.dev/deploy"
LABELS = {"app.kubernetes.io/managed-by": MANAGER, DEPLOY: "gateways"}


def labelled(thing: Object, deploy: str = LABELS[DEPLOY]) -> dict[str, Any]:
    """
    The object with ``LABELS``, or those of another deploy. A Namespace stays as it is: it is never
    taken away, for all that is in it would go too.
    """
    if thing["kind"] == "Namespace":
        return dict(thing)
    meta = thing["metadata"]
    labels = {**(meta.get("labels") or {}), **LABELS, DEPLOY: deploy}
    return {**thing, "metadata": {**meta, "labels": labels}}


def unlabelled(thing: Object) -> dict[str, Any]:
    """The object as it was written, for comparing with one that somebody else keeps."""
    labels = {k: v for k, v in (thing["metadata"].get("labels") or {}).items() if k not in LABELS}
    rest = {k: v for k, v in thing["metadata"].items() if k != "labels"}
    return {**thing, "metadata": {**rest, **({"labels": labels} if labels else {})}}


def is_ours(live: Object, deploy: str = LABELS[DEPLOY]) -> bool:
    """Whether an object of a cluster was applied from an inventory, labels and field manager."""
    labels = live["metadata"].get("labels") or {}
    marked = all(labels.get(key) == it for key, it in {**LABELS, DEPLOY: deploy}.items())
    return marked and owned_fields(live) is not None

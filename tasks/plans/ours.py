"""Which objects of a cluster the inventory made, told by their labels and their field manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans.objects import MANAGER, owned_fields

Object = Mapping[str, Any]
#: On every object that an inventory wants. The second tells them from what other deploys apply,
#: such as dashboards, so that nobody deletes the other's.
LABELS = {"app.kubernetes.io/managed-by": MANAGER, "envoyfleet.dev/deploy": "gateways"}


def labelled(thing: Object) -> dict[str, Any]:
    """
    The object with ``LABELS``. A Namespace stays as it is: it is never taken away, for all that is
    in it would go too.
    """
    if thing["kind"] == "Namespace":
        return dict(thing)
    meta = thing["metadata"]
    return {**thing, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **LABELS}}}


def unlabelled(thing: Object) -> dict[str, Any]:
    """The object as it was written, for comparing with one that somebody else keeps."""
    labels = {k: v for k, v in (thing["metadata"].get("labels") or {}).items() if k not in LABELS}
    rest = {k: v for k, v in thing["metadata"].items() if k != "labels"}
    return {**thing, "metadata": {**rest, **({"labels": labels} if labels else {})}}


def is_ours(live: Object) -> bool:
    """Whether an object of a cluster was applied from an inventory, labels and field manager."""
    labels = live["metadata"].get("labels") or {}
    marked = all(labels.get(key) == it for key, it in LABELS.items())
    return marked and owned_fields(live) is not None

"""
Whether a cluster is as wanted, read from its API server alone: nothing of a side's own book-keeping
is believed.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.lab.api import Api, ApiError
from tasks.plans.kinds import path

RELEASES = (
    "/api/v1/namespaces/envoy-gateway-system/secrets?labelSelector=owner%3Dhelm,name%3D{name}"
)


def wrong(api: Api, chart: str, objects: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """
    What of this cluster is not as wanted, a line each.

    + chart: such as "gateway-helm-1.9.1"; + name: of the release
    """
    found = []
    records = api.get(RELEASES.format(name=name))["items"]
    newest = max(records, key=lambda it: int(it["metadata"]["labels"]["version"]), default=None)
    if newest is None:
        found.append(f"no release {name}")
    else:
        status, has = newest["metadata"]["labels"]["status"], _chart(newest)
        if (status, has) != ("deployed", chart):
            found.append(f"release {name} is {has}, {status}, and should be {chart}, deployed")
    for it in objects:
        meta = it["metadata"]
        try:
            there = api.get(path(it["apiVersion"], it["kind"], meta.get("namespace"), meta["name"]))
        except ApiError as error:
            found.append(f"{it['kind']} {meta['name']}: {error}")
            continue
        if not _within(it.get("spec", {}), there.get("spec", {})):
            found.append(f"{it['kind']} {meta['name']} is not as wanted")
    return found


def _chart(record: Mapping[str, Any]) -> str:
    stored = base64.b64decode(base64.b64decode(record["data"]["release"]))
    chart = json.loads(gzip.decompress(stored))["chart"]["metadata"]
    return f"{chart['name']}-{chart['version']}"


def _within(wanted: Any, there: Any) -> bool:
    """Whether all that is wanted is there; the API server may have filled in more."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            _within(value, there.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(wanted) == len(there)
            and all(map(_within, wanted, there))
        )
    return bool(wanted == there)

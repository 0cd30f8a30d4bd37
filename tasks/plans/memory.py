"""
What is kept in a cluster of its last good state besides Helm's own record: our objects, as we had
applied them, in a Secret beside the controller.

The age archive cannot serve here: a run has only the public key, and a job in a fresh container has
not even the file.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tasks.plans import kinds, objects

NAME = "envoyfleet-last-good"
KEY = "objects"
RUN = "envoyfleet.dev/run"

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Objects:
    """
    + applied: manifests to apply again
    + absent: identities of objects that did not exist, such as {"apiVersion": "gateway.../v1",
      "kind": "HTTPRoute", "metadata": {"name": "new", "namespace": "shop"}}
    """

    applied: Sequence[Object]
    absent: Sequence[Object]


def kept(
    was: Sequence[Object],
    wanted: Sequence[Object],
    live: Mapping[str, Object],
    namespace: str,
    of_run: str,
    whole: bool = False,
) -> dict[str, Any]:
    """
    The Secret that remembers.

    + was: what the inventory renders for the version that is installed
    + wanted: what it renders for the version that comes; another version of the API is the same
      object
    + live: the cluster's objects by path, for the paths of ``was``
    + of_run: the run that recorded the last good state which these belong to
    + whole: also what others set of them, for a change that takes that away
    """
    applied, absent = [], []
    for manifest in was:
        current = live.get(kinds.path_of(manifest))
        if current is None:
            absent.append(identity(manifest))
        else:
            ours = objects.extracted_of_all(current) if whole else objects.extracted(current)
            applied.append(ours or identity(manifest))
    known = {_key(it) for it in was}
    absent += [identity(it) for it in wanted if _key(it) not in known]
    document = {"applied": applied, "absent": absent}
    packed = gzip.compress(json.dumps(document, sort_keys=True).encode(), mtime=0)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "envoyfleet.dev/last-good",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": objects.MANAGER},
            "annotations": {RUN: of_run},
        },
        "data": {KEY: base64.b64encode(packed).decode()},
    }


def run(secret: Object) -> str | None:
    """The run whose last good state the Secret belongs to."""
    found: str | None = (secret["metadata"].get("annotations") or {}).get(RUN)
    return found


def read(secret: Object) -> Objects:
    """Raises ValueError, in one line, for a Secret that is not what ``kept`` wrote."""
    meta = secret["metadata"]
    try:
        document = json.loads(gzip.decompress(base64.b64decode(secret["data"][KEY])))
        return Objects(tuple(document["applied"]), tuple(document["absent"]))
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"Secret {meta.get('namespace')}/{NAME} cannot be read ({type(error).__name__}): "
            "restore the Gateways and routes from the backup instead"
        ) from error


def identity(manifest: Object) -> dict[str, Any]:
    """The manifest without what it says: applied, it gives up all that we own of the object."""
    meta = manifest["metadata"]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {k: meta[k] for k in ("name", "namespace") if meta.get(k)},
    }


def digest(values: Mapping[str, Any]) -> str:
    """Of Helm values, in whatever order their keys are."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _key(manifest: Object) -> tuple[str, ...]:
    meta = manifest["metadata"]
    group = manifest["apiVersion"].rpartition("/")[0]
    return group, manifest["kind"], meta.get("namespace") or "", meta["name"]

"""
What a backup of one cluster holds, and the form it has: a tar with one JSON an object and a
``manifest.json``.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from tasks.plans.kinds import ENVOY_GATEWAY, EXPERIMENTAL, GATEWAY_API, title
from tasks.plans.objects import cleaned

SCHEMA = "envoyfleet.backup/1"
MANIFEST = "manifest.json"
GROUPS = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)
#: One unit: a new one beside older ones is signed by another CA (Envoy Gateway 1.9 source,
#: internal/provider/kubernetes/secrets.go).
CONTROL_PLANE = ("envoy", "envoy-gateway", "envoy-oidc-hmac", "envoy-rate-limit")
CONFIGURATION = "envoy-gateway-config"


@dataclass(frozen=True, order=True)
class Reference:
    """+ kind: "Secret" or "ConfigMap"."""

    kind: str
    namespace: str
    name: str


def lists(served: Mapping[str, list[str]]) -> list[str]:
    """
    One LIST for each resource of the Gateway API and of Envoy Gateway that the cluster serves, in
    the version it prefers: a kind that came with newer CRDs is kept too.

    + served: such as ``{"gateways.gateway.networking.k8s.io": ["v1", "v1beta1"]}``
    """
    paths = []
    for name, versions in sorted(served.items()):
        plural, _, group = name.partition(".")
        if group in GROUPS:
            paths.append(f"/apis/{group}/{versions[0]}/{plural}")
    return paths


def references(objects: Iterable[Mapping[str, Any]]) -> set[Reference]:
    """
    The Secrets and ConfigMaps that objects refer to: certificates, CAs, keys. The API server fills
    in the ``kind`` of such a reference where a manifest leaves it out.
    """
    found = set()
    for thing in objects:
        own = thing["metadata"].get("namespace")
        for it in _mappings(thing.get("spec")):
            kind, name, namespace = it.get("kind"), it.get("name"), it.get("namespace") or own
            if kind in ("Secret", "ConfigMap") and name and namespace and not it.get("group"):
                found.add(Reference(kind, namespace, name))
    return found


def _mappings(thing: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(thing, Mapping):
        yield thing
    for below in thing.values() if isinstance(thing, Mapping) else thing or ():
        if isinstance(below, Mapping | list):
            yield from _mappings(below)


def controls(namespace: str) -> set[Reference]:
    """What the controller itself lives on, in its own namespace."""
    secrets = {Reference("Secret", namespace, name) for name in CONTROL_PLANE}
    return secrets | {Reference("ConfigMap", namespace, CONFIGURATION)}


def is_helm_record(thing: Mapping[str, Any]) -> bool:
    return bool((thing["metadata"].get("labels") or {}).get("owner") == "helm")


def entries(objects: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """
    The files of a backup by their path in it, such as
    ``{"gateway.networking.k8s.io/Gateway/edge/public.json": b"{...}"}``; without what the server
    owns, so that each can be applied elsewhere.
    """
    found = {}
    for thing in objects:
        group = thing["apiVersion"].rpartition("/")[0] or "core"
        meta = thing["metadata"]
        parts = [group, thing["kind"], meta.get("namespace"), f"{meta['name']}.json"]
        text = json.dumps(cleaned(thing), indent=1, sort_keys=True)
        found["/".join(it for it in parts if it)] = text.encode()
    return found


def manifest(
    files: Mapping[str, bytes], missing: Iterable[Reference], **about: Any
) -> dict[str, Any]:
    """
    What is in a backup, and of what it is one.

    + missing: what objects refer to and the cluster does not have
    + about: cluster, uid, taken, run, kubernetes, envoy_gateway, served
    """
    return {
        "schema": SCHEMA,
        **about,
        "missing": [
            title({"kind": it.kind, "metadata": {"namespace": it.namespace, "name": it.name}})
            for it in sorted(missing)
        ],
        "entries": [
            {"path": path, "sha256": sha256(files[path]).hexdigest()} for path in sorted(files)
        ],
    }


def packed(manifest: Mapping[str, Any], files: Mapping[str, bytes], taken: datetime) -> bytes:
    """The tar of both, the manifest first."""
    whole = {MANIFEST: json.dumps(manifest, indent=1).encode(), **files}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in whole.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(taken.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()

"""One request to an API server, as a command that pyinfra can run, print and retry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import StringCommand
from typing_extensions import override

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Call:
    """
    One HTTP request.

    + method: such as ``"GET"``
    + path: such as ``"/api/v1/namespaces/demo/services"``
    + query: such as ``{"labelSelector": "owner=helm"}``
    + body: the object to send, or None
    + accept: the ``Accept`` header where it is not plain JSON, or None
    + ok: statuses that mean "no output" instead of an error, such as ``{404}``
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    content_type: str
    accept: str | None
    ok: frozenset[int]


class KubeCommand(StringCommand):
    """
    Prints as ``kube PATCH /api/v1/namespaces/demo``; the body is never among the printed bits,
    because it may be a Secret.
    """

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str | None = None,
        ok: Collection[int] = (),
    ) -> None:
        self.call = Call(method, path, dict(query or {}), body, content_type, accept, frozenset(ok))
        text = "&".join(f"{key}={value}" for key, value in self.call.query.items())
        super().__init__("kube", method, path + (f"?{text}" if text else ""))

    @override
    def __repr__(self) -> str:
        return f"KubeCommand({self})"

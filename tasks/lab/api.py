"""A cluster's API over plain HTTPS: enough for what the lab itself asks."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3

from tasks.lab import users
from tasks.lab.progress import LabError
from tasks.lab.state import Cluster
from tasks.lab.users import User

Object = dict[str, Any]
MANAGER = "envoyfleet-lab"


class ApiError(LabError):
    """The API server refused, or could not be reached (then ``status`` is 0)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """One user's connection to one cluster. Safe to use from several threads."""

    def __init__(self, cluster: Cluster, user: User = users.LAB) -> None:
        self.cluster = cluster
        self._pool = urllib3.HTTPSConnectionPool(
            cluster.node_address,
            6443,
            ca_certs=str(cluster.root.parent / "ca.crt"),
            headers={"Authorization": f"Bearer {users.token(cluster, user)}"},
            maxsize=4,
            retries=False,
        )

    def request(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> Object:
        """The answer to one request; raises `ApiError` where it is not a success."""
        headers = {**self._pool.headers, "Content-Type": kind}
        content = None if body is None else json.dumps(body)
        try:
            answer = self._pool.request(
                method,
                path,
                body=content,
                headers=headers,
                timeout=urllib3.Timeout(connect=2, read=60),  # CRDs, on a busy machine
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(
                0, f"{self.cluster.name}: the API server does not answer: {error}"
            ) from None
        data: Object = _json(answer.data)
        if answer.status >= 300:
            message = data.get("message") or answer.data.decode(errors="replace")[:200]
            raise ApiError(answer.status, f"{self.cluster.name}: {method} {path}: {message}")
        return data

    def get(self, path: str) -> Object:
        return self.request("GET", path)

    def patch(self, path: str, body: object) -> Object:
        """Merge patch."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def apply(self, path: str, manifest: Mapping[str, Any]) -> Object:
        """Server-side apply of one object at its path."""
        query = f"fieldManager={MANAGER}&force=true"
        return self.request("PATCH", f"{path}?{query}", manifest, "application/apply-patch+yaml")

    def ready(self) -> bool:
        """Whether the API server serves."""
        try:
            answer = self._pool.request(
                "GET", "/readyz", timeout=urllib3.Timeout(connect=1, read=3)
            )
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def node_ready(self, name: str | None = None) -> bool:
        """Whether a node is Ready, by its own condition; by default the cluster's first one."""
        try:
            node = self.get(f"/api/v1/nodes/{name or self.cluster.name}")
        except ApiError:
            return False
        conditions = node.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def watch(self, path: str, timeout: int = 300) -> Iterator[tuple[str, Object]]:
        """
        Everything below a collection and then every change to it, as ("LISTED", {uid: object}) once
        and ("ADDED" | "MODIFIED" | "DELETED", object) from then on. Ends when the server does; the
        caller begins anew.
        """
        listed = self.get(path)
        yield "LISTED", {item["metadata"]["uid"]: item for item in listed["items"]}
        version = listed["metadata"]["resourceVersion"]
        query = f"watch=true&resourceVersion={version}&timeoutSeconds={timeout}"
        try:
            answer = self._pool.urlopen(
                "GET",
                f"{path}?{query}",
                headers=self._pool.headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=2, read=timeout + 10),
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{self.cluster.name}: no watch of {path}: {error}") from None
        try:
            yield from _events(answer)
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{self.cluster.name}: the watch of {path} ended: {error}") from None
        finally:
            answer.close()


def _events(answer: urllib3.BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
    rest = b""
    for chunk in answer.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            event = _json(line)
            if not event:
                continue
            if event.get("type", "ERROR") == "ERROR":  # without a type it is a refusal
                return
            yield event["type"], event["object"]


def _json(data: bytes) -> Object:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def now() -> str:
    """The time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

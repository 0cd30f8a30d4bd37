"""
What is ours in the pipeline to Azure Resource Manager: patience, a gate, shared tokens. Imported
where a call is made, for it brings azure-core along.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import HTTPPolicy, RetryPolicy
from azure.core.pipeline.transport import RequestsTransport
from requests import Session
from requests.adapters import HTTPAdapter
from typing_extensions import override

from tasks.connectors.azure import Tokens
from tasks.plans import throttling
from tasks.plans.throttling import Bucket


class Patient(RetryPolicy[Any, Any]):
    """azure-core's own, which waits for as long as Retry-After says; up to ``patience`` seconds."""

    def __init__(self, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self.patience = patience

    @override
    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        return (self.get_retry_after(response) or 0.0) <= self.patience and super().is_retry(
            settings, response
        )


class Gate(HTTPPolicy[Any, Any]):
    """
    No call of a bucket begins before the Retry-After of another one is over, and none faster than
    the bucket fills where it is nearly empty.
    """

    def __init__(self, buckets: dict[tuple[str, str], Bucket], clock: Callable[[], float]) -> None:
        super().__init__()
        self.buckets, self.clock = buckets, clock

    @override
    def send(self, request: Any) -> Any:
        verb = throttling.verb(request.http_request.method)
        key = (throttling.subscription(urlsplit(request.http_request.url).path), verb)
        bucket = self.buckets.setdefault(key, Bucket(throttling.REFILL[verb]))
        while pause := bucket.wait(self.clock()):
            bucket.waited += pause
            time.sleep(pause)
        bucket.begins(self.clock())
        answer = self.next.send(request)
        response = answer.http_response
        remaining = response.headers.get(f"x-ms-ratelimit-remaining-subscription-{verb}")
        pause_for = RetryPolicy().get_retry_after(answer)
        bucket.answered(self.clock(), response.status_code, pause_for, remaining)
        return answer


class Shared:
    """The tokens of the run, as azure-core wants them."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def get_token(self, *scopes: str, tenant_id: str | None = None, **_: Any) -> AccessToken:
        held = self.tokens.held(tenant_id, scopes[0])
        return AccessToken(held.token, int(held.ends))


def transport(connections: int, connect: float, read: float) -> RequestsTransport:
    """So many connections at a time; whoever finds none free waits."""
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections, pool_block=True)
    session = Session()
    session.mount("https://", adapter)
    return RequestsTransport(
        session=session, session_owner=False, connection_timeout=connect, read_timeout=read
    )

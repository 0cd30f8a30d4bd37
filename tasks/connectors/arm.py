"""
Azure Resource Manager through the official pipeline: retries that honour Retry-After, a gate for
each bucket of calls, pages, and long-running operations. Dicts as Azure sent them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from tasks.connectors import azure
from tasks.connectors.azure import Settings, SignInError, Tokens, first_line
from tasks.connectors.once import Once
from tasks.plans import arm_refusals
from tasks.plans.throttling import Bucket

#: Seconds to connect and to wait for an answer.
CONNECT, READ = 5, 60
#: How often a call is repeated, and where nobody answers at all.
RETRIES, CONNECT_RETRIES = 10, 2
#: Seconds of a Retry-After that are waited for; a longer one is an error.
PATIENCE = 120.0
#: Connections at a time.
CONNECTIONS = 32
#: Seconds between two looks at an operation where Azure does not say how many.
LOOK_EVERY = 5.0
#: The token ended, or was withdrawn: another one may do.
STALE = frozenset({"expiredauthenticationtoken", "invalidauthenticationtoken"})

Object = dict[str, Any]
Objects = list[Object]


class ArmError(Exception):
    """
    A call that did not go well; the message is one line that says what to do.

    + status: 0 where there was no answer; + code: Azure's own, such as "AuthorizationFailed", or
      "AADSTS7000222" where there was no token for it
    + message: Azure's own words
    """

    def __init__(self, status: int, code: str, message: str, line: str | None = None) -> None:
        super().__init__(line or message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class Arm:
    """
    One a run, see ``session``. Paths are ids such as
    "/subscriptions/S/providers/Microsoft.Network/publicIPAddresses".

    + buckets: by (subscription, verb), with what was asked of them
    """

    settings: Settings
    tokens: Tokens
    buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)
    _lists: Once[tuple[str, str], Objects] = field(default_factory=Once)
    _listed_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _pipeline: Any = None

    def get(self, path: str, api_version: str) -> Object:
        """Raises ArmError; status 404 where it does not exist."""
        return _object(self._sent("GET", path, api_version))

    def list(self, path: str, api_version: str, **query: str) -> Objects:
        """Every page. Raises ArmError: what cannot be read is never an empty list."""
        found: Objects = []
        answer = self._sent("GET", path, api_version, query=query)
        while True:
            page = _object(answer)
            entries = page.get("value")
            if not isinstance(entries, list):
                raise ArmError(0, "", f"GET {path}: the answer is no list: is it Azure's?")
            found += entries
            following = page.get("nextLink")
            if not following:
                return found
            answer = self._sent("GET", str(following), None)

    def listed(self, path: str, api_version: str) -> Objects:
        """
        As ``list``, once a run however many greenlets ask; whoever changes what is listed asks
        ``list``. Raises ArmError, to all of them.
        """
        return self._lists.get(
            (path.lower(), api_version), partial(self._listed_now, path, api_version)
        )

    def relisted(self, path: str, api_version: str, age: float) -> Objects:
        """As ``listed``, but not older than so many seconds. Raises ArmError; the old one stays."""
        key = (path.lower(), api_version)
        if time.monotonic() - self._listed_at.get(key, -age) >= age:
            self._lists.put(key, self._listed_now(path, api_version))
        return self.listed(path, api_version)

    def _listed_now(self, path: str, api_version: str) -> Objects:
        """Raises ArmError."""
        found = self.list(path, api_version)
        self._listed_at[path.lower(), api_version] = time.monotonic()
        return found

    def put(
        self,
        path: str,
        api_version: str,
        body: Mapping[str, Any],
        timeout: float = 600,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        """
        Create or replace, and wait until Azure has done so. Raises ArmError; status 412 where a
        condition in ``headers`` does not hold, such as {"If-None-Match": "*"}.
        """
        answer = self._sent("PUT", path, api_version, body, headers=headers)
        return self._ended(answer, f"PUT {path}", timeout) or {}

    def post(
        self,
        path: str,
        api_version: str,
        body: Mapping[str, Any] | None = None,
        timeout: float = 600,
        **query: str,
    ) -> Object:
        """An action. Raises ArmError."""
        answer = self._sent("POST", path, api_version, body, query=query)
        return self._ended(answer, f"POST {path}", timeout) or {}

    def delete(self, path: str, api_version: str, timeout: float = 600) -> None:
        """And wait until it is gone; nothing where it is not there. Raises ArmError."""
        self._ended(self._sent("DELETE", path, api_version), f"DELETE {path}", timeout)

    def _sent(
        self,
        method: str,
        path: str,
        api_version: str | None,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer, a PipelineResponse; + path: or a whole URL, with its query, of a page."""
        from azure.core.rest import HttpRequest

        whole = path.startswith("https://")
        url = path if whole else f"{self.settings.arm}{path}"
        params = {"api-version": api_version, **(query or {})} if api_version else None
        call = f"{method} {path.partition('?')[0].removeprefix(self.settings.arm)}"
        for again in (True, False):
            request = HttpRequest(
                method, url, params=params, json=body, headers=dict(headers or {})
            )
            answer = self._tried(call, partial(self._send, request))
            response = answer.http_response
            if response.status_code < 400:
                return answer
            error = _error(call, response)
            if not again or response.status_code != 401 or error.code.lower() not in STALE:
                raise error
            token = str(response.request.headers.get("Authorization", ""))
            self.tokens.refused(None, self.settings.arm_scope, token.removeprefix("Bearer "))
        raise AssertionError("unreachable")

    def _send(self, request: Any) -> Any:
        if self._pipeline is None:
            self._pipeline = _pipeline(self)
        return self._pipeline.send_request(request, _return_pipeline_response=True)

    def _ended(self, answer: Any, call: str, timeout: float) -> Object | None:
        """What the resource or the action's answer is when its operation has ended."""
        import gevent
        from azure.mgmt.core.polling.arm_polling import ARMPolling

        polling: Any = ARMPolling(timeout=LOOK_EVERY)
        resource = call.partition(" ")[2]
        stuck = ArmError(
            0,
            "OperationStuck",
            f"Azure has not ended {call} within {timeout:.0f} s: look at it with az resource show "
            f"--ids {resource}, then run again",
        )

        def wait() -> Any:
            polling.initialize(self._pipeline, answer, lambda it: it)
            with gevent.Timeout(timeout, stuck):
                polling.run()
            return polling.resource()

        last = self._tried(call, wait)
        return None if last is None or not last.http_response.content else _object(last)

    def _tried(self, call: str, act: Callable[[], Any]) -> Any:
        """What ``act`` returns; what it raises as an ArmError."""
        from azure.core.exceptions import AzureError, DecodeError, HttpResponseError
        from azure.core.polling.base_polling import BadResponse, BadStatus, OperationFailed

        try:
            return act()
        except SignInError as error:
            raise ArmError(0, error.code, str(error)) from None
        except DecodeError:
            raise ArmError(0, "", f"{call}: the answer is damaged: is it Azure's?") from None
        except HttpResponseError as error:
            if error.response is None:
                raise ArmError(0, "", f"{call}: {_innermost(error)}") from None
            raise _error(call, error.response) from None
        except (BadResponse, BadStatus, OperationFailed) as error:
            raise ArmError(0, "", f"{call}: {first_line(error)}") from None
        except (AzureError, OSError) as error:
            raise ArmError(
                0,
                "Unreachable",
                first_line(error),
                f"{self.settings.arm} cannot be reached ({_innermost(error)}): let this machine "
                "reach it (HTTPS_PROXY, REQUESTS_CA_BUNDLE), or correct AZURE_RESOURCE_MANAGER_URL",
            ) from None


def _innermost(error: BaseException) -> str:
    """The cause in its own words: urllib3, requests and azure.core wrap it three times."""
    inner: BaseException = getattr(error, "inner_exception", None) or error
    while True:
        causes = (*inner.args, getattr(inner, "reason", None))
        deeper = [it for it in causes if isinstance(it, BaseException)]
        if not deeper:
            return first_line(inner)
        inner = deeper[-1]


def session() -> Arm:
    """Raises InventoryError where the settings are wrong."""
    return _session(azure.settings())


@cache
def _session(settings: Settings) -> Arm:
    return Arm(settings, azure.tokens(settings))


def _pipeline(arm: Arm) -> Any:
    """The official client, with no policy that logs: none prints a token, however loud the run."""
    from azure.core.pipeline.policies import (
        ContentDecodePolicy,
        ProxyPolicy,
        RequestIdPolicy,
        UserAgentPolicy,
    )
    from azure.mgmt.core import ARMPipelineClient
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    from tasks.connectors import arm_pipeline

    policies = [
        RequestIdPolicy(),
        UserAgentPolicy(base_user_agent="envoyfleet"),
        ProxyPolicy(),
        ContentDecodePolicy(),
        arm_pipeline.Patient(
            PATIENCE,
            retry_total=RETRIES,
            retry_status=RETRIES,
            retry_connect=CONNECT_RETRIES,
            retry_backoff_max=20,
        ),
        arm_pipeline.Gate(arm.buckets, time.monotonic),
        ARMChallengeAuthenticationPolicy(arm_pipeline.Shared(arm.tokens), arm.settings.arm_scope),
    ]
    transport = arm_pipeline.transport(CONNECTIONS, CONNECT, READ)
    return ARMPipelineClient(arm.settings.arm, policies=policies, transport=transport)


def _object(answer: Any) -> Object:
    """Raises ArmError."""
    response = answer.http_response
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        where = f"{response.request.method} {response.request.url.partition('?')[0]}"
        raise ArmError(0, "", f"{where}: the answer is no JSON object: is it Azure's?")
    return body


def _error(call: str, response: Any) -> ArmError:
    """Of an answer, or of the last look at an operation that failed."""
    try:
        body = response.json()
        error = body.get("error") or body
        code, message = str(error.get("code") or ""), str(error.get("message") or "")
    except (AttributeError, ValueError):
        code, message = "", str(response.reason or "")
    status = response.status_code if response.status_code >= 400 else 0
    said = arm_refusals.line(arm_refusals.Refusal(call, status, code, message))
    return ArmError(status, code, message, said)

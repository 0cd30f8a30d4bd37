"""What Prometheus and Alertmanager say of themselves, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyinfra.api import FactBase
from pyinfra.api.exceptions import DeployError
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.plans.back_ends import AZURE_QUERIES, AZURE_SCOPE, proxied

#: Seconds for one answer of an address outside of the cluster.
TIMEOUT = 30.0


class ServiceAnswer(FactBase[Any]):
    """
    What a Service of the cluster answers to GET, through the API server's proxy, parsed. One
    request; it needs the right to get ``services/proxy`` in that namespace.

    + place: such as ``"monitoring/prometheus-operated:9090"``
    + path: such as ``"/api/v1/rules"``
    + query: such as ``{"query": "up"}``
    """

    @override
    def command(self, place: str, path: str, query: Mapping[str, str] | None = None) -> KubeCommand:
        return KubeCommand("GET", f"{proxied(place)}{path}", query=query)

    @override
    def process(self, output: list[str]) -> Any:
        return json.loads("\n".join(output))


def answer_of(url: str, path: str, query: Mapping[str, str]) -> Any:
    """
    The same of an address such as "https://prometheus.example.com". Azure's gets a token of
    whoever this machine is. Raises DeployError, in one line.
    """
    return sent("GET", url, path, query=query)


def sent(
    method: str,
    url: str,
    path: str,
    query: Mapping[str, str] | None = None,
    body: Any = None,
    absent: bool = False,
    timeout: float = TIMEOUT,
) -> Any:
    """
    The answer to one request, parsed; None where it is empty. Raises DeployError.

    + absent: None as well where it is not there
    """
    import gevent
    import requests

    place = url.rstrip("/")
    try:
        with gevent.Timeout(timeout, TimeoutError()):
            answer = requests.request(
                method,
                f"{place}{path}",
                params=query,
                json=body,
                headers=_signed(place),
                timeout=timeout,
                allow_redirects=False,
            )
    except (TimeoutError, requests.Timeout):
        raise DeployError(f"{place}: no answer within {timeout:.0f} s") from None
    except (requests.RequestException, OSError, ValueError) as error:
        raise DeployError(f"{place}: cannot be reached ({type(error).__name__})") from None
    if absent and answer.status_code == 404:
        return None
    if not answer.ok or answer.is_redirect:
        raise DeployError(f"{place}: {method} {path}: {answer.status_code} {answer.reason}")
    try:
        return answer.json() if answer.content else None
    except ValueError:
        raise DeployError(f"{place}: {method} {path}: the answer is no JSON") from None


def _signed(url: str) -> dict[str, str]:
    """Raises DeployError where there is no token."""
    from tasks.connectors import azure

    if not url.endswith(AZURE_QUERIES):
        return {}
    try:
        return {"Authorization": f"Bearer {azure.token(None, AZURE_SCOPE)}"}
    except azure.SignInError as error:
        raise DeployError(f"{url}: {error}") from error

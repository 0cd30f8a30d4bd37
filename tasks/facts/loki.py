"""What Loki has of the logs of proxies, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.diagnosis import loki

#: Seconds for one page.
TIMEOUT = 60.0


@dataclass(frozen=True)
class Place:
    """
    A Loki outside of the cluster.

    + url: such as "https://loki.example.com"; + streams: of the proxies, in LogQL
    + token: for ``Authorization: Bearer``, or "user:password" for Basic; never shown
    + tenant: for ``X-Scope-OrgID``
    """

    url: str
    streams: str = '{container="envoy"}'
    token: str | None = field(default=None, repr=False)
    tenant: str | None = None


def lines_of(
    place: Place,
    words: Sequence[str],
    start: float,
    end: float,
    most: int = loki.MOST,
    timeout: float = TIMEOUT,
) -> loki.Read:
    """
    All lines that hold all words. Raises DeployError, in one line that never holds the token.

    + start, end: seconds since 1970
    """
    url, headers = place.url.rstrip("/"), _headers(place.token, place.tenant)

    def ask(parameters: loki.Parameters) -> Any:
        return _answer(url, parameters, headers, timeout)

    try:
        return loki.read(ask, loki.query(place.streams, *words), start, end, most)
    except loki.Refused as problem:
        raise DeployError(f"{url}: Loki does not answer: {problem}") from None


def _headers(token: str | None, tenant: str | None) -> dict[str, str]:
    import base64

    found = {"X-Scope-OrgID": tenant} if tenant else {}
    if not token:
        return found
    if ":" in token:
        packed = base64.b64encode(token.encode()).decode()
        return {**found, "Authorization": f"Basic {packed}"}
    return {**found, "Authorization": f"Bearer {token}"}


def _answer(
    place: str, parameters: loki.Parameters, headers: Mapping[str, str], timeout: float
) -> Any:
    import gevent
    import requests

    try:
        with gevent.Timeout(timeout, TimeoutError()):
            answer = requests.get(
                f"{place}{loki.PATH}",
                params=parameters,
                headers=dict(headers),
                timeout=timeout,
                allow_redirects=False,
            )
    except (TimeoutError, requests.Timeout):
        raise DeployError(f"{place}: Loki gave no answer within {timeout:.0f} s") from None
    except (requests.RequestException, OSError, ValueError) as error:
        raise DeployError(f"{place}: Loki cannot be reached ({type(error).__name__})") from None
    if not answer.ok or answer.is_redirect:
        raise loki.Refused(loki.said(answer.status_code, answer.reason, answer.text))
    try:
        return answer.json()
    except ValueError:
        raise DeployError(f"{place}: what answers is no Loki: no JSON") from None

"""
One cluster's API server through the official client, with its discovery and typed models left out:
a request is a request. 0 requests before the first useful one, and dicts as the server sent them.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, Self, TypeVar

from typing_extensions import override

from tasks.connectors.command import Call

T = TypeVar("T")
JSON = "application/json"
ATTEMPTS = 4
#: Objects in one answer, and answers for one list: 5 million objects are in no cluster.
PAGE, MOST_PAGES = 500, 10_000
ENDLESS = "the pages of this list do not end: is it an API server that answers?"
#: Seconds for an exec plugin; somebody may have to type a device code.
SIGN_IN = 120
WEB_PAGE = (
    "a web page answered, no API server: look at server in the kubeconfig, and at proxies between"
)
ONE_MINUTE = 60.0
UNTRUSTED, RENEW = "certificate verify failed", "renew it, or fetch the credentials again"
#: Behind it somebody else answers through the API server, such as Alertmanager: nothing, or a list.
PROXIED = "/proxy/"
#: Signs at the beginning of an answer in which a Status says that it is one.
STATUS_WITHIN = 300
RETRY_STATUSES = frozenset({429, 502, 503, 504})
REPEATABLE = frozenset({"GET", "PATCH", "DELETE", "PUT"})


class ApiError(Exception):
    """
    An answer that is not a success, such as status 409 with the server's own message.

    + final: nothing is won by asking again
    """

    def __init__(
        self,
        status: int,
        message: str,
        body: str = "",
        retry_after: float = 0.0,
        final: bool = False,
    ) -> None:
        super().__init__(f"{status} {message}" if status else message)
        self.status = status
        self.message = message
        self.body = body
        self.retry_after = retry_after
        self.final = final


class Bearer(Protocol):
    """Where tokens come from that do not stand in the kubeconfig."""

    def token(self) -> str:
        """One that is good for now. Raises ApiError."""
        ...

    def refused(self, token: str) -> None:
        """This one is not: the next shall be another."""
        ...


class Api:
    """
    + config: a kubeconfig of one context, see ``kubeconfig.one_context``
    + timeout: seconds for one whole exchange
    + bearer: signs in instead of what the kubeconfig says of a user

    Raises ApiError where an exec plugin such as kubelogin gives no credentials.
    """

    def __init__(
        self, config: dict[str, Any], timeout: float, bearer: Bearer | None = None
    ) -> None:
        import gevent
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import load_kube_config_from_dict
        from kubernetes.dynamic import DynamicClient

        settings = Configuration()
        plugin = str((config["users"][0]["user"].get("exec") or {}).get("command") or "")
        late = ApiError(0, f"{plugin} did not sign in within {SIGN_IN} s: run it by hand first")
        with _Said() as said, gevent.Timeout(SIGN_IN, late):
            load_kube_config_from_dict(config, client_configuration=settings)
        if plugin and not settings.api_key and not settings.cert_file:
            raise ApiError(0, _not_signed_in(plugin, said.texts))
        self._bearer = bearer
        if bearer is not None:
            settings.api_key["BearerToken"] = ""
            hook: Any = partial(_sign, bearer)  # called for each request
            settings.refresh_api_key_hook = hook
        settings.retries = False
        settings.connection_pool_maxsize = 8
        self.timeout = timeout
        self._client = ApiClient(settings)
        self._dynamic = DynamicClient(self._client, discoverer=_NoDiscovery)

    def text(self, call: Call, timeout: float | None = None) -> str:
        """
        The body of the answer. A request that can be repeated is repeated where the server is
        overloaded or the connection broke, as long as ``timeout`` seconds are not over.

        Raises ApiError; status 0 means that there was no answer.
        """
        limit = timeout or self.timeout
        end = time.monotonic() + limit
        try:
            return self._repeated(call, end)
        except ApiError as error:
            if error.status != 401 or self._bearer is None:
                raise
        # What was refused was not done. A token that was withdrawn makes way for a new one, once.
        self._bearer.refused(str(self._client.configuration.api_key["BearerToken"])[7:])
        return self._repeated(call, end)

    def _repeated(self, call: Call, end: float) -> str:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(call, max(1.0, end - time.monotonic()))
            except ApiError as error:
                pause = max(error.retry_after, 0.2 * 2**attempt)
                again = error.status == 0 or error.status in RETRY_STATUSES
                if (
                    not again
                    or error.final
                    or attempt == ATTEMPTS
                    or call.method not in REPEATABLE
                    or time.monotonic() + pause >= end
                ):
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, timeout: float | None = None, **query: str) -> Any:
        """The answer to one request without a body, parsed. Raises ApiError."""
        return self._parsed(Call(method, path, query, None, JSON, None, frozenset()), timeout)

    def pages(self, path: str, accept: str | None = None, **query: str) -> Iterator[dict[str, Any]]:
        """
        The pages of one list, all of one moment: each has ``items``, and each of these metadata.
        Raises ApiError; status 410 means that the API server forgot that moment, see ``anew``.
        """
        query, tokens = {"limit": str(PAGE), **query}, set[str]()
        while True:
            page = self._parsed(Call("GET", path, query, None, JSON, accept, frozenset()))
            if not _is_list(page):
                raise ApiError(0, "no list of objects: is it an API server's answer?")
            yield {**page, "items": page.get("items") or []}  # an empty list is null
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            if token in tokens or len(tokens) == MOST_PAGES:
                raise ApiError(0, ENDLESS)
            tokens.add(token)
            query = {**query, "continue": token}

    def _parsed(self, call: Call, timeout: float | None = None) -> Any:
        try:
            return json.loads(self.text(call, timeout))
        except ValueError as error:
            raise ApiError(0, f"the answer is damaged: {error}") from error

    @property
    def client(self) -> Any:
        """The official client, for what is more than a request and its answer: a websocket."""
        return self._client

    def close(self) -> None:
        self._client.close()

    def _once(self, call: Call, timeout: float) -> str:
        import gevent
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": call.accept} if call.accept else {}
        try:
            # urllib3's timeout is per read: a server that drips bytes would hold us for ever.
            with gevent.Timeout(timeout, TimeoutError(f"no answer within {timeout:.0f} s")):
                answer = self._dynamic.request(
                    call.method.lower(),
                    call.path,
                    body=call.body,
                    query_params=list(call.query.items()),
                    header_params=headers,
                    content_type=call.content_type,
                    serialize=False,
                    _request_timeout=timeout,
                )
                text: str = answer.data.decode()  # the body is read here, not by the request
        except ApiException as error:
            raise _api_error(error) from error
        except (HTTPError, OSError, TimeoutError) as error:
            raise ApiError(0, _reason(error)) from error
        except ValueError as error:  # of a chunk's size, or of bytes that are no text
            raise ApiError(0, f"the answer is damaged: {error}") from error
        if PROXIED not in call.path:
            _refuse_others(text, str(answer.headers.get("Content-Type")))
        return text


def anew(read: Callable[[], T]) -> T:
    """
    What ``read`` makes of the pages of a list, from the first on where the API server forgot the
    moment they are of. Raises ApiError.
    """
    for _ in range(1, ATTEMPTS):
        try:
            return read()
        except ApiError as error:
            if error.status != 410:
                raise
    return read()


def _is_list(page: Any) -> bool:
    """Whether an answer is a page of a list, as an API server writes it."""
    items = (page.get("items") or []) if isinstance(page, dict) else None
    return isinstance(items, list) and all(
        isinstance(it, dict) and isinstance(it.get("metadata"), dict) for it in items
    )


def _sign(bearer: Bearer, settings: Any) -> None:
    settings.api_key["BearerToken"] = f"Bearer {bearer.token()}"


class _Said(logging.Handler):
    """
    What is logged meanwhile, in this greenlet. The official client (kubernetes 37) logs that an
    exec plugin failed, and goes on as nobody.
    """

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._whose = threading.get_ident()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._whose:
            self.texts.append(" ".join(record.getMessage().split()))

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def _not_signed_in(plugin: str, said: list[str]) -> str:
    if shutil.which(plugin) is None:
        return (
            f"the kubeconfig signs in with {plugin}, which is not installed: install it, or "
            "convert the kubeconfig"
        )
    why = "; ".join(said)[:400] or "it gave no credentials"
    return f"{plugin} did not sign in: {why}"


class _NoDiscovery:
    def __init__(self, client: Any, cache_file: Any) -> None:
        pass


def _refuse_others(text: str, content_type: str) -> None:
    """
    Raises ApiError for an answer with 200 that no API server gives: a page to sign in, an object
    that was cut off. Logs are plain text; everything else is one object.
    """
    if "html" in content_type:
        raise ApiError(0, WEB_PAGE)
    if "json" not in content_type:
        return
    whole = text.strip()
    if not whole.startswith("{") or not whole.endswith("}"):
        what = f"{whole[:20]!r}..." if whole else "nothing"
        raise ApiError(0, f"the answer is cut off, or no API server's: {what}")
    if '"Status"' in whole[:STATUS_WITHIN] and '"Failure"' in whole[:STATUS_WITHIN]:
        raise _of_status(whole)


def _of_status(text: str) -> ApiError:
    """A failure that says 200, as something between may make of it."""
    try:
        found = json.loads(text)
        return ApiError(int(found.get("code") or 0), str(found.get("message")), text)
    except (ValueError, AttributeError):
        return ApiError(0, "the answer is damaged")


def _api_error(error: Any) -> ApiError:
    body = error.body.decode() if isinstance(error.body, bytes) else str(error.body or "")
    try:
        message = json.loads(body).get("message") or error.reason
    except (ValueError, AttributeError):
        message = error.reason
    headers = error.headers or {}
    if error.status in range(400, 500) and "html" in str(headers.get("Content-Type")):
        return ApiError(0, f"{WEB_PAGE} ({error.status})")  # its 404 says nothing of an object
    try:
        retry_after = float(headers.get("Retry-After", 0))
    except (TypeError, ValueError):
        retry_after = 0.0
    if error.status == 401:
        message = "the credentials were not accepted: sign in again, or fetch them anew"
    if UNTRUSTED in str(message):
        why = str(message).partition(f"{UNTRUSTED}: ")[2].partition(" (_ssl")[0]
        return ApiError(0, f"its certificate is not trusted: {why}: {RENEW}", final=True)
    message = " ".join(str(message).split())
    when = f" (come again in {retry_after:.0f} s)" if retry_after > ONE_MINUTE else ""
    return ApiError(error.status or 0, f"{message}{when}", body, retry_after)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: urllib3 wraps a refused connection three times."""
    inner: BaseException = error
    while True:
        deeper = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
        if not isinstance(deeper, BaseException) or deeper is inner:
            break
        inner = deeper
    if isinstance(inner, ValueError):  # of the size of a chunk
        return f"the answer is damaged: {inner}"
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return f"{type(inner).__name__}: {text}".splitlines()[0]

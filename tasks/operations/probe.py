"""Real requests through the listeners of a Gateway: the only proof that traffic flows."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Sequence
from functools import cache

from tasks.plans.probes import Answer, Request, answered_by

TIMEOUT = 5.0


def send(request: Request, timeout: float = TIMEOUT) -> Answer:
    """
    One new connection, one request. The certificate is not verified: that is the certificates' own
    check.

    Raises OSError or http.client.HTTPException.
    """
    with socket.create_connection((request.address, request.port), timeout) as raw:
        return exchange(request, raw, timeout)


def exchange(request: Request, raw: socket.socket, timeout: float = TIMEOUT) -> Answer:
    """One request over a connection that is open. Raises as ``send`` does."""
    if request.scheme == "tcp":
        return Answer(0)
    raw.settimeout(timeout)
    stream, certificate = raw, None
    if request.scheme in ("https", "tls"):
        stream = secure = _unverified().wrap_socket(raw, server_hostname=request.host)
        certificate = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    if request.scheme == "tls":
        return Answer(0, certificate=certificate)
    connection = http.client.HTTPConnection(request.host, request.port, timeout=timeout)
    connection.sock = stream
    try:
        connection.request(
            "GET", request.path, headers={"User-Agent": "envoyfleet", "Connection": "close"}
        )
        answer = connection.getresponse()
    except ssl.SSLError as error:
        if "CERTIFICATE_REQUIRED" in str(error.reason):  # of the client: the listener is at work
            return Answer(0, certificate=certificate)
        raise
    body = answer.read(65536)
    headers = {key.lower(): value for key, value in answer.getheaders()}
    by = answered_by(headers, body)
    empty = not body and "content-type" not in headers
    return Answer(answer.status, by, empty, certificate)


@cache
def _unverified() -> ssl.SSLContext:
    """Without the system's authorities: to load them takes 90 ms, and nothing is verified here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def send_all(requests: Sequence[Request]) -> dict[Request, Answer | str]:
    """The answer to each request, or why there was none; all at once."""
    from gevent.pool import Pool

    def one(request: Request) -> Answer | str:
        try:
            return send(request)
        except (OSError, http.client.HTTPException) as error:
            return reason(error)

    return dict(zip(requests, Pool(16).map(one, requests), strict=True))


def reason(error: Exception) -> str:
    """Such as "Connection refused"."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

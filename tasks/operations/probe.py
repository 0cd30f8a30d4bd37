"""Real requests through the listeners of a Gateway: the only proof that traffic flows."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Sequence
from functools import cache

from tasks.plans.probes import Answer, Request, answered_by, problem

TIMEOUT = 5.0


def send(request: Request, timeout: float = TIMEOUT) -> Answer:
    """
    One new connection, one request. The certificate is not verified: that is the certificates' own
    check.

    Raises OSError or http.client.HTTPException.
    """
    raw = socket.create_connection((request.address, request.port), timeout)
    with raw:
        if request.scheme == "tcp":
            return Answer(0)
        stream: socket.socket = raw
        if request.scheme == "https":
            stream = _unverified().wrap_socket(raw, server_hostname=request.host)
        connection = http.client.HTTPConnection(request.host, request.port, timeout=timeout)
        connection.sock = stream
        connection.request(
            "GET", request.path, headers={"User-Agent": "envoyfleet", "Connection": "close"}
        )
        answer = connection.getresponse()
        body = answer.read(65536)
        headers = {key.lower(): value for key, value in answer.getheaders()}
        by = answered_by(headers, body)
        return Answer(answer.status, by, empty=not body and "content-type" not in headers)


@cache
def _unverified() -> ssl.SSLContext:
    """Without the system's authorities: to load them takes 90 ms, and nothing is verified here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def send_all(requests: Sequence[Request]) -> tuple[list[str], dict[Request, Answer]]:
    """What went wrong, a line each, and the answers to all that got one; all at once."""
    from gevent.pool import Pool

    answers: dict[Request, Answer] = {}
    problems: list[str] = []

    def one(request: Request) -> None:
        try:
            answers[request] = send(request)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            problems.append(f"{request.text}: {why}")
            return
        unproven = problem(request, answers[request])
        if unproven:
            problems.append(unproven)

    Pool(16).map(one, requests)
    return sorted(problems), answers

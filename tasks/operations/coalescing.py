"""
A client that uses one HTTP/2 connection for two names, as browsers do: what it meets is what a
finding about overlapping certificates claims.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from functools import cache

from tasks.operations.probe import reason
from tasks.plans.overlap import Answers, Overlap, Pair
from tasks.plans.x509 import certificate, covers

TIMEOUT = 5.0
#: Groups that are tried at the same time.
AT_A_TIME = 16
AGENT = "envoyfleet"


def ask_all(overlaps: Iterable[Overlap], timeout: float = TIMEOUT) -> dict[Pair, Answers]:
    """
    What a client meets in each group where it is not known otherwise, by one way of the group: two
    connections each, at the first address. Sends nothing for a group without an address, or whose
    members share one: which of them answers there is chance.
    """
    from gevent.pool import Pool

    pairs = [
        it.pair
        for it in overlaps
        if it.pair
        and it.pair.first.addresses
        and (it.effect == "not found" or it.pair.first.passthrough)
    ]
    found = Pool(AT_A_TIME).map(lambda it: ask(it, it.first.addresses[0], timeout), pairs)
    return dict(zip(pairs, found, strict=True))


def ask(pair: Pair, address: str, timeout: float = TIMEOUT) -> Answers:
    """
    A request for ``pair.sni``, then one for ``pair.host``: on the same connection where HTTP/2 was
    chosen and the certificate is good for both, else on a new one, as a browser does. Nothing is
    verified against authorities. Never raises; ``why`` says what went wrong.
    """
    port = pair.first.port
    alpn, covered, first, second = None, False, None, None
    try:
        with _opened(address, port, pair.sni, timeout) as stream:
            alpn, covered = stream.selected_alpn_protocol(), _good_for(stream, pair)
            client = _client(stream, port, timeout)
            first = client.get(pair.sni)
            if alpn == "h2" and covered:
                second = client.get(pair.host)
        with _opened(address, port, pair.host, timeout) as stream:
            alone = _client(stream, port, timeout).get(pair.host)
    except (OSError, ValueError, Broken) as error:  # ValueError: a name or a status that is none
        return Answers(alpn, covered, first, second, why=reason(error))
    return Answers(alpn, covered, first, second, alone)


def _opened(address: str, port: int, sni: str, timeout: float) -> ssl.SSLSocket:
    raw = socket.create_connection((address, port), timeout)
    try:
        return _context().wrap_socket(raw, server_hostname=sni)
    except BaseException:
        raw.close()
        raise


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _good_for(stream: ssl.SSLSocket, pair: Pair) -> bool:
    """Whether the certificate that is served is good for both names."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True) or b"")
        names = certificate(found).names
    except ValueError:
        return False
    return covers(names, pair.sni) and covers(names, pair.host)


class Broken(Exception):
    """The other side does not keep to HTTP, or has ended it."""


def _client(stream: ssl.SSLSocket, port: int, timeout: float) -> _Http1 | _Http2:
    chosen = stream.selected_alpn_protocol()
    return _Http2(stream, port, timeout) if chosen == "h2" else _Http1(stream, port)


class _Http1:
    """One request, for what is offered HTTP/1.1."""

    def __init__(self, stream: ssl.SSLSocket, port: int) -> None:
        self._stream, self._port = stream, port

    def get(self, host: str) -> int:
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(host, self._port)
        connection.sock = self._stream
        try:
            connection.request("GET", "/", headers={"User-Agent": AGENT, "Connection": "close"})
            return connection.getresponse().status
        except HTTPException as error:
            raise Broken(f"{type(error).__name__} {error}".strip()) from error


class _Http2:
    """Requests one after the other on one connection, each for a host of its own."""

    def __init__(self, stream: ssl.SSLSocket, port: int, timeout: float) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._stream, self._port, self._timeout = stream, port, timeout
        self._http = H2Connection(H2Configuration())
        self._http.initiate_connection()

    def get(self, host: str) -> int:
        from h2.exceptions import ProtocolError

        try:
            number = self._http.get_next_available_stream_id()
            self._http.send_headers(
                number,
                [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", host if self._port == 443 else f"{host}:{self._port}"),
                    (":path", "/"),
                    ("user-agent", AGENT),
                ],
                end_stream=True,
            )
            return self._status(number)
        except ProtocolError as error:
            raise Broken(f"{type(error).__name__} {error}".strip()) from error

    def _status(self, number: int) -> int:
        """Of the answer on this stream; its body is not waited for."""
        from h2.errors import ErrorCodes
        from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset

        until = time.monotonic() + self._timeout
        while time.monotonic() < until:
            self._stream.sendall(self._http.data_to_send())
            data = self._stream.recv(65536)
            if not data:
                raise Broken("the connection was closed")
            status, ended = 0, False
            for event in self._http.receive_data(data):
                if isinstance(event, ConnectionTerminated):
                    raise Broken(f"the connection was ended with error {event.error_code}")
                if getattr(event, "stream_id", None) != number:
                    continue
                if isinstance(event, StreamReset):
                    raise Broken(f"the request was reset with error {event.error_code}")
                if isinstance(event, ResponseReceived):
                    status = int(dict(event.headers or ())[b":status"])
                ended = ended or isinstance(event, StreamEnded)
            if status:
                if not ended:
                    self._http.reset_stream(number, ErrorCodes.CANCEL)
                return status
        raise Broken(f"no answer within {self._timeout:.0f} s")

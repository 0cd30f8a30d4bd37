"""The request that a diagnosis is asked about, really sent, and what its caller gets."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tasks.diagnosis.evidence import Exchange, Request
from tasks.plans.requests import Asked, Entrance

#: Seconds for the whole exchange: longer than the 15 s after which Envoy itself gives up.
TIMEOUT = 20.0
#: Bytes of a body that are kept.
BODY = 4096
AGENT = "user-agent"


def described(asked: Asked, version: str = "") -> Request:
    """What is asked for. + version: of HTTP, "" before it is sent"""
    sni = (
        asked.host
        if asked.scheme == "https" and not asked.authority.startswith(asked.host)
        else None
    )
    return Request(
        method=asked.method,
        scheme=asked.scheme,
        host=asked.authority,
        path=asked.path,
        headers=asked.headers,
        version=version or ("2" if asked.http2 else "1.1"),
        sni=sni,
    )


def send(asked: Asked, at: Entrance, timeout: float = TIMEOUT) -> Exchange:
    """
    One new connection, one request; redirects are not followed, and the certificate is not
    verified: that is the certificates' own check. Never raises: what went wrong is in ``error``.
    """
    request = described(asked)
    try:
        with socket.create_connection((at.address, at.port), timeout) as raw:
            stream, chosen = _secured(asked, raw)
            request = replace(request, version="2" if chosen else "1.1")
            if chosen:
                return _over_http2(asked, request, stream, time.monotonic() + timeout)
            return _over_http1(asked, request, stream, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Exchange(request, error=f"{type(error).__name__}: {error}".rstrip(": "))


def _secured(asked: Asked, raw: socket.socket) -> tuple[socket.socket, bool]:
    """The stream, and whether it speaks HTTP/2."""
    if asked.scheme == "http":
        return raw, bool(asked.http2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"] if asked.http2 is False else ["h2", "http/1.1"])
    secure = context.wrap_socket(raw, server_hostname=asked.host)
    return secure, secure.selected_alpn_protocol() == "h2"


def _over_http1(asked: Asked, request: Request, stream: socket.socket, timeout: float) -> Exchange:
    connection = http.client.HTTPConnection(asked.host, asked.port, timeout=timeout)
    connection.sock = stream
    connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"host": asked.authority, **_headers(asked)}.items():
        connection.putheader(name, value)
    connection.putheader("connection", "close")
    connection.endheaders((asked.body or "").encode() or None)
    answer = connection.getresponse()
    headers = {key.lower(): value for key, value in answer.getheaders()}
    return Exchange(request, answer.status, headers, answer.read(BODY).decode(errors="replace"))


def _headers(asked: Asked) -> dict[str, str]:
    body = {"content-length": str(len(asked.body.encode()))} if asked.body is not None else {}
    form = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    return {"accept": "*/*", **form, **asked.headers, **body}


def _over_http2(asked: Asked, request: Request, stream: socket.socket, until: float) -> Exchange:
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    first = {
        ":method": asked.method,
        ":scheme": asked.scheme,
        ":authority": asked.authority,
        ":path": asked.path,
    }
    body = (asked.body or "").encode()
    try:
        connection.send_headers(1, [*{**first, **_headers(asked)}.items()], end_stream=not body)
        if body:
            connection.send_data(1, body, end_stream=True)
        return _answered(request, connection, stream, until)
    except ProtocolError as error:
        raise OSError(f"HTTP/2: {error}") from error


def _answered(request: Request, connection: Any, stream: socket.socket, until: float) -> Exchange:
    from h2.events import (
        ConnectionTerminated,
        DataReceived,
        ResponseReceived,
        StreamEnded,
        StreamReset,
    )

    headers: Mapping[str, str] = {}
    body, ended = b"", False
    while not ended:
        stream.sendall(connection.data_to_send())
        stream.settimeout(max(0.1, until - time.monotonic()))
        data = stream.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed without an answer")
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                headers = {str(key): str(value) for key, value in event.headers or ()}
            elif isinstance(event, DataReceived):
                body += event.data or b""
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, StreamReset | ConnectionTerminated):
                if not headers:
                    raise ConnectionResetError(f"HTTP/2 error {event.error_code}")
                ended = True
            ended = ended or isinstance(event, StreamEnded) or len(body) > BODY
    status = int(headers.get(":status", "0"))
    plain = {key: value for key, value in headers.items() if not key.startswith(":")}
    return Exchange(request, status, plain, body[:BODY].decode(errors="replace"))

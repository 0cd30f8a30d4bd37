"""What a caller of the gym does, and what it sees: an entry of client.json a request."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.gym.fault import Ask

Entry = dict[str, Any]
AGENT = "gym/1"


def asked(ask: Ask, address: str, authority: str | None = None) -> list[Entry]:
    """Every request of it, in order; of those that go at once, those that fail come last."""
    entries: list[Entry] = []
    with ThreadPoolExecutor(ask.at_once) as pool:
        for _ in range(ask.times):
            some = list(pool.map(lambda _: one(ask, address, authority), range(ask.at_once)))
            entries += sorted((it for each in some for it in each), key=lambda it: not _well(it))
    if ask.reuses:
        return [it for each in (one(ask, address, authority),) for it in each]
    return entries


def _well(entry: Entry) -> bool:
    return entry["status"] is not None and entry["status"] < 400


def one(ask: Ask, address: str, authority: str | None) -> list[Entry]:
    url = urlsplit(ask.url)
    host = (url.hostname or "").lower()
    port = ask.port or url.port or (443 if url.scheme == "https" else 80)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    sni = ask.sni or ask.reuses or host
    shown: Entry = {
        "method": ask.method,
        "scheme": url.scheme,
        "host": url.netloc,
        "path": path,
        "http_version": ask.version,
        "headers": dict(ask.headers),
    }
    if url.scheme == "https" and sni != host:
        shown["sni"] = sni
    try:
        stream = _connected(ask, address, port, url.scheme == "https", sni, authority)
    except (OSError, ssl.SSLError) as error:
        return [{"request": shown, "status": None, "error": _said(error)}]
    with stream:
        speak = _two if ask.version == "2" else _one
        if not ask.reuses:
            return [_entry(shown, lambda: speak(stream, ask, url.netloc, path))]
        first = {**shown, "host": ask.reuses, "path": "/"}
        shown |= {"reused_connection": True}
        try:
            entries = _reusing(stream, ask, [ask.reuses, url.netloc], path)
        except (OSError, http.client.HTTPException) as error:
            return [{"request": shown, "status": None, "error": _said(error)}]
        return [{"request": it, **seen} for it, seen in zip((first, shown), entries, strict=True)]


def _connected(
    ask: Ask, address: str, port: int, secure: bool, sni: str, authority: str | None
) -> socket.socket:
    if not address:
        raise OSError("no address: the Gateway has none")
    plain = socket.create_connection((address, port), min(ask.gives_up, 3))
    plain.settimeout(ask.gives_up)
    if not secure:
        return plain
    context = ssl.create_default_context(cafile=authority)
    if not ask.trusts:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if ask.version == "2" else ["http/1.1"])
    if ask.newest:
        context.maximum_version = ssl.TLSVersion[f"TLSv{ask.newest.replace('.', '_')}"]
    try:
        return context.wrap_socket(plain, server_hostname=sni)
    except OSError:
        plain.close()
        raise


def _entry(shown: Entry, answer: Any) -> Entry:
    try:
        return {"request": shown, **answer()}
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        return {"request": shown, "status": None, "error": _said(error)}


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _headers(ask: Ask) -> dict[str, str]:
    return {"user-agent": AGENT, **ask.headers}


def _one(stream: socket.socket, ask: Ask, host: str, path: str) -> Entry:
    connection = http.client.HTTPConnection(host)
    connection.sock = stream
    connection.request(ask.method, path, headers={"Host": host, **_headers(ask)})
    answer = connection.getresponse()
    headers = {key.lower(): value for key, value in answer.getheaders()}
    seen: Entry = {"status": answer.status, "headers": headers}
    try:
        return {**seen, "body": answer.read().decode(errors="replace")[:4096]}
    except (OSError, http.client.HTTPException) as error:
        return {**seen, "body": "", "error": _said(error)}


def _reusing(stream: socket.socket, ask: Ask, hosts: Sequence[str], path: str) -> list[Entry]:
    if ask.version == "2":
        return _streams(stream, ask, hosts, path)
    connection = http.client.HTTPConnection(hosts[0])
    connection.sock = stream
    entries: list[Entry] = []
    for host in hosts:
        connection.request(ask.method, path, headers={"Host": host, **_headers(ask)})
        answer = connection.getresponse()
        answer.read()
        entries.append({"status": answer.status, "error": None})
    return entries


def _two(stream: socket.socket, ask: Ask, host: str, path: str) -> Entry:
    return _streams(stream, ask, [host], path)[0]


def _streams(stream: socket.socket, ask: Ask, hosts: Sequence[str], path: str) -> list[Entry]:
    """HTTP/2 requests over one connection, one after the other."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    entries = []
    scheme = "https" if isinstance(stream, ssl.SSLSocket) else "http"
    for number, host in enumerate(hosts):
        head = [
            (":method", ask.method),
            (":scheme", scheme),
            (":authority", host),
            (":path", path),
        ]
        connection.send_headers(2 * number + 1, [*head, *_headers(ask).items()], end_stream=True)
        stream.sendall(connection.data_to_send())
        entries.append(_answer(stream, connection))
    return entries


def _answer(stream: socket.socket, connection: h2.connection.H2Connection) -> Entry:
    headers: dict[str, str] = {}
    body = b""
    while True:
        data = stream.recv(65536)
        if not data:
            raise ConnectionResetError("the connection was closed before the response ended")
        for event in _events(connection, data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers |= {_text(key): _text(value) for key, value in event.headers or ()}
            elif isinstance(event, h2.events.DataReceived):
                body += event.data or b""
            elif isinstance(event, h2.events.StreamReset):
                raise ConnectionResetError(f"stream reset: {event.error_code}")
            elif isinstance(event, h2.events.StreamEnded):
                status = int(headers.pop(":status"))
                text = body[:4096].decode(errors="replace")
                return {"status": status, "headers": headers, "body": text, "error": None}
        stream.sendall(connection.data_to_send())


def _events(connection: h2.connection.H2Connection, data: bytes) -> list[h2.events.Event]:
    """A connection that is told to go away takes no more responses."""
    try:
        return connection.receive_data(data)
    except h2.exceptions.ProtocolError as error:
        raise ConnectionResetError(f"{type(error).__name__}: {error}") from error


def _text(it: bytes | str) -> str:
    return it.decode(errors="replace") if isinstance(it, bytes) else it

"""The stand-in on the network: HTTPS with a certificate of the lab's authority."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from typing_extensions import override

from tasks.lab import certificates
from tasks.lab.azure import arm, imds, names, tokens
from tasks.lab.azure.answers import Answer, Refused, Request
from tasks.lab.azure.entra import Entra
from tasks.lab.azure.state import Azure, Seen


@dataclass(frozen=True)
class Serving:
    """
    + url: of Entra ID and ARM alike, such as "https://127.0.0.1:8443"
    + authority: the certificate that its clients trust
    + imds: what AZURE_POD_IDENTITY_AUTHORITY_HOST is set to; + dns: address and port
    """

    azure: Azure
    entra: Entra
    url: str
    authority: Path
    imds: str
    dns: tuple[str, int]

    @property
    def identity_endpoint(self) -> str:
        """What IDENTITY_ENDPOINT is set to; any IDENTITY_HEADER will do."""
        return f"{self.imds}{imds.APP_SERVICE}"


@contextmanager
def serving(
    azure: Azure,
    folder: Path,
    address: str = "127.0.0.1",
    port: int = 0,
    ca: Path | None = None,
    imds_port: int = 0,
    dns_port: int = 0,
) -> Iterator[Serving]:
    """
    Answer until the end of the block; ``folder`` keeps the keys, ``ca`` is the folder of the
    authority where it is another one. A port of 0 is a free one.
    """
    authority = ca or folder
    certificates.authority(authority)
    hosts = (address, "localhost", "azure.lab.test")
    certificates.issue(folder, "azure", authority, "azure", hosts=hosts)
    https = _Server((address, port), BaseHTTPRequestHandler)
    url = f"https://{address}:{https.server_address[1]}"
    entra = Entra(azure, tokens.key(folder), url)
    https.RequestHandlerClass = _handler(azure, url, lambda it: _answer(azure, entra, it))
    https.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    https.context.load_cert_chain(folder / "azure.crt", folder / "azure.key")
    plain = _handler(azure, "", lambda it: (imds.answer(azure, entra, it), None))
    http = _Server((address, imds_port), plain)
    metadata = f"http://{address}:{http.server_address[1]}"
    with _running(https), _running(http), names.serving(azure, address, dns_port) as place:
        yield Serving(azure, entra, url, authority / "ca.crt", metadata, place)


@contextmanager
def _running(http: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    context: ssl.SSLContext | None = None

    @override
    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is done in the connection's own thread, not where others are accepted."""
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:  # a client that does not trust us, or had enough
                return
        super().finish_request(request, client_address)
        with suppress(OSError):
            request.close()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def _answer(azure: Azure, entra: Entra, request: Request) -> tuple[Answer, str | None]:
    """With the object id of who asked."""
    if entra.answers(request):
        return _trouble(azure, request) or entra.answer(request), None
    principal = None
    try:
        hindrance = _hindrance(azure, request)
        if hindrance is not None:
            return hindrance, None
        caller = arm.caller(entra, request)
        principal = caller.principal
        return arm.identified(arm.answer(azure, caller, request)), principal
    except Refused as refusal:
        return arm.identified(refusal.answer()), principal
    except Exception:  # a mistake of ours is told in our log, and is a 500 for who asked
        traceback.print_exc()
        mistake = Refused(500, "InternalServerError", "The stand-in made a mistake: see its log.")
        return arm.identified(mistake.answer()), principal


def _trouble(azure: Azure, request: Request) -> Answer | None:
    """What faults make of a call to Entra ID: those alone whose pattern says something."""
    for fault in azure.faults.met(f"{request.method} {request.path}"):
        if not fault.match:
            continue
        time.sleep(fault.latency)
        if fault.hang_up:
            return Answer(hang_up=True)
        if fault.status is not None:
            text = fault.message or "AADSTS90033: A transient error has occurred."
            code = fault.code or "temporarily_unavailable"
            return Answer(fault.status, {"error": code, "error_description": text})
    return None


def _hindrance(azure: Azure, request: Request) -> Answer | None:
    """What the faults that are on make of a call; None for nothing."""
    time.sleep(azure.faults.latency)
    for fault in azure.faults.met(f"{request.method} {request.path}"):
        time.sleep(fault.latency)
        if fault.hang_up:
            return Answer(hang_up=True)
        if fault.status is not None:
            code, text = _WORDS.get(fault.status, ("InternalServerError", "It did not work."))
            wait = {} if fault.retry_after is None else {"Retry_After": str(fault.retry_after)}
            refusal = Refused(fault.status, fault.code or code, fault.message or text, **wait)
            return arm.identified(refusal.answer())
    return None


_WORDS = {
    429: (
        "TooManyRequests",
        "The request is being throttled as the limit has been reached for operation type.",
    ),
    500: ("InternalServerError", "Encountered internal server error."),
    503: ("ServiceUnavailable", "The service is unavailable."),
}


def _handler(azure: Azure, base: str, answer: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        timeout = 300

        @override
        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # a client that had enough
                self.close_connection = True

        def do(self) -> None:
            when = azure.clock()
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path, _, query = self.path.partition("?")
            path = unquote(re.sub("/{2,}", "/", path))
            asked = dict(parse_qsl(query, keep_blank_values=True))
            body = _body(data, headers.get("content-type", ""))
            request = Request(self.command, path, asked, headers, body, base)
            given, principal = answer(request)
            wait = given.headers.get("Retry-After")
            seen = Seen(
                self.command, self.path, given.status, when, principal, int(wait) if wait else None
            )
            azure.remember(seen)
            self._send(given)

        def _send(self, given: Answer) -> None:
            if given.hang_up:
                self.close_connection = True
                return
            data = b"" if given.body is None else json.dumps(given.body).encode()
            self.send_response(given.status)
            if given.status != 204:
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(data)))
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = do

        @override
        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _body(data: bytes, kind: str) -> Any:
    if not data:
        return None
    if "x-www-form-urlencoded" in kind:
        return dict(parse_qsl(data.decode(), keep_blank_values=True))
    try:
        return json.loads(data)
    except ValueError:
        return None

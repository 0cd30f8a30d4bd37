"""
The two ends of a configuration stream, asked at their sockets: what a controller Pod serves and
whom it lets in, and what a proxy has loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tasks.connectors.api import Api
from tasks.connectors.forward import forwarded
from tasks.operations import admin
from tasks.plans.control_plane import Part

STREAM, WEBHOOK = 18000, 9443
TIMEOUT = 10.0
#: What an HTTP/2 client says first, with an empty SETTINGS frame (RFC 9113, 3.4).
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HEADER, _SETTINGS = 9, 4


class Refused(Exception):
    """The other side did not take the certificate that was shown to it."""


@dataclass(frozen=True)
class Loaded:
    """
    What a proxy would use for its next stream. + pairs: serials of the first trusted authority and
    of the certificate, of each of its TLS contexts; + connected: it has a stream now; + clusters:
    those of the names that were asked for
    """

    pairs: frozenset[tuple[int, int]]
    connected: bool
    clusters: frozenset[str]


def loaded(api: Api, namespace: str, pod: str, clusters: Iterable[str] = ()) -> Loaded:
    """Ask a proxy's admin port. Raises ApiError, OSError or http.client.HTTPException."""
    names = "|".join(clusters) or "-"
    pattern = rf"^control_plane\.connected_state$|^cluster\.({names})\.membership_total$"
    with forwarded(api, namespace, pod, [admin.PORT] * 2) as forward:
        certs = json.loads(admin.get(forward.sockets[0], "/certs"))
        stats = json.loads(
            admin.get(forward.sockets[1], f"/stats?format=json&filter={quote(pattern, safe='')}")
        )
    values = {it["name"]: it["value"] for it in stats["stats"] if "name" in it}
    return Loaded(
        frozenset(_pairs(certs)),
        values.get("control_plane.connected_state") == 1,
        frozenset(it.split(".")[1] for it in values if it.startswith("cluster.")),
    )


def _pairs(certs: Any) -> Iterator[tuple[int, int]]:
    for context in certs["certificates"]:
        for first in (context.get("ca_cert") or ())[:1]:
            for it in context.get("cert_chain") or ():
                yield int(first["serial_number"], 16), int(it["serial_number"], 16)


def served(api: Api, namespace: str, pod: str, port: int, shown: Part | None = None) -> str:
    """
    The fingerprint of the certificate that a port of a Pod serves. With one of ours ``shown``, the
    other side has also let us in: it answers the first frame of HTTP/2.

    Raises Refused, ApiError or OSError.
    """
    with forwarded(api, namespace, pod, [port]) as forward:
        stream = forward.sockets[0]
        stream.settimeout(TIMEOUT)
        with _context(shown).wrap_socket(stream, server_hostname="envoy-gateway") as secure:
            fingerprint = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
            if shown is not None:
                _let_in(secure)
        if forward.refused:
            raise OSError(f"nothing listens on port {port} of the Pod")
        return fingerprint


def _let_in(secure: ssl.SSLSocket) -> None:
    """With TLS 1.3 a server looks at the client's certificate after the handshake has ended."""
    try:
        secure.sendall(_HELLO)
        answer = b""
        while len(answer) < _HEADER:
            more = secure.recv(_HEADER)
            if not more:
                raise OSError("the connection was closed without an answer")
            answer += more
    except ssl.SSLError as error:
        if "ALERT" in str(error.reason):
            raise Refused(str(error.reason).lower().replace("_", " ")) from error
        raise
    if answer[3] != _SETTINGS:
        raise OSError("what answered does not speak HTTP/2")


def _context(shown: Part | None) -> ssl.SSLContext:
    """What is served is compared byte for byte, so it is not verified here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if shown is not None:
        context.set_alpn_protocols(["h2"])
        with _piped(shown.certificate) as certificate, _piped(shown.key) as key:
            context.load_cert_chain(certificate, key)
    return context


@contextmanager
def _piped(text: bytes) -> Iterator[str]:
    """A name under which OpenSSL reads these bytes, once: a key never becomes a file."""
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as end:
            end.write(text)  # a PEM is smaller than a pipe holds
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)

"""
A container of Blob Storage in this process: the few requests that a copy needs, answered as the
service answers them. Azurite, in tests/blob_storage.py, is for what a whole service does.
"""

from __future__ import annotations

import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from typing_extensions import override

from tasks.lab import certificates

MODIFIED = "Sat, 21 Nov 2026 14:02:11 GMT"


@dataclass
class Service:
    """
    A container of blobs. + refusal: status and code of every answer; + asked: method and path
    + damage: what is done to content on its way; + parts: whether it keeps no MD5
    + exists: what is said of a blob that is there; + connections: that were made
    """

    url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    refusal: tuple[int, str] | None = None
    asked: list[str] = field(default_factory=list)
    damage: bytes = b""
    parts: bool = False
    exists: str = "BlobAlreadyExists"
    connections: int = 0

    def headers(self, name: str) -> dict[str, str]:
        content = self.blobs[name]
        found = {f"x-ms-meta-{key}": it for key, it in self.metadata.get(name, {}).items()}
        found |= {"ETag": '"0x1"', "Last-Modified": MODIFIED, "x-ms-blob-type": "BlockBlob"}
        return found if self.parts else {**found, "Content-MD5": _md5(content)}

    def listing(self, prefix: str) -> str:
        found = []
        for name, content in sorted(self.blobs.items()):
            if name.startswith(prefix):
                meta = "".join(
                    f"<{key}>{escape(it)}</{key}>"
                    for key, it in self.metadata.get(name, {}).items()
                )
                digest = "" if self.parts else f"<Content-MD5>{_md5(content)}</Content-MD5>"
                found.append(
                    f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{MODIFIED}"
                    f"</Last-Modified><Etag>0x1</Etag><Content-Length>{len(content)}"
                    f"</Content-Length><Content-Type>application/octet-stream</Content-Type>{digest}"
                    f"<BlobType>BlockBlob</BlobType></Properties><Metadata>{meta}</Metadata></Blob>"
                )
        return (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="envoyfleet">'
            f"<Blobs>{''.join(found)}</Blobs><NextMarker/></EnumerationResults>"
        )


def _md5(content: bytes) -> str:
    return b64encode(md5(content).digest()).decode()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm, wbufsize = True, -1

        @override
        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            name = self._begun()
            if name is None:
                return
            if self.headers.get("Content-MD5") != _md5(content):
                self._refuse(400, "Md5Mismatch")
            elif name in service.blobs and self.headers.get("If-None-Match") == "*":
                self._refuse(409, service.exists)
            else:
                service.blobs[name] = content + service.damage
                service.metadata[name] = {
                    key.lower().removeprefix("x-ms-meta-"): it
                    for key, it in self.headers.items()
                    if key.lower().startswith("x-ms-meta-")
                }
                self._say(201, b"", service.headers(name))

        def do_GET(self) -> None:
            name = self._begun()
            if name is None:
                return
            if not name:
                prefix = parse_qs(urlsplit(self.path).query)["prefix"][0]
                self._say(
                    200, service.listing(prefix).encode(), {"Content-Type": "application/xml"}
                )
            elif name not in service.blobs:
                self._refuse(404, "BlobNotFound")
            else:
                content = service.blobs[name]
                span = f"bytes 0-{len(content) - 1}/{len(content)}"
                self._say(206, content, {"Content-Range": span, **service.headers(name)})

        def do_HEAD(self) -> None:
            name = self._begun()
            if name is not None:
                self._say(200, service.blobs[name], service.headers(name))

        def _begun(self) -> str | None:
            """The name of the blob, "" for the container; None where it is refused."""
            name = urlsplit(self.path).path.removeprefix("/fleetbackups/envoyfleet").strip("/")
            service.asked.append(f"{self.command} {name}".strip())
            if not self.headers.get("Authorization", "").startswith("Bearer ey"):
                self._refuse(401, "NoAuthenticationInformation")
            elif service.refusal is not None:
                self._refuse(*service.refusal)
            else:
                return name
            return None

        def _refuse(self, status: int, code: str) -> None:
            said = (
                f"<Error><Code>{code}</Code><Message>It is {code}.\nRequestId:1</Message></Error>"
            )
            body = f'<?xml version="1.0" encoding="utf-8"?>{said}'.encode()
            self._say(status, body, {"x-ms-error-code": code, "Content-Type": "application/xml"})

        def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-ms-version", "2026-02-06")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        @override
        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """With a certificate of the authority that is in this folder."""
    certificates.issue(folder, "blob", folder, "blob", hosts=["127.0.0.1"])
    service = Service()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(service))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "blob.crt", folder / "blob.key")
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    service.url = f"https://127.0.0.1:{http.server_address[1]}/fleetbackups/envoyfleet"
    try:
        yield service
    finally:
        http.shutdown()
        http.server_close()

"""A WebSocket from a client, as far as a test needs one (RFC 6455): one text there and back."""

from __future__ import annotations

import base64
import os
import socket


def echoed(address: str, port: int, host: str, path: str, text: str) -> tuple[int, str]:
    """The status of the handshake, and what came back of a text where that was 101."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Origin: http://{host}",
        "\r\n",
    )
    with socket.create_connection((address, port), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode())
        said = connection.makefile("rb")
        status = int(said.readline().split()[1])
        while said.readline().strip():
            pass
        if status != 101:
            return status, ""
        mask, data = os.urandom(4), text.encode()
        masked = bytes(it ^ mask[number % 4] for number, it in enumerate(data))
        connection.sendall(bytes([0x81, 0x80 | len(data)]) + mask + masked)
        _, length = said.read(2)
        return status, said.read(length & 0x7F).decode()

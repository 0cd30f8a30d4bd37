"""
An API server of this process alone that forwards ports of any Pod, in the port forward's own
protocol over a websocket.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from websocket import ABNF
from websocket._abnf import frame_buffer  # the one reader of frames at hand

from tasks.connectors.api import Api

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONFIG = {
    "contexts": [{"name": "weu-1", "context": {"cluster": "weu-1", "user": "us"}}],
    "current-context": "weu-1",
    "users": [{"name": "us", "user": {"token": "t0p-s3cret"}}],
}


@contextmanager
def forwarding(
    answer: Callable[[bytes], bytes] = bytes.upper, status: int = 101
) -> Iterator[tuple[Api, list[str]]]:
    """
    Answers what arrives on any port; nothing listens on port 81. With another status than 101 it
    refuses, as an API server does. Yields a client of it, and the requests that it got.
    """
    heads: list[str] = []

    def serve(stream: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += stream.recv(65536)
        heads.append(head.decode())
        if status != 101:
            body = json.dumps({"kind": "Status", "message": "pods is forbidden"}).encode()
            stream.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            stream.sendall(body)
            return
        key = next(it for it in heads[-1].splitlines() if it.startswith("Sec-WebSocket-Key"))
        accept = base64.b64encode(hashlib.sha1(key.split()[1].encode() + GUID).digest())
        stream.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        ports = [int(it[6:]) for it in heads[-1].split()[1].partition("?")[2].split("&")]
        for number, port in enumerate(ports):
            for channel in range(2 * number, 2 * number + 2):
                send(stream, channel, port.to_bytes(2, "little"))
            if port == 81:
                send(stream, 2 * number + 1, b"connection refused")
        frames = frame_buffer(stream.recv, True)
        while stream.recv(1, socket.MSG_PEEK):  # the reader of frames does not see that all is over
            data: Any = frames.recv_frame().data
            send(stream, data[0], answer(data[1:]))

    def accept() -> None:
        while True:
            gevent.spawn(serve, server.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = gevent.spawn(accept)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        cluster = {"name": "weu-1", "cluster": {"server": url}}
        yield Api({**CONFIG, "clusters": [cluster]}, 5), heads
        accepting.kill()


def send(stream: socket.socket, channel: int, data: bytes) -> None:
    frame = ABNF.create_frame(bytes([channel]) + data, ABNF.OPCODE_BINARY)
    frame.mask_value = 0
    stream.sendall(frame.format())

"""
Ports of a Pod, reached through the API server: nothing else on an operator's machine reaches a Pod.

The official client's own port forward (kubernetes 37) ends in a traceback where a connection is
reset, and swaps a method of the shared client meanwhile; its way to sign in and to connect is used
here, its pump is not.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from tasks.connectors.api import Api, ApiError

#: Bytes that a socket hands over at once.
CHUNK = 65536


class Forward:
    """
    + sockets: one connection for each of the ports, in their order; + refused: by place in that
    order, why nothing in the Pod took the connection, in the words of the API server
    """

    def __init__(self, websocket: Any, ports: Sequence[int]) -> None:
        import gevent

        pairs = [socket.socketpair() for _ in ports]
        self.sockets: Sequence[socket.socket] = [it[0] for it in pairs]
        self.refused: dict[int, str] = {}
        self._websocket, self._far = websocket, [it[1] for it in pairs]
        pumps: list[Callable[[], None]] = [partial(self._send, it) for it in range(len(ports))]
        self._pumps = [gevent.spawn(it) for it in (self._receive, *pumps)]

    def close(self) -> None:
        for pump in self._pumps:
            pump.kill()
        for end in (*self.sockets, *self._far):
            end.close()
        self._websocket.shutdown()

    def _receive(self) -> None:
        """
        Frames are a byte for the channel, even ones data and odd ones errors of a port, and the
        rest; the first of a channel only says its port (Kubernetes 1.35 source,
        kubelet/pkg/cri/streaming/portforward/websocket.go).
        """
        from websocket import ABNF, WebSocketException

        begun = set()
        with suppress(OSError, WebSocketException):
            while True:
                kind, frame = self._websocket.recv_data_frame(True)
                if kind == ABNF.OPCODE_CLOSE:
                    break
                if kind != ABNF.OPCODE_BINARY or not frame.data:
                    continue
                channel, data = frame.data[0], frame.data[1:]
                far = self._far[channel // 2]
                if channel not in begun:
                    begun.add(channel)
                elif channel % 2:
                    self.refused[channel // 2] = data.decode(errors="replace")
                    _end(far)
                else:
                    with suppress(OSError):  # whoever asked has gone
                        far.sendall(data)
        for far in self._far:
            _end(far)

    def _send(self, number: int) -> None:
        from websocket import WebSocketException

        with suppress(OSError, WebSocketException):
            while data := self._far[number].recv(CHUNK):
                self._websocket.send_binary(bytes([2 * number]) + data)


def _end(stream: socket.socket) -> None:
    with suppress(OSError):
        stream.shutdown(socket.SHUT_WR)


@contextmanager
def forwarded(
    api: Api, namespace: str, pod: str, ports: Sequence[int], timeout: float = 10
) -> Iterator[Forward]:
    """
    One request to the API server for a connection to each of these ports of a Pod, the same one
    twice for two, open for as long as the block runs.

    Raises ApiError; status 403 means no right to create pods/portforward.
    """
    import gevent

    path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/portforward"
    with gevent.Timeout(timeout, ApiError(0, f"no answer within {timeout:.0f} s")):
        websocket = _connected(api, path, ports)
    forward = Forward(websocket, ports)
    try:
        yield forward
    finally:
        forward.close()


def _connected(api: Api, path: str, ports: Sequence[int]) -> Any:
    from kubernetes.stream.ws_client import create_websocket, get_websocket_url
    from websocket import WebSocketBadStatusException, WebSocketException

    client = api.client
    headers: dict[str, str] = {}
    query = [("ports", str(port)) for port in ports]
    client.update_params_for_auth(headers, query, ["BearerToken"], path, "GET", None)
    url = get_websocket_url(client.configuration.host + path, query)
    try:
        return create_websocket(client.configuration, url, headers)
    except WebSocketBadStatusException as error:
        raise ApiError(error.status_code, _message(error.resp_body)) from error
    except (OSError, WebSocketException) as error:
        raise ApiError(0, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error


def _message(body: Any) -> str:
    try:
        return str(json.loads(body)["message"])
    except (KeyError, TypeError, ValueError):
        return "the port forward was refused"

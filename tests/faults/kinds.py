"""Every kind of harm: what an API server, or what stands before it, answers in its place."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

Writer = asyncio.StreamWriter
#: Seconds that nobody waits for.
FOR_EVER = 600.0


class Asked(Protocol):
    method: str
    path: str


@dataclass(frozen=True)
class Reply:
    """+ length: of the body as the head says it, None says the truth"""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None

    @property
    def document(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def head(self) -> bytes:
        length = len(self.body) if self.length is None else self.length
        headers = {"content-type": "application/json", **self.headers, "content-length": length}
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def all_of_them(it: Asked) -> bool:
    return True


#: Answers in the place of the API server; whether the connection may be used again.
Act = Callable[[Asked, Reply | None, Writer], Awaitable[bool]]


@dataclass(frozen=True)
class Kind:
    """
    + what: happens; + act: does it; + about: the requests that it happens to
    + asks: the API server is asked all the same, and a write is done
    + tls: at the port of this certificate; + address: in the place of the proxy's
    """

    what: str
    act: Act
    about: Callable[[Asked], bool] = all_of_them
    asks: bool = False
    tls: str | None = None
    address: str | None = None


async def answered(writer: Writer, reply: Reply) -> bool:
    writer.write(reply.head() + reply.body)
    await writer.drain()
    return True


def writes(it: Asked) -> bool:
    return it.method != "GET" and "/authorization.k8s.io/" not in it.path


def applies(it: Asked) -> bool:
    return it.method == "PATCH"


def lists(it: Asked) -> bool:
    """Of objects: no name behind the resource, no discovery."""
    path = it.path.partition("?")[0]
    parts = path.strip("/").split("/")
    parts = parts[parts.index("v1") :] if parts[:2] == ["api", "v1"] else parts[2:]
    return it.method == "GET" and path.startswith(("/api/v1/", "/apis/")) and len(parts) in (2, 4)


def discovery(it: Asked) -> bool:
    return it.path.partition("?")[0] in ("/apis", "/api")


def version(it: Asked) -> bool:
    return it.path == "/version"


def identity(it: Asked) -> bool:
    return it.path == UID


def after_connecting(it: Asked) -> bool:
    return it.path not in ("/version", "/api/v1/namespaces/kube-system")


def says(status: int, message: str, reason: str = "", **headers: str) -> Act:
    """A Status, as an API server writes it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    text = json.dumps({**body, "message": message, "reason": reason}).encode()
    named = {key.replace("_", "-"): it for key, it in headers.items()}
    return sends(Reply(status, named, text))


def sends(reply: Reply) -> Act:
    async def act(asked: Asked, _: Reply | None, writer: Writer) -> bool:
        return await answered(writer, reply)

    return act


def html(status: int) -> Act:
    page = b"<html><head><title>Sign in</title></head><body>Sign in</body></html>"
    return sends(Reply(status, {"content-type": "text/html"}, page))


def altered(change: Callable[[Any], Any]) -> Act:
    """The API server's answer with its document changed."""

    async def act(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
        assert reply is not None
        if reply.document is None:
            return await answered(writer, reply)
        return await answered(
            writer, replace(reply, body=json.dumps(change(reply.document)).encode())
        )

    return act


def bent(change: Callable[[Reply], Reply]) -> Act:
    """The API server's answer with its bytes or head changed; the connection ends behind it."""

    async def act(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
        assert reply is not None
        await answered(writer, change(reply))
        return False

    return act


def _reset(writer: Writer) -> bool:
    own = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def reset(asked: Asked, _: Reply | None, writer: Writer) -> bool:
    return _reset(writer)


async def reset_after(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    """What was asked is done, and nobody hears of it."""
    return _reset(writer)


async def closed(asked: Asked, _: Reply | None, writer: Writer) -> bool:
    return False


async def reset_in_head(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    assert reply is not None
    writer.write(reply.head()[:20])
    await writer.drain()
    await asyncio.sleep(0.05)
    return _reset(writer)


async def reset_in_body(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    assert reply is not None
    writer.write(reply.head() + reply.body[: len(reply.body) // 2])
    await writer.drain()
    await asyncio.sleep(0.05)
    return _reset(writer)


async def dripped(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    """A byte a half second: no read of a socket ever times out."""
    assert reply is not None
    writer.write(reply.head())
    for at in range(len(reply.body)):
        writer.write(reply.body[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0.5)
    return False


async def stalled(asked: Asked, _: Reply | None, writer: Writer) -> bool:
    await asyncio.sleep(FOR_EVER)
    return False


async def stalled_in_body(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    assert reply is not None
    writer.write(reply.head() + reply.body[: len(reply.body) // 2])
    await writer.drain()
    await asyncio.sleep(FOR_EVER)
    return False


def raw(text: bytes) -> Act:
    async def act(asked: Asked, _: Reply | None, writer: Writer) -> bool:
        writer.write(text)
        await writer.drain()
        return False

    return act


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
GONE = says(410, "too old resource version: 17 (4711)", "Expired")


async def page_expired(asked: Asked, reply: Reply | None, writer: Writer) -> bool:
    """There is more of every list, and whoever asks for it is too late."""
    if "continue=" in asked.path:
        return await GONE(asked, reply, writer)
    return await altered(_with_more)(asked, reply, writer)


def _with_more(document: Any) -> Any:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        meta = {**(document.get("metadata") or {}), "continue": "bW9yZQ"}
        return {**document, "metadata": meta}
    return document


def _items(change: Callable[[list[Any]], Any]) -> Act:
    def changed(document: Any) -> Any:
        if isinstance(document, dict) and isinstance(document.get("items"), list):
            return {**document, "items": change(document["items"])}
        return document

    return altered(changed)


def _stale(groups: list[Any]) -> list[Any]:
    """As aggregated discovery tells of a group whose server is away."""
    name, version = groups[-1]["metadata"]["name"], groups[-1]["versions"][0]["version"]
    versions = [{"version": version, "freshness": "Stale"}]
    return [*groups[:-1], {"metadata": {"name": name}, "versions": versions}]


def _without(key: str) -> Act:
    def cut(it: Any) -> Any:
        return {name: value for name, value in it.items() if name != key}

    return _items(lambda items: [cut(it) if isinstance(it, dict) else it for it in items])


async def connection(asked: Asked, _: Reply | None, writer: Writer) -> bool:
    raise AssertionError("nobody gets here")


LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
ENDLESS = b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n"
UID = "/api/v1/namespaces/kube-system"
DENIED = 'admission webhook "policy.example.com" denied the request: not today'
LATE = 'failed calling webhook "policy.example.com": context deadline exceeded'
QUOTA = "exceeded quota: edge, requested: count/gateways=1, used: 3, limited: 3"
OWNED = 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .spec.listeners'
ENDS = "unable to create new content in namespace edge because it is being terminated"
GARBAGE = Reply(body=b'{"kind": "List", "items": [{"met\xff\xfe\x00')

#: What an API server has no use for: nobody could tell it from an answer.
ELSEWHERE: dict[str, Kind] = {
    "another content": Kind(
        "one byte of it is another",
        bent(lambda it: replace(it, body=it.body[:-9] + bytes([it.body[-9] ^ 1]) + it.body[-8:])),
        asks=True,
    ),
}
#: By what they are like, so that each deploy meets one of each.
FAMILIES: dict[str, tuple[str, ...]] = {
    "overloaded": (
        *("429 with Retry-After", "429", "429 for an hour", "500", "502 page", "503", "504"),
    ),
    "rights": ("401", "403", "404 page"),
    "refused writes": (
        *("409", "413", "415", "422", "webhook refuses", "webhook is late", "quota"),
        *("field managers", "namespace terminates", "reset after it was done"),
    ),
    "lists": (
        *("410", "schema changed", "every item twice", "no status", "no metadata"),
        *("pages expire", "pages without end"),
    ),
    "discovery": ("no group is served", "partial discovery", "another cluster", "no version"),
    "no answer of its own": (
        *("a failure that says 200", "sign-in page", "redirect", "nothing", "null", "a list"),
    ),
    "damaged": (
        *("garbage", "half of it", "too long a length", "too short a length", "broken chunk"),
        *("cut chunk", "broken gzip", "cut gzip", "no HTTP", "endless head", "clock jumps"),
    ),
    "broken off": (
        *("closed", "reset", "reset in the head", "reset in the body"),
        *("drip", "stalled", "stalled in the body"),
    ),
    "no connection": (
        *("expired certificate", "self-signed certificate", "certificate of another name"),
        *("no TLS", "refused", "no such name"),
    ),
}  # fmt: skip

KINDS: dict[str, Kind] = {
    # The API server says so.
    "429 with Retry-After": Kind(
        "too many requests, and when to come again", says(429, "slow down", retry_after="1")
    ),
    "429": Kind("too many requests", says(429, "slow down")),
    "429 for an hour": Kind(
        "Retry-After: 3600", says(429, "slow down", retry_after="3600"), after_connecting
    ),
    "500": Kind("etcd is away", says(500, "etcdserver: request timed out")),
    "502 page": Kind("the page of a load balancer", html(502)),
    "503": Kind("no back end", says(503, "the server is currently unable to handle the request")),
    "504": Kind("too late", says(504, "Timeout: request did not complete within 60s")),
    "401": Kind("the token expired", says(401, "Unauthorized"), after_connecting),
    "403": Kind("a right is missing", says(403, "forbidden: no", "Forbidden"), after_connecting),
    "404 page": Kind("the page of something else", html(404), after_connecting),
    "409": Kind("somebody was faster", says(409, "the object has been modified"), writes),
    "410": Kind("too old a resourceVersion", GONE, lists),
    "413": Kind("too large", says(413, "Request entity too large: limit is 3145728"), writes),
    "415": Kind("an old API server", says(415, "the body was in an unknown format"), applies),
    "422": Kind("invalid", says(422, 'Gateway "public" is invalid: spec', "Invalid"), writes),
    "webhook refuses": Kind("an admission webhook", says(403, DENIED, "Forbidden"), writes),
    "webhook is late": Kind("an admission webhook", says(500, LATE, "InternalError"), writes),
    "quota": Kind("of the namespace", says(403, QUOTA, "Forbidden"), writes),
    "field managers": Kind("server-side apply conflicts", says(409, OWNED, "Conflict"), applies),
    "namespace terminates": Kind("while it is written", says(403, ENDS, "Forbidden"), writes),
    # What it says is not what is there.
    "schema changed": Kind(
        "a version is no longer served", says(404, "the server could not find it"), lists
    ),
    "no group is served": Kind(
        "discovery is empty", altered(lambda _: {"items": []}), discovery, True
    ),
    "partial discovery": Kind("an APIService is down", _items(_stale), discovery, True),
    "every item twice": Kind("in lists", _items(lambda items: items * 2), lists, True),
    "no status": Kind("in lists", _without("status"), lists, True),
    "no metadata": Kind("in lists", _without("metadata"), lists, True),
    "pages expire": Kind("410 for each further page of a list", page_expired, lists, True),
    "pages without end": Kind("every page has one more", altered(_with_more), lists, True),
    "another cluster": Kind(
        "the UID of kube-system is another one",
        altered(lambda it: {**it, "metadata": {**it["metadata"], "uid": "another"}}),
        identity,
        True,
    ),
    "no version": Kind("{} for /version", altered(lambda _: {}), version, True),
    "a failure that says 200": Kind(
        "a Status in the place of an object", says(200, "no", "InternalError"), after_connecting
    ),
    "sign-in page": Kind("HTML with 200", html(200)),
    "redirect": Kind("to a page to sign in", sends(Reply(302, {"location": "/login"}))),
    "nothing": Kind("200 and no body", sends(Reply())),
    "null": Kind("as JSON", sends(Reply(body=b"null"))),
    "a list": Kind("JSON of another type", sends(Reply(body=b"[]"))),
    "garbage": Kind("bytes that are no JSON", sends(GARBAGE)),
    "half of it": Kind(
        "JSON that ends too early, and the head says so",
        bent(lambda it: replace(it, body=it.body[: len(it.body) // 2])),
        asks=True,
    ),
    "clock jumps": Kind(
        "Date: 1970",
        bent(lambda it: replace(it, headers={**it.headers, "date": LONG_AGO})),
        asks=True,
    ),
    # The connection.
    "closed": Kind("before the answer", closed),
    "reset": Kind("before the answer", reset),
    "reset after it was done": Kind("no answer to a write", reset_after, writes, True),
    "reset in the head": Kind("of the answer", reset_in_head, asks=True),
    "reset in the body": Kind("of the answer", reset_in_body, asks=True),
    "drip": Kind("a byte each half second", dripped, asks=True),
    "stalled": Kind("no answer", stalled),
    "stalled in the body": Kind("half of an answer", stalled_in_body, asks=True),
    "too long a length": Kind(
        "the head says more than comes",
        bent(lambda it: replace(it, length=len(it.body) + 100)),
        asks=True,
    ),
    "too short a length": Kind(
        "the head says less than comes",
        bent(lambda it: replace(it, length=max(0, len(it.body) - 5))),
        asks=True,
    ),
    "broken chunk": Kind("an odd size", raw(CHUNKED + b"zz\r\n{}")),
    "cut chunk": Kind("ends within a chunk", raw(CHUNKED + b'ff\r\n{"a": ')),
    "broken gzip": Kind(
        "not what the head says",
        bent(lambda it: replace(it, headers={**it.headers, "content-encoding": "gzip"})),
        asks=True,
    ),
    "cut gzip": Kind(
        "ends too early",
        bent(
            lambda it: replace(
                it,
                headers={**it.headers, "content-encoding": "gzip"},
                body=gzip.compress(it.body)[:-9],
            )
        ),
        asks=True,
    ),
    "no HTTP": Kind("another protocol", raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "endless head": Kind("100 KB of it", raw(ENDLESS)),
    "expired certificate": Kind("of the API server", connection, tls="expired"),
    "self-signed certificate": Kind("of the API server", connection, tls="self-signed"),
    "certificate of another name": Kind("of the API server", connection, tls="wrong-name"),
    "no TLS": Kind("where TLS is expected", connection, tls="http"),
    "refused": Kind("nobody listens", connection, address="http://127.0.0.1:9"),
    "no such name": Kind("DNS", connection, address="http://api.weu-1.invalid"),
}  # fmt: skip

"""
A request as an operator writes it down, ``GET https://shop.example.com/cart`` or a curl command,
and where it enters a cluster.
"""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from tasks.plans.probes import covered

Object = Mapping[str, Any]
FORMS = "'GET https://shop.example.com/cart' or a curl command"
#: Methods that change nothing (RFC 9110, 9.2.1): such a request is sent without being told to.
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
PORTS = {"http": 80, "https": 443}
PROTOCOLS = {"http": ("HTTP",), "https": ("HTTPS", "TLS")}

_METHOD = re.compile(r"[A-Z][A-Z-]*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
#: Options of curl that say nothing about the request, and those of them that take a value.
_SILENT = frozenset(
    (
        *("-s", "--silent", "-S", "--show-error", "-v", "--verbose", "-#", "--progress-bar"),
        *("--no-progress-meter", "-i", "--include", "-f", "--fail", "--fail-with-body"),
        *("-L", "--location", "-N", "--no-buffer", "-g", "--globoff", "--compressed"),
        *("--path-as-is",),
    )
)
_SILENT_WITH_VALUE = frozenset(
    (
        *("-o", "--output", "-w", "--write-out", "-D", "--dump-header", "--cacert"),
        *("-m", "--max-time", "--connect-timeout", "--retry", "--max-redirs"),
    )
)


@dataclass(frozen=True)
class Asked:
    """
    What is asked for.

    + host, port: of the URL, the name in the handshake; + authority: what the Host header says,
      such as "shop.example.com" or "shop.example.com:8443"; + path: with its query
    + headers: those that were given, without Host; never printed, they may be credentials
    + http2: True asks for it, False does not take it, None takes what is offered
    + entries: where a connection to a host and port really goes, of --resolve and --connect-to
    """

    method: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    http2: bool | None = None
    entries: Sequence[tuple[str, int | None, str, int | None]] = ()

    @property
    def text(self) -> str:
        """Such as "GET https://shop.example.com/cart"; without the query, which may hold a token"""
        port = "" if PORTS[self.scheme] == self.port else f":{self.port}"
        path = self.path.partition("?")[0]
        return f"{self.method} {self.scheme}://{self.host}{port}{path}"

    @property
    def safe(self) -> bool:
        return self.method in SAFE

    def entry(self) -> tuple[str, int] | None:
        """Where the operator says that it enters, such as ("20.1.2.3", 443)."""
        for host, port, target, target_port in self.entries:
            if host in ("", "*", self.host) and port in (None, self.port):
                return target or self.host, target_port or self.port
        return None


def parsed(text: str) -> Asked:
    """Raises ValueError, in one line without a header's value, for what is no request."""
    try:
        words = shlex.split(text.replace("\\\n", " "))
    except ValueError as error:
        raise ValueError(f"no request: {str(error).lower()}: write {FORMS}") from None
    if not words:
        raise ValueError(f"no request: it is empty: write {FORMS}")
    if words[0] == "curl":
        return _curl(words[1:])
    method, rest = ("GET", words) if "://" in words[0] else (words[0], words[1:])
    if len(rest) != 1:
        raise ValueError(f"no request: it needs a method and one URL: write {FORMS}")
    return _asked(method, rest[0])


@dataclass
class _Options:
    """What a curl command said so far."""

    urls: list[str] = field(default_factory=list)
    method: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)
    http2: bool | None = None
    entries: list[tuple[str, int | None, str, int | None]] = field(default_factory=list)


def _curl(words: Sequence[str]) -> Asked:
    found, left = _Options(), list(words)
    while left:
        word = left.pop(0)
        name, value = _named(word, left)
        if name is None:
            found.urls.append(word)
        elif name in _FLAGS:
            _FLAGS[name](found)
        elif name in _VALUES:
            if value is None:
                if not left:
                    raise ValueError(f"no request: {name} needs a value")
                value = left.pop(0)
            _VALUES[name](found, value)
        elif name in _SILENT_WITH_VALUE:
            if value is None and left:
                left.pop(0)
        elif name not in _SILENT:
            raise ValueError(
                f"no request: option {name} of curl is not understood: leave it out, or write "
                f"{FORMS}"
            )
    if len(found.urls) != 1:
        raise ValueError(f"no request: {len(found.urls)} URLs: give one")
    method = found.method or ("POST" if found.body else "GET")
    body = "&".join(found.body) if found.body else None
    url = found.urls[0] if "://" in found.urls[0] else f"http://{found.urls[0]}"
    asked = _asked(method, url, found.headers)
    return replace(asked, body=body, http2=found.http2, entries=tuple(found.entries))


def _named(word: str, left: list[str]) -> tuple[str | None, str | None]:
    """The option that a word is, and its value where it is in the same word; "-kI" is two."""
    if not word.startswith("-") or word == "-":
        return None, None
    if word.startswith("--"):
        name, has, value = word.partition("=")
        return name, value if has else None
    name = word[:2]
    if name in _VALUES or name in _SILENT_WITH_VALUE:
        return name, word[2:] or None
    if len(word) > 2:
        left.insert(0, f"-{word[2:]}")
    return name, None


def _set_method(options: _Options, value: str) -> None:
    options.method = value


def _set_header(options: _Options, value: str) -> None:
    name, colon, text = value.partition(":")
    if not colon or not _HEADER.fullmatch(name.strip()) or any(it in text for it in "\r\n\0"):
        raise ValueError("no request: a header (-H) must look like 'name: value'")
    options.headers[name.strip().lower()] = text.strip()


def _set_user(options: _Options, value: str) -> None:
    options.headers["authorization"] = f"Basic {b64encode(value.encode()).decode()}"


def _set_resolve(options: _Options, value: str) -> None:
    host, _, rest = value.lstrip("+").partition(":")
    port, _, address = rest.partition(":")
    try:
        first = str(ip_address(address.split(",")[0].strip("[]")))
        options.entries.append((host, int(port), first, None))
    except ValueError:
        raise ValueError("no request: --resolve must look like host:443:20.1.2.3") from None


def _set_connect_to(options: _Options, value: str) -> None:
    found = re.fullmatch(r"(\[.*?\]|[^:]*):(\d*):(\[.*?\]|[^:]*):(\d*)", value)
    if found is None:
        raise ValueError("no request: --connect-to must look like host:443:20.1.2.3:443")
    host, port, target, target_port = found.groups()
    options.entries.append(
        (
            host.strip("[]"),
            int(port) if port else None,
            target.strip("[]"),
            int(target_port) if target_port else None,
        )
    )


def _add_body(options: _Options, value: str) -> None:
    if value.startswith("@"):
        raise ValueError("no request: -d @file is not read: give the text itself")
    options.body.append(value)


def _set_http2(options: _Options) -> None:
    options.http2 = True


def _set_http1(options: _Options) -> None:
    options.http2 = False


def _set_head(options: _Options) -> None:
    options.method = "HEAD"


def _nothing(_: _Options) -> None:
    pass


def _header(name: str) -> Callable[[_Options, str], None]:
    return lambda options, value: _set_header(options, f"{name}: {value}")


_FLAGS: Mapping[str, Callable[[_Options], None]] = {
    "-k": _nothing,  # nothing is verified anyway
    "--insecure": _nothing,
    "--http2": _set_http2,
    "--http2-prior-knowledge": _set_http2,
    "--http1.1": _set_http1,
    "-I": _set_head,
    "--head": _set_head,
}
_VALUES: Mapping[str, Callable[[_Options, str], None]] = {
    "-X": _set_method,
    "--request": _set_method,
    "-H": _set_header,
    "--header": _set_header,
    "-A": _header("user-agent"),
    "--user-agent": _header("user-agent"),
    "-e": _header("referer"),
    "--referer": _header("referer"),
    "-b": _header("cookie"),
    "--cookie": _header("cookie"),
    "-u": _set_user,
    "--user": _set_user,
    "-d": _add_body,
    "--data": _add_body,
    "--data-raw": _add_body,
    "--resolve": _set_resolve,
    "--connect-to": _set_connect_to,
    "--url": lambda options, value: options.urls.append(value),
}


def _asked(method: str, url: str, headers: Mapping[str, str] | None = None) -> Asked:
    if not _METHOD.fullmatch(method):
        raise ValueError(f"no request: {method[:40]!r} is no method: write {FORMS}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("no request: the port of its URL is no number from 0 to 65535") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"no request: its URL must begin with http:// or https://: write {FORMS}")
    host = parts.hostname
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
        raise ValueError("no request: the host of its URL is no name and no address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError("no request: its path must be ASCII without spaces: percent-encode it")
    own = dict(headers or {})
    named = f"[{host}]" if ":" in host else host
    authority = own.pop("host", named if port is None else f"{named}:{port}")
    return Asked(method, parts.scheme, host, port or PORTS[parts.scheme], authority, path, own)


@dataclass(frozen=True)
class Entrance:
    """
    Where a request enters: a listener of a Gateway, or what an operator named.

    + gateway: "edge/public", "" where no listener is meant for it; + listener: its name
    """

    address: str
    port: int
    gateway: str = ""
    listener: str = ""


def entrance(asked: Asked, gateways: Iterable[Object]) -> Entrance | None:
    """
    The listener that is meant for a request, the most precise host name first, where one has an
    address; what the operator says of the address comes first. None where no Gateway is meant.
    """
    host = asked.authority.rpartition(":")[0] if _has_port(asked.authority) else asked.authority
    name = asked.host if asked.scheme == "https" else host
    fitting = [
        (len(it.get("hostname") or ""), it.get("hostname", "*")[:1] != "*", gateway, it)
        for gateway in gateways
        for it in gateway["spec"].get("listeners") or ()
        if it.get("protocol") in PROTOCOLS[asked.scheme]
        and it.get("port") == asked.port
        and covered(name.lower(), it.get("hostname"))
    ]
    fitting.sort(key=lambda it: (bool(_addresses(it[2])), it[1], it[0]), reverse=True)
    given = asked.entry()
    if not fitting:
        listening = [it for it in gateways if _listens(it, asked) and _addresses(it)]
        if given is not None:
            return Entrance(*given)
        first = listening[0] if len(listening) == 1 else None
        return Entrance(_addresses(first)[0], asked.port, _name(first)) if first else None
    gateway, listener = fitting[0][2], fitting[0][3]
    if given is None:
        addresses = _addresses(gateway)
        if not addresses:
            return Entrance("", asked.port, _name(gateway), listener["name"])
        given = addresses[0], asked.port
    else:
        at = [it for it in fitting if given[0] in _addresses(it[2])]
        gateway, listener = (at[0][2], at[0][3]) if at else (gateway, listener)
    return Entrance(*given, _name(gateway), listener["name"])


def _listens(gateway: Object, asked: Asked) -> bool:
    return any(it.get("port") == asked.port for it in gateway["spec"].get("listeners") or ())


def _has_port(authority: str) -> bool:
    return bool(re.search(r":\d+$", authority)) and not authority.endswith("]")


def _addresses(gateway: Object) -> list[str]:
    return [it["value"] for it in gateway.get("status", {}).get("addresses") or ()]


def _name(gateway: Object) -> str:
    return f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"

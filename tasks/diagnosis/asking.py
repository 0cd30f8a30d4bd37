"""A request as Envoy's router sees it: what its HTTP manager makes of host, path and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.diagnosis.config import Chain, RouteTable
from tasks.diagnosis.evidence import Request
from tasks.diagnosis.leniency import NOTHING, Object

#: Headers that Envoy adds itself: what is in them cannot be told from a request.
GENERATED = ("x-request-id", "x-forwarded-for", "x-envoy-external-address", "x-envoy-internal")
#: Versions of Envoy that cut a path at its first parameter.
OLD = tuple(f"1.{minor}." for minor in range(39))
_ESCAPED_SLASH = re.compile(r"%2[fF]|%5[cC]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Asked:
    """
    + host: as virtual hosts are looked up with; + authority: as routes see it
    + path: with its query, normalized where the manager does so
    + headers: by name in lower case, several values with commas between
    + tls: whether it came over TLS
    + parameters: of a path, such as ";v=1", as an expression: they do not count; None where they do
    + ends: what the manager answers itself, before any route
    """

    method: str
    scheme: str
    host: str
    authority: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    version: str = "1.1"
    parameters: str | None = None
    notes: tuple[str, ...] = ()
    ends: str = ""


def asked(request: Request, chain: Chain, table: RouteTable, port: int, version: str) -> Asked:
    """
    + port: of the listener, which ``strip_matching_host_port`` compares with
    + version: of Envoy, "" for a new one
    """
    manager = chain.manager or NOTHING
    headers = _headers(request.headers)
    authority = headers.get("host", request.host) if not request.host else request.host
    authority = _authority(authority, manager, request.method, port)
    path = _path(request.path or "/", manager)
    notes = (f'path "{request.path}" is matched as "{path}"',) if path != request.path else ()
    looked_up, said = _looked_up(authority, headers, table.raw)
    proto = _forwarded_proto(headers, manager, chain.tls)
    headers["x-forwarded-proto"] = proto
    if manager.get("early_header_mutation_extensions"):
        said = (*said, "headers may be changed before routes are looked at")
    return Asked(
        request.method,
        proto if request.version.startswith("1") else request.scheme,
        looked_up,
        authority,
        path,
        headers,
        chain.tls,
        request.version,
        _parameters(table.raw, version),
        (*notes, *said),
        _ends(request.path, manager),
    )


def _parameters(table: Object, version: str) -> str | None:
    """Up to Envoy 1.38 all of a path from the first on, since 1.39 in each segment."""
    if table.get("ignore_path_parameters_in_path_matching") is not True:
        return None
    return ";.*" if version.startswith(OLD) else ";[^/]*"


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]},{value}" if key in found else str(value).strip()
    return found


def port_start(host: str) -> int | None:
    """Where the port begins, with its colon (Envoy, HeaderUtility::getPortStart)."""
    colon, bracket = host.rfind(":"), host.rfind("]")
    return colon if colon > bracket and colon >= 0 else None


def without_port(host: str) -> str:
    start = port_start(host)
    return host if start is None else host[:start]


def bare(host: str) -> str:
    """As names are compared: without its port, in small letters; "shop.test:*" stays as it is."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _authority(authority: str, manager: Object, method: str, port: int) -> str:
    if manager.get("strip_trailing_host_dot") is True:
        start = port_start(authority)
        name = authority if start is None else authority[:start]
        rest = "" if start is None else authority[start:]
        authority = name.removesuffix(".") + rest
    start = port_start(authority)
    written = authority[start + 1 :] if start is not None else ""
    if start is None or method == "CONNECT" or not written.isdecimal():
        return authority
    same = manager.get("strip_matching_host_port") is True and int(written) == port
    if same or manager.get("strip_any_host_port") is True:
        return authority[:start]
    return authority


def _looked_up(
    authority: str, headers: Mapping[str, str], table: Object
) -> tuple[str, tuple[str, ...]]:
    """The name that virtual hosts are looked up with."""
    other = table.get("vhost_header")
    if isinstance(other, str) and other:
        said = f"virtual hosts are looked up with header {other}, not with the host"
        return headers.get(other.lower(), ""), (said,)
    ignores = table.get("ignore_port_in_host_matching") is True
    return (without_port(authority) if ignores else authority), ()


def _forwarded_proto(headers: Mapping[str, str], manager: Object, tls: bool) -> str:
    """What X-Forwarded-Proto is once the manager has seen it."""
    own = "https" if tls else "http"
    given = headers.get("x-forwarded-proto", "")
    trusts = bool(manager.get("xff_num_trusted_hops"))
    if manager.get("use_remote_address") is True and not trusts:
        return own
    return given.lower() if given.lower() in ("http", "https") else own


def _path(path: str, manager: Object) -> str:
    """Normalized as the manager does it."""
    bare, mark, query = path.partition("?")
    if str(manager.get("path_with_escaped_slashes_action")).startswith("UNESCAPE"):
        bare = re.sub("%2[fF]", "/", re.sub("%5[cC]", lambda _: "\\", bare))
    if manager.get("normalize_path") is True:
        bare = normalized(bare)
    if manager.get("merge_slashes") is True:
        bare = re.sub("/{2,}", "/", bare)
    return f"{bare}{mark}{query}"


def _ends(path: str, manager: Object) -> str:
    """What the manager answers itself."""
    if "#" in path:
        return "a path with # is answered with 400"
    if not _ESCAPED_SLASH.search(path.partition("?")[0]):
        return ""
    action = manager.get("path_with_escaped_slashes_action")
    if action == "REJECT_REQUEST":
        return "a path with %2F or %5C is answered with 400 (path_with_escaped_slashes_action)"
    if action == "UNESCAPE_AND_REDIRECT":
        return "a path with %2F or %5C is redirected with 307 to the one without"
    return ""


def normalized(path: str) -> str:
    """
    As of RFC 3986, 6: without "." and "..", and without escapes of what needs none; a backslash
    is a slash (Envoy, source/common/http/path_utility.cc).
    """
    path = _ESCAPE.sub(_plain, path.replace("\\", "/"))
    segments: list[str] = []
    parts = path.split("/")[1:] if path.startswith("/") else path.split("/")
    for number, one in enumerate(parts):
        last = number == len(parts) - 1
        if one == "..":
            if segments:
                segments.pop()
            segments += [""] * last
        elif one == ".":
            segments += [""] * last
        else:
            segments.append(one)
    return "/" + "/".join(segments)


def _plain(found: re.Match[str]) -> str:
    character = chr(int(found.group(1), 16))
    return character if character in _UNRESERVED else found.group(0)

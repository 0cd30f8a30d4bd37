"""
What Cilium says of a request that its Envoy took: flows of Hubble (``hubble observe -o json``) and
entries of the agent's access log. They have neither flags nor details.

Sources: Cilium v1.18, api/v1/flow/flow.proto and Documentation/_api/v1/flow; cilium/proxy,
cilium/api/accesslog.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Object = Mapping[str, Any]

_HEADERS = {
    "user-agent": "user_agent",
    "x-request-id": "request_id",
    "x-forwarded-for": "forwarded_for",
    "host": "authority",
}


def is_ours(it: Object) -> bool:
    """Whether a JSON object is one of them."""
    flow = it.get("flow", it)
    return isinstance(flow, dict) and ("l7" in flow or ("entryType" in flow and "http" in flow))


def fields(it: Object) -> Iterator[dict[str, Any]]:
    """Of an answer; a request that was forwarded has its answer in a line of its own."""
    flow = it.get("flow", it)
    if "entryType" in flow:
        yield from _of_agent(flow)
        return
    seven = flow.get("l7")
    http = seven.get("http") if isinstance(seven, dict) else None
    refused = flow.get("verdict") == "DROPPED"
    if not isinstance(http, dict) or not (seven.get("type") == "RESPONSE" or refused):
        return
    yield {
        **_of_http(http, http.get("url")),
        "at": str(flow.get("time") or ""),
        "status": http.get("code") or (403 if refused else 0),
        "duration": _milliseconds(seven.get("latency_ns")),
    }


def _of_agent(entry: Object) -> Iterator[dict[str, Any]]:
    http = entry.get("http")
    kind = entry.get("entryType")
    if not isinstance(http, dict) or kind not in ("Response", "Denied"):
        return
    yield {
        **_of_http(http, None),
        "at": str(entry.get("timestamp") or ""),
        "path": http.get("path") or "",
        "authority": http.get("host") or "",
        "status": http.get("status") or (403 if kind == "Denied" else 0),
        "remote": str(entry.get("sourceAddress") or ""),
    }


def _of_http(http: Object, url: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "method": str(http.get("method") or ""),
        "protocol": str(http.get("protocol") or http.get("httpProtocol") or ""),
    }
    headers = http.get("headers")
    for each in headers if isinstance(headers, list) else ():
        if isinstance(each, dict) and (name := _HEADERS.get(str(each.get("key")).lower())):
            found[name] = str(each.get("value") or "")
    if isinstance(url, str) and url:
        found |= _of_url(url)
    return found


def _of_url(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return {"path": url}
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return {"authority": parts.netloc, "path": path} if parts.netloc else {"path": path}


def _milliseconds(nanoseconds: Any) -> float | None:
    try:
        return int(nanoseconds) / 1e6
    except (ValueError, TypeError, OverflowError):
        return None

"""Redirects that lead back to where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.endings import REDIRECTS
from tasks.diagnosis.evidence import Request
from tasks.diagnosis.owners import filters_of
from tasks.diagnosis.routing import matched


def redirect_loop(case: Case) -> Found | None:
    """A redirect that leads back to itself."""
    if case.status not in REDIRECTS or case.answered_by != "envoy":
        return None
    back = _leads_back(case)
    if not back:
        return None
    it, field = filters_of(case, "redirect")
    return case.found(
        "redirect_loop",
        it,
        field,
        f"{it.text} redirects {case.where} to where it comes from: {back}.",
        "redirect on the HTTP listener alone (parentRefs[].sectionName), route on the HTTPS one; "
        "where TLS ends before Envoy, do not redirect here",
        back,
        answered_by="envoy",
    )


def _leads_back(case: Case) -> str:
    location = case.header("location")
    request = case.request
    asked = url_of(request)
    if location:
        target_url = urljoin(asked, location)
        if same_place(target_url, asked):
            return f"Location {location} is the request itself"
        proto = request.header("x-forwarded-proto").lower()
        if proto and same_place(
            target_url, asked.replace(f"{request.scheme}://", f"{proto}://", 1)
        ):
            return f"the caller came by {proto} already (X-Forwarded-Proto), Location is {location}"
        if path := _circle(case, asked, target_url):
            return path
        return _by_configuration(case, target_url)
    redirect = case.of_route("redirect")
    leads = redirected(asked, redirect) if isinstance(redirect, dict) else None
    if leads is None:
        return ""
    if same_place(leads, asked):
        return f"{leads} is the request itself"
    return _by_configuration(case, leads)


def _circle(case: Case, asked: str, target_url: str) -> str:
    """Followed through the requests of the client: one that was made before."""
    known = {
        url_of(one.request): urljoin(url_of(one.request), one.header("location"))
        for one, _ in case.earlier
        if one is not None and one.status in REDIRECTS and one.header("location")
    }
    seen, here = [asked], target_url
    while here in known and len(seen) < 10:
        seen.append(here)
        here = known[here]
        if same_place(here, asked):
            return " -> ".join([*seen, asked])
    return ""


def _by_configuration(case: Case, target_url: str) -> str:
    """Where the configuration sends the one who follows."""
    if case.configuration is None:
        return ""
    asked = url_of(case.request)
    here, seen = target_url, [asked]
    for _ in range(5):
        parts = urlsplit(here)
        request = Request("GET", parts.scheme, parts.netloc, parts.path or "/", sni=parts.hostname)
        found = matched(case.configuration, request).route
        if found is None or not isinstance(found.raw.get("redirect"), dict):
            return ""
        following = redirected(here, found.raw["redirect"])
        if following is None:
            return ""
        seen.append(here)
        if any(same_place(following, it) for it in seen):
            return " -> ".join([*seen, following])
        here = following
    return ""


def redirected(url: str, redirect: Mapping[str, Any]) -> str | None:
    """Where a redirect leads; None where that takes a regular expression."""
    parts = urlsplit(url)
    scheme = str(redirect.get("scheme_redirect") or parts.scheme)
    if redirect.get("https_redirect"):
        scheme = "https"
    if "regex_rewrite" in redirect or "prefix_rewrite" in redirect:
        return None
    host = str(redirect.get("host_redirect") or parts.hostname or "")
    port = redirect.get("port_redirect") or (parts.port if scheme == parts.scheme else None)
    path = str(redirect.get("path_redirect") or parts.path)
    return f"{scheme}://{host}{f':{port}' if port else ''}{path}"


def url_of(request: Request) -> str:
    return f"{request.scheme}://{request.host}{request.path}"


def same_place(one: str, other: str) -> bool:
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return (url, "", None, "", "")
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return (parts.scheme, parts.hostname or "", port or usual, parts.path or "/", parts.query)

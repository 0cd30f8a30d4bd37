"""Whether a route matches a request, and why not: path, headers, query, and what else it asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tasks.diagnosis.asking import GENERATED, Asked
from tasks.diagnosis.leniency import Object
from tasks.diagnosis.text_match import Unknown, fully, text_mismatch

#: What says where a path has to be; one of them is in each match.
PATHS = (
    "prefix",
    "path",
    "safe_regex",
    "path_separated_prefix",
    "connect_matcher",
    "path_match_policy",
)


@dataclass(frozen=True)
class Verdict:
    """
    + reasons: why it does not match, none where it does
    + unknown: what was taken for granted, for nobody outside of Envoy can know it
    """

    reasons: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def verdict(match: Object, asked: Asked) -> Verdict:
    """Of a RouteMatch; every condition is looked at, so that all that is wrong is said."""
    reasons: list[str] = []
    unknown: list[str] = []
    for condition in _conditions(match, asked):
        try:
            reasons += condition()
        except Unknown as problem:
            unknown.append(str(problem))
    share = _fraction(match)
    if share is not None and share < 100:
        unknown.append(f"takes {share:g} % of requests only, by chance")
        if share < 50:
            reasons.append(f"takes only {share:g} % of requests, by chance")
    return Verdict(tuple(reasons), tuple(unknown))


def _conditions(match: Object, asked: Asked) -> Iterator[Callable[[], list[str]]]:
    yield partial(path, match, asked)
    headers = match.get("headers")
    for one in headers if isinstance(headers, list) else ():
        if isinstance(one, dict):
            yield partial(_header, one, asked)
    yield partial(_query, match, asked)
    yield partial(_rest, match, asked)


def path(match: Object, asked: Asked) -> list[str]:
    """Of its path alone."""
    known = asked.path.partition("?")[0].partition("#")[0]
    kind = next((it for it in PATHS if match.get(it) is not None), None)
    if asked.parameters is not None and kind != "path_match_policy":
        known = re.sub(asked.parameters, "", known)
    if kind == "connect_matcher":
        return [] if asked.method == "CONNECT" else ["takes CONNECT alone"]
    if kind == "safe_regex":
        wanted = _regex(match["safe_regex"])
        return [] if fully(wanted, known) else [f'path "{known}" does not match {wanted}']
    if kind == "path_match_policy":
        return _template(match["path_match_policy"], known)
    if kind is None or not isinstance(match[kind], str):
        raise Unknown("its path condition could not be read")
    return _plain_path(kind, match[kind], known, match.get("case_sensitive") is not False)


def _plain_path(kind: str, wanted: str, known: str, exact_case: bool) -> list[str]:
    one, other = (wanted, known) if exact_case else (wanted.lower(), known.lower())
    if kind == "path":
        return [] if one == other else [f'path "{known}" is not "{wanted}"']
    if kind == "prefix":
        return [] if other.startswith(one) else [f'path "{known}" does not begin with "{wanted}"']
    under = other.startswith(one) and other[len(one) :][:1] in ("", "/")
    return [] if under else [f'path "{known}" is not under "{wanted}"']


def _regex(value: Any) -> str:
    found = value.get("regex") if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise Unknown("its regular expression could not be read")
    return found


def _template(policy: Any, known: str) -> list[str]:
    """A URI template, such as "/users/{id}/*" or "/files/{name=**}.txt"."""
    config = policy.get("typed_config") if isinstance(policy, dict) else None
    template = config.get("path_template") if isinstance(config, dict) else None
    if not isinstance(template, str):
        raise Unknown("its path_match_policy is none that is known here")
    from tasks.diagnosis.uri_template import fits

    return [] if fits(template, known) else [f'path "{known}" does not match {template}']


def _header(condition: Object, asked: Asked) -> list[str]:
    said = header_mismatch(condition, asked)
    return [said] if said else []


def header(name: str, asked: Asked) -> str | None:
    """Of a request; the pseudo headers of HTTP/2 too."""
    own = {
        ":method": asked.method,
        ":path": asked.path,
        ":authority": asked.authority,
        "host": asked.authority,
        ":scheme": asked.scheme,
    }
    return own[name] if name in own else asked.headers.get(name)


def header_mismatch(condition: Object, asked: Asked) -> str | None:
    """
    Why a HeaderMatcher says no (Envoy, source/common/http/header_utility.cc): one that is missing
    matches nothing, turned round or not, but for ``present_match``.
    """
    name = str(condition.get("name") or "").lower()
    turned = condition.get("invert_match") is True
    value = header(name, asked)
    if value is None and name in GENERATED:
        raise Unknown(f"asks for header {name}, which Envoy writes itself")
    called = "method" if name == ":method" else f"header {name}"
    kind = next((it for it in KINDS if condition.get(it) is not None), "present_match")
    if value is None and condition.get("treat_missing_header_as_empty") is True:
        value = ""
    if kind == "present_match":
        return _presence(called, value is not None, condition.get(kind) is not False, turned)
    if value is None:
        return f"{called} is missing"
    problem = _mismatch(kind, condition[kind], value)
    if turned:
        return None if problem else f'{called} is "{value}", which it must not be'
    return f'{called} "{value}" {problem}' if problem else None


def _presence(called: str, there: bool, wanted: bool, turned: bool) -> str | None:
    if there == (wanted != turned):
        return None
    return f"{called} is {'there, and must not be' if there else 'missing'}"


#: Ways to match a header; those that end in _match are older.
KINDS = (
    "exact_match",
    "safe_regex_match",
    "range_match",
    "present_match",
    "prefix_match",
    "suffix_match",
    "contains_match",
    "string_match",
)


def _mismatch(kind: str, wanted: Any, value: str) -> str | None:
    if kind == "string_match":
        return text_mismatch(wanted, value)
    if kind == "range_match":
        return _outside(wanted, value)
    older = {
        "exact_match": "exact",
        "prefix_match": "prefix",
        "suffix_match": "suffix",
        "contains_match": "contains",
        "safe_regex_match": "safe_regex",
    }
    return text_mismatch({older[kind]: wanted}, value)


def _outside(wanted: Any, value: str) -> str | None:
    """An Int64Range: without its end."""
    try:
        start, end = int(wanted.get("start", 0)), int(wanted.get("end", 0))
    except (AttributeError, TypeError, ValueError):
        raise Unknown("a range of a header could not be read") from None
    try:
        inside = start <= int(value) < end
    except ValueError:
        inside = False
    return None if inside else f"is not from {start} to {end - 1}"


def _query(match: Object, asked: Asked) -> list[str]:
    found = match.get("query_parameters")
    if not isinstance(found, list) or not found:
        return []
    given: dict[str, str] = {}
    for pair in asked.path.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = pair.partition("=")
        given.setdefault(name, value)
    said = (_parameter(one, given) for one in found if isinstance(one, dict))
    return [one for one in said if one]


def _parameter(condition: Object, given: dict[str, str]) -> str | None:
    name = str(condition.get("name") or "")
    if condition.get("string_match") is None:
        wanted = condition.get("present_match") is not False
        if (name in given) == wanted:
            return None
        return f"query parameter {name} is {'missing' if wanted else 'there, and must not be'}"
    if name not in given:
        return f"query parameter {name} is missing"
    problem = text_mismatch(condition["string_match"], given[name])
    return f'query parameter {name} "{given[name]}" {problem}' if problem else None


def _rest(match: Object, asked: Asked) -> list[str]:
    reasons = []
    if match.get("grpc") is not None:
        kind = asked.headers.get("content-type", "")
        if not (kind == "application/grpc" or kind.startswith("application/grpc+")):
            reasons.append(f'content-type "{kind}" is not that of gRPC')
    context = match.get("tls_context")
    if isinstance(context, dict) and context:
        if not asked.tls and True in (context.get("presented"), context.get("validated")):
            reasons.append("asks for a client certificate, and there is no TLS")
        elif asked.tls:
            raise Unknown("depends on the certificate of the client")
    for key, what in (("dynamic_metadata", "metadata"), ("filter_state", "state")):
        if match.get(key):
            reasons.append(f"depends on {what} of filters, which only Envoy knows")
    if match.get("cookies"):
        raise Unknown("depends on cookies")
    return reasons


def _fraction(match: Object) -> float | None:
    """Per cent of requests that it takes, where it does not take all."""
    runtime = match.get("runtime_fraction")
    default = runtime.get("default_value") if isinstance(runtime, dict) else None
    if not isinstance(default, dict):
        return None
    of = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    numerator, whole = default.get("numerator", 0), of.get(str(default.get("denominator")), 100)
    return 100 * numerator / whole if isinstance(numerator, int) else None

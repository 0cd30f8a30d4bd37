"""What a difference of two configurations is called, and how grave it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans.rehearsals.change import Change, Severity
from tasks.plans.rehearsals.equal_forms import DEFAULTS
from tasks.plans.rehearsals.matches import taken
from tasks.plans.rehearsals.named import Thing, title

Path = tuple[str | int, ...]
#: In the order of a report; what a thing is for a reader.
KINDS: Mapping[str, str] = {
    "route": "route",
    "virtual host": "route",
    "listener": "listener",
    "cluster": "cluster",
    "secret": "secret",
}
#: What a part of a path is called; the last part that is known counts.
WORDS: Mapping[tuple[str, ...], str] = {
    ("route",): "requests go to backends",
    ("route", "timeout"): "request timeout",
    ("route", "idle_timeout"): "idle timeout of a stream",
    ("max_stream_duration", "max_stream_duration"): "longest stream",
    ("route", "retry_policy"): "retries",
    ("retry_policy", "num_retries"): "number of retries",
    ("retry_policy", "retry_on"): "retries on",
    ("retry_policy", "per_try_timeout"): "timeout of one try",
    ("route", "clusters"): "requests go",
    ("route", "prefix_rewrite"): "rewrite of the path prefix",
    ("route", "regex_rewrite"): "rewrite of the path",
    ("route", "host_rewrite_literal"): "rewrite of the host",
    ("route", "request_mirror_policies"): "mirrored requests",
    ("route", "hash_policy"): "what a client is kept by",
    ("upgrade_configs",): "upgrades such as WebSocket",
    ("request_headers_to_add",): "request headers set",
    ("request_headers_to_remove",): "request headers removed",
    ("response_headers_to_add",): "response headers set",
    ("response_headers_to_remove",): "response headers removed",
    ("direct_response",): "own answer",
    ("direct_response", "status"): "status of its own answer",
    ("direct_response", "body"): "body of its own answer",
    ("redirect",): "redirect",
    ("redirect", "response_code"): "status of the redirect",
    ("redirect", "https_redirect"): "redirect to https",
    ("rate_limits",): "rate limits",
    ("use_hash_policy",): "the same client meets the same backend of several",
    ("filters", "ext_authz"): "external authorization",
    ("filters", "jwt_authn"): "JWT",
    ("filters", "oauth2"): "OIDC login",
    ("filters", "rbac"): "authorization",
    ("filters", "cors"): "CORS",
    ("filters", "basic_auth"): "basic authentication",
    ("filters", "api_key_auth"): "API keys",
    ("filters", "lua"): "Lua",
    ("filters", "lua", "script"): "Lua script",
    ("filters", "wasm"): "Wasm extension",
    ("filters", "ext_proc"): "external processing",
    ("filters", "local_ratelimit"): "local rate limit",
    ("filters", "ratelimit"): "global rate limit",
    ("filters", "fault"): "injected faults",
    ("filters", "compressor"): "compression",
    ("filters", "buffer"): "buffered requests",
    ("connect_timeout",): "connect timeout",
    ("load_balancing_policy",): "load balancing",
    ("lb_policy",): "load balancing",
    ("circuit_breakers",): "circuit breaker",
    ("outlier_detection",): "passive health checks",
    ("health_checks",): "active health checks",
    ("endpoints", "number"): "endpoints",
    ("endpoints", "shares"): "requests go",
    ("endpoints", "addresses"): "addresses",
    ("transport_socket",): "TLS",
    ("tls_params", "tls_minimum_protocol_version"): "lowest TLS version",
    ("tls_params", "tls_maximum_protocol_version"): "highest TLS version",
    ("tls_params", "cipher_suites"): "TLS ciphers",
    ("tls_params", "ecdh_curves"): "TLS curves",
    ("alpn_protocols",): "ALPN",
    ("require_client_certificate",): "client certificate required",
    ("tls_certificate_sds_secret_configs",): "certificates",
    ("server_names",): "names of the handshake",
    ("typed_extension_protocol_options",): "protocol options",
    ("HTTP", "filters"): "filters",
    ("HTTP", "access_log"): "access log",
    ("access_log",): "access log",
    ("HTTP", "tracing"): "tracing",
    ("tracing", "client_sampling"): "traces that clients ask for, %",
    ("tracing", "random_sampling"): "traces by chance, %",
    ("HTTP", "stream_idle_timeout"): "idle timeout of a stream",
    ("HTTP", "request_timeout"): "time to receive a request",
    ("HTTP", "http2_protocol_options"): "HTTP/2",
    ("HTTP", "server_header_transformation"): "server header",
    ("HTTP", "path_with_escaped_slashes_action"): "escaped slashes in paths",
    ("HTTP", "normalize_path"): "paths normalised",
    ("HTTP", "merge_slashes"): "double slashes merged",
    ("HTTP", "max_request_headers_kb"): "size of request headers, KiB",
    ("HTTP", "stat_prefix"): "prefix of its metrics",
    ("per_connection_buffer_limit_bytes",): "buffer of a connection, bytes",
    ("ignore_port_in_host_matching",): "port in Host ignored",
}
#: Steps of a path that say nothing to a reader.
_SILENT = {
    *("route", "HTTP", "filters", "typed_config", "typed_extension_config", "common_tls_context"),
    *("default_value", "value", "policies", "settings", "tls_params", "DEFAULT", "each"),
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
}
#: Values of these are words of Envoy or of an operator's object, and no secret.
_SHOWN = {
    *("clusters", "shares", "addresses", "retry_on", "alpn_protocols", "cipher_suites"),
    *("ecdh_curves", "server_names", "domains", "filters", "host_redirect", "path_redirect"),
    *("prefix_rewrite", "host_rewrite_literal", "stat_prefix", "sni", "request_headers_to_remove"),
    *("response_headers_to_remove", "tls_certificate_sds_secret_configs", "retriable_status_codes"),
    *("exact_balance", "path", "upgrade_configs", "type"),
}
#: How fields end whose values are words of Envoy's API, such as "TLSv1_3".
_ENUMS = ("version", "action", "transformation", "details", "type", "family", "code", "policy")
#: The longest word that is shown of them.
LONGEST = 32
#: Values that are chosen anew, and that nobody's requests notice.
_QUIET = {
    *("stat_prefix", "alt_stat_name", "tls_maximum_protocol_version", "access_log", "dns_jitter"),
    # Of OIDC, which 1.9 names: Envoy names them itself otherwise.
    *("code_verifier", "code_verifier_cookie_config", "oauth_nonce_cookie_config"),
    *("cookie_configs",),
}
#: Without these requests are refused, or let in that were not.
_GUARDS = {
    *("ext_authz", "jwt_authn", "oauth2", "rbac", "basic_auth", "api_key_auth", "lua", "wasm"),
    *("ext_proc", "transport_socket", "require_client_certificate", "local_ratelimit", "ratelimit"),
    *("rate_limits", "csrf"),
}


def gone(thing: Thing) -> Change:
    severity: Severity = "error" if thing.what in ("route", "listener") else "info"
    said = f" ({taken(thing.says['match'])})" if thing.what == "route" else ""
    return Change(KINDS[thing.what], thing.title, f"is gone{said}", severity)


def new(thing: Thing) -> Change:
    said = f" ({taken(thing.says['match'])})" if thing.what == "route" else ""
    return Change(KINDS[thing.what], thing.title, f"is new{said}", "info")


def match(one: Thing, other: Thing) -> Change:
    was, now = taken(one.says["match"]), taken(other.says["match"])
    words = f"takes {now}, before {was}" if was != now else f"takes {was} by other values"
    return Change("route", one.title, words, "error")


def order(first: Thing, moved: Thing) -> Change:
    name = first.title if first.title != moved.title else f"its {taken(first.says['match'])}"
    words = f"its {taken(moved.says['match'])} is asked before {name}, and was after it"
    return Change("route", moved.title, words)


def changed(thing: Thing, path: Path, old: Any, new: Any) -> Change:
    """One value that is another."""
    old, new = _with_default(thing, path, old), _with_default(thing, path, new)
    called = label(path)
    was, now = shown(path, old), shown(path, new)
    if None in (old, new) and _HIDDEN in (was, now):
        was, now = ("set" if it == _HIDDEN else it for it in (was, now))
    if path == ("route",):
        words = f"{called}: {'no' if old is None else 'yes'} → {'no' if new is None else 'yes'}"
    elif was == now:
        words = f"{called}: another value"
    else:
        words = f"{called}: {was} → {now}"
    return Change(KINDS[thing.what], thing.title, words, severity(path, old, new))


def severity(path: Path, old: Any, new: Any) -> Severity:
    names = {it.partition(" ")[0] for it in path if isinstance(it, str)}
    if path[-2:] == ("endpoints", "number"):
        return "error" if not new and old else "info"
    if new is None and names & _GUARDS:
        return "error"
    if "direct_response" in names and new is not None:
        status = new.get("status") if isinstance(new, Mapping) else new
        return "error" if isinstance(status, int) and status >= 500 else "warning"
    return "info" if names & _QUIET else "warning"


def label(path: Path) -> str:
    """What a path is called: by the last of it that has a name, and what stands behind that."""
    names = [it if isinstance(it, str) else f"number {it + 1}" for it in path]
    for end in range(len(names), 0, -1):
        for begin in range(end):
            known = WORDS.get(tuple(names[begin:end]))
            if known is not None:
                return ", ".join((known, *_plain(names[end:])))
    return ", ".join(_plain(names)) or "settings"


def _plain(names: list[str]) -> list[str]:
    return [it.replace("_", " ") for it in names if it not in _SILENT]


_HIDDEN = "another value"


def shown(path: Path, value: Any) -> str:
    """A value for people; of a text that could be anybody's secret, that there is one."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return _text(path, value)
    told = _field(path) in _SHOWN
    if isinstance(value, Mapping):
        if path[-1] in ("clusters", "shares"):
            return ", ".join(f"{it:g} % to {title(name) or name}" for name, it in value.items())
        if set(value) == {"value"}:
            return shown(path, value["value"])
        if not value:
            return "0" if path[-1] in ("client_sampling", "random_sampling") else "set"
        keys = [it.replace("_", " ") for it in value if it not in _SILENT]
        return f"set ({', '.join(keys[:4])}{', …' if len(keys) > 4 else ''})" if keys else "set"
    if told and all(isinstance(it, str | int | float) for it in value):
        return ", ".join(str(it) for it in value) or "none"
    return f"{len(value)} of them"


def _text(path: Path, value: str) -> str:
    if value.endswith("s") and value[:-1].replace(".", "", 1).isdigit():
        timeout = str(path[-1]).endswith(("timeout", "duration"))
        return "none" if timeout and float(value[:-1]) == 0 else f"{value[:-1]} s"
    if _field(path) in _SHOWN:
        return value
    word = value.replace("_", "").removeprefix("TLSv")
    if _field(path).endswith(_ENUMS) and (word.isupper() or word.replace("_", "").isdigit()):
        return value if len(value) <= LONGEST else _HIDDEN
    return _HIDDEN


def _field(path: Path) -> str:
    return next((it for it in reversed(path) if isinstance(it, str)), "")


def _with_default(thing: Thing, path: Path, value: Any) -> Any:
    """What Envoy does where nothing is said."""
    if value is not None or len(path) < 1:
        return value
    parents = {
        "cluster": "Cluster",
        "listener": "HttpConnectionManager" if path[0] == "HTTP" else "Listener",
    }
    names = [it for it in path if isinstance(it, str)]
    owner = names[-2] if len(names) > 1 and names[-2] != "HTTP" else parents.get(thing.what, "")
    return DEFAULTS.get((owner, names[-1])) if names else None

"""Certificates as the proxies hold them: what expires, and which handshakes fail."""

from __future__ import annotations

from tasks.dashboards.source import (
    GATEWAY,
    PROXIES,
    Color,
    Column,
    Dashboard,
    Panel,
    Query,
    Row,
    number,
    or_none,
    rate,
)

_EXPIRES = f"envoy_listener_ssl_certificate_expiration_unix_time_seconds{{{PROXIES}}}"
_BACKENDS = f"envoy_cluster_ssl_certificate_expiration_unix_time_seconds{{{PROXIES}}}"
_LISTENER = f'{PROXIES}, envoy_listener_address!~".*_1900[0-9]"'
_BY = f"{GATEWAY}, envoy_tls_certificate"
_DAYS: tuple[tuple[float | None, Color], ...] = ((None, "red"), (7, "yellow"), (21, "green"))


def _days(expires: str) -> str:
    return f"({expires} - time()) / 86400"


_NOW = Row(
    "Now",
    (
        number(
            "Next to expire",
            "The certificate of a listener that ends first.",
            f"min({_EXPIRES}) * 1000",
            "dateTimeFromNow",
        ),
        number(
            "Days left",
            "Until then; negative where it has ended.",
            f"min({_days(_EXPIRES)})",
            "d",
            *_DAYS,
        ),
        number(
            "Certificates",
            "Of listeners; one that several Gateways serve is counted for each.",
            f"count(count by ({_BY}) ({_EXPIRES}))",
            "short",
        ),
        number(
            "Expired",
            "Certificates of listeners that have ended.",
            or_none(f"count(count by ({_BY}) ({_EXPIRES} < time()))"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
        number(
            "Handshakes failed",
            "A second, of clients.",
            rate("envoy_listener_ssl_connection_error", _LISTENER),
            "cps",
        ),
        number(
            "Proxies out of step",
            "Certificates that not all proxies of a Gateway hold in the same version: some have "
            "not got a new one yet.",
            or_none(f"count(max by ({_BY}) ({_EXPIRES}) - min by ({_BY}) ({_EXPIRES}) > 0)"),
            "short",
            (None, "green"),
            (1, "yellow"),
        ),
    ),
)
_LISTENERS = Row(
    "Listeners",
    (
        Panel(
            "Certificates of listeners",
            "As the proxies serve them, by Secret. What a client gets is what Envoy holds, not "
            "what the Secret says.",
            (
                Query(f"min by ({_BY}) ({_EXPIRES}) * 1000", "Expires"),
                Query(f"min by ({_BY}) ({_days(_EXPIRES)})", "Days left"),
            ),
            "short",
            "table",
            width=24,
            height=9,
            columns=(Column("Expires", "dateTimeFromNow"), Column("Days left", "d", _DAYS)),
        ),
        Panel(
            "Days left by certificate",
            "Jumps up when a certificate is renewed. One that only falls is not.",
            (
                Query(
                    f"min by (envoy_tls_certificate) ({_days(_EXPIRES)})",
                    "{{envoy_tls_certificate}}",
                ),
            ),
            "d",
            width=12,
            steps=_DAYS,
        ),
        Panel(
            "Certificates to backends",
            "Certificates and authorities that Envoy uses towards backends, Envoy Gateway's own "
            "among them.",
            (
                Query(
                    f"min by ({GATEWAY}, envoy_cluster_name, envoy_tls_certificate) "
                    f"({_days(_BACKENDS)})",
                    "Days left",
                ),
            ),
            "short",
            "table",
            width=12,
            columns=(Column("Days left", "d", _DAYS),),
        ),
    ),
)
_HANDSHAKES = Row(
    "Handshakes",
    (
        Panel(
            "Handshakes",
            "Done and failed a second. Clients that refuse a certificate leave no line in the "
            "access log: they are seen here only.",
            (
                Query(rate("envoy_listener_ssl_handshake", _LISTENER), "done"),
                Query(rate("envoy_listener_ssl_connection_error", _LISTENER), "failed"),
            ),
            "cps",
        ),
        Panel(
            "No such host name",
            "Connections a second whose SNI matches no listener, or without any.",
            (
                Query(
                    rate(
                        "envoy_listener_no_filter_chain_match", _LISTENER, "envoy_listener_address"
                    ),
                    "{{envoy_listener_address}}",
                ),
            ),
            "cps",
        ),
        Panel(
            "Client certificates",
            "Refused a second: not of a trusted authority, or none sent.",
            (
                Query(rate("envoy_listener_ssl_fail_verify_error", _LISTENER), "not trusted"),
                Query(rate("envoy_listener_ssl_fail_verify_no_cert", _LISTENER), "none"),
            ),
            "cps",
        ),
    ),
)

CERTIFICATES = Dashboard(
    "certificates",
    "Envoy: certificates",
    "What the proxies serve, when it ends, and which handshakes fail.",
    ("cluster", "namespace", "gateway"),
    (_NOW, _LISTENERS, _HANDSHAKES),
)

"""Certificates that end, and TLS that clients and Envoy do not agree on."""

from __future__ import annotations

from tasks.plans.alerts.availability import GATEWAY, PERCENT, ratio
from tasks.plans.alerts.records import GATEWAY as BY_GATEWAY
from tasks.plans.alerts.records import rate
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "certificates"
CERTIFICATE = "certificate {{ $labels.envoy_tls_certificate }}"
LISTENER = "listener {{ $labels.envoy_listener_address }} of " + GATEWAY
BY_LISTENER = f"{BY_GATEWAY}, envoy_listener_address"
_LEFT = "{{ $value | humanizeDuration }}"


def _left(gauge: str) -> str:
    """Of days; of proxies that have not loaded the new one yet, too."""
    return f"min by ({BY_GATEWAY}, envoy_tls_certificate) ({gauge}) - time() < ${{days}} * 86400"


def _days(default: float) -> tuple[Threshold]:
    return (Threshold("days", default, "days", "that are left when it is said"),)


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyCertificateExpires",
        group=GROUP,
        severity="warning",
        expr=_left("envoy_listener_ssl_certificate_expiration_unix_time_seconds"),
        lasts="10m",
        summary=f"{GATEWAY}: {CERTIFICATE} ends in {_LEFT}",
        description=(
            "A certificate that proxies serve ends soon, and nothing has renewed it. The label is"
            " the namespace and name of its Secret."
        ),
        thresholds=_days(21),
    ),
    Alert(
        name="EnvoyCertificateExpiresSoon",
        group=GROUP,
        severity="critical",
        expr=_left("envoy_listener_ssl_certificate_expiration_unix_time_seconds"),
        lasts="10m",
        summary=f"{GATEWAY}: {CERTIFICATE} ends in {_LEFT}",
        description=(
            "A certificate that proxies serve is about to end, or has: a negative time is how long"
            " ago. Clients refuse it then."
        ),
        thresholds=_days(3),
    ),
    Alert(
        name="EnvoyBackendCertificateExpires",
        group=GROUP,
        severity="warning",
        expr=_left("envoy_cluster_ssl_certificate_expiration_unix_time_seconds"),
        lasts="10m",
        summary=f"{GATEWAY}: {CERTIFICATE}, used towards backends, ends in {_LEFT}",
        description=(
            "A certificate or authority that Envoy uses towards backends, or towards the"
            " controller, ends soon. Then connections there fail."
        ),
        thresholds=_days(14),
    ),
    Alert(
        name="EnvoyTLSHandshakesFail",
        group=GROUP,
        severity="warning",
        expr=f"""{rate(BY_LISTENER, "envoy_listener_ssl_connection_error", "")}
  / (
    {rate(BY_LISTENER, "envoy_listener_ssl_connection_error", "")}
    + {rate(BY_LISTENER, "envoy_listener_ssl_handshake", "")}
  ) > ${{ratio}}
and {rate(BY_LISTENER, "envoy_listener_ssl_connection_error", "")} >= ${{handshakes}}""",
        lasts="10m",
        summary=f"{LISTENER}: {PERCENT} of TLS handshakes fail",
        description=(
            "Clients refuse the certificate (over, another name, an authority they do not know),"
            " have none where one is asked for, or speak versions and ciphers that are off."
        ),
        thresholds=(
            ratio(0.2, "of handshakes"),
            Threshold("handshakes", 0.2, "handshakes/s", "that fail; scanners are always there"),
        ),
    ),
    Alert(
        name="EnvoyTLSNameUnknown",
        group=GROUP,
        severity="warning",
        expr=f"""{rate(BY_LISTENER, "envoy_listener_no_filter_chain_match", "")}
  / {rate(BY_LISTENER, "envoy_listener_downstream_cx_total", "")} > ${{ratio}}
and {rate(BY_LISTENER, "envoy_listener_no_filter_chain_match", "")} >= ${{connections}}""",
        lasts="10m",
        summary=f"{LISTENER}: {PERCENT} of connections ask for a name that no listener has",
        description=(
            "Envoy resets connections whose TLS name (SNI) is in no listener, or that speak plain"
            " HTTP to a TLS port. Clients see a reset connection and no certificate."
        ),
        thresholds=(
            ratio(0.2, "of connections"),
            Threshold("connections", 0.2, "connections/s", "reset; scanners are always there"),
        ),
    ),
    Alert(
        name="EnvoyCertificateNotLoaded",
        group=GROUP,
        severity="warning",
        expr=f"""min by ({BY_GATEWAY}, envoy_tls_certificate) (
  envoy_listener_ssl_certificate_expiration_unix_time_seconds
) < on (envoy_tls_certificate) group_left () max by (envoy_tls_certificate) (
  label_join(x509_cert_not_after, "envoy_tls_certificate", "/", "secret_namespace", "secret_name")
)""",
        lasts="15m",
        summary=f"{GATEWAY}: {CERTIFICATE} was renewed, but a proxy serves the old one",
        description=(
            "The Secret has a newer certificate than a proxy: the controller or the proxy's"
            " connection to it hangs."
        ),
        exporters=("proxy", "x509-certificate-exporter"),
    ),
    Alert(
        name="EnvoyCertificateNotRenewed",
        group=GROUP,
        severity="warning",
        expr="""label_join(
  certmanager_certificate_ready_status{condition="False"} == 1
, "envoy_tls_certificate", "/", "namespace", "name")
and on (envoy_tls_certificate) envoy_listener_ssl_certificate_expiration_unix_time_seconds""",
        lasts="1h",
        summary="cert-manager cannot issue Certificate {{ $labels.namespace }}/{{ $labels.name }}",
        description=(
            "A Certificate whose Secret proxies serve is not Ready. It is found where it is named"
            " like its Secret, as cert-manager does for Gateways."
        ),
        exporters=("proxy", "cert-manager"),
    ),
)

"""
One form for what Envoy takes for equal: defaults that are written out, lists without an order, and
what Envoy Gateway 1.8 and 1.9 write in two ways.

Defaults: Envoy v1.38 and v1.39, the comments of api/envoy/**/*.proto, which are equal in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]

#: By message and field; a message is called as its type ends or, without one, as its field.
DEFAULTS: Mapping[tuple[str, str], Any] = {
    # config/route/v3/route_components.proto: RouteAction, RetryPolicy, HashPolicy, …
    ("route", "timeout"): "15s",
    ("retry_policy", "num_retries"): 1,
    ("match", "case_sensitive"): True,
    ("upgrade_configs", "enabled"): True,
    ("RouteConfiguration", "validate_clusters"): True,
    # config/cluster/v3/cluster.proto, circuit_breaker.proto, outlier_detection.proto
    ("Cluster", "type"): "STATIC",
    ("Cluster", "connect_timeout"): "5s",
    ("Cluster", "per_connection_buffer_limit_bytes"): 1048576,
    ("Cluster", "dns_refresh_rate"): "60s",
    ("DnsCluster", "dns_refresh_rate"): "60s",
    ("thresholds", "priority"): "DEFAULT",
    ("thresholds", "max_connections"): 1024,
    ("thresholds", "max_pending_requests"): 1024,
    ("thresholds", "max_requests"): 1024,
    ("thresholds", "max_retries"): 3,
    ("outlier_detection", "consecutive_5xx"): 5,
    ("outlier_detection", "consecutive_gateway_failure"): 5,
    ("outlier_detection", "consecutive_local_origin_failure"): 5,
    ("outlier_detection", "interval"): "10s",
    ("outlier_detection", "base_ejection_time"): "30s",
    ("outlier_detection", "max_ejection_percent"): 10,
    ("outlier_detection", "enforcing_consecutive_5xx"): 100,
    ("outlier_detection", "enforcing_consecutive_gateway_failure"): 0,
    ("outlier_detection", "enforcing_consecutive_local_origin_failure"): 100,
    ("outlier_detection", "enforcing_success_rate"): 100,
    ("outlier_detection", "success_rate_minimum_hosts"): 5,
    ("outlier_detection", "success_rate_request_volume"): 100,
    ("outlier_detection", "success_rate_stdev_factor"): 1900,
    ("common_lb_config", "healthy_panic_threshold"): {"value": 50.0},
    # config/core/v3/health_check.proto
    ("health_checks", "reuse_connection"): True,
    ("health_checks", "no_traffic_interval"): "60s",
    # config/core/v3/protocol.proto
    ("common_http_protocol_options", "idle_timeout"): "3600s",
    # config/listener/v3/listener.proto
    ("Listener", "per_connection_buffer_limit_bytes"): 1048576,
    ("Listener", "listener_filters_timeout"): "15s",
    ("Listener", "enable_reuse_port"): True,
    # filters/network/http_connection_manager/v3
    ("HttpConnectionManager", "stream_idle_timeout"): "300s",
    ("HttpConnectionManager", "request_timeout"): "0s",
    ("HttpConnectionManager", "request_headers_timeout"): "0s",
    ("HttpConnectionManager", "drain_timeout"): "5s",
    ("HttpConnectionManager", "delayed_close_timeout"): "1s",
    ("HttpConnectionManager", "max_request_headers_kb"): 60,
    ("HttpConnectionManager", "generate_request_id"): True,
    ("HttpConnectionManager", "use_remote_address"): False,
    ("HttpConnectionManager", "normalize_path"): False,
    ("tracing", "client_sampling"): {"value": 100},
    ("tracing", "random_sampling"): {"value": 100},
    ("tracing", "overall_sampling"): {"value": 100},
    # filters/http/router/v3/router.proto
    ("Router", "dynamic_stats"): True,
    # filters/network/tcp_proxy/v3
    ("TcpProxy", "idle_timeout"): "3600s",
    ("TcpProxy", "max_connect_attempts"): 1,
    # transport_sockets/tls/v3
    ("DownstreamTlsContext", "require_client_certificate"): False,
}
#: Messages that say nothing where they are empty; others turn something on.
NOTHING = {
    "common_lb_config",
    "common_http_protocol_options",
    "health_check_config",
    "locality",
    "metadata",
    "filter_metadata",
    "typed_per_filter_config",
    "policy",
    "runtime_flags",
}
#: How Envoy is told, and what a release names as it likes: nothing that a request meets.
UNSAID = {
    "sds_config",
    "config_source",
    "eds_config",
    "last_updated",
    "version_info",
    "client_status",
}
#: Lists without an order, by the field that tells their items apart; "" for plain values.
UNORDERED = {
    "thresholds": "priority",
    "per_host_thresholds": "priority",
    "upgrade_configs": "upgrade_type",
    "request_headers_to_add": "header",
    "response_headers_to_add": "header",
    "response_trailers_to_add": "header",
    "tls_certificate_sds_secret_configs": "name",
    "headers": "",
    "query_parameters": "",
    "cookies": "",
    "domains": "",
    "server_names": "",
    "prefix_ranges": "",
    "source_prefix_ranges": "",
    "request_headers_to_remove": "",
    "response_headers_to_remove": "",
    "retriable_status_codes": "",
    "access_log": "",
    "dynamic_metadata": "",
    "match_typed_subject_alt_names": "",
    "expected_statuses": "",
}
#: Fields of free text, in which "15s" is no time.
TEXTS = {"value", "exact", "prefix", "suffix", "contains", "inline_string", "key", "name", "body"}
_TIME = re.compile(r"(-?\d+)(?:\.(\d+))?s")
#: The one file of CAs that 1.8 delivers under a name of each policy, and 1.9 under one.
SYSTEM = "system_ca_certificates"


def plain(value: Any, message: str = "") -> Any:
    """The one form of a message. + message: as which its defaults are known"""
    if isinstance(value, Mapping):
        return _message(value, message)
    if isinstance(value, list):
        return _listed(value, message)
    if isinstance(value, str) and message not in TEXTS:
        return _time(value)
    return value


def _message(value: Object, message: str) -> dict[str, Any]:
    kind = value.get("@type")
    called = kind.rpartition(".")[2] if isinstance(kind, str) else message
    found = {}
    for key, one in value.items():
        if key in UNSAID or key == "@type":
            continue
        if key == "retry_on" and isinstance(one, str):
            one = ",".join(sorted(it.strip() for it in one.split(",")))
        said = plain(one, str(key))
        if said in ("", [], None) or (said == {} and key in NOTHING):
            continue
        if (default := DEFAULTS.get((called, str(key)))) is not None and said == default:
            continue
        found[str(key)] = said
    if isinstance(kind, str) and message:
        found["type"] = called
    return FORMS[called](found) if called in FORMS else found


def _listed(value: list[Any], message: str) -> Any:
    key = UNORDERED.get(message)
    if key:
        found: dict[str, Any] = {}
        for one in value:
            raw = one.get(key) if isinstance(one, Mapping) else None
            name = raw.get("key") if isinstance(raw, Mapping) else raw
            told = str(name or DEFAULTS.get((message, key)) or "")
            while told in found:
                told += "'"
            found[told.lower() if key == "header" else told] = plain(one, message)
        return found
    items = [plain(one, message) for one in value]
    return sorted(items, key=written) if key is not None else items


def written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _time(text: str) -> str:
    """ "0.250s" is "0.25s"."""
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    part = (found[2] or "").rstrip("0")
    return f"{found[1]}.{part}s" if part else f"{found[1]}s"


def _dns(cluster: dict[str, Any]) -> dict[str, Any]:
    """1.8 writes STRICT_DNS with its settings beside it, 1.9 the extension envoy.cluster.dns."""
    found = dict(cluster)
    kind = found.get("type")
    if kind in ("STRICT_DNS", "LOGICAL_DNS"):
        del found["type"]
        keys = ("dns_refresh_rate", "dns_lookup_family", "respect_dns_ttl", "dns_jitter")
        found["DNS"] = {it: found.pop(it) for it in keys if it in found}
        found["DNS"]["addresses"] = "first" if kind == "LOGICAL_DNS" else "all"
        return found
    extension = found.get("cluster_type")
    if not isinstance(extension, dict) or extension.get("name") != "envoy.cluster.dns":
        # Only those of DNS look names up.
        if kind in (None, "EDS") and extension is None:
            found.pop("dns_lookup_family", None)
        return found
    del found["cluster_type"]
    # Beside the extension they say nothing (cluster.proto, dns_lookup_family).
    found.pop("dns_lookup_family", None)
    said = dict(extension.get("typed_config") or {})
    said.pop("type", None)
    if said.get("dns_lookup_family") in ("AUTO", "UNSPECIFIED"):
        del said["dns_lookup_family"]
    said["addresses"] = "first" if said.pop("all_addresses_in_single_endpoint", False) else "all"
    return {**found, "DNS": said}


#: What is done with a message when its fields have their one form, by how its type ends.
FORMS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"Cluster": _dns}


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with other names of resources."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(one, names) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(renamed(one, names) for one in value)
    return names.get(value, value) if isinstance(value, str) else value


def shares(weights: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Per cent of the requests each gets: 1 of 1 is 100 of 100."""
    found: dict[str, float] = {}
    for name, weight in weights:
        found[name] = found.get(name, 0) + weight
    total = sum(found.values())
    return {name: round(100 * it / total, 2) if total else 0 for name, it in found.items()}

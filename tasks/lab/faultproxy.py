"""
A slow or failing API server: the real Envoy between the host and the real API server.

It speaks with the API server's own certificate, so clients notice nothing but the fault. Tokens
pass; a client certificate cannot, for the connection it belongs to ends here.
"""

import json
from collections.abc import Mapping
from typing import Any

from tasks.lab.processes import Process
from tasks.lab.state import Cluster, Lab, write

PORT = 16443
TYPES = "type.googleapis.com/envoy.extensions"
HTTP = f"{TYPES}.filters.http"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def process(lab: Lab, cluster: Cluster) -> Process:
    """Envoy as a proxy in the node's network."""
    envoy = max(name for name in lab.parts if name.startswith("envoy-"))
    command = [
        str(lab.part(envoy) / "envoy"),
        "--config-path",
        str(cluster.root / "fault-proxy.json"),
    ]
    command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
    return Process(lab.name, cluster.name, "fault-proxy", command, cluster)


def write_configuration(cluster: Cluster, faults: Mapping[str, str]) -> None:
    """The proxy's configuration for the faults that are on."""
    text = json.dumps(configuration(cluster, fault_filter(faults)), indent=2)
    write(cluster.root / "fault-proxy.json", text)


def fault_filter(faults: Mapping[str, str]) -> dict[str, Any]:
    """
    What Envoy's fault filter does, from {"apiserver-slow": "300"} (milliseconds) and
    {"apiserver-errors": "429:20"} (status and percentage of requests).
    """
    settings: dict[str, Any] = {"@type": f"{HTTP}.fault.v3.HTTPFault"}
    if "apiserver-slow" in faults:
        seconds = float(faults["apiserver-slow"]) / 1000
        settings["delay"] = {"fixed_delay": f"{seconds:.3f}s", "percentage": _percent(100)}
    if "apiserver-errors" in faults:
        status, _, share = faults["apiserver-errors"].partition(":")
        settings["abort"] = {"http_status": int(status), "percentage": _percent(int(share))}
    return settings


def _percent(share: int) -> dict[str, Any]:
    return {"numerator": share, "denominator": "HUNDRED"}


def configuration(cluster: Cluster, fault: Mapping[str, Any]) -> dict[str, Any]:
    """Envoy's whole configuration: one listener, one cluster, the fault between them."""
    everything = {"name": "all", "domains": ["*"], "routes": [_route()]}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "apiserver",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "SPDY/3.1"}],
        "route_config": {"virtual_hosts": [everything]},
        "http_filters": [
            {"name": "fault", "typed_config": fault},
            {"name": "router", "typed_config": {"@type": f"{HTTP}.router.v3.Router"}},
        ],
        "local_reply_config": _error_as_kubernetes_writes_it(),
    }
    listener = {
        "name": "host",
        "address": _address(cluster.node_address, PORT),
        "filter_chains": [
            {
                "transport_socket": _tls(
                    cluster, "DownstreamTlsContext", _own_certificate(cluster)
                ),
                "filters": [{"name": "http", "typed_config": manager}],
            }
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [_apiserver(cluster)]}}


def _route() -> dict[str, Any]:
    # No timeout: a watch takes as long as it takes.
    return {"match": {"prefix": "/"}, "route": {"cluster": "apiserver", "timeout": "0s"}}


def _error_as_kubernetes_writes_it() -> dict[str, Any]:
    status = {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": "%RESPONSE_CODE%",
        "message": "fault apiserver-errors of the lab: %LOCAL_REPLY_BODY%",
    }
    retry = {"header": {"key": "retry-after", "value": "1"}}
    comparison = {"op": "EQ", "value": {"default_value": 429, "runtime_key": "lab.retry"}}
    is_429 = {"status_code_filter": {"comparison": comparison}}
    return {
        "mappers": [{"filter": is_429, "headers_to_add": [retry]}],
        "body_format": {"json_format": status},
    }


def _apiserver(cluster: Cluster) -> dict[str, Any]:
    authority = {"trusted_ca": {"filename": str(cluster.root.parent / "ca.crt")}}
    endpoint = {"endpoint": {"address": _address(cluster.node_address, 6443)}}
    options = {
        "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "use_downstream_protocol_config": {
            "http_protocol_options": {},
            "http2_protocol_options": {},
        },
    }
    return {
        "name": "apiserver",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "apiserver",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "transport_socket": _tls(cluster, "UpstreamTlsContext", {"validation_context": authority}),
        "typed_extension_protocol_options": {OPTIONS: options},
    }


def _own_certificate(cluster: Cluster) -> dict[str, Any]:
    pki = cluster.root / "pki"
    chain = {"filename": str(pki / "apiserver.crt")}
    key = {"filename": str(pki / "apiserver.key")}
    certificates = [{"certificate_chain": chain, "private_key": key}]
    return {"tls_certificates": certificates, "alpn_protocols": ["h2", "http/1.1"]}


def _tls(cluster: Cluster, kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    context = {
        "@type": f"{TYPES}.transport_sockets.tls.v3.{kind}",
        "common_tls_context": dict(settings),
    }
    return {"name": "tls", "typed_config": context}


def _address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}

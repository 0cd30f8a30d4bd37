"""Where the API server keeps each kind: a table instead of a discovery request per group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GATEWAY_API = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
ENVOY_GATEWAY = "gateway.envoyproxy.io"
CERT_MANAGER = "cert-manager.io"
ACME = "acme.cert-manager.io"
ISTIO = "networking.istio.io"
#: Of prometheus-operator, and of Azure Monitor's managed Prometheus.
PROMETHEUS_OPERATOR = "monitoring.coreos.com"
AZURE_MONITOR = "azmonitoring.coreos.com"


@dataclass(frozen=True)
class Kind:
    """+ plural: the path's word, such as "httproutes"; + rank: smaller is applied earlier."""

    plural: str
    namespaced: bool = True
    rank: int = 50


KINDS: Mapping[tuple[str, str], Kind] = {
    ("", "Namespace"): Kind("namespaces", False, 0),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Kind(
        "customresourcedefinitions", False, 1
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): Kind(
        "validatingadmissionpolicies", False, 2
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): Kind(
        "validatingadmissionpolicybindings", False, 3
    ),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): Kind(
        "mutatingwebhookconfigurations", False, 60
    ),
    ("", "ServiceAccount"): Kind("serviceaccounts", rank=10),
    ("", "Secret"): Kind("secrets", rank=11),
    ("", "ConfigMap"): Kind("configmaps", rank=11),
    ("", "Service"): Kind("services", rank=15),
    ("", "Pod"): Kind("pods"),
    ("", "Event"): Kind("events"),
    ("apps", "Deployment"): Kind("deployments", rank=20),
    ("apps", "DaemonSet"): Kind("daemonsets", rank=20),
    ("coordination.k8s.io", "Lease"): Kind("leases"),
    ("discovery.k8s.io", "EndpointSlice"): Kind("endpointslices"),
    ("metrics.k8s.io", "PodMetrics"): Kind("pods"),
    ("scheduling.k8s.io", "PriorityClass"): Kind("priorityclasses", False),
    ("networking.k8s.io", "NetworkPolicy"): Kind("networkpolicies", rank=12),
    (CERT_MANAGER, "ClusterIssuer"): Kind("clusterissuers", False, 12),
    (CERT_MANAGER, "Issuer"): Kind("issuers", rank=12),
    (CERT_MANAGER, "Certificate"): Kind("certificates", rank=13),
    (CERT_MANAGER, "CertificateRequest"): Kind("certificaterequests"),
    (ACME, "Order"): Kind("orders"),
    (ACME, "Challenge"): Kind("challenges"),
    (PROMETHEUS_OPERATOR, "Prometheus"): Kind("prometheuses"),
    (PROMETHEUS_OPERATOR, "Alertmanager"): Kind("alertmanagers"),
    (PROMETHEUS_OPERATOR, "PodMonitor"): Kind("podmonitors"),
    (PROMETHEUS_OPERATOR, "ServiceMonitor"): Kind("servicemonitors"),
    (PROMETHEUS_OPERATOR, "PrometheusRule"): Kind("prometheusrules"),
    (PROMETHEUS_OPERATOR, "AlertmanagerConfig"): Kind("alertmanagerconfigs"),
    (AZURE_MONITOR, "PodMonitor"): Kind("podmonitors"),
    (AZURE_MONITOR, "ServiceMonitor"): Kind("servicemonitors"),
    (ISTIO, "Gateway"): Kind("gateways", rank=33),
    (GATEWAY_API, "GatewayClass"): Kind("gatewayclasses", False, 31),
    (GATEWAY_API, "Gateway"): Kind("gateways", rank=33),
    (GATEWAY_API, "ReferenceGrant"): Kind("referencegrants", rank=32),
    (GATEWAY_API, "ListenerSet"): Kind("listenersets", rank=34),
    (GATEWAY_API, "HTTPRoute"): Kind("httproutes", rank=40),
    (GATEWAY_API, "GRPCRoute"): Kind("grpcroutes", rank=40),
    (GATEWAY_API, "TLSRoute"): Kind("tlsroutes", rank=40),
    (GATEWAY_API, "TCPRoute"): Kind("tcproutes", rank=40),
    (GATEWAY_API, "UDPRoute"): Kind("udproutes", rank=40),
    (GATEWAY_API, "BackendTLSPolicy"): Kind("backendtlspolicies", rank=41),
    (EXPERIMENTAL, "XMesh"): Kind("xmeshes", False, 31),
    (EXPERIMENTAL, "XListenerSet"): Kind("xlistenersets", rank=34),
    (EXPERIMENTAL, "XBackend"): Kind("xbackends", rank=34),
    (EXPERIMENTAL, "XBackendTrafficPolicy"): Kind("xbackendtrafficpolicies", rank=41),
    (ENVOY_GATEWAY, "EnvoyProxy"): Kind("envoyproxies", rank=30),
    (ENVOY_GATEWAY, "Backend"): Kind("backends", rank=34),
    (ENVOY_GATEWAY, "HTTPRouteFilter"): Kind("httproutefilters", rank=34),
    (ENVOY_GATEWAY, "ClientTrafficPolicy"): Kind("clienttrafficpolicies", rank=41),
    (ENVOY_GATEWAY, "BackendTrafficPolicy"): Kind("backendtrafficpolicies", rank=41),
    (ENVOY_GATEWAY, "SecurityPolicy"): Kind("securitypolicies", rank=41),
    (ENVOY_GATEWAY, "EnvoyExtensionPolicy"): Kind("envoyextensionpolicies", rank=41),
    (ENVOY_GATEWAY, "EnvoyPatchPolicy"): Kind("envoypatchpolicies", rank=41),
}


def kind_of(api_version: str, kind: str) -> Kind:
    """Raises LookupError, in one line, for a kind that is not in the table."""
    group = api_version.rpartition("/")[0]
    try:
        return KINDS[group, kind]
    except KeyError:
        raise LookupError(
            f"{api_version} {kind} is not a kind that envoyfleet works on: see tasks/plans/kinds.py"
        ) from None


def path(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """
    Such as "/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/public". Without
    ``namespace`` a list over all namespaces, without ``name`` the list.
    """
    entry = kind_of(api_version, kind)
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    middle = f"/namespaces/{namespace}" if entry.namespaced and namespace else ""
    return f"{root}{middle}/{entry.plural}" + (f"/{name}" if name else "")


def path_of(manifest: Mapping[str, Any]) -> str:
    """The path of one object, read off its own manifest."""
    meta = manifest["metadata"]
    return path(manifest["apiVersion"], manifest["kind"], meta.get("namespace"), meta["name"])


def title(manifest: Mapping[str, Any]) -> str:
    """How a message names an object: "Gateway edge/public", "GatewayClass envoy"."""
    meta = manifest["metadata"]
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{manifest['kind']} {place}{meta['name']}"


def in_order(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    What others refer to comes first: namespaces, CRDs, Secrets, classes, Gateways, routes,
    policies.
    """
    return sorted(manifests, key=lambda it: kind_of(it["apiVersion"], it["kind"]).rank)

"""The runbooks of the operations guide, by symptom."""

from __future__ import annotations

from tasks.plans.runbooks import control_plane, gateway, proxies, routes, traffic
from tasks.plans.runbooks.source import Runbook

CONTROLLER = (control_plane.RUNS, control_plane.LEADS)
#: From the outside in: what must be there before a request can arrive.
ENTRANCE = (
    *CONTROLLER,
    gateway.ACCEPTED,
    proxies.THERE,
    proxies.SERVICE,
    gateway.ADDRESS,
    gateway.LISTENERS,
)
BEHIND = (control_plane.CURRENT, control_plane.CRDS, routes.ATTACHED, routes.BACKENDS)
END = (traffic.REQUEST,)

RUNBOOKS = (
    Runbook(
        "gateway-not-responding",
        "Gateway not responding",
        "Requests through a Gateway get no answer, or an error for all of them.",
        (*ENTRANCE, *BEHIND, *END),
        ("EnvoyGatewayDown", "EnvoyGatewayProxiesGone", "EnvoyProxyDeploymentUnavailable"),
    ),
    Runbook(
        "gateway-takes-no-traffic",
        "Gateway takes no traffic",
        "Connections are refused or time out, though the Service has an address.",
        (
            gateway.ACCEPTED,
            proxies.THERE,
            proxies.SERVICE,
            gateway.ADDRESS,
            gateway.LISTENERS,
            *CONTROLLER,
            control_plane.CURRENT,
            *END,
        ),
        ("EnvoyGatewayTrafficGone", "EnvoyGatewayNotProgrammed", "EnvoyGatewayNotAccepted"),
    ),
    Runbook(
        "route-does-not-work",
        "Route does not work",
        "The Gateway answers, and one host or path is answered 404, 500 or 503.",
        (
            routes.ATTACHED,
            gateway.LISTENERS,
            *CONTROLLER,
            control_plane.CURRENT,
            control_plane.CRDS,
            control_plane.REFUSES,
            routes.BACKENDS,
            traffic.AUTHORIZATION,
            *END,
        ),
        ("EnvoyGatewayNoRoute", "EnvoyRouteNotAccepted", "EnvoyRouteBackendsUnresolved"),
    ),
    Runbook(
        "high-latency",
        "High latency",
        "Requests take longer than the objective, or end in timeouts.",
        (
            traffic.SLOW,
            routes.BACKENDS,
            traffic.LIMITS,
            proxies.ALL,
            proxies.RESTARTS,
            proxies.ROOM,
            traffic.CLIENTS,
            *END,
        ),
        ("EnvoyGatewayLatencyBurnsFast", "EnvoyRouteLatencyBurnsFast", "EnvoyBackendTimesOut"),
    ),
    Runbook(
        "high-error-rate",
        "High error rate",
        "Many answers are 4xx or 5xx.",
        (
            traffic.CODES,
            routes.BACKENDS,
            routes.ATTACHED,
            traffic.LIMITS,
            traffic.AUTHORIZATION,
            control_plane.REFUSES,
            *CONTROLLER,
            *END,
        ),
        ("EnvoyGatewayErrorsBurnFast", "EnvoyRouteErrorsBurnFast", "EnvoyGatewayAnswersErrors"),
    ),
    Runbook(
        "certificate-problems",
        "Certificate problems",
        "Handshakes fail, or browsers warn of the certificate.",
        (gateway.LISTENERS, traffic.CERTIFICATES, *CONTROLLER, control_plane.CURRENT, *END),
        ("EnvoyCertificateExpiresSoon", "EnvoyTLSHandshakesFail", "EnvoyTLSNameUnknown"),
    ),
    Runbook(
        "grpc-does-not-work",
        "gRPC does not work",
        "gRPC clients, such as the command line of Argo CD, get errors where browsers do not.",
        (
            gateway.LISTENERS,
            routes.ATTACHED,
            routes.BACKENDS,
            traffic.GRPC,
            traffic.AUTHORIZATION,
            *END,
        ),
    ),
)

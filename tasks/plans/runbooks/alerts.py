"""One runbook for each alert of the monitoring pack: its steps, most likely first."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.plans.alerts import ALERTS
from tasks.plans.alerts.source import Alert
from tasks.plans.runbooks import control_plane, gateway, guide, proxies, routes, traffic
from tasks.plans.runbooks.source import Runbook, Step

_ERRORS = (
    traffic.CODES,
    routes.BACKENDS,
    routes.ATTACHED,
    traffic.LIMITS,
    traffic.AUTHORIZATION,
    *guide.CONTROLLER,
)
_LATE = (traffic.SLOW, routes.BACKENDS, traffic.LIMITS, proxies.ROOM, proxies.RESTARTS)
_BACKEND = (routes.BACKENDS, traffic.CODES, traffic.LIMITS, control_plane.CURRENT)
_GONE = guide.ENTRANCE
_PROXY = (proxies.THERE, proxies.ALL, proxies.RESTARTS, proxies.ROOM, *guide.CONTROLLER)
_STALE = (*guide.CONTROLLER, control_plane.CURRENT, control_plane.REFUSES, proxies.ALL)
_CONTROLLER = (*guide.CONTROLLER, control_plane.CRDS, control_plane.CURRENT, control_plane.REFUSES)
_CERTIFICATES = (traffic.CERTIFICATES, gateway.LISTENERS, *guide.CONTROLLER, control_plane.CURRENT)
_RATE_LIMIT = (control_plane.RATE_LIMIT_SERVICE, traffic.LIMITS, *guide.CONTROLLER)
_METRICS = (traffic.SCRAPED, traffic.MONITORED, proxies.ALL)

STEPS: Mapping[str, tuple[Step, ...]] = {
    "EnvoyGatewayErrorsBurnFast": _ERRORS,
    "EnvoyGatewayErrorsBurnSlowly": _ERRORS,
    "EnvoyRouteErrorsBurnFast": _ERRORS,
    "EnvoyRouteErrorsBurnSlowly": _ERRORS,
    "EnvoyBackendErrorsBurnFast": (routes.BACKENDS, traffic.CODES, traffic.LIMITS),
    "EnvoyGatewayAnswersErrors": (routes.BACKENDS, routes.ATTACHED, *guide.CONTROLLER),
    "EnvoyGatewayFailsRequests": (
        traffic.CODES,
        control_plane.REFUSES,
        traffic.AUTHORIZATION,
        routes.ATTACHED,
        *guide.CONTROLLER,
    ),
    "EnvoyGatewayLatencyBurnsFast": _LATE,
    "EnvoyGatewayLatencyBurnsSlowly": _LATE,
    "EnvoyRouteLatencyBurnsFast": (traffic.SLOW, routes.BACKENDS, traffic.LIMITS),
    "EnvoyRouteLatencyBurnsSlowly": (traffic.SLOW, routes.BACKENDS, traffic.LIMITS),
    "EnvoyBackendLatencyBurnsFast": (traffic.SLOW, routes.BACKENDS, traffic.LIMITS),
    "EnvoyGatewayTrafficGone": _GONE,
    "EnvoyGatewayNoRoute": (routes.ATTACHED, gateway.LISTENERS, *_STALE, control_plane.CRDS),
    "EnvoyClientsGiveUp": (traffic.CLIENTS, traffic.SLOW, routes.BACKENDS),
    "EnvoyBackendNoHealthyEndpoints": _BACKEND,
    "EnvoyBackendFewHealthyEndpoints": _BACKEND,
    "EnvoyBackendPanics": _BACKEND,
    "EnvoyBackendEjectsEndpoints": _BACKEND,
    "EnvoyBackendAnswersErrors": (traffic.CODES, routes.BACKENDS),
    "EnvoyBackendUnreachable": (*_BACKEND, traffic.BACKEND_TLS, *guide.CONTROLLER),
    "EnvoyBackendTLSFails": (traffic.BACKEND_TLS, routes.BACKENDS),
    "EnvoyBackendBreaksOff": (traffic.CODES, routes.BACKENDS),
    "EnvoyBackendTimesOut": (traffic.SLOW, routes.BACKENDS, traffic.LIMITS),
    "EnvoyBackendSheds": (traffic.LIMITS, traffic.SLOW, routes.BACKENDS),
    "EnvoyBackendRetriesExhausted": (traffic.LIMITS, traffic.CODES, routes.BACKENDS),
    "EnvoyProxyConnections": (proxies.ROOM, proxies.ALL),
    "EnvoyProxyRefusesConnections": (proxies.ROOM, proxies.ALL),
    "EnvoyProxyOverloaded": (proxies.ROOM, proxies.RESTARTS, proxies.ALL),
    "EnvoyProxyMemory": (proxies.ROOM, proxies.RESTARTS),
    "EnvoyProxyAutoscalerAtLimit": (proxies.ROOM, proxies.ALL),
    "EnvoyRateLimitFails": _RATE_LIMIT,
    "EnvoyRateLimitDown": _RATE_LIMIT,
    "EnvoyRateLimitErrors": _RATE_LIMIT,
    "EnvoyRateLimitConfigurationRejected": (*_RATE_LIMIT, control_plane.REFUSES),
    "EnvoyCertificateExpires": _CERTIFICATES,
    "EnvoyCertificateExpiresSoon": _CERTIFICATES,
    "EnvoyBackendCertificateExpires": (traffic.CERTIFICATES, traffic.BACKEND_TLS),
    "EnvoyTLSHandshakesFail": _CERTIFICATES,
    "EnvoyTLSNameUnknown": (gateway.LISTENERS, traffic.CERTIFICATES, control_plane.CURRENT),
    "EnvoyCertificateNotLoaded": (*guide.CONTROLLER, control_plane.CURRENT, traffic.CERTIFICATES),
    "EnvoyCertificateNotRenewed": (traffic.CERTIFICATES, gateway.LISTENERS),
    "EnvoyProxyDown": _PROXY,
    "EnvoyGatewayDown": _GONE,
    "EnvoyGatewayProxiesGone": _GONE,
    "EnvoyProxyDeploymentUnavailable": _PROXY,
    "EnvoyProxyReplicasMissing": _PROXY,
    "EnvoyProxyDoesNotStart": _PROXY,
    "EnvoyProxyRestarts": (proxies.RESTARTS, proxies.ALL, proxies.ROOM),
    "EnvoyProxyOutOfMemory": (proxies.RESTARTS, proxies.ROOM),
    "EnvoyProxyDisconnected": _STALE,
    "EnvoyProxyConfigurationRejected": (control_plane.REFUSES, *guide.CONTROLLER),
    "EnvoyProxyWaitsForConfiguration": (*_STALE, gateway.LISTENERS),
    "EnvoyProxiesDisagree": _STALE,
    "EnvoyProxyEndpointsStale": _STALE,
    "EnvoyGatewayControllerDown": _CONTROLLER,
    "EnvoyGatewayControllerRestarts": _CONTROLLER,
    "EnvoyGatewayControllerPanics": _CONTROLLER,
    "EnvoyGatewayTranslationFails": _CONTROLLER,
    "EnvoyGatewaySnapshotFails": _CONTROLLER,
    "EnvoyGatewayConfigurationRefused": (control_plane.REFUSES, *guide.CONTROLLER),
    "EnvoyGatewayInfrastructureFails": (*_CONTROLLER, proxies.ALL, proxies.SERVICE),
    "EnvoyGatewayStatusNotWritten": _CONTROLLER,
    "EnvoyGatewayNoLeader": _CONTROLLER,
    "EnvoyGatewayQueueGrows": _CONTROLLER,
    "EnvoyGatewayClassNotAccepted": (gateway.ACCEPTED, *guide.CONTROLLER),
    "EnvoyGatewayNotAccepted": (gateway.ACCEPTED, *guide.CONTROLLER),
    "EnvoyGatewayNotProgrammed": guide.ENTRANCE,
    "EnvoyRouteNotAccepted": (routes.ATTACHED, gateway.LISTENERS, *guide.CONTROLLER),
    "EnvoyRouteBackendsUnresolved": (routes.ATTACHED, routes.BACKENDS, *guide.CONTROLLER),
    "EnvoyMetricsMissing": _METRICS,
    "EnvoyProxiesNotScraped": _METRICS,
    "EnvoyScrapeSlow": _METRICS,
    "EnvoyScrapeLarge": _METRICS,
}


def _of(alert: Alert) -> Runbook:
    """Every runbook ends with a request: an alert may be over, or be of something else."""
    steps = tuple(dict.fromkeys((*STEPS[alert.name], *guide.END)))
    return Runbook(alert.name, f"Alert {alert.name}", alert.description, steps, (alert.name,))


RUNBOOKS = tuple(_of(it) for it in ALERTS)

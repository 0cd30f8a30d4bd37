"""Objects of the Gateway API whose conditions say that they do not work."""

from __future__ import annotations

from tasks.plans.alerts.source import Alert

GROUP = "configuration"
KINDS = ("httproute", "grpcroute", "tlsroute", "tcproute", "udproute")
_OBJECT = "{{ $labels.namespace }}/{{ $labels.name }}"


def _of_routes(condition: str) -> str:
    return "\nor ".join(f"gatewayapi_{it}_status_parent_{condition} == 0" for it in KINDS)


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyGatewayClassNotAccepted",
        group=GROUP,
        severity="warning",
        expr='gatewayapi_gatewayclass_status{type="Accepted"} == 0',
        lasts="5m",
        summary="GatewayClass {{ $labels.name }} is not Accepted",
        description="Its EnvoyProxy is missing or wrong; Gateways of this class do not change.",
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyGatewayNotAccepted",
        group=GROUP,
        severity="critical",
        expr='gatewayapi_gateway_status{type="Accepted"} == 0',
        lasts="5m",
        summary=f"Gateway {_OBJECT} is not Accepted",
        description="The controller refuses the Gateway; its condition Accepted says why.",
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyGatewayNotProgrammed",
        group=GROUP,
        severity="critical",
        expr="""gatewayapi_gateway_status{type="Programmed"} == 0
unless on (namespace, name) gatewayapi_gateway_status{type="Accepted"} == 0""",
        lasts="10m",
        summary=f"Gateway {_OBJECT} is not Programmed",
        description=(
            "The Gateway has no address or no proxy that is available; its condition Programmed"
            " says which."
        ),
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyRouteNotAccepted",
        group=GROUP,
        severity="warning",
        expr=_of_routes("accepted"),
        lasts="5m",
        summary=f"Route {_OBJECT} is not Accepted by {{{{ $labels.parent_name }}}}",
        description=(
            "The Gateway does not serve this route: no listener allows it or has its host name, or"
            " it has an error. Its condition Accepted says why."
        ),
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyRouteBackendsUnresolved",
        group=GROUP,
        severity="warning",
        expr=_of_routes("resolved_refs"),
        lasts="5m",
        summary=f"Route {_OBJECT} has references that do not resolve",
        description=(
            "A Service is missing, a port is wrong, or a ReferenceGrant is. Requests that would go"
            " there get 500."
        ),
        exporters=("kube-state-metrics",),
    ),
)

"""What the inventory wants of a cluster, as objects."""

from __future__ import annotations

from typing import Any

from tasks.desired import limits, teams
from tasks.fleet.inventory import Cluster, Gateway, PublicIp
from tasks.fleet.render import render
from tasks.plans import access_logs, asking, images
from tasks.plans.ours import labelled
from tasks.plans.public_ips import ADDRESS


def objects(name: str, data: Cluster) -> list[dict[str, Any]]:
    """
    What the keys of the inventory want of one cluster, rendered and labelled as ours: namespaces,
    class, EnvoyProxy, Gateways, their policies and routes; ``wanted`` has the files beside it.
    Pure but for the copy in rendered/. Raises TemplateRefused.
    """
    found = of_class(name, data) if data.class_from == "inventory" else []
    for namespace in dict.fromkeys(it.namespace for it in data.gateways):
        found += render("gateway/namespace.yaml.j2", name, name=namespace, part=namespace)
    for gateway in data.gateways:
        by_name = gateway.public_ip is not None
        fixed = {ADDRESS[False]: gateway.address} if gateway.address and not by_name else {}
        part = f"{gateway.namespace}-{gateway.name}"
        proxy = own_proxy(gateway, data)
        if gateway.proxy is not None:
            found += _proxies(name, data, gateway)
        elif proxy is not None:
            found += render(
                "gateway/envoyproxy-public-ip.yaml.j2",
                name,
                name=proxy,
                gateway=gateway,
                annotations=address_notes(gateway.public_ip),
                part=part,
            )
        found += render(
            "gateway/gateway.yaml.j2",
            name,
            gateway_class=data.gateway_class,
            gateway=gateway,
            annotations={**gateway.annotations, **fixed},
            proxy=proxy,
            admitted=teams.admitted(data, gateway),
            bringing=teams.bringing(data, gateway),
            part=part,
        )
        limited = gateway.limits or data.limits
        found += render(
            "gateway/clienttrafficpolicy.yaml.j2",
            name,
            gateway=gateway,
            clients=limited and limited.clients,
            part=part,
        )
        found += limits.traffic_policy(name, "Gateway", gateway, limited)
    for route in data.routes:
        namespace, _, parent = route.gateway.partition("/")
        found += render(
            f"gateway/{route.kind.lower()}.yaml.j2",
            name,
            route=route,
            parent_name=parent,
            parent_namespace=namespace,
            api=images.tcproute_api(data.envoy_gateway_version),
            part=f"{route.namespace}-{route.name}",
        )
        found += limits.traffic_policy(name, route.kind, route, route.limits)
    found += limits.backend_tls(name, data)
    found += teams.grants(name, data)
    return [labelled(it) for it in found]


def of_class(name: str, data: Cluster) -> list[dict[str, Any]]:
    """The GatewayClass, and the EnvoyProxy of all its Gateways."""
    found = render(
        "gateway/gatewayclass.yaml.j2",
        name,
        gateway_class=data.gateway_class,
        controller_name=data.controller_name,
        namespace=data.namespace,
    )
    return found + _proxies(name, data, None)


def _proxies(name: str, data: Cluster, gateway: Gateway | None) -> list[dict[str, Any]]:
    """The EnvoyProxy of the class, or the whole one of a Gateway that has its own proxies."""
    about = {
        "pull_secrets": data.image_pull_secrets,
        "merge_gateways": data.merge_gateways,
        "logs": logs(data),
    }
    if gateway is None:
        return render(
            "gateway/envoyproxy.yaml.j2",
            name,
            **about,
            name=data.gateway_class,
            namespace=data.namespace,
            of=f"GatewayClass {data.gateway_class}",
            of_class=True,
            proxy=data.proxy,
            annotations=address_notes(data.shared_public_ip),
        )
    return render(
        "gateway/envoyproxy.yaml.j2",
        name,
        **about,
        name=own_proxy(gateway, data),
        namespace=gateway.namespace,
        of=f"Gateway {gateway.namespace}/{gateway.name}",
        of_class=False,
        proxy=gateway.proxy,
        annotations=address_notes(gateway.public_ip),
        part=f"{gateway.namespace}-{gateway.name}",
    )


def own_proxy(gateway: Gateway, data: Cluster) -> str | None:
    """The name of the EnvoyProxy that a Gateway has for itself, None where the class's will do."""
    if gateway.public_ip is not None and not data.merge_gateways:
        return asking.envoy_proxy(gateway.name)
    return asking.own_proxies(gateway.name) if gateway.proxy is not None else None


def logs(data: Cluster) -> access_logs.Logs | None:
    """What the proxies log, None leaves that to Envoy Gateway."""
    wanted = data.monitoring.logs if data.monitoring else None
    return access_logs.logs(wanted.otel) if wanted and wanted.enabled else None


def address_notes(ip: PublicIp | None) -> dict[str, str]:
    return asking.asking_for(ip.name, ip.resource_group) if ip else {}

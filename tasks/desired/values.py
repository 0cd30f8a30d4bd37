"""The Helm values of a cluster."""

from __future__ import annotations

from typing import Any

from tasks.fleet.inventory import Cluster
from tasks.fleet.render import render
from tasks.plans import dynamic_routing, images


def values(name: str, data: Cluster, part: str = "") -> dict[str, Any]:
    """
    The Helm values of one cluster, the whole of them. Raises ValueError as ``images.wanted`` does,
    and TemplateRefused.

    + part: of the name of the copy in rendered/
    """
    return render(
        "envoy-gateway/values.yaml.j2",
        name,
        part=part,
        version=data.envoy_gateway_version,
        images=images.wanted(data),
        image_registry=data.image_registry,
        pull_secrets=[{"name": it} for it in data.image_pull_secrets],
        controller=data.controller,
        rate_limit_redis=data.rate_limit_redis,
        rate_limit_timeout=data.rate_limit_timeout,
        rate_limit_fails=data.rate_limit_fails,
        controller_name=data.controller_name,
        deploy_type=data.deploy_type,
        watch_namespaces=data.watch_namespaces,
        lua=bool(data.dynamic_routing) and dynamic_routing.asks_for_lua(data.envoy_gateway_version),
    )[0]

"""What EnvoyProxies say of the Service that the controller makes for a Gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.plans.envoy_proxies import behind
from tasks.plans.kinds import title

Object = Mapping[str, Any]
#: What annotations for Azure begin with (cloud-provider-azure, pkg/consts).
AZURE = "service.beta.kubernetes.io/azure-"


@dataclass(frozen=True)
class Settings:
    """
    + type: of the Service, such as "LoadBalancer"; + annotations: that it is given
    + written: the EnvoyProxy that gives those for Azure, such as "EnvoyProxy edge/public", or that
      would have to; None where the Gateway itself can
    """

    type: str = "LoadBalancer"
    annotations: Mapping[str, str] = field(default_factory=dict)
    written: str | None = None


def settings(
    gateway: Object, classes: Iterable[Object], envoy_proxies: Iterable[Object], merged: bool
) -> Settings:
    """
    Of the Service of a Gateway.

    + merged: whether the class merges its Gateways
    """
    chosen = behind(gateway, classes, envoy_proxies, merged)
    kind, annotations, written = "LoadBalancer", dict[str, str](), None
    for it in chosen:
        service = _service(it)
        kind = service.get("type") or kind
        annotations |= service.get("annotations") or {}
        if any(key.startswith(AZURE) for key in service.get("annotations") or ()):
            written = title(it)
    if merged and chosen:
        written = title(chosen[-1])
    return Settings(kind, annotations, written)


def _service(envoy_proxy: Object) -> Object:
    provider = envoy_proxy["spec"].get("provider") or {}
    return dict((provider.get("kubernetes") or {}).get("envoyService") or {})

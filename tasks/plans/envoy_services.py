"""What EnvoyProxies say of the Service that the controller makes for a Gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
    Of the Service of a Gateway. The EnvoyProxy of the Gateway replaces that of its class, or is
    merged over it where it says so; merged Gateways have that of their class alone (Envoy Gateway
    1.9 API, EnvoyProxySpec.mergeType; source, internal/gatewayapi/contexts.go).

    + merged: whether the class merges its Gateways
    """
    known = {title(it): it for it in envoy_proxies}
    chosen = [it for it in (known.get(_of_class(gateway, classes)),) if it]
    own = known.get(_own(gateway))
    if own and not merged:
        chosen = [*(chosen if _merges(own) else ()), own]
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


def _of_class(gateway: Object, classes: Iterable[Object]) -> str:
    name = gateway["spec"]["gatewayClassName"]
    for it in classes:
        if it["metadata"]["name"] == name:
            return _referred(it["spec"].get("parametersRef"), None)
    return ""


def _own(gateway: Object) -> str:
    infrastructure = gateway["spec"].get("infrastructure") or {}
    return _referred(infrastructure.get("parametersRef"), gateway["metadata"]["namespace"])


def _referred(ref: Object | None, namespace: str | None) -> str:
    """Such as "EnvoyProxy edge/public", "" for no EnvoyProxy."""
    if not ref or ref.get("kind") != "EnvoyProxy":
        return ""
    return f"EnvoyProxy {namespace or ref.get('namespace')}/{ref.get('name')}"


def _merges(envoy_proxy: Object) -> bool:
    return envoy_proxy["spec"].get("mergeType") in ("StrategicMerge", "JSONMerge")


def _service(envoy_proxy: Object) -> Object:
    provider = envoy_proxy["spec"].get("provider") or {}
    return dict((provider.get("kubernetes") or {}).get("envoyService") or {})

"""Which EnvoyProxies say how the proxies of a Gateway are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.plans.kinds import title

Object = Mapping[str, Any]


def behind(
    gateway: Object, classes: Iterable[Object], envoy_proxies: Iterable[Object], merged: bool
) -> list[Object]:
    """
    Those of a Gateway, each over the one before it. The EnvoyProxy of the Gateway replaces that of
    its class, or is merged over it where it says so; merged Gateways have that of their class alone
    (Envoy Gateway 1.9 API, EnvoyProxySpec.mergeType; source, internal/gatewayapi/contexts.go). A
    Gateway whose own is not there is refused, so it has none.

    + merged: whether the class merges its Gateways, see ``listeners.merged``
    """
    known = {title(it): it for it in envoy_proxies}
    of_class = [it for it in (known.get(_of_class(gateway, classes)),) if it]
    named = _own(gateway)
    if merged or not named:
        return of_class
    own = known.get(named)
    return [] if own is None else [*(of_class if _merges(own) else ()), own]


def _of_class(gateway: Object, classes: Iterable[Object]) -> str:
    name = gateway["spec"].get("gatewayClassName")
    for it in classes:
        if it["metadata"]["name"] == name:
            return _referred(it["spec"].get("parametersRef"), None)
    return ""


def _own(gateway: Object) -> str:
    infrastructure = gateway["spec"].get("infrastructure") or {}
    return _referred(infrastructure.get("parametersRef"), gateway["metadata"].get("namespace"))


def _referred(ref: Object | None, namespace: str | None) -> str:
    """Such as "EnvoyProxy edge/public", "" for no EnvoyProxy."""
    if not ref or ref.get("kind") != "EnvoyProxy":
        return ""
    return f"EnvoyProxy {namespace or ref.get('namespace')}/{ref.get('name')}"


def _merges(envoy_proxy: Object) -> bool:
    return envoy_proxy["spec"].get("mergeType") in ("StrategicMerge", "JSONMerge")

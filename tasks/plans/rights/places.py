"""What an inventory says of one cluster, as far as rights are about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Places:
    """
    + namespace: the controller's; + release: of Helm
    + proxies: namespaces of the proxies; + gateways: those of the inventory's Gateways, whose
      Secrets and ConfigMaps are backed up
    + beside: whether each proxy is beside its Gateway
    + written: resources of the inventory's objects with their namespace, None for those of the
      whole cluster: [("gateways.gateway.networking.k8s.io", "edge")]
    + secrets: by namespace, names of the Secrets that are renewed; + asked: namespaces in which
      cert-manager is asked for it
    + granting: namespaces whose certificates others may use
    + monitoring: where monitors and rules are put
    """

    namespace: str
    release: str = "eg"
    proxies: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    beside: bool = False
    written: tuple[tuple[str, str | None], ...] = ()
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    granting: tuple[str, ...] = ()
    monitoring: str | None = None

    @property
    def all_proxies(self) -> tuple[str, ...]:
        return tuple(sorted({*self.proxies} or {self.namespace}))

    @property
    def kept(self) -> tuple[str, ...]:
        """Namespaces whose Secrets and ConfigMaps a backup reads."""
        return tuple(sorted({self.namespace, *self.gateways}))

"""TLS Secrets and the issuers of cert-manager."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.fleet.inventory.base import Name, Strict, Text
from tasks.plans.rings import seconds


class Certificate(Strict):
    """
    A TLS Secret that envoyfleet makes and renews.

    + names: its DNS names, empty means the host names of the listeners that use it
    + certificate, key: of source "files": PEM, the served certificate first, then what signed it
    + issuer: of source "cert-manager": "ClusterIssuer letsencrypt" or "Issuer shop"
    + vault, object, version: of source "key-vault": "https://shop.vault.azure.net", "shop-tls", and
      None for the newest; + kind: what the object is there
    + renew_before: such as "30d", None means the cluster's
    + grants: namespaces whose Gateways and ListenerSets may use it
    """

    namespace: Name
    secret: Name
    source: Literal["files", "self-signed", "cert-manager", "key-vault"]
    names: list[Text] = []
    certificate: Text | None = None
    key: Text | None = None
    issuer: Annotated[str, Field(pattern=r"^(Cluster)?Issuer \S+$")] | None = None
    vault: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    object: Text | None = None
    version: Text | None = None
    kind: Literal["certificate", "secret"] = "certificate"
    renew_before: Text | None = None
    grants: list[Name] = []

    @property
    def title(self) -> str:
        """Such as "Secret edge/shop-tls"."""
        return f"Secret {self.namespace}/{self.secret}"

    @field_validator("renew_before")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            seconds(value)
        return value

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        needed = {
            "files": ("certificate", "key"),
            "cert-manager": ("issuer",),
            "key-vault": ("vault", "object"),
        }
        for it in needed.get(self.source, ()):
            if getattr(self, it) is None:
                raise ValueError(f"source {self.source} needs {it}")
        return self


class Http01(Strict):
    """+ gateway: "namespace/name", with an HTTP listener on port 80; + listener: its name"""

    gateway: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    listener: Name | None = None


class Dns01(Strict):
    """
    A zone of Azure DNS. + identity: client id of the managed identity that workload identity gives
    to cert-manager; it needs the role DNS Zone Contributor on the zone.
    """

    subscription: Text
    resource_group: Text
    zone: Text
    identity: Text


class Issuer(Strict):
    """
    An ACME ClusterIssuer of cert-manager. + server: its directory; + email: who is told of trouble;
    + ca: a file with the authority of a server that the world does not know; + http01, dns01: how
    names are proven, one of them or both.
    """

    name: Name
    server: Text = "https://acme-v02.api.letsencrypt.org/directory"
    email: Text | None = None
    ca: Text | None = None
    http01: Http01 | None = None
    dns01: Dns01 | None = None

    @model_validator(mode="after")
    def _proves_names(self) -> Self:
        if self.http01 is None and self.dns01 is None:
            raise ValueError(f"issuer {self.name} needs http01 or dns01")
        return self


class Expiring(Strict):
    """When the end of a certificate is a warning, and when an error."""

    warning: Text = "21d"
    error: Text = "7d"

    @field_validator("warning", "error")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        seconds(value)
        return value

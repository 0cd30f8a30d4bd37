"""Authorities that proxies verify clients and backends with, and where they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.chains import read
from tasks.plans.kinds import ENVOY_GATEWAY, title
from tasks.plans.listeners import granted
from tasks.plans.x509 import Certificate

Object = Mapping[str, Any]
#: The key that is read first, then tls.crt, then any (Envoy Gateway 1.9 source,
#: internal/gatewayapi/backendtlspolicy.go).
KEY = "ca.crt"
#: What was found for a reference: its authorities, or why there are none.
Found = tuple[Certificate, ...] | str


@dataclass(frozen=True)
class AuthorityRef:
    """
    + owner: such as "BackendTLSPolicy shop/db"; + kind: "ConfigMap" or "Secret"; + allowed:
      whether a ReferenceGrant lets the owner use it, where it needs one
    """

    owner: str
    kind: str
    namespace: str
    name: str
    allowed: bool = True

    @property
    def title(self) -> str:
        """Such as "ConfigMap shop/db-ca"."""
        return f"{self.kind} {self.namespace}/{self.name}"


def refs(policies: Iterable[Object], grants: Sequence[Object]) -> list[AuthorityRef]:
    """
    What BackendTLSPolicies, Backends and ClientTrafficPolicies verify with; ClusterTrustBundles are
    left out.
    """
    return [
        AuthorityRef(
            title(policy),
            it.get("kind", "Secret"),
            it.get("namespace") or policy["metadata"]["namespace"],
            it["name"],
            granted(
                policy["metadata"]["namespace"], policy["kind"], it, grants, group=ENVOY_GATEWAY
            ),
        )
        for policy in policies
        for it in _written(policy)
        if not it.get("group") and it.get("kind", "Secret") in ("ConfigMap", "Secret")
    ]


def _written(policy: Object) -> Sequence[Object]:
    spec = policy["spec"]
    place = {
        "BackendTLSPolicy": spec.get("validation"),
        "ClientTrafficPolicy": (spec.get("tls") or {}).get("clientValidation"),
        "Backend": spec.get("tls"),
    }.get(policy["kind"])
    return (place or {}).get("caCertificateRefs") or ()


def bundle(data: Mapping[str, str]) -> tuple[Certificate, ...] | str:
    """The authorities in the data of a ConfigMap or, decoded, a Secret; or why there are none."""
    texts = [data.get(KEY), data.get("tls.crt"), *data.values()]
    text = next((it for it in texts if it), None)
    if text is None:
        return f"has no {KEY}"
    chain = read(text.encode(), None)
    return chain.certificates or "holds no certificate that can be read"

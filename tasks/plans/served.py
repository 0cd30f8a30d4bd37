"""
Which version of each CRD a controller asks the API server for, and what a cluster lacks of it.

The bundle version on a CRD does not tell: channel standard 1.6.1 has TCPRoute, but serves only
``v1`` of it. Source: internal/provider/kubernetes/controller.go of Envoy Gateway, v1.2.8 to v1.9.0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from packaging.version import Version

from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API
from tasks.plans.versions import line

#: Since which release line, which version, of which kinds of the Gateway API; the last row that
#: fits counts.
_WATCHED = (
    ("1.2", "v1", ("gatewayclasses", "gateways", "httproutes", "grpcroutes")),
    ("1.2", "v1beta1", ("referencegrants",)),
    ("1.2", "v1alpha2", ("tlsroutes", "tcproutes", "udproutes")),
    ("1.2", "v1alpha3", ("backendtlspolicies",)),
    ("1.6", "v1alpha3", ("tlsroutes",)),
    ("1.6", "v1", ("backendtlspolicies",)),
    ("1.8", "v1", ("tlsroutes", "listenersets")),
    ("1.9", "v1", ("tcproutes", "udproutes")),
)
#: Envoy Gateway's own kinds: v1alpha1 in every line.
_OWN = (
    "backends",
    "backendtrafficpolicies",
    "clienttrafficpolicies",
    "envoyextensionpolicies",
    "envoypatchpolicies",
    "envoyproxies",
    "httproutefilters",
    "securitypolicies",
)
#: Watched without looking whether they exist: a controller without them crashes again and again.
#: 1.8 looks for fewer kinds than the lines around it (envoyproxy/gateway#8991; 1.9 looks again,
#: #9583).
_UNCHECKED = frozenset({"gatewayclasses", "gateways", "httproutes", "referencegrants"})
_UNCHECKED_IN = {
    "1.8": _UNCHECKED | {"grpcroutes", "tlsroutes", "backendtlspolicies", "listenersets"}
}


@dataclass(frozen=True)
class Missing:
    """
    A CRD version that a controller needs and the API server does not serve.

    + needs: such as "v1"
    + served: what is served instead, such as ("v1alpha2",), or ``None`` where the CRD does not
      exist
    + crashes: the controller does not start without it; otherwise it leaves the kind out, silently
    """

    crd: str
    needs: str
    served: tuple[str, ...] | None
    crashes: bool


def needed_crds(version: str) -> Mapping[str, str]:
    """
    The version of each CRD that this controller watches, such as
    {"tcproutes.gateway.networking.k8s.io": "v1", ...}.

    Raises ValueError, in one line, for a release line that is not known.
    """
    found = line(version)
    if found is None:
        raise ValueError(
            f"which CRDs Envoy Gateway {version} needs is not known: update envoyfleet"
        )
    needed = {
        f"{plural}.{GATEWAY_API}": served
        for since, served, plurals in _WATCHED
        if Version(since) <= Version(found.minor)
        for plural in plurals
    }
    return needed | {f"{plural}.{ENVOY_GATEWAY}": "v1alpha1" for plural in _OWN}


def missing_served(version: str, served: Mapping[str, Collection[str]]) -> list[Missing]:
    """
    What a cluster lacks for this controller, by name of the CRD; empty where it has all. ``served``
    holds every CRD of the cluster with the versions it serves, such as {"gateways.gateway...":
    ["v1"], ...}.

    Raises ValueError as `needed_crds` does.
    """
    needed = needed_crds(version)
    found = line(version)
    unchecked = _UNCHECKED_IN.get(found.minor if found else "", _UNCHECKED)
    return [
        Missing(
            crd=crd,
            needs=needs,
            served=tuple(sorted(served[crd])) if crd in served else None,
            crashes=crd.removesuffix(f".{GATEWAY_API}") in unchecked,
        )
        for crd, needs in sorted(needed.items())
        if needs not in served.get(crd, ())
    ]

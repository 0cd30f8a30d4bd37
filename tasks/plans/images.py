"""
Which images a cluster is to run: the settings of the inventory with versions and registry filled
in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from packaging.version import Version

from tasks.plans.versions import envoy_version

#: What the releases name themselves; written out, because Envoy Gateway pins its own by digest
#: since 1.9, which neither a mirror that re-packs nor an archive can match.
ENVOY_GATEWAY = "docker.io/envoyproxy/gateway:v{version}"
ENVOY = "docker.io/envoyproxy/envoy:distroless-v{envoy}"


@dataclass(frozen=True)
class Images:
    """Full references; ratelimit is None where the release's own is kept."""

    envoy_gateway: str
    envoy: str
    ratelimit: str | None


class Settings(Protocol):
    """+ each: a reference with the placeholders {version} and {envoy}, or None"""

    envoy_gateway: str | None
    envoy: str | None
    ratelimit: str | None


class Data(Protocol):
    @property
    def envoy_gateway_version(self) -> str: ...
    @property
    def image_registry(self) -> str | None: ...
    @property
    def images(self) -> Settings: ...


def wanted(data: Data) -> Images:
    """Raises ValueError, in one line, for a version whose Envoy is not known and not set."""
    version, given = data.envoy_gateway_version, data.images
    envoy = envoy_version(version)
    template = given.envoy or ENVOY
    if "{envoy}" in template and envoy is None:
        raise ValueError(
            f"the Envoy of Envoy Gateway {version} is not known: set images.envoy to a full "
            "reference"
        )

    def full(text: str) -> str:
        reference = text.replace("{version}", version).replace("{envoy}", envoy or "")
        return moved(reference, data.image_registry)

    return Images(
        full(given.envoy_gateway or ENVOY_GATEWAY),
        full(template),
        full(given.ratelimit) if given.ratelimit else None,
    )


def moved(reference: str, registry: str | None) -> str:
    """
    The reference in another registry, as the chart's global.imageRegistry does it: the first part
    is replaced.
    """
    return f"{registry}/{reference.partition('/')[2]}" if registry else reference


def tcproute_api(envoy_gateway: str) -> str:
    """
    The TCPRoute version that a controller watches (its source,
    internal/provider/kubernetes/controller.go).
    """
    return "v1" if Version(envoy_gateway) >= Version("1.9.0") else "v1alpha2"

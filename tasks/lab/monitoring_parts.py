"""
What `tasks.lab.monitoring` installs, and where each part comes from; no lab is made of it.

promtool and amtool come with Debian's Prometheus and Alertmanager: tests run them without a lab.
Debian's Prometheus itself knows no Kubernetes, so the one for clusters is built here, of the same
version.
"""

from tasks.lab import catalogue, debian, golang
from tasks.lab.catalogue import NAMES, OPERATOR
from tasks.lab.images import Image
from tasks.lab.parts import Part

OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"
RELOADER = "prometheus-config-reloader"
# Debian's Alertmanager reads them from here at every start; upstream's carries them along.
FOLDER = "/usr/share/prometheus/alertmanager"
TEMPLATES = {it: f"{FOLDER}/{it}" for it in ("default.tmpl", "email.tmpl")}

PROMETHEUS = Part(
    name="prometheus",
    files=("prometheus", "promtool"),
    make=debian.unpack("prometheus", "usr/bin/prometheus", "usr/bin/promtool"),
    how="unpacking Debian's prometheus (5 s)",
    pins=(catalogue.PROMETHEUS,),
)
ALERTMANAGER = Part(
    name="alertmanager",
    files=("prometheus-alertmanager", "amtool", *TEMPLATES),
    make=debian.unpack(
        "prometheus-alertmanager",
        "usr/bin/prometheus-alertmanager",
        "usr/bin/amtool",
        *(it.lstrip("/") for it in TEMPLATES.values()),
    ),
    how="unpacking Debian's prometheus-alertmanager (5 s)",
    pins=(catalogue.ALERTMANAGER,),
)


def parts() -> list[Part]:
    """All of them, in the order they are made."""
    return [_crds(), *_debians(), *_built()]


def _crds() -> Part:
    name = f"{OPERATOR_MODULE}@v{OPERATOR}"
    return Part(
        name="prometheus-operator-crds",
        files=("crds.yaml",),
        make=golang.files(name, "example/prometheus-operator-crd/*.yaml", "crds.yaml"),
        how="taking them from the Go module (10 s)",
        pins=(name, golang.SUMS[name]),
        needs=golang.needs(),
    )


def _debians() -> list[Part]:
    manager = Image(
        NAMES.alertmanager,
        ALERTMANAGER.name,
        "prometheus-alertmanager",
        "/bin/alertmanager",
        libraries=True,
        more=tuple(TEMPLATES.items()),
    )
    return [PROMETHEUS, ALERTMANAGER, catalogue.picture(manager, ALERTMANAGER)]


def _built() -> list[Part]:
    """Programs of Go modules, and their images."""
    operator = f"{OPERATOR_MODULE}/cmd/operator"
    reloader = f"{OPERATOR_MODULE}/cmd/{RELOADER}"
    metrics = "k8s.io/kube-state-metrics/v2"
    made = {
        NAMES.prometheus: _prometheus(),
        NAMES.operator: _from_module("prometheus-operator", operator, "3 min"),
        NAMES.reloader: _from_module(RELOADER, reloader, "10 s"),
        NAMES.kube_state_metrics: _from_module("kube-state-metrics", metrics, "20 s"),
        NAMES.alerts: _alerts(),
    }
    return [*made.values(), *(_picture(reference, part) for reference, part in made.items())]


def _prometheus() -> Part:
    """Prometheus that finds its targets in Kubernetes, and in none of the clouds it also knows."""
    version = catalogue.PROMETHEUS
    path = "github.com/prometheus/prometheus"
    name = f"{path}@v0.{version.removeprefix('2.')}"
    flags = f"{golang.STRIPPED} -X github.com/prometheus/common/version.Version={version}"
    plugins = f'package plugins\n\nimport _ "{path}/discovery/kubernetes"\n'
    return Part(
        name="prometheus-kubernetes",
        files=("prometheus",),
        make=golang.build_copy(
            name, "./cmd/prometheus", "prometheus", {"plugins/plugins.go": plugins}, flags
        ),
        how=f"building Prometheus {version} from its Go module (80 s)",
        pins=(name, golang.SUMS[name], plugins, flags),
        needs=golang.needs(),
    )


def _from_module(name: str, package: str, time: str) -> Part:
    """A program of a published module, which ours pins by go.sum."""
    folder = golang.COMPONENTS / "monitoring"
    return Part(
        name=name,
        files=(name,),
        make=golang.build(folder, package, name),
        how=f"building it from its Go module ({time})",
        sources=(folder / "go.mod", folder / "go.sum"),
        needs=golang.needs(),
    )


def _alerts() -> Part:
    """Our receiver of alerts, which keeps what it gets."""
    folder = golang.COMPONENTS
    return Part(
        name="alerts",
        files=("alerts",),
        make=golang.build(folder, "./alerts", "alerts"),
        how="building it from its source here (5 s)",
        sources=(folder / "alerts/main.go",),
        needs=golang.needs(),
    )


def _picture(reference: str, part: Part) -> Part:
    """The image of a part that is one static program, which the operator looks for in /bin."""
    [program] = part.files
    return catalogue.picture(Image(reference, part.name, program, f"/bin/{program}"), part)

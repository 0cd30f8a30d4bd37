"""
metrics-server on a cluster of the lab, which AKS clusters have: what Pods and nodes use, for
HorizontalPodAutoscalers and ``kubectl top``.
"""

from collections.abc import Mapping
from pathlib import Path

from tasks.lab import catalogue, cluster, golang, manifests, sample
from tasks.lab.api import Api, ApiError
from tasks.lab.catalogue import NAMES
from tasks.lab.images import Image
from tasks.lab.parts import Part
from tasks.lab.progress import say, wait_for
from tasks.lab.state import Cluster, Lab

NAME, NAMESPACE = "metrics-server", "kube-system"
MODULE = f"sigs.k8s.io/metrics-server@v{catalogue.METRICS_SERVER}"
PODS = "/apis/metrics.k8s.io/v1beta1/pods"


def parts() -> list[Part]:
    """The program and its image; no lab is made of it."""
    program = Part(
        name=NAME,
        files=(NAME,),
        make=golang.install(MODULE, (f"cmd/{NAME}",)),
        how=f"building {NAME} {catalogue.METRICS_SERVER} from its Go module (4 min)",
        pins=(MODULE, golang.SUMS[MODULE]),
        needs=golang.needs(),
    )
    image = Image(NAMES.metrics_server, NAME, NAME, f"/{NAME}")
    return [program, catalogue.picture(image, program)]


def install(lab: Lab, member: Cluster, found: Mapping[str, Path]) -> None:
    """
    Apply it to a cluster, and wait until it tells what Pods use: it does after two looks at them.

    + found: the folders of ``parts``
    """
    api = Api(member)
    cluster.import_image(lab, member, found[f"image-{NAME}"])
    manifests.apply(api, manifests.load("metrics-server.yaml", image=NAMES.metrics_server))
    hint = f"see `kubectl --context {member.name} logs --namespace {NAMESPACE} deploy/{NAME}`"
    wait_for(
        f"{member.name}: Deployment {NAMESPACE}/{NAME}",
        lambda: sample.available(api, NAME, NAMESPACE),
        180,
        hint,
    )
    wait_for(f"{member.name}: metrics of Pods", lambda: _tells(api), 180, hint)
    say(f"{member.name}: {NAME} tells what Pods and nodes use")


def _tells(api: Api) -> bool:
    try:
        return bool(api.get(PODS)["items"])
    except ApiError:
        return False


def remove(member: Cluster) -> None:
    """Take it away again, the API that it serves first."""
    api = Api(member)
    for it in reversed(manifests.load("metrics-server.yaml", image=NAMES.metrics_server)):
        manifests.delete(api, manifests.path_of(it))
    say(f"{member.name}: {NAME} is gone")

"""The sample application: who answers, in which version, on which cluster."""

import base64

from tasks.lab import certificates, manifests
from tasks.lab.api import Api, ApiError
from tasks.lab.catalogue import NAMES
from tasks.lab.progress import say, wait_for
from tasks.lab.state import Cluster

NAMESPACE = "demo"
HOSTS = "*.lab.test"
# Deployment and Service of this name -> whether it speaks gRPC
APPLICATIONS = {"blue": False, "green": False, "grpc": True}


def install(cluster: Cluster, nodes: bool = True) -> None:
    """Apply the sample to a cluster, and wait until all of it serves, where Pods run at all."""
    api = Api(cluster)
    manifests.apply(api, manifests.load("certificate.yaml", **_certificate(cluster)))
    for name, grpc in APPLICATIONS.items():
        values = {
            "name": name,
            "cluster": cluster.name,
            "image": NAMES.echo,
            "grpc": "yes" if grpc else "",
            "protocol": "kubernetes.io/h2c" if grpc else "http",
        }
        manifests.apply(api, manifests.load("sample.yaml", **values))
    if not nodes:
        say(f"{cluster.name}: {', '.join(APPLICATIONS)} are in namespace {NAMESPACE}, and run not")
        return
    for name in APPLICATIONS:
        wait_for(
            f"{cluster.name}: Deployment {NAMESPACE}/{name}",
            lambda name=name: available(api, name),  # type: ignore[misc]
            90,
            f"see `kubectl --context {cluster.name} describe pods --namespace {NAMESPACE}`",
        )
    say(f"{cluster.name}: {', '.join(APPLICATIONS)} serve in namespace {NAMESPACE}")


def _certificate(cluster: Cluster) -> dict[str, str]:
    """The certificate of ``*.lab.test`` on this cluster, made once, and its key, both base64."""
    name, folder = "lab-tls", cluster.root
    certificates.issue(folder, name, folder.parent, HOSTS, hosts=[HOSTS])
    return {
        field: base64.b64encode((folder / f"{name}.{ending}").read_bytes()).decode()
        for field, ending in (("certificate", "crt"), ("key", "key"))
    }


def available(
    api: Api, name: str, namespace: str = NAMESPACE, resource: str = "deployments"
) -> bool:
    """Whether every replica of a Deployment, or of a StatefulSet, is there in its current form."""
    try:
        found = api.get(f"/apis/apps/v1/namespaces/{namespace}/{resource}/{name}")
    except ApiError:
        return False
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    return bool(
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedReplicas") == wanted
        and status.get("availableReplicas") == wanted
    )

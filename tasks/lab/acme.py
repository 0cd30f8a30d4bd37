"""
cert-manager and an ACME server on a cluster of the lab: certificates arrive as they do from the
public ones, through the cluster's own Gateway.

pebble asks for a challenge on port 80 of a name's address. Who has which address is said by a DNS
of ours, which follows the HTTP listeners of the cluster's Gateways.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

from tasks.lab import certificates, cluster, manifests, sample
from tasks.lab.api import Api, ApiError
from tasks.lab.catalogue import NAMES
from tasks.lab.progress import LabError, say, wait_for
from tasks.lab.state import Cluster, Lab

DIRECTORY = "https://pebble.pebble:14000/dir"
IMAGES = ("pebble", "cert-manager-controller", "cert-manager-acmesolver", "cert-manager-names")
DEPLOYMENTS = (("pebble", "names"), ("pebble", "pebble"), ("cert-manager", "cert-manager"))
CRDS = "/apis/cert-manager.io/v1"


def install(lab: Lab, member: Cluster, parts: Mapping[str, Path]) -> None:
    """
    Apply it all to a cluster, and wait until it runs. Raises `LabError` where the Gateway API is
    not installed: cert-manager would not start.

    + parts: those of `catalogue.acme_parts`
    """
    api = Api(member)
    _need_gateway_api(api)
    for name in IMAGES:
        cluster.import_image(lab, member, parts[f"image-{name}"])
    manifests.apply(api, manifests.parsed(parts["cert-manager-crds"] / "crds.yaml"))
    manifests.apply(api, manifests.load("dns.yaml"))
    dns = api.get("/api/v1/namespaces/pebble/services/names")["spec"]["clusterIP"]
    wait_for(
        f"{member.name}: CRDs of cert-manager",
        lambda: manifests.served(api, CRDS),
        60,
        "see the API server",
    )
    manifests.apply(api, manifests.load("acme.yaml", **_values(member, dns)))
    for namespace, name in DEPLOYMENTS:
        wait_for(
            f"{member.name}: Deployment {namespace}/{name}",
            lambda name=name, namespace=namespace: sample.available(api, name, namespace),  # type: ignore[misc]
            90,
            f"see `kubectl --context {member.name} logs --namespace {namespace} deploy/{name}`",
        )
    say(f"{member.name}: cert-manager runs; the ACME server is {DIRECTORY}, signed by {ca(lab)}")


def remove(member: Cluster) -> None:
    """
    Take it all away again, with every object of cert-manager; Secrets with certificates stay. The
    controller goes last, for it has to let go of challenges.
    """
    api = Api(member)
    manifests.delete_definitions(
        api,
        "cert-manager.io",
        f"see `kubectl --context {member.name} get challenges --all-namespaces`",
    )
    blank = dict.fromkeys(_values(member, ""), "")
    things = [*manifests.load("dns.yaml"), *manifests.load("acme.yaml", **blank)]
    for it in reversed(things):
        manifests.delete(api, manifests.path_of(it))
    say(f"{member.name}: cert-manager and the ACME server are gone")


def ca(lab: Lab) -> Path:
    """The authority that signed the ACME server's own certificate."""
    return lab.root / "ca.crt"


def _values(member: Cluster, dns: str) -> dict[str, str]:
    return {
        "dns": dns,
        "names_image": NAMES.names,
        "pebble_image": NAMES.pebble,
        "controller_image": NAMES.cert_manager,
        "acmesolver_image": NAMES.acmesolver,
        **_certificate(member),
    }


def _need_gateway_api(api: Api) -> None:
    try:
        api.get("/apis/gateway.networking.k8s.io/v1")
    except ApiError as error:
        if error.status != 404:
            raise
        raise LabError(
            f"{api.cluster.name} has no Gateway API, without which cert-manager does not start: "
            "run `pyinfra inventory/lab.py deploys/install.py` first"
        ) from None


def _certificate(member: Cluster) -> dict[str, str]:
    """The ACME server's own certificate, made once, and its key, both base64."""
    name, folder = "pebble", member.root / "pki"
    certificates.issue(folder, name, member.root.parent, name, hosts=["pebble.pebble"])
    return {
        field: base64.b64encode((folder / f"{name}.{ending}").read_bytes()).decode()
        for field, ending in (("certificate", "crt"), ("key", "key"))
    }

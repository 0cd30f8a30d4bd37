"""What the lab installs for ACME: that its tables agree. The rest is tests/lab/test_acme.py."""

import re

from tasks.lab import acme, catalogue, manifests

VALUES = {
    "dns": "10.200.20.7",
    "names_image": catalogue.NAMES.names,
    "pebble_image": catalogue.NAMES.pebble,
    "controller_image": catalogue.NAMES.cert_manager,
    "acmesolver_image": catalogue.NAMES.acmesolver,
    "certificate": "",
    "key": "",
}


def test_every_image_is_a_part() -> None:
    """And none has a name of a lab's own parts."""
    parts = {it.name: it for it in catalogue.acme_parts()}
    assert {f"image-{it}" for it in acme.IMAGES} == {it for it in parts if it.startswith("image-")}
    assert not set(parts) & {it.name for it in catalogue.parts(tuple(catalogue.ENVOY))}
    written = " ".join("".join(it.pins) for it in parts.values())
    wanted = re.findall(r"docker\.io/lab/[^\s,\"'}]+", str(manifests.load("acme.yaml", **VALUES)))
    assert len(set(wanted)) == 4
    assert all(it in written for it in wanted)


def test_every_deployment_is_waited_for() -> None:
    """And everything can be applied."""
    found = [*manifests.load("dns.yaml"), *manifests.load("acme.yaml", **VALUES)]
    assert all(manifests.path_of(it) for it in found)
    deployments = [it["metadata"] for it in found if it["kind"] == "Deployment"]
    assert {(it["namespace"], it["name"]) for it in deployments} == set(acme.DEPLOYMENTS)

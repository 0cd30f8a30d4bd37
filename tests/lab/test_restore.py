"""
What was lost comes back: a cluster that was damaged, from its own backup, and one that was emptied,
from that of another.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fleet import NEW, Fleet, opened
from tests.lab.running import until
from tests.lab.test_deploys import ask, writes

pytestmark = pytest.mark.lab
SYSTEM = "envoy-gateway-system"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two clusters with Envoy Gateway and a backup of the first."""
    found = opened(tmp_path_factory.mktemp("restore"))
    for cluster in found.names[:2]:
        ended = found.pyinfra("install", "-y", "--limit", cluster, *at(found, cluster))
        assert ended.code == 0, ended.text
    own(found, found.names[0])
    kept = found.pyinfra("backup", "-y", "--limit", found.names[0])
    assert kept.code == 0, kept.text
    return found


def at(fleet: Fleet, cluster: str) -> tuple[str, str]:
    """The release that runs there, whatever the tests before this one left."""
    return "--data", f'envoy_gateway_version="{fleet.version(cluster) or NEW}"'


def own(fleet: Fleet, cluster: str) -> None:
    """TCPRoute demo/echo owns HTTPRoute demo/green, which goes and comes with it."""
    echo = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TCPRoute", "name": "echo"}
    echo["uid"] = uid(fleet, cluster, "tcproute", "echo")
    patch = json.dumps({"metadata": {"ownerReferences": [echo]}})
    place = ("--namespace", "demo", "--type", "merge", "--patch", patch)
    fleet.kubectl(cluster, "patch", "httproute", "green", *place)


def owner(fleet: Fleet, cluster: str) -> str:
    return uid(fleet, cluster, "httproute", "green", ".metadata.ownerReferences[0].uid")


def uid(fleet: Fleet, cluster: str, kind: str, name: str, path: str = ".metadata.uid") -> str:
    place = ("--namespace", "demo", "--output", f"jsonpath={{{path}}}")
    return fleet.kubectl(cluster, "get", kind, name, *place)


def certificate(address: str) -> str:
    """SHA-256 of the certificate that is served for blue.lab.test."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, 443), 5) as raw,
        context.wrap_socket(raw, server_hostname="blue.lab.test") as stream,
    ):
        return hashlib.sha256(stream.getpeercert(binary_form=True) or b"").hexdigest()


def facts(fleet: Fleet) -> dict[str, Any]:
    [cluster] = fleet.report()["clusters"]
    found: dict[str, Any] = cluster["facts"]
    return found


def test_a_damaged_cluster_serves_again(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    before = certificate(fleet.address(cluster))
    fleet.kubectl(cluster, "delete", "namespace", "edge", "--wait=false")
    fleet.kubectl(cluster, "delete", "httproute", "--all", "--namespace", "demo")
    fleet.kubectl(cluster, "delete", "secret", "envoy-rate-limit", "--namespace", SYSTEM)
    fleet.kubectl(cluster, "label", "tcproute", "echo", "somebody=else", "--namespace", "demo")

    plan = fleet.pyinfra("restore", "--dry", "--limit", cluster, *at(fleet, cluster))
    assert "Will create HTTPRoute demo/blue" in plan.err
    assert "Will change TCPRoute demo/echo: changed since by kubectl-label" in plan.err

    ended = fleet.pyinfra("restore", "-y", "--limit", cluster, *at(fleet, cluster))
    assert ended.code == 0, ended.text
    assert "objects are those of the archive" in facts(fleet)["compared"]
    address = fleet.address(cluster)
    assert ask(address, "blue.lab.test")["ingress"] == cluster
    assert certificate(address) == before
    path = ("--output", "jsonpath={.metadata.labels}", "--namespace", "demo")
    assert owner(fleet, cluster) == uid(fleet, cluster, "tcproute", "echo")
    assert "somebody" not in fleet.kubectl(cluster, "get", "tcproute", "echo", *path)


def test_once_more_is_nothing_to_do(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    before = len(fleet.requests(cluster))
    ended = fleet.pyinfra("restore", "-y", "--limit", cluster, *at(fleet, cluster))
    assert ended.code == 0, ended.text
    assert fleet.statuses() == {cluster: "unchanged"}
    assert writes(fleet.requests(cluster)[before:]) == []


def test_a_newer_certificate_is_kept_until_told_otherwise(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    address, archived = fleet.address(cluster), certificate(fleet.address(cluster))
    public, private = renewed()
    data = {"tls.crt": public, "tls.key": private}
    patch = json.dumps({"stringData": data})
    fleet.kubectl(cluster, "patch", "secret", "lab-tls", "--namespace", "edge", "--patch", patch)
    until("the newer one is served", lambda: certificate(address) != archived)
    newer = certificate(address)

    run = ("restore", "-y", "--limit", cluster, *at(fleet, cluster))
    kept = fleet.pyinfra(*run)
    assert kept.code == 0, kept.text
    assert "Secret edge/lab-tls: its certificate is newer" in kept.text
    assert certificate(address) == newer

    replaced = fleet.pyinfra(*run, "--data", "newer_certificates=replace")
    assert replaced.code == 0, replaced.text
    until("the older one is served", lambda: certificate(address) == archived)


def renewed() -> tuple[str, str]:
    """A certificate of this hour for *.lab.test, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "*.lab.test")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.lab.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem).decode(), key.private_bytes(pem, *form).decode()


def test_a_part_of_it(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    fleet.kubectl(cluster, "delete", "httproute", "--all", "--namespace", "demo")
    only = ("--data", 'only=["HTTPRoute demo/blue"]')
    ended = fleet.pyinfra("restore", "-y", "--limit", cluster, *only, *at(fleet, cluster))
    assert ended.code == 0, ended.text
    routes = fleet.kubectl(cluster, "get", "httproute", "--namespace", "demo", "--output", "name")
    assert routes.split() == ["httproute.gateway.networking.k8s.io/blue"]


def test_an_empty_cluster_takes_that_of_another(fleet: Fleet) -> None:
    source, target = fleet.names[:2]
    version = at(fleet, source)
    empty(fleet, target)
    refused = fleet.pyinfra(
        *("restore", "-y", "--limit", target, *version),
        *("--data", f"archive={newest(fleet.folder, source)}"),
    )
    assert refused.code == 1
    assert f"the archive is of cluster {source}" in refused.err

    word = ("--data", f"from_cluster={source}")
    ended = fleet.pyinfra("restore", "-y", "--limit", target, *word, *version)
    assert ended.code == 0, ended.text
    assert "objects are those of the archive" in facts(fleet)["compared"]
    assert ask(fleet.address(target), "blue.lab.test")["ingress"] == target
    assert owner(fleet, target) == uid(fleet, target, "tcproute", "echo")
    assert certificate(fleet.address(target)) == certificate(fleet.address(source))


def empty(fleet: Fleet, cluster: str) -> None:
    """Nothing of Envoy Gateway is left: the finalizer of its class goes with the controller."""
    fleet.kubectl(cluster, "delete", "gateway", "--all", "--all-namespaces")
    fleet.kubectl(cluster, "delete", "gatewayclass", "--all")
    quick = ("--all", "--namespace", SYSTEM, "--grace-period=1")  # else it is held for minutes
    fleet.kubectl(cluster, "delete", "deployment", "--all", "--namespace", SYSTEM)
    fleet.kubectl(cluster, "delete", "pod", *quick)
    fleet.kubectl(cluster, "delete", "namespace", "edge", SYSTEM)
    fleet.kubectl(cluster, "delete", "--wait=false", *crds(fleet, cluster))
    until("no CRDs", lambda: not crds(fleet, cluster))


def crds(fleet: Fleet, cluster: str) -> list[str]:
    names = fleet.kubectl(cluster, "get", "crd", "--output", "name").split()
    return [it for it in names if ".gateway." in it]


def newest(folder: Path, cluster: str) -> Path:
    """The newest archive that a backup made."""
    found = (folder / "backups" / cluster).glob("????????T??????Z.tar.gz.age")
    return max(found).relative_to(folder)

"""
The CronJob of docs/schedules.md on a real cluster: a Job made of it renews a certificate that is
due, with the rights that were generated for it and no others.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.lab import cluster as lab_cluster
from tasks.lab import fleet_image, state
from tasks.lab.catalogue import NAMES
from tasks.plans.shards import holds
from tests.lab.fleet import NEW, Fleet, opened
from tests.lab.running import REPOSITORY, until
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

SPACE, HOST, SECRET = "scheduled", "scheduled.lab.test", "scheduled-tls"
NAME = "envoyfleet-rotate-certificates"
ACCOUNT = f"system:serviceaccount:{SPACE}:{NAME}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A Gateway of its own that serves a certificate with two days left, and the image."""
    found = opened(tmp_path_factory.mktemp("schedule"))
    found = Fleet(found.lab, found.folder, (*found.more, "--limit", found.names[0]))
    ended = found.pyinfra("install", "-y", *at(found, found.names[0]))
    assert ended.code == 0, ended.text
    imported(found, tmp_path_factory.mktemp("image"))
    try:
        applied(found, [namespace(), secret(), gateway()])
        place = ("gateway", SPACE, "--namespace", SPACE, "--timeout=240s")
        found.kubectl(found.names[0], "wait", "--for=condition=Programmed", *place)
        yield found
    finally:
        for kind in ("clusterrole", "clusterrolebinding"):
            found.kubectl(found.names[0], "delete", kind, NAME, "--ignore-not-found")
        for kind in ("role", "rolebinding"):
            there = ("--namespace", "envoy-gateway-system", "--ignore-not-found")
            found.kubectl(found.names[0], "delete", kind, NAME, *there)
        found.kubectl(found.names[0], "delete", "namespace", SPACE, "--ignore-not-found")


def imported(fleet: Fleet, folder: Path) -> None:
    fleet_image.write(folder)
    running = state.running(fleet.lab.name)
    lab_cluster.import_image(running, running.member(fleet.names[0]), folder)


def applied(fleet: Fleet, things: list[dict[str, Any]]) -> None:
    text = "\n---\n".join(map(json.dumps, things))
    fleet.lab.kubectl("--context", fleet.names[0], "apply", "-f", "-", text=text)


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}


def secret() -> dict[str, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=88))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, SHA256())
    )
    parts = {
        "tls.crt": made.public_bytes(Encoding.PEM),
        "tls.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": SPACE},
        "data": {key: b64encode(value).decode() for key, value in parts.items()},
    }


def gateway() -> dict[str, Any]:
    listener = {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": HOST,
        "tls": {"certificateRefs": [{"name": SECRET}]},
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": SPACE, "namespace": SPACE},
        "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
    }


def inventory(fleet: Fleet) -> str:
    version = fleet.version(fleet.names[0]) or NEW
    data = {
        "kube_config": "inventory/in_cluster.kubeconfig",
        "ring": 0,
        "envoy_gateway_version": version,
        "certificates": [{"namespace": SPACE, "secret": SECRET, "source": "self-signed"}],
    }
    return f"clusters = [('@kube/in-cluster', {data!r})]\n"


def scheduled(fleet: Fleet) -> None:
    """What docs/schedules.md tells an operator to do."""
    file = fleet.folder / "in_cluster.py"
    file.write_text(inventory(fleet))
    made = subprocess.run(
        [
            *(sys.executable, "-m", "tasks.schedule", "rotate_certificates", str(file)),
            *("--image", NAMES.fleet, "--namespace", SPACE),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fleet.lab.kubectl("--context", fleet.names[0], "apply", "-f", "-", text=made)
    kubeconfig = REPOSITORY / "inventory/in_cluster.kubeconfig"
    files = (f"--from-file={file}", f"--from-file={kubeconfig}")
    place = ("--namespace", SPACE)
    fleet.kubectl(fleet.names[0], "create", "configmap", "envoyfleet-inventory", *files, *place)


def serial(fleet: Fleet) -> int:
    from cryptography.x509 import load_pem_x509_certificate

    place = ("--namespace", SPACE, "--output", "json")
    found = json.loads(fleet.kubectl(fleet.names[0], "get", "secret", SECRET, *place))
    return load_pem_x509_certificate(b64decode(found["data"]["tls.crt"])).serial_number


def job(fleet: Fleet, name: str, cronjob: str = NAME, *of_logs: str) -> str:
    """Make one of the CronJob, wait for its end, give its output."""
    place = ("--namespace", SPACE)
    fleet.kubectl(fleet.names[0], "create", "job", name, f"--from=cronjob/{cronjob}", *place)

    def ended() -> bool:
        path = "jsonpath={.status.conditions[*].type}"
        ends = fleet.kubectl(fleet.names[0], "get", "job", name, *place, "--output", path).split()
        return "Complete" in ends or "Failed" in ends

    until(f"Job {name} ends", ended)
    return fleet.kubectl(fleet.names[0], "logs", f"job/{name}", *place, *of_logs)


def may(fleet: Fleet, *what: str) -> bool:
    as_ = ("--as", ACCOUNT, *what)
    return fleet.kubectl(fleet.names[0], "auth", "can-i", *as_, check=False).startswith("yes")


def test_a_job_of_the_cronjob_rotates(fleet: Fleet) -> None:
    scheduled(fleet)
    before = serial(fleet)
    output = job(fleet, "first")
    assert "rotate_certificates: exit 0" in output, output
    assert serial(fleet) != before
    assert "Traceback" not in output
    mine = [it for it in fleet.requests(fleet.names[0]) if it["user"]["username"] == ACCOUNT]
    assert [it["requestURI"] for it in mine if it["responseStatus"].get("code") == 403] == []
    after = serial(fleet)
    assert "unchanged" in job(fleet, "second")
    assert serial(fleet) == after


def test_it_may_do_nothing_more(fleet: Fleet) -> None:
    assert may(fleet, "patch", f"secret/{SECRET}", "--namespace", SPACE)
    assert not may(fleet, "get", "secret/other", "--namespace", SPACE)
    assert not may(fleet, "list", "secrets", "--namespace", SPACE)
    assert not may(fleet, "get", "secrets", "--namespace", "envoy-gateway-system")
    assert not may(fleet, "delete", "pods", "--namespace", "envoy-gateway-system")
    assert not may(fleet, "patch", "gateways.gateway.networking.k8s.io", "--namespace", SPACE)


def shared_out(fleet: Fleet, shards: int) -> dict[str, dict[str, Any]]:
    """
    A cluster for each share of the fleet, by names of ours: contexts of the lab's clusters in turn,
    for it has fewer than a fleet that is shared out.
    """
    found: dict[str, dict[str, Any]] = {}
    for number in range(shards):
        name = next(it for n in range(1000) if holds(f"{number}/{shards}", it := f"weu-{n}"))
        cluster = fleet.names[0]
        found[name] = {
            "ring": 0,
            "envoy_gateway_version": fleet.version(cluster) or NEW,
            "backup": {"recipients": [fleet.lab.data["age_recipient"]]},
        }
    return found


def test_indexes_of_a_job_take_each_cluster_once(fleet: Fleet) -> None:
    """As docs/schedules.md has it: a ConfigMap, a Secret, the printed CronJob, a Job made of it."""
    shards = 2
    clusters = shared_out(fleet, shards)
    file = fleet.folder / "fleet.py"
    file.write_text(f"clusters = {[(f'@kube/{name}', it) for name, it in clusters.items()]!r}\n")
    made = subprocess.run(
        [
            *(sys.executable, "-m", "tasks.schedule", "backup", str(file)),
            *("--shards", str(shards), "--image", NAMES.fleet, "--namespace", SPACE),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    name, place = fleet.names[0], ("--namespace", SPACE)
    kubeconfig = json.loads(fleet.kubectl(name, "config", "view", "--raw", "-o", "json"))
    own = next(it["context"] for it in kubeconfig["contexts"] if it["name"] == name)
    # A Pod reaches no other cluster of the lab: every name is that of its own.
    kubeconfig["contexts"] = [{"name": it, "context": own} for it in clusters]
    contexts = fleet.folder / "contexts"
    contexts.write_text(json.dumps(kubeconfig))
    for kind, called, file_of in (
        (("configmap",), "envoyfleet-inventory", str(file)),
        (("secret", "generic"), "envoyfleet-kubeconfig", f"config={contexts}"),
    ):
        fleet.kubectl(name, "delete", kind[0], called, *place, "--ignore-not-found")
        fleet.kubectl(name, "create", *kind, called, f"--from-file={file_of}", *place)
    fleet.kubectl(name, "delete", "job", "shared", *place, "--ignore-not-found")
    fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=made)
    output = job(fleet, "shared", "envoyfleet-backup", "--all-pods", "--prefix")
    ran = re.findall(r"^\[pod/shared-(\d+)-.*?\] (\S+) +0 +done ", output, re.M)
    assert sorted(ran) == [(str(n), it) for n, it in enumerate(clusters)], output
    assert output.count("backup: exit 0") == shards

"""
A certificate of an ACME server, by the real cert-manager, through port 80 of the Gateway that then
serves it. On one cluster, on a Gateway of its own. The tests stand in the order of its life.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tasks.lab import state
from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.running import REPOSITORY, until
from tests.lab.test_deploys import writes
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

PLACE, HOST = "acme", "shop.acme.test"
#: Seconds; cert-manager may have to be compiled.
BUILD = 840
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}},
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": PLACE},
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.acme.test"},
                {
                    "name": "https",
                    "port": 443,
                    "protocol": "HTTPS",
                    "hostname": HOST,
                    "tls": {"certificateRefs": [{"kind": "Secret", "name": "shop-tls"}]},
                },
            ],
        },
    },
    # What most have on port 80. It must not take the challenge.
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "redirect", "namespace": PLACE},
        "spec": {
            "parentRefs": [{"name": "public", "sectionName": "http"}],
            "hostnames": [HOST],
            "rules": [
                {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
            ],
        },
    },
]


@dataclass(frozen=True)
class Acme:
    """One cluster with cert-manager and an ACME server."""

    fleet: Fleet
    name: str

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.fleet.kubectl(self.name, *arguments, "--namespace", PLACE, check=check)

    def run(self, deploy: str, *more: str, issuer: dict[str, Any] | None = None) -> Ended:
        """A deploy on this cluster, its issuer with changes."""
        authority = str(state.running(self.fleet.lab.name).root / "ca.crt")
        wanted = {
            "name": "pebble",
            "server": "https://pebble.pebble:14000/dir",
            "ca": authority,
            "http01": {"gateway": f"{PLACE}/public", "listener": "http"},
            **(issuer or {}),
        }
        entry = {
            "namespace": PLACE,
            "secret": "shop-tls",
            "source": "cert-manager",
            "issuer": f"ClusterIssuer {wanted['name']}",
        }
        data = {
            "certificates": [entry],
            "issuers": [wanted],
            "probe": {"timeout": 180, "rate": 0},
        }
        given = [
            it for key, value in data.items() for it in ("--data", f"{key}={json.dumps(value)}")
        ]
        release = at(self.fleet, self.name)
        return self.fleet.pyinfra(deploy, "-y", "--limit", self.name, *release, *given, *more)

    @property
    def said(self) -> dict[str, Any]:
        """The newest report of this cluster."""
        [found] = self.fleet.report()["clusters"]
        return dict(found)

    @property
    def secret(self) -> str:
        """What the report says of the Secret."""
        return str(self.said["facts"][f"Secret {PLACE}/shop-tls"])

    def served(self) -> str:
        """The serial number at the socket, as openssl writes it."""
        path = "jsonpath={.status.addresses[0].value}"
        address = self.kubectl("get", "gateway", "public", "--output", path)
        ask = ("openssl", "s_client", "-connect", f"{address}:443", "-servername", HOST)
        shown = subprocess.run(ask, input="", capture_output=True, text=True, timeout=30).stdout
        read = ("openssl", "x509", "-noout", "-serial")
        return subprocess.run(read, input=shown, capture_output=True, text=True).stdout.strip()


def acme_command(lab: str, *arguments: str) -> None:
    """One command of the lab; it compiles where the cache is empty."""
    command = [sys.executable, "-m", "tasks.lab", "acme", *arguments, "--name", lab]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=BUILD)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme]:
    fleet = opened(tmp_path_factory.mktemp("acme"))
    found = Acme(fleet, fleet.names[0])
    if not fleet.version(found.name):
        ended = fleet.pyinfra("install", "-y", "--limit", found.name, *at(fleet, found.name))
        assert ended.code == 0, ended.text
    try:
        for it in OBJECTS:
            fleet.lab.kubectl("--context", found.name, "apply", "-f", "-", text=json.dumps(it))
        yield found
    finally:
        found.kubectl("delete", "certificate", "--all", check=False)
        acme_command(fleet.lab.name, found.name, "--remove")
        fleet.kubectl(found.name, "delete", "gateway", "public", "--namespace", PLACE)
        # the audit would rightly tell of one whose Certificate is gone, while its namespace goes
        fleet.kubectl(found.name, "delete", "secret", "--all", "--namespace", PLACE)
        fleet.kubectl(found.name, "delete", "namespace", PLACE, "--wait=false")


def test_without_cert_manager(acme: Acme) -> None:
    ended = acme.run("issuers")
    assert ended.code == 1, ended.text
    assert acme.said["why"].startswith("cert-manager is not installed (no CRD certificates.")


def test_a_first_certificate_is_served(acme: Acme) -> None:
    """The name is proven at port 80, past a redirect; the certificate is at the socket."""
    acme_command(acme.fleet.lab.name, acme.name)
    ended = acme.run("issuers")
    assert ended.code == 0, ended.text
    assert f", CN={HOST}, until " in acme.secret
    assert acme.secret.endswith(", served by 1 Pod and 1 address")
    serial = acme.secret.split()[1].rstrip(",")
    assert int(acme.served().removeprefix("serial="), 16) == int(serial, 16)


def test_a_second_run_writes_nothing(acme: Acme) -> None:
    before = len(acme.fleet.requests(acme.name))
    ended = acme.run("issuers")
    assert ended.code == 0, ended.text
    made = writes(acme.fleet.requests(acme.name)[before:])
    assert [it for it in made if "portforward" not in it] == []
    assert acme.said["status"] == "unchanged"


def test_asked_for_anew(acme: Acme) -> None:
    """The next revision is another serial at the socket, through a challenge of its own."""
    before = acme.served()
    ended = acme.run("rotate_certificates", "--data", "renew_now=True")
    assert ended.code == 0, ended.text
    assert " → " in acme.secret
    assert ", served by 1 Pod and 1 address after " in acme.secret
    assert acme.served() not in ("", before)
    revision = ("get", "certificate", "shop-tls", "--output", "jsonpath={.status.revision}")
    until("its second revision", lambda: acme.kubectl(*revision) == "2")


def test_what_stands_in_the_way_is_said_first(acme: Acme) -> None:
    """And nothing is written: the issuer of this run does not come to be."""
    elsewhere = {"gateway": f"{PLACE}/public", "listener": "https"}
    ended = acme.run("issuers", issuer={"name": "second", "http01": elsewhere})
    assert ended.code == 1, ended.text
    assert acme.said["why"] == (
        "ClusterIssuer second: listener https of Gateway acme/public is no HTTP listener on port "
        "80, where challenges arrive: add one, or name another"
    )
    assert "NotFound" in acme.kubectl("get", "clusterissuer", "second", check=False)

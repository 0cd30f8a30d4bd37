"""What the gym stands on: applications, a neighbour whose traffic goes on, a Gateway of its own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.gym.cluster import Cluster, until
from tests.gym.fault import DOORS, EDGE, Object, thing
from tests.gym.faults.gateways import KEPT
from tests.gym.objects import SHOP, deployment, doors, route, secret, service
from tests.gym.trust import AUTHORITY, vault

NEIGHBOUR = "http://catalog.lab.test/items/1"
#: Envoy writes its access log out this often instead of every ten seconds.
FLUSH = "--file-flush-interval-msec 200"
CLASS_PROXY = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/envoy-gateway-system/envoyproxies"


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def authority(name: str, pem: bytes) -> Object:
    meta = {"name": name, "namespace": SHOP}
    data = {"ca.crt": pem.decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def objects() -> list[Object]:
    own = vault()
    tls = {
        "HTTPS_PORT": "3443",
        "TLS_SERVER_CERT": "/tls/tls.crt",
        "TLS_SERVER_PRIVKEY": "/tls/tls.key",
        "SERIAL": str(own.certificate.serial_number),  # a new Pod for a new certificate
    }
    return [
        namespace(SHOP),
        namespace("front"),
        secret("doors-tls", KEPT.pem, KEPT.key_pem()),
        secret("vault-tls", own.pem, own.key_pem()),
        authority("vault-ca", AUTHORITY.pem),
        deployment("cart"),
        deployment("catalog"),
        deployment("vault", env=tls, secret="vault-tls"),
        service(),
        service("catalog", app="catalog"),
        service("vault", target=3443, port=443, app="vault"),
        route(
            {"backendRefs": [{"name": "catalog", "port": 8080}]},
            name="catalog",
            hosts=["catalog.lab.test"],
        ),
        doors(),
    ]


def built(cluster: Cluster) -> list[Object]:
    """All of it, and it serves; returns what was made."""
    every = objects()
    _flushing(cluster)
    cluster.apply(*[it for it in every if it["kind"] == "Namespace"])
    cluster.apply(*[it for it in every if it["kind"] != "Namespace"])
    until("Gateways to have proxies", lambda: all(cluster.proxies(it) for it in (EDGE, DOORS)), 90)
    return every


def _flushing(cluster: Cluster) -> None:
    every = cluster.api.get(CLASS_PROXY)["items"]
    for it in every:
        if FLUSH.split() != it["spec"].get("extraArgs"):
            cluster.api.patch(
                f"{CLASS_PROXY}/{it['metadata']['name']}", {"spec": {"extraArgs": FLUSH.split()}}
            )


def installed(lab: str, folder: Any) -> None:
    """The sample and Envoy Gateway, as an operator installs them."""
    from tests.lab.fleet import opened
    from tests.lab.running import run

    sample = run("sample", name=lab)
    if sample.returncode:
        raise SystemExit(sample.stdout + sample.stderr)
    ended = opened(folder).pyinfra("install", "-y")
    if ended.code:
        raise SystemExit(ended.text)


def kept(every: list[Object]) -> dict[tuple[str, str, str], Object]:
    return {thing(it): it for it in every}


def status(lab: str) -> dict[str, Any]:
    command = ["python", "-m", "tasks.lab", "status", "--json", "--name", lab]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return found

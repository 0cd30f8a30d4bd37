"""
The bounds of the audit of public IPs: 64 clusters with 4 Gateways each over 5 subscriptions, and
the same while 20 % of the calls to Azure are answered 429.

    python benchmarks/public_ips.py --print        one minute; needs neither root nor a lab

API servers and Azure are stand-ins in a process of their own, 5 and 20 ms away; one TLS server
answers at all 256 addresses, which are of the loopback network.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from socket import create_server, socket
from threading import Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, ran, shown
from tests.aks_clusters import Aks

GATEWAYS, SUBSCRIPTIONS = 4, 5
FEW, MANY = 8, 64
API_DELAY, ARM_DELAY = 0.005, 0.020
SHARE = 0.2

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "64 clusters: wall": (10.0, "s"),
    "64 clusters: processor time": (None, "s"),
    "64 clusters: memory of the process (RSS)": (300.0, "MB"),
    "64 clusters: requests of one": (10.0, ""),
    "8 clusters: ARM calls": (None, ""),
    "64 clusters: ARM calls": (None, ""),
    "64 clusters: ARM calls more than for 8": (0.0, ""),
    "64 clusters, 20 % answered 429: wall": (None, "s"),
    "64 clusters, 20 % answered 429: calls answered so": (None, ""),
    "64 clusters, 20 % answered 429: repeated before their Retry-After": (0.0, ""),
    "status of @kube clusters: azure modules imported": (0.0, ""),
}


def fleet(count: int, port: int) -> list[Aks]:
    return [
        Aks(
            f"weu-{it}",
            f"5b000000-0000-4000-8000-{it % SUBSCRIPTIONS:012d}",
            it,
            GATEWAYS,
            port,
        )
        for it in range(count)
    ]


def stand_ins(folder: Path, port: int, ours: Connection) -> None:
    """
    The process of the stand-ins: says where they are, then what was asked of them since, each time
    it is told how many calls of Azure to refuse.
    """
    from tasks.lab.azure.server import serving
    from tests.aks_clusters import answered, planted
    from tests.api_server import ApiServer
    from tests.azure import Azure

    azure, clusters = Azure(), fleet(MANY, port)
    for it in clusters:
        planted(azure, it)
    azure.put(f"{clusters[0].group}/providers/Microsoft.Network/dnszones/example.com")
    scopes = [azure.subscription(it.subscription) for it in clusters[:SUBSCRIPTIONS]]
    auditor = azure.identity("auditor", *(("Reader", it) for it in scopes))
    azure.faults.latency = ARM_DELAY
    api = ApiServer(API_DELAY)
    for it in clusters:
        answered(api, it)
    with serving(azure, folder) as served, api.running():
        environment = {
            "AZURE_AUTHORITY_HOST": served.url,
            "AZURE_RESOURCE_MANAGER_URL": served.url,
            "AZURE_RESOURCE_MANAGER_AUDIENCE": served.url,
            "AZURE_TENANT_ID": azure.tenant,
            "AZURE_CLIENT_ID": auditor.client_id,
            "AZURE_CLIENT_SECRET": str(auditor.secret),
            "REQUESTS_CA_BUNDLE": str(served.authority),
        }
        ours.send((environment, api.kubeconfig(*(it.name for it in clusters))))
        while (share := ours.recv()) is not None:
            azure.faults.faults.clear()
            if share:
                azure.faults.throttle(share, retry_after=1, match="/providers/")
            azure.requests.clear()
            api.asked.clear()
            ours.send("ready")
            ours.recv()
            ours.send((list(azure.requests), len(api.asked)))


def names(ours: Connection) -> None:
    """The process of the DNS server: every name of the fleet leads to its Gateway's address."""
    from dns import rcode

    from tests.dns_server import serving_names

    zone = {
        it.host(number): ([f"A {it.address(number)}"], rcode.NOERROR)
        for it in fleet(MANY, 0)
        for number in range(GATEWAYS)
    }
    with serving_names(zone) as server:
        ours.send(server.place)
        ours.recv()


def _shake(listening: socket, file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    while True:
        raw, _ = listening.accept()
        Thread(target=_shaken, args=(context, raw), daemon=True).start()


def _shaken(context: ssl.SSLContext, raw: socket) -> None:
    try:
        context.wrap_socket(raw, server_side=True).close()
    except OSError:
        raw.close()


@contextmanager
def running(target: Any, *arguments: Any) -> Iterator[Any]:
    """A process, ended with the block."""
    process = get_context("fork").Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


@contextmanager
def proxies(folder: Path) -> Iterator[int]:
    """A TLS server at every address of this machine; its port."""
    from tests.objects import certificate

    public, private = certificate("*.example.com")
    (folder / "pair.pem").write_text(private + public)
    with (
        create_server(("", 0), backlog=1024) as listening,
        running(_shake, listening, str(folder / "pair.pem")),
    ):
        yield listening.getsockname()[1]


def measured(place: Path) -> dict[str, float]:
    context = get_context("fork")
    found: dict[str, float] = {}
    with proxies(place) as port:
        (theirs, ours), (asks, answers) = context.Pipe(), context.Pipe()
        azure = place / "azure"
        azure.mkdir()
        with running(stand_ins, azure, port, ours), running(names, answers):
            environment, kubeconfig = theirs.recv()
            work = folder(place / "work", kubeconfig, asks.recv())
            os.environ |= environment
            for count, share in ((FEW, 0.0), (MANY, 0.0), (MANY, SHARE)):
                named = f"{count} clusters" + (", 20 % answered 429" if share else "")
                theirs.send(share)
                theirs.recv()
                took = audited(work, count)
                theirs.send("done")
                requests, asked = theirs.recv()
                found |= {f"{named}: {key}": it for key, it in took.items()}
                found |= {f"{named}: {key}": it for key, it in counted(requests).items()}
                found[f"{named}: requests of one"] = asked / count
            found["status of @kube clusters: azure modules imported"] = imported(work)
            theirs.send(None)
    few, many = (found[f"{it} clusters: ARM calls"] for it in (FEW, MANY))
    return {**found, f"{MANY} clusters: ARM calls more than for {FEW}": many - few}


def folder(place: Path, kubeconfig: Any, resolver: str) -> Path:
    """Where the runs happen, with an inventory for each size of the fleet."""
    place.mkdir()
    for part in ("config.py", "deploys"):
        (place / part).symlink_to(REPOSITORY / part)
    (place / "kubeconfig").write_text(json.dumps(kubeconfig))
    data = {
        "ring": 0,
        "envoy_gateway_version": "1.9.1",
        "kube_config": str(place / "kubeconfig"),
        "resolvers": [resolver],
    }
    for count in (FEW, MANY):
        clusters = [(f"@kube/{it.name}", data) for it in fleet(count, 0)]
        (place / f"fleet-{count}.py").write_text(f"clusters = {clusters!r}\n")
    return place


def audited(place: Path, count: int) -> dict[str, float]:
    arguments = (f"fleet-{count}.py", "deploys/public_ips.py", "--data", "output=json")
    took = ran(place, "none", *arguments)
    text = (place / "output").read_text()
    document = json.loads(text[text.index("{\n") :])
    assert document["findings"] == [], document["findings"][:3]
    those = [one for it in document["clusters"] for one in it["gateways"]]
    assert len(those) == count * GATEWAYS, document["clusters"][:2]
    assert all(it["public_ip"]["holder"] for it in those)
    return took


def counted(requests: Sequence[Any]) -> dict[str, float]:
    """Calls to ARM, and how those that were refused were repeated."""
    arm = [it for it in requests if it.path.startswith("/subscriptions")]
    refused = [it for it in arm if it.status == 429]
    early = 0
    for it in refused:
        again = [one.when for one in arm if one.path == it.path and one.when > it.when]
        early += bool(again) and min(again) < it.when + it.retry_after
    return {
        "ARM calls": len(arm) - len(refused),
        "calls answered so": len(refused),
        "repeated before their Retry-After": early,
    }


def imported(place: Path) -> int:
    """How many azure modules a run of another deploy has when it ends."""
    file = place / "imported"
    (place / "deploys.py").write_text(
        "import atexit, pathlib, sys\n"
        "from tasks import status\n"
        "def told() -> None:\n"
        "    found = [it for it in sys.modules if it.partition('.')[0] in ('azure', 'msal')]\n"
        f"    pathlib.Path({str(file)!r}).write_text(str(len(found)))\n"
        "atexit.register(told)\n"
        "status.of_the_fleet()\n"
    )
    ran(place, "none", f"fleet-{FEW}.py", "deploys.py", good=(0, 1, 3))
    return int(file.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of the audit of public IPs.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place))
    print(f"in {time.monotonic() - begun:.0f} s")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())

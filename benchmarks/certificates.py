"""
The bounds of the audit of certificates, measured on real API servers with 30 HTTPS listeners and
100 TLS Secrets each: 64 clusters in one run, 20 ms away.

    python benchmarks/certificates.py --print        three minutes with parts cached; needs root

The API servers are those of a lab without nodes, with tests/lab/standin.py in the place of the
controller; the 64 clusters share two of them. No proxy runs there, so none is asked in that run,
and as many handshakes as its listeners would take are measured by themselves, with a TLS
server on this machine. The clusters that share an API server have the same Secrets, which are
parsed once: as many different ones are parsed by themselves, and added.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from socket import create_server, socket
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, ran, shown

LAB = "benchcert"
CLUSTERS, DELAY = 64, 0.020
GATEWAYS, LISTENERS, SECRETS, OTHERS = 10, 3, 100, 20

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "64 clusters: wall": (None, "s"),
    "64 clusters: processor time": (None, "s"),
    "64 clusters: memory of the process (RSS)": (300.0, "MB"),
    "64 clusters: requests of one": (25.0, ""),
    "64 clusters: requests for Secrets other than of type TLS": (0.0, ""),
    "6,400 different Secrets (EC keys): parsed in": (None, "s"),
    "64 clusters with different Secrets: wall": (15.0, "s"),
    "1,920 handshakes: processor time": (None, "s"),
}


def objects() -> Iterator[dict[str, Any]]:
    """What each API server holds, namespaces first."""
    from tests.lab import large

    yield from large.namespaces()
    yield from large.secrets()
    for number in range(OTHERS):
        place = {"name": f"other-{number}", "namespace": large.NAMESPACE}
        text = {"value": "not for the audit"}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": place, "stringData": text}
    for gateway in list(large.gateways("envoy"))[:GATEWAYS]:
        https = [it for it in gateway["spec"]["listeners"] if it["protocol"] == "HTTPS"]
        gateway["spec"]["listeners"] = https[:LISTENERS]
        yield gateway
    yield from list(large.routes())[:SECRETS]


def filled(members: Iterable[Any]) -> None:
    from tasks.lab.api import Api
    from tasks.plans.kinds import path

    for member in members:
        api = Api(member)
        for it in objects():
            meta = it["metadata"]
            where = path(it["apiVersion"], it["kind"], meta.get("namespace"), meta["name"])
            api.apply(where, it)


def many(folder: Path, members: Any, log: Path) -> dict[str, float]:
    """64 names for the API servers of these clusters. + log: of requests of the first of them"""
    from tests.lab.distant import distant

    os.environ["ENVOYFLEET_LAB"] = LAB
    data = runpy.run_path(str(REPOSITORY / "inventory/lab.py"))["clusters"][0][1]
    names = [f"c-{it}" for it in range(CLUSTERS)]
    kubeconfig = folder / "kubeconfig-of-many"
    data = {**data, "kube_config": str(kubeconfig), "probe": {"enabled": False}}
    data["namespace"] = "nowhere"  # the Pods that the stand-in says run are not to be asked
    (folder / "fleet.py").write_text(f"clusters = {[(f'@kube/{it}', data) for it in names]!r}\n")
    before = len(log.read_text().splitlines())
    with distant(members, names, DELAY, kubeconfig):
        arguments = ("fleet.py", "deploys/certificates.py", "--data", "output=json")
        took = ran(folder, LAB, *arguments)
    text = (folder / "output").read_text()
    found = json.loads(text[text.index("{") :])["clusters"]
    unread = [it for it in found if "unreachable" in it]
    assert not unread, unread[:3]
    assert {len(it["listeners"]) for it in found} == {GATEWAYS * LISTENERS + 1}  # and the lab's own
    assert all(it["other_secrets"] >= SECRETS - GATEWAYS * LISTENERS for it in found)
    asked = [json.loads(it)["requestURI"] for it in log.read_text().splitlines()[before:]]
    own = [it for it in asked if "/leases" not in it and "watch" not in it]
    secrets = [it for it in own if "/secrets" in it]
    bad = [it for it in secrets if "type%3Dkubernetes.io/tls" not in it]
    bad = [it for it in bad if "includeObject=None" not in it]
    return {
        **took,
        "requests of one": len(own) / (CLUSTERS / len(members)),
        "requests for Secrets other than of type TLS": len(bad),
    }


def different(count: int) -> list[tuple[bytes, bytes]]:
    """So many certificates, each with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    found = []
    pem = serialization.Encoding.PEM
    begin = datetime.now(UTC)
    for number in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"h{number}.lab.test")])
        made = x509.CertificateBuilder(
            name, name, key.public_key(), number + 1, begin, begin + timedelta(days=90)
        ).sign(key, hashes.SHA256())
        form = serialization.PrivateFormat.PKCS8
        private = key.private_bytes(pem, form, serialization.NoEncryption())
        found.append((made.public_bytes(pem), private))
    return found


def parsed(pairs: Iterable[tuple[bytes, bytes]]) -> float:
    """Processor time, for nothing is waited for."""
    from tasks.plans.chains import read

    begun = time.process_time()
    for certificate, key in pairs:
        read(certificate, key)
    return time.process_time() - begun


def _serve(listening: socket, file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    while True:
        raw, _ = listening.accept()
        try:
            context.wrap_socket(raw, server_side=True).close()
        except OSError:
            raw.close()


@contextmanager
def served(pair: tuple[bytes, bytes], folder: Path) -> Iterator[int]:
    """A TLS server in a process of its own; its port."""
    file = folder / "pair.pem"
    file.write_bytes(pair[1] + pair[0])
    listening = create_server(("127.0.0.1", 0), backlog=1024)
    process = get_context("fork").Process(target=_serve, args=(listening, str(file)))
    process.start()
    try:
        yield listening.getsockname()[1]
    finally:
        process.terminate()
        process.join()


def shaken(count: int, pair: tuple[bytes, bytes], folder: Path) -> float:
    """Processor time, in a process where gevent has its way, as in a run."""
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import sys, time\n"
        "from tasks.operations.handshakes import at_addresses\n"
        "from tasks.plans.listeners import Listener\n"
        "port, count = map(int, sys.argv[1:])\n"
        "one = [Listener('c', 'Gateway a/b', 'a/b', f'l{it}', port, f'h{it}.x.y', ('127.0.0.1',),\n"
        "       'a/b', ()) for it in range(count)]\n"
        "begun = time.process_time()\n"
        "found = at_addresses(one)\n"
        "assert all(it.chain for it in found), found[0]\n"
        "print(time.process_time() - begun)\n"
    )
    with served(pair, folder) as port:
        command = [sys.executable, "-c", script, str(port), str(count)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(done.stdout)


def measured(place: Path) -> dict[str, float]:
    from tasks.lab import state
    from tests.lab.campaign.__main__ import opened
    from tests.lab.campaign.start import folder_for

    pairs = different(CLUSTERS * SECRETS)
    found = {
        "6,400 different Secrets (EC keys): parsed in": parsed(pairs),
        "1,920 handshakes: processor time": shaken(
            CLUSTERS * GATEWAYS * LISTENERS, pairs[0], place
        ),
    }
    with opened("alone", place / "lab", LAB) as campaign:
        members = [state.running(LAB).member(it) for it in campaign.fleet.names]
        filled(members)
        logs = {it["name"]: it["audit_log"] for it in campaign.fleet.lab.data["clusters"]}
        took = many(folder_for(place / "work"), members, Path(logs[members[0].name]))
    found |= {f"{CLUSTERS} clusters: {key}": it for key, it in took.items()}
    found["64 clusters with different Secrets: wall"] = (
        took["wall"] + found["6,400 different Secrets (EC keys): parsed in"]
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of the audit.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())

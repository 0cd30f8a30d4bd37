"""
Preflight of 64 clusters that would go from 1.8.3 to 1.9.1: requests, wall time, memory.

    python benchmarks/preflight.py --print        a minute; needs the charts of a lab that was up
    once, no cluster and no root

The clusters are stand-ins with the real charts' CRDs, a real release record, a Gateway, two dozen
routes and policies, and an API server 5 ms away.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from typing_extensions import override

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY

CLUSTERS = 64
OLD, NEW = "1.8.3", "1.9.1"
DELAY = 0.005

#: What is measured, its bound, and the unit.
BOUNDS = {
    "clusters that may go": (None, ""),
    "requests a cluster, at most": (30.0, ""),
    "writes": (0.0, ""),
    "wall": (60.0, "s"),
    "processor time": (30.0, "s"),
    "memory of the process (RSS)": (300.0, "MB"),
}


def data(chart: Path) -> dict[str, Any]:
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "secret": "tls"}
    gateway = {"name": "public", "namespace": "edge", "listeners": [listener]}
    return {
        "ring": 0,
        "envoy_gateway_version": NEW,
        "chart": str(chart),
        "gateways": [gateway],
        "images": {"envoy": "docker.io/envoyproxy/envoy:distroless-v{envoy}"},
    }


def unpacked(version: str, folder: Path) -> Path:
    """The chart of a lab, from the cache, as a folder."""
    from tasks.fleet.charts import cache_folder

    archive = next(iter(sorted(cache_folder().glob(f"gateway-helm-{version}-*.tgz"))), None)
    if archive is None:
        raise SystemExit(f"no chart {version} is cached: python -m tasks.lab up, then down")
    shutil.unpack_archive(archive, folder / version, filter="data")
    return folder / version / "gateway-helm"


def objects() -> list[dict[str, Any]]:
    from tests.stand_in import gateway, gateway_class, policy, route

    backend = [{"backendRefs": [{"name": "blue", "port": 8080}]}]
    found = [gateway_class(), gateway()]
    found += [route("HTTPRoute", f"shop-{it}", backend) for it in range(20)]
    found += [route("TCPRoute", "echo", backend), route("UDPRoute", "dns", backend)]
    found.append(policy("ClientTrafficPolicy", "public", {"tcpKeepalive": {"probes": 3}}))
    found.append(policy("EnvoyProxy", "envoy", {"provider": {"type": "Kubernetes"}}))
    certificate = {"tls.crt": base64.b64encode(b"none").decode()}
    meta = {"name": "tls", "namespace": "edge"}
    return [*found, {"kind": "Secret", "metadata": meta, "data": certificate}]


def prepared(folder: Path, server: Any) -> None:
    """A clone of the repository whose inventory is the fleet, and the fleet behind ``server``."""
    from tasks.fleet.charts import fetched
    from tests.stand_in import record, with_envoy_gateway

    for name in ("config.py", "deploys", "templates"):
        (folder / name).symlink_to(REPOSITORY / name)
    old, new = (fetched(str(unpacked(it, folder)), it, "helm") for it in (OLD, NEW))
    release = record(OLD, {}, old.files, {})
    names = [f"c-{it}" for it in range(CLUSTERS)]
    for name in names:
        with_envoy_gateway(server, name, crds=old.crds, release=release, objects=objects())
    clusters = [(f"@kube/{it}", data(new.path)) for it in names]
    (folder / "fleet.py").write_text(f"clusters = {clusters!r}\n")
    (folder / "look.py").write_text("from tasks import preflight\n\npreflight.of_the_fleet()\n")
    (folder / "fleet.lock").write_text(f'charts: {{{new.name}: {{"{NEW}": "{new.digest}"}}}}\n')
    server.write_kubeconfig(folder / "kubeconfig", *names)


def looked(folder: Path) -> tuple[dict[str, float], list[Any]]:
    """What the run took, and the clusters of its report."""
    program = Path(sys.executable).parent / "pyinfra"
    begun = time.monotonic()
    process = subprocess.Popen(
        [program, "fleet.py", "look.py", "-y"],
        cwd=folder,
        env={**os.environ, "KUBECONFIG": str(folder / "kubeconfig")},
        stdin=subprocess.DEVNULL,
        stdout=(folder / "output").open("w"),
        stderr=subprocess.STDOUT,
    )
    _, _, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    reports = list(folder.glob("runs/*/report.json"))
    if not reports:
        raise SystemExit((folder / "output").read_text())
    took = {
        "wall": seconds,
        "processor time": usage.ru_utime + usage.ru_stime,
        "memory of the process (RSS)": usage.ru_maxrss / 1024,
    }
    return took, json.loads(reports[0].read_text())["clusters"]


def measured() -> dict[str, float]:
    from tests.api_server import ApiServer, Asked

    class Distant(ApiServer):
        @override
        def next_answer(self, asked: Asked) -> Any:
            time.sleep(DELAY)
            return super().next_answer(asked)

    with tempfile.TemporaryDirectory() as place, Distant().running() as server:
        prepared(Path(place), server)
        took, clusters = looked(Path(place))
        requests = Counter(it.cluster for it in server.asked)
        reviews = ("selfsubjectrulesreviews", "selfsubjectaccessreviews")
        writes = [it for it in server.asked if it.method != "GET" and not it.path.endswith(reviews)]
    return {
        "clusters that may go": sum(it["why"] is None for it in clusters),
        "requests a cluster, at most": max(requests.values()),
        "writes": len(writes),
        **took,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure preflight of 64 clusters.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    found = measured()
    missed = 0
    for name, (bound, unit) in BOUNDS.items():
        value = found[name]
        good = value == CLUSTERS if bound is None else value <= bound
        missed += not good
        limit = f"all {CLUSTERS}" if bound is None else f"at most {bound:g} {unit}".strip()
        print(f"{'ok  ' if good else 'MISS'} {name}: {value:.1f} {unit} ({limit})")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

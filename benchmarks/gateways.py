"""
The bounds of deploys/gateways.py, measured on real API servers with 30 Gateways, 300 routes and 50
policies each, half of the routes in files: nothing to change on one cluster and on 64, 20 ms away.

    python benchmarks/gateways.py --print        four minutes with parts cached; needs root

The API servers are those of a lab without nodes, with tests/lab/standin.py in the place of the
controller; the 64 clusters share two of them. Where nothing changes nobody is asked for an answer,
so that no proxy need run.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, first_cluster, ran, shown

LAB = "benchgateways"
CLUSTERS, DELAY = 64, 0.020
GATEWAYS, ROUTES, POLICIES = 30, 300, 50
WRITES = ("create", "update", "patch", "delete")

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "1 cluster, all to write: wall": (None, "s"),
    "1 cluster, nothing to change: wall": (4.0, "s"),
    "1 cluster, nothing to change: processor time": (None, "s"),
    "1 cluster, nothing to change: requests": (40.0, ""),
    "1 cluster, nothing to change: writes": (0.0, ""),
    "1 cluster, check=true: wall": (None, "s"),
    "64 clusters, nothing to change: wall": (60.0, "s"),
    "64 clusters, nothing to change: processor time": (None, "s"),
    "64 clusters, nothing to change: memory of the process (RSS)": (None, "MB"),
    "64 clusters, nothing to change: writes": (0.0, ""),
}


def wanted() -> dict[str, Any]:
    """Keys of the inventory: the Gateways, half of the routes, and the files with all else."""
    gateways = [
        {"name": f"g{it}", "namespace": "many", "listeners": [{"name": "http", "port": 80}]}
        for it in range(GATEWAYS)
    ]
    routes = [
        {
            "name": f"r{it}",
            "namespace": "many",
            "gateway": f"many/g{it % GATEWAYS}",
            "hostnames": [f"r{it}.many.test"],
            "backends": [{"service": "echo", "port": 8080}],
        }
        for it in range(ROUTES // 2)
    ]
    values = {"gateways": GATEWAYS, "routes": [*range(ROUTES // 2, ROUTES)]}
    return {
        "gateways": gateways,
        "routes": routes,
        "objects": ["objects/*"],
        "values": {**values, "policies": POLICIES - GATEWAYS},
        "probe": {"enabled": False},
        "backup": {"enabled": False},
    }


#: Short, as people write them: the API server fills in the rest.
FILE = """
kind: Service
apiVersion: v1
metadata: {name: echo, namespace: many}
spec: {selector: {app: echo}, ports: [{port: 8080}]}
{% for it in values.routes %}
---
kind: HTTPRoute
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: r{{ it }}, namespace: many}
spec:
  parentRefs: [{name: g{{ it % values.gateways }}}]
  hostnames: [r{{ it }}.many.test]
  rules:
    - matches: [{path: {value: /{{ it }}}, headers: [{name: x-version, value: new}]}]
      backendRefs: [{name: echo, port: 8080}]
{% endfor %}
{% for it in range(values.policies) %}
---
kind: BackendTrafficPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: p{{ it }}, namespace: many}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r{{ it }}}]
  timeout: {http: {requestTimeout: 5s}}
  retry: {numRetries: 2, retryOn: {triggers: [connect-failure]}}
{% endfor %}
"""


def runs(folder: Path, members: Any, logs: Path) -> Iterator[tuple[str, float]]:
    """+ logs: of requests of the first of the clusters"""
    from tests.lab.distant import distant

    os.environ["ENVOYFLEET_LAB"] = LAB
    data = runpy.run_path(str(REPOSITORY / "inventory/lab.py"))["clusters"][0][1]
    kubeconfig = folder / "kubeconfig-of-many"
    data = {**data, **wanted(), "kube_config": str(kubeconfig), "timeout": 600}
    (folder / "objects").mkdir()
    (folder / "objects" / "many.yaml.j2").write_text(FILE)
    names = [f"c-{it}" for it in range(CLUSTERS)]
    (folder / "fleet.py").write_text(f"clusters = {[(f'@kube/{it}', data) for it in names]!r}\n")
    deploy = ("fleet.py", "deploys/gateways.py", "-y")
    with distant(members, names, DELAY, kubeconfig):
        for name in names[: len(members)]:  # each API server once
            took = ran(folder, LAB, *deploy, "--limit", name)
        yield "1 cluster, all to write: wall", took["wall"]
        for what, limit in (("1 cluster", ("--limit", names[0])), (f"{CLUSTERS} clusters", ())):
            before = len(logs.read_text().splitlines())
            for key, value in ran(folder, LAB, *deploy, *limit).items():
                yield f"{what}, nothing to change: {key}", value
            assert first_cluster(folder)["status"] == "unchanged", first_cluster(folder)
            asked = [json.loads(it) for it in logs.read_text().splitlines()[before:]]
            own = [it for it in asked if "python" in it.get("userAgent", "").lower()]
            own = [it for it in own if "/status" not in it["requestURI"]]
            yield f"{what}, nothing to change: requests", len(own)
            writes = [it for it in own if it["verb"] in WRITES and "dryRun" not in it["requestURI"]]
            yield f"{what}, nothing to change: writes", len(writes)
        check = ("--limit", names[0], "--data", "check=true")
        took = ran(folder, LAB, *deploy, *check, good=(3,))  # the lab's own Gateway is not wanted
        yield "1 cluster, check=true: wall", took["wall"]


def main() -> int:
    from tasks.lab import state
    from tests.lab.campaign.__main__ import opened
    from tests.lab.campaign.start import folder_for

    parser = argparse.ArgumentParser(description="Measure the bounds of gateways.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place, opened("restores", Path(place) / "lab", LAB) as it:
        members = [state.running(LAB).member(name) for name in it.fleet.names]
        logs = {one["name"]: one["audit_log"] for one in it.fleet.lab.data["clusters"]}
        work = folder_for(Path(place) / "work")
        found = dict(runs(work, members, Path(logs[members[0].name])))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())

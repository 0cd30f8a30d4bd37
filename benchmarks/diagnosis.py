"""
The bounds of the diagnosis of clusters, measured on real ones: one with 30 Gateways, 300 routes and
30 proxies, and 64 in one run.

    python benchmarks/diagnosis.py --print              ten minutes with parts cached; needs root
    python benchmarks/diagnosis.py --print --lab NAME   on a lab that is up, with Envoy Gateway

Controller, proxies and API servers are real. The 64 clusters are names that lead to the clusters of
the lab (two of its own; as many as it has with --lab), 20 ms away, each with one Gateway and one
proxy, which is asked over a port forward for each of the names.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, lab, ran, shown

LAB = "benchdiag"
CLUSTERS, DELAY = 64, 0.020
GATEWAYS, ROUTES = 30, 10
NAMESPACE = "many"
#: Seconds for thirty Envoys to come up on two cores.
PATIENCE = 600.0

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "one cluster, 30 Gateways, 300 routes: wall": (5.0, "s"),
    "one cluster: processor time": (None, "s"),
    "one cluster: proxies asked": (None, ""),
    "one cluster: requests": (None, ""),
    "one cluster: most requests in one second": (20.0, ""),
    "64 clusters: wall": (30.0, "s"),
    "64 clusters: processor time": (None, "s"),
    "64 clusters: memory of the process (RSS)": (400.0, "MB"),
}


def objects() -> Iterator[dict[str, Any]]:
    api = "gateway.networking.k8s.io/v1"
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for number in range(GATEWAYS):
        name = f"edge-{number}"
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        yield {
            "apiVersion": api,
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        }
        for of in range(ROUTES):
            filter_ = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}
            yield {
                "apiVersion": api,
                "kind": "HTTPRoute",
                "metadata": {"name": f"{name}-{of}", "namespace": NAMESPACE},
                "spec": {
                    "parentRefs": [{"name": name}],
                    "hostnames": [f"{name}-{of}.lab.test"],
                    "rules": [{"filters": [filter_]}],
                },
            }


@contextmanager
def crowded(member: Any) -> Iterator[None]:
    """A cluster with all of ``objects``, their proxies ready; without them afterwards."""
    from tasks.lab.api import Api
    from tasks.plans.kinds import path

    api = Api(member)
    for it in objects():
        meta = it["metadata"]
        where = path(it["apiVersion"], it["kind"], meta.get("namespace"), meta["name"])
        api.apply(where, it)
    try:
        end = time.monotonic() + PATIENCE
        while (left := _unready(api)) and time.monotonic() < end:
            time.sleep(3)
        if left:
            raise SystemExit(f"{left} of {GATEWAYS} proxies did not come up in {PATIENCE:.0f} s")
        yield
    finally:
        api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def _unready(api: Any) -> int:
    pods = api.get(
        "/api/v1/namespaces/envoy-gateway-system/pods"
        "?labelSelector=gateway.envoyproxy.io/owning-gateway-namespace=" + NAMESPACE
    )["items"]
    ready = [
        it
        for it in pods
        for one in it.get("status", {}).get("conditions") or ()
        if (one["type"], one["status"]) == ("Ready", "True")
    ]
    return GATEWAYS - len(ready)


def asked(log: Path, begin: int) -> list[float]:
    """When requests of a diagnosis arrived, in order. + begin: lines of the log before it"""
    found = []
    for line in log.read_text().splitlines()[begin:]:
        it = json.loads(line)
        if "OpenAPI" in it.get("userAgent", "") or "portforward" in it["requestURI"]:
            found.append(datetime.fromisoformat(it["requestReceivedTimestamp"]).timestamp())
    return sorted(set(found))


def densest(times: list[float]) -> int:
    """Most of them within one second."""
    return max(sum(first <= it < first + 1 for it in times) for first in times)


def one(folder: Path, member: Any, log: Path, name: str) -> dict[str, float]:
    with crowded(member):
        time.sleep(10)
        begin = len(log.read_text().splitlines())
        command = ("deploys/diagnose.py", "--limit", member.name, "--data", "output=json")
        took = ran(folder, name, "inventory/lab.py", *command, good=(0, 3))
    text = (folder / "output").read_text()
    [cluster] = json.loads(text[text.index("{") :])["clusters"]
    assert cluster["gateways"] == GATEWAYS + 1, cluster
    times = asked(log, begin)
    return {
        "one cluster, 30 Gateways, 300 routes: wall": took["wall"],
        "one cluster: processor time": took["processor time"],
        "one cluster: proxies asked": cluster["proxies"],
        "one cluster: requests": len(times),
        "one cluster: most requests in one second": densest(times),
    }


def many(folder: Path, members: Any, name: str) -> dict[str, float]:
    """64 names for these clusters."""
    from tests.lab.distant import distant

    os.environ["ENVOYFLEET_LAB"] = name
    data = runpy.run_path(str(REPOSITORY / "inventory/lab.py"))["clusters"][0][1]
    names = [f"c-{it}" for it in range(CLUSTERS)]
    kubeconfig = folder / "kubeconfig-of-many"
    data = {**data, "kube_config": str(kubeconfig)}
    data.pop("kube_context", None)
    (folder / "fleet.py").write_text(f"clusters = {[(f'@kube/{it}', data) for it in names]!r}\n")
    with distant(members, names, DELAY, kubeconfig):
        took = ran(folder, name, "fleet.py", "deploys/diagnose.py", "--data", "output=json")
    text = (folder / "output").read_text()
    found = json.loads(text[text.index("{") :])["clusters"]
    assert len(found) == CLUSTERS
    assert all(it["proxies"] for it in found), [it for it in found if not it.get("proxies")][:1]
    return {f"{CLUSTERS} clusters: {key}": it for key, it in took.items()}


def measured(place: Path, name: str) -> dict[str, float]:
    from tasks.lab import state
    from tests.lab.campaign.start import folder_for

    folder = folder_for(place / "work")
    if name == LAB:
        lab(name, "up", "2")
        lab(name, "sample")
        deployed(folder, name, "install")
    status = json.loads(lab(name, "status", "--json"))
    members = [state.running(name).member(it["name"]) for it in status["clusters"]]
    found = many(folder, members, name)
    print(found, file=sys.stderr)
    return found | one(folder, members[0], Path(status["clusters"][0]["audit_log"]), name)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of the diagnosis.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--lab", default=LAB, help="one that is up (default: one of its own)")
    name = parser.parse_args().lab
    with tempfile.TemporaryDirectory() as place:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an operator's second run is compiled
        try:
            found = measured(Path(place), name)
        finally:
            if name == LAB:
                lab(name, "down")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())

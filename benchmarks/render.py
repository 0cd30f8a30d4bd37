"""
The bound of the tree for Argo CD and Flux: 64 clusters rendered, checked and written, then
compared, each as the command does it. No cluster is asked.

    python benchmarks/render.py --print        half a minute
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY

CLUSTERS, GATEWAYS, ROUTES, BOUND = 64, 3, 30, 10.0
#: Each cluster has these files as its own: its zone is in the host name.
OBJECTS = """
{% for it in range(20) %}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: "shop-{{ it }}", namespace: shop}
spec:
  parentRefs: [{name: public-0, namespace: edge}]
  hostnames: ["shop-{{ it }}.{{ cluster }}.example.com"]
  rules: [{backendRefs: [{name: shop, port: 8080}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: "shop-{{ it }}", namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: "shop-{{ it }}"}]
  timeout: {http: {requestTimeout: 10s}}
{% endfor %}
"""
FLEET = f"""
_listeners = [{{"name": "http", "port": 80}}]
_data = {{
    "ring": 0,
    "envoy_gateway_version": "1.9.1",
    "objects": ["objects/*.yaml.j2"],
    "gateways": [
        {{"name": f"public-{{it}}", "namespace": "edge", "listeners": _listeners}}
        for it in range({GATEWAYS})
    ],
    "routes": [
        {{
            "name": f"route-{{it}}",
            "namespace": "shop",
            "gateway": "edge/public-1",
            "hostnames": [f"route-{{it}}.example.com"],
            "backends": [{{"service": "shop", "port": 8080}}],
        }}
        for it in range({ROUTES})
    ],
}}
clusters = [(f"@kube/c-{{it}}", _data) for it in range({CLUSTERS})]
"""


def seconds(folder: Path, *more: str) -> float:
    """Of one run of the command, whatever it found."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tasks.render", "fleet.py", *more],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the tree of 64 clusters.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "objects").mkdir()
        (folder / "objects/shop.yaml.j2").write_text(OBJECTS)
        (folder / "fleet.py").write_text(FLEET)
        took = {
            "written": seconds(folder),
            "compared": min(seconds(folder, "--check") for _ in "12"),
        }
        files = sum(1 for it in (folder / "rendered-tree").rglob("*.yaml"))
    print(f"{CLUSTERS} clusters, {files} files")
    for name, value in took.items():
        print(
            f"{'ok  ' if value <= BOUND else 'MISS'} {name}: {value:.1f} s (at most {BOUND:.0f} s)"
        )
    return 0 if max(took.values()) <= BOUND else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""The lab's fleet, with a controller image that does not exist on the cluster ``BROKEN``."""

import os
import runpy
from pathlib import Path

_lab = runpy.run_path(str(Path(__file__).parents[3] / "inventory" / "lab.py"))
_broken = {
    "images": {
        "envoy_gateway": "docker.io/lab/nope:v{version}",
        "envoy": "docker.io/lab/envoy:distroless-v{envoy}",
    },
    "timeout": 30,
}

clusters = [
    (host, {**data, **(_broken if host == f"@kube/{os.environ['BROKEN']}" else {})})
    for host, data in _lab["clusters"]
]

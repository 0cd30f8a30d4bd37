"""
Other shapes of Envoy Gateway beside the usual one, on the last cluster of the lab: each cluster
entry is a second controller with its own release, namespace and class. ``SHAPE`` says which:
merged or namespaced.
"""

import os
import runpy
from pathlib import Path

_lab = runpy.run_path(str(Path(__file__).parents[3] / "inventory" / "lab.py"))
_shape = os.environ["SHAPE"]
_host, _data = _lab["clusters"][-1]
_gateway = {"namespace": f"{_shape}-edge", "listeners": [{"name": "http", "port": 80}]}
_other = {"namespace": f"{_shape}-edge", "listeners": [{"name": "alt", "port": 8080}]}

# The fixed address that the namespaced shape asks for.
ADDRESS = _lab["_lab"]["clusters"][-1]["load_balancer_range"].rpartition(".")[0] + ".77"
_fixed = {"address": ADDRESS} if _shape == "namespaced" else {}

clusters = [
    (
        _host,
        {
            **_data,
            "release": f"eg-{_shape}",
            "namespace": f"eg-{_shape}",
            "controller_name": f"gateway.envoyproxy.io/{_shape}",
            "gateway_class": _shape,
            "merge_gateways": _shape == "merged",
            "deploy_type": "GatewayNamespace" if _shape == "namespaced" else "ControllerNamespace",
            "gateways": [{"name": "one", **_gateway, **_fixed}, {"name": "two", **_other}],
            "routes": [
                {
                    "name": f"{_shape}-blue",
                    "namespace": "demo",
                    "gateway": f"{_shape}-edge/one",
                    "hostnames": ["blue.lab.test"],
                    "backends": [{"service": "blue", "port": 8080}],
                },
            ],
        },
    )
]

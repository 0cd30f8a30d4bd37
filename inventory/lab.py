"""
The embedded lab as a fleet: ``python -m tasks.lab up 3`` makes it. ``ENVOYFLEET_LAB`` names
another lab.

Two rings: lab-1 goes first, the others follow when it is done.
"""

import os

from tasks.lab import describe

_lab = describe(os.environ.get("ENVOYFLEET_LAB", "lab"))

_tls = {
    "name": "https",
    "port": 443,
    "protocol": "HTTPS",
    "hostname": "*.lab.test",
    "secret": "lab-tls",
}
_shared = {
    "kube_config": _lab["kubeconfig"],
    "envoy_gateway_version": "1.9.1",
    "chart": f"oci://{_lab['registry']}/charts/gateway-helm",
    "chart_plain_http": True,
    "lock": "inventory/lab.lock",
    "helm": _lab["helm"],
    "images": {
        "envoy_gateway": "docker.io/lab/gateway:v{version}",
        "envoy": "docker.io/lab/envoy:distroless-v{envoy}",
    },
    "controller": {"replicas": 1, "cpu": "10m", "memory": "64Mi"},
    "proxy": {"replicas": 1, "cpu": "10m", "memory": "64Mi"},
    "gateways": [
        {
            "name": "public",
            "namespace": "edge",
            "listeners": [
                {"name": "http", "port": 80},
                _tls,
                {"name": "tcp", "port": 9000, "protocol": "TCP"},
            ],
        },
    ],
    "routes": [
        {
            "name": "blue",
            "namespace": "demo",
            "gateway": "edge/public",
            "hostnames": ["blue.lab.test"],
            "backends": [{"service": "blue", "port": 8080}],
        },
        {
            "name": "green",
            "namespace": "demo",
            "gateway": "edge/public",
            "hostnames": ["green.lab.test"],
            "backends": [{"service": "green", "port": 8080}],
        },
        {
            "name": "echo",
            "namespace": "demo",
            "kind": "TCPRoute",
            "gateway": "edge/public",
            "listener": "tcp",
            "backends": [{"service": "blue", "port": 8080}],
        },
    ],
}

clusters = [
    (f"@kube/{_it['context']}", {**_shared, "ring": 0 if _number == 0 else 1})
    for _number, _it in enumerate(_lab["clusters"])
]

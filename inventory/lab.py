"""
The embedded lab as a fleet: ``python -m tasks.lab up 3`` makes it. ``ENVOYFLEET_LAB`` names
another lab.

Two rings: lab-1 goes first, the others follow when it is done. From four clusters on there are
three: lab-1, lab-2, and the rest.
"""

import os

from pyinfra.api.exceptions import InventoryError

from tasks.lab import state, status
from tasks.lab.progress import UsageError

try:
    _lab = status.data(state.running(os.environ.get("ENVOYFLEET_LAB", state.DEFAULT_LAB)))
except UsageError as error:
    raise InventoryError(str(error)) from error

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
    "chart": _lab["charts"][0]["ref"],
    "chart_plain_http": True,
    "lock": "inventory/lab.lock",
    "helm": _lab["helm"],
    "images": {
        "envoy_gateway": "docker.io/lab/gateway:v{version}",
        "envoy": "docker.io/lab/envoy:distroless-v{envoy}",
    },
    # A lab that came up before labs had keys is not backed up: `up` again gives it one.
    "backup": {
        "enabled": _lab["age_recipient"] is not None,
        "recipients": [_lab["age_recipient"]] if _lab["age_recipient"] else [],
        "identity": _lab["age_identity"],
    },
    "stand_in_image": _lab["images"]["echo"],
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

_last = 2 if len(_lab["clusters"]) > 3 else 1
clusters = [
    (f"@kube/{_it['context']}", {**_shared, "ring": min(_number, _last)})
    for _number, _it in enumerate(_lab["clusters"])
]

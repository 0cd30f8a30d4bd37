"""
The embedded lab as a fleet: ``python -m tasks.lab up 3`` makes it. ``ENVOYFLEET_LAB`` names
another lab.

Two rings: lab-1 goes first, the others follow when it is done. From four clusters on there are
three: lab-1, lab-2, and the rest.

A lab that came up with ``--azure`` is listed from its Azure, and signed in to as AKS clusters are;
the tag ``ring`` says who goes first.
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
_azure = _lab["azure"]
if _azure:
    for _name, _value in _azure["environment"].items():
        os.environ.setdefault(_name, _value)
    os.environ["REQUESTS_CA_BUNDLE"] = _azure["environment"]["REQUESTS_CA_BUNDLE"]
_shared = {
    "envoy_gateway_version": "1.9.1",
    "chart": _lab["charts"][0]["ref"],
    "chart_plain_http": True,
    "lock": "inventory/lab.lock",
    "helm": _lab["helm"],
    "images": {
        "envoy_gateway": "docker.io/lab/gateway:v{version}",
        "envoy": "docker.io/lab/envoy:distroless-v{envoy}",
        "ratelimit": _lab["images"]["ratelimit"],
    },
    # A lab that came up before labs had keys is not backed up: `up` again gives it one.
    "backup": {
        "enabled": _lab["age_recipient"] is not None,
        "recipients": [_lab["age_recipient"]] if _lab["age_recipient"] else [],
        "identity": _lab["age_identity"],
    },
    "resolvers": [_azure["resolver"]] if _azure else [],
    "stand_in_image": _lab["images"]["echo"],
    # What `python -m tasks.lab monitoring` puts onto a cluster; nothing where it is not there.
    "monitoring": {
        "labels": {"release": "lab"},
        "interval": "5s",
        "environment": "lab",
        "alertmanager": {
            "receivers": [{"name": "pager", "kind": "webhook", "secret": "alerts", "key": "url"}],
        },
        "grafana": {},  # dashboards as ConfigMaps; there is no Grafana in the lab
    },
    "rehearsals": True,
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
_of_kubeconfig = [
    (
        f"@kube/{_it['context']}",
        {**_shared, "kube_config": _lab["kubeconfig"], "ring": min(_number, _last)},
    )
    for _number, _it in enumerate(_lab["clusters"])
]
_of_azure = (
    [(f"@aks/{_azure['subscription']}/{_azure['groups']['clusters']}", _shared)] if _azure else []
)
clusters = _of_azure or _of_kubeconfig

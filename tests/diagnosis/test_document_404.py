"""
The 404 that a document traces by hand to a cluster without healthy endpoints, on Cilium's Envoy. No
state of endpoints makes a 404: what answered decides, and the diagnosis says who that was.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.diagnosis.config import read
from tasks.diagnosis.diagnosis import Diagnosis, Ref
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Proxy, Request
from tasks.diagnosis.explain import diagnosis

HOST = "mailer3.example.com"
LISTENER = "mailer/cilium-gateway-mail-gateway"
CLUSTER = f"{LISTENER}/mailer:statics-server:80"
TYPE = "type.googleapis.com/envoy.admin.v3."
MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
#: As the document shows it: a virtual host for the name with any port, one route for every path.
DUMP: dict[str, Any] = {
    "configs": [
        {
            "@type": f"{TYPE}ListenersConfigDump",
            "dynamic_listeners": [
                {
                    "name": f"{LISTENER}/listener",
                    "active_state": {
                        "listener": {
                            "name": f"{LISTENER}/listener",
                            "address": {
                                "socket_address": {"address": "127.0.0.1", "port_value": 10285}
                            },
                            "filter_chains": [
                                {
                                    "filter_chain_match": {"transport_protocol": "raw_buffer"},
                                    "filters": [
                                        {
                                            "name": "envoy.filters.network.http_connection_manager",
                                            "typed_config": {
                                                "@type": f"{MANAGER}HttpConnectionManager",
                                                "rds": {"route_config_name": "listener-insecure"},
                                            },
                                        }
                                    ],
                                }
                            ],
                        }
                    },
                }
            ],
        },
        {
            "@type": f"{TYPE}RoutesConfigDump",
            "dynamic_route_configs": [
                {
                    "route_config": {
                        "name": "listener-insecure",
                        "virtual_hosts": [
                            {
                                "name": f"{LISTENER}/{HOST}",
                                "domains": [HOST, f"{HOST}:*"],
                                "routes": [
                                    {"match": {"prefix": "/"}, "route": {"cluster": CLUSTER}}
                                ],
                            }
                        ],
                    }
                }
            ],
        },
        {
            "@type": f"{TYPE}ClustersConfigDump",
            "dynamic_active_clusters": [{"cluster": {"name": CLUSTER, "type": "EDS"}}],
        },
        {
            "@type": f"{TYPE}EndpointsConfigDump",
            "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": CLUSTER}}],
        },
    ]
}


def asked(entry: Entry | None = None, **headers: str) -> Diagnosis:
    """The document's request: curl to the address, with the name in Host."""
    exchange = Exchange(Request(host=HOST), 404, {"server": "envoy", **headers})
    proxy = Proxy("cilium-envoy", config=read(json.dumps(DUMP).encode()))
    return diagnosis(Evidence([exchange], [entry] if entry else [], [proxy]))


def line(**more: Any) -> Entry:
    return Entry("log", 1, method="GET", path="/", authority=HOST, status=404, **more)


@pytest.mark.parametrize(
    ("entry", "headers"),
    [
        pytest.param(
            line(flags="", details="via_upstream", upstream_cluster=CLUSTER), {}, id="its line"
        ),
        pytest.param(None, {"x-envoy-upstream-service-time": "3"}, id="a header alone"),
    ],
)
def test_the_backend_says_404(entry: Entry | None, headers: dict[str, str]) -> None:
    found = asked(entry, **headers)
    (first,) = found.findings
    assert (first.cause, first.answered_by) == ("backend_404", "upstream")
    assert first.object == Ref("Service", "statics-server", "mailer")


def test_envoy_had_no_route_although_the_dump_has_one() -> None:
    found = asked(line(flags="NR", details="route_not_found", upstream_cluster=""))
    assert (found.findings, found.answered_by, found.unexplained) == ((), "envoy", True)
    (note,) = found.notes
    assert note.startswith("Envoy had no route for this request, but")


def test_without_endpoints_it_is_no_404_of_theirs() -> None:
    """The document's conclusion: 404 for a cluster that EDS gave nothing."""
    assert asked().findings == ()

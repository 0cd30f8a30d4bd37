"""What is read off evidence for a runbook: certificates, times, kinds that were not read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.diagnosis.evidence import Entry, Evidence, Gap, Proxy
from tasks.fleet import run as fleet_run
from tasks.operations import symptoms
from tasks.plans.runbooks.source import Asked, Served, Timed, Wanted

NOW = datetime.now(UTC)


def leaf(days: float, *names: str) -> dict[str, Any]:
    until = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "subject_alt_names": [{"dns": it} for it in names],
        "days_until_expiration": str(max(0, int(days))),
        "expiration_time": until,
    }


def proxy(*leaves: dict[str, Any]) -> Proxy:
    certificates = [{"cert_chain": [it, leaf(1, "intermediate")]} for it in leaves]
    return Proxy("Pod eg/envoy-1", certs={"certificates": certificates})


def test_served_are_leaves_by_the_clock() -> None:
    known = Evidence(
        proxies=[proxy(leaf(30.5, "a.b", "c.d"), leaf(-2.5, "old"), leaf(9.5, "*.eg"))]
    )
    assert symptoms.served(known, "eg") == [
        Served("Pod eg/envoy-1", "a.b, c.d", 30),
        Served("Pod eg/envoy-1", "old", -3),
        Served("Pod eg/envoy-1", "*.eg", 9, own=True),
    ]


def test_certificates_that_nobody_told_are_not_none() -> None:
    assert symptoms.served(Evidence(proxies=[Proxy("Pod eg/envoy-1")]), "eg") is None


def test_times_are_those_of_lines_that_have_one() -> None:
    entries = [
        Entry("Pod eg/envoy-1", 1, duration=12.0, upstream_time=9.0, status=200, route="r"),
        Entry("Pod eg/envoy-1", 2),
    ]
    found = [*symptoms.times(Evidence(entries=entries), read=False)]
    assert found == [Timed(12.0, 9.0, 200, "", "r")]


def test_gaps_name_kinds_by_their_resource() -> None:
    gaps = [
        Gap("leases.coordination.k8s.io", "no right to list", ""),
        Gap("secrets", "no right to list", ""),
        Gap("log of Pod eg/envoy-1", "no right", ""),
    ]
    assert symptoms.unread(Evidence(gaps=gaps)) == frozenset({"Lease", "Secret"})


def test_kinds_that_nobody_serves() -> None:
    wanted = Wanted(manifests={"Gateway edge/public": gateway(port=1)})
    there = {"gateways.gateway.networking.k8s.io": ["v1"]}
    assert symptoms.unserved(Evidence(served=there), wanted) == frozenset()
    assert symptoms.unserved(Evidence(served={}), wanted) == frozenset({"Gateway"})
    assert symptoms.unserved(Evidence(), wanted) == frozenset()


def gateway(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"listeners": [{"name": "tcp", "port": port, "protocol": "TCP"}]},
        "status": {"addresses": [{"value": "127.0.0.1"}]},
    }


@pytest.fixture
def data() -> Iterator[Any]:
    from tasks.fleet.inventory import parsed

    before = fleet_run.current()
    yield lambda **more: parsed({"ring": 0, "envoy_gateway_version": "1.9.1", **more})
    fleet_run.start(before)


def test_a_gateway_is_asked_at_the_ports_that_the_inventory_has(data: Any) -> None:
    known = Evidence(objects=[gateway(port=2)])
    wanted = Wanted(manifests={"Gateway edge/public": gateway(port=1)})
    (asked,) = symptoms.sent(data(), wanted, known, ("edge/public",), None)
    text = "edge/public:tcp tcp 127.0.0.1:1"
    assert asked == Asked("edge/public", text, problem=f"{text}: Connection refused")


def test_nobody_is_asked_where_the_inventory_says_so(data: Any) -> None:
    known = Evidence(objects=[gateway(port=2)])
    never = data(probe={"enabled": False})
    assert symptoms.sent(never, Wanted(), known, ("edge/public",), None) == []


def test_a_request_that_changes_something_is_not_sent(data: Any) -> None:
    meant = data(request="POST http://127.0.0.1:1/cart")
    assert symptoms.sent(meant, Wanted(), Evidence(objects=[]), (), None) == []

"""
What it costs to ask a resolver first, and what becomes of a request when something is wrong: the
script that names an endpoint of the Service, as templates/dynamic-routing/ has it, beside a Backend
of type DynamicResolver that dials what it is told.

    python benchmarks/dynamic_routing.py --print     five minutes with parts cached; needs root

Requests of the ways take turns on connections that stay open, so that a busy machine is as busy
for each. The resolver is a process on the lab's bridge, then a Pod of the cluster, an Envoy that
answers by itself; its own time is that of the same question asked from here.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import string
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, lab, shown
from tests.lab.joined import (
    HOST,
    INSIDE,
    RESOLVER,
    Joined,
    entry,
    wanted,
    with_resolver,
    with_resolver_pod,
)
from tests.lab.running import until

LAB = "benchjoin"
REQUESTS = 2000
#: Where each way begins; "plain" sends to the same Pods, whoever asks.
WAYS = {"override": "/join", "DynamicResolver": "/dial"}
WRONG = ("dead", "stranger", "itself", "metadata", "unknown", "slow")
BOUNDS: dict[str, tuple[float | None, str]] = {
    "without a resolver: median": (None, "ms"),
    "the resolver's own time: median": (None, "ms"),
    "override: added at the median": (None, "ms"),
    "override: added beyond the resolver's own time": (2.0, "ms"),
    "DynamicResolver: added at the median": (None, "ms"),
    "DynamicResolver: added beyond the resolver's own time": (None, "ms"),
    "resolver in the cluster: its own time": (None, "ms"),
    "resolver in the cluster: override added at the median": (None, "ms"),
    "resolver in the cluster: added beyond its own time": (2.0, "ms"),
    **{f"{way}: status where the server is {it}": (None, "") for it in WRONG for way in WAYS},
}


def latencies(joined: Joined, resolver: tuple[str, int], *ways: str) -> dict[str, float]:
    """Medians in milliseconds, by what was asked."""
    asked = {
        "plain": (joined.address, 80, "/plain?client_id="),
        "resolver": (*resolver, "/where?client_id="),
        **{way: (joined.address, 80, f"{WAYS[way]}?client_id=") for way in ways},
    }
    took: dict[str, list[float]] = {it: [] for it in asked}
    connections = {
        it: http.client.HTTPConnection(address, port, timeout=30)
        for it, (address, port, _) in asked.items()
    }
    for number in range(REQUESTS):
        for name, (_, _, path) in asked.items():
            begun = time.perf_counter()
            connections[name].request("GET", f"{path}c{number}", headers={"Host": HOST})
            answer = connections[name].getresponse()
            answer.read()
            took[name].append(1000 * (time.perf_counter() - begun))
            if answer.status != 200:
                raise SystemExit(f"{name}: {answer.status}")
    return {name: statistics.median(it) for name, it in took.items()}


def compare_with_dialling(joined: Joined) -> None:
    """The other way beside ours, with the same script but for its last step."""
    place = ("configmap", "envoy-gateway-config", "-n", "envoy-gateway-system")
    found = json.loads(joined.kubectl("get", *place, "-o", "json"))
    text = found["data"]["envoy-gateway.yaml"]
    if "enableBackend" not in text:
        text = text.replace("enableLua: true", "enableBackend: true\n  enableLua: true")
        change = json.dumps({"data": {"envoy-gateway.yaml": text}})
        joined.kubectl("patch", *place, "--type=merge", "-p", change)
        controller = ("deployment/envoy-gateway", "-n", "envoy-gateway-system")
        joined.kubectl("rollout", "restart", *controller)
        joined.kubectl("rollout", "status", *controller, "--timeout=300s")
    policy = json.loads(joined.kubectl("get", "envoyextensionpolicy/join", "-n", "demo", "-ojson"))
    script = policy["spec"]["lua"][0]["inline"].replace(
        "handle:setUpstreamOverrideHost(server, true)",
        'handle:headers():replace("x-server", server)',
    )
    file = REPOSITORY / "tests/lab/dynamic_resolver.yaml"
    text = string.Template(file.read_text()).substitute(script=json.dumps(script))
    joined.kubectl("apply", "--filename", "-", text=text)
    for path in ("/plain", "/dial"):
        until(path, lambda path=path: joined.ask(f"{path}?client_id=7").status == 200)  # type: ignore[misc]


def inside(joined: Joined) -> dict[str, float]:
    """The recommended way, with a resolver that is a Pod beside the proxies."""
    with with_resolver_pod(joined) as address:
        here = entry(resolver=INSIDE)
        done = joined.fleet.pyinfra("dynamic_routing", "-y", *wanted(here))
        if done.code:
            raise SystemExit(done.text)
        medians = latencies(joined, (address, 8080), "override")
    added = medians["override"] - medians["plain"]
    return {
        "resolver in the cluster: its own time": medians["resolver"],
        "resolver in the cluster: override added at the median": added,
        "resolver in the cluster: added beyond its own time": added - medians["resolver"],
    }


def measured(folder: Path, name: str) -> dict[str, float]:
    import os

    from tests.lab.fleet import opened

    os.environ["ENVOYFLEET_LAB"] = name
    with with_resolver(opened(folder)) as joined:
        done = joined.fleet.pyinfra("dynamic_routing", "-y", *wanted(entry()))
        if done.code:
            raise SystemExit(done.text)
        compare_with_dialling(joined)
        bridge = joined.places.dead.partition(":")[0]
        medians = latencies(joined, (bridge, RESOLVER), *WAYS)
        found = {
            "without a resolver: median": medians["plain"],
            "the resolver's own time: median": medians["resolver"],
        }
        for way, path in WAYS.items():
            added = medians[way] - medians["plain"]
            found[f"{way}: added at the median"] = added
            found[f"{way}: added beyond the resolver's own time"] = added - medians["resolver"]
            for it in WRONG:
                status = joined.ask(f"{path}?client_id={it}").status
                found[f"{way}: status where the server is {it}"] = status
        found |= inside(joined)
        joined.kubectl(
            *("delete", "httproute,envoyextensionpolicy,backend,httproutefilter", "dial", "plain"),
            *("-n", "demo", "--ignore-not-found"),
        )
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what a resolver costs.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--lab", help="one that is up, instead of one of its own")
    name = parser.parse_args().lab
    if not name:
        lab(LAB, "up", "1")
    try:
        if not name:
            lab(LAB, "sample")
        with tempfile.TemporaryDirectory() as place:
            found = measured(Path(place), name or LAB)
    finally:
        if not name:
            lab(LAB, "down")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())

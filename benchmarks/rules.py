"""
Evaluation of all rules over 130,000 series in one Prometheus 2.42.

    python benchmarks/rules.py --print        5 min, no cluster and no root

The series are those that METRICS keeps, of three Gateways with five proxies and 107 routes each;
blocks of them are made by promtool, with three days of what rules recorded. Then
Prometheus evaluates the rules as it would: what it says itself that each group took is summed up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SERIES = 130_000
ROUTES, GATEWAYS, PROXIES = 321, 3, 5
#: Seconds; evaluation as Prometheus does it where nothing is set.
INTERVAL, DAYS = 60, 3
EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, "+Inf")
#: Seconds for blocks, a start and three rounds.
AHEAD = 240
PORT = 39190
#: Rounds of all groups before it is measured, so that files are in the page cache.
ROUNDS = 2
#: Seconds of rounds that are measured, after those.
QUIET = 60
#: Seconds from which on a rule is printed.
SLOW = 0.02
#: What is measured, its bound, and the unit.
BOUNDS = {
    "series": (SERIES, None, ""),
    "evaluation of all rules": (None, 1.0, "s"),
    "processor time of an evaluation": (None, 1.0, "s"),
    "recorded series and alerts": (None, None, ""),
    "rules that fail": (None, 0.0, ""),
}


def targets() -> Iterator[dict[str, str]]:
    """Labels of the scrape, a proxy each."""
    for gateway, proxy in itertools.product(range(GATEWAYS), range(PROXIES)):
        yield {
            "job": "envoy-proxy",
            "cluster": "weu-1",
            "gateway_namespace": "edge",
            "gateway": f"gateway-{gateway}",
            "namespace": "envoy-gateway-system",
            "pod": f"envoy-edge-gateway-{gateway}-2f1663c8-{proxy}",
        }


def routes(gateway: str) -> range:
    """Of one Gateway."""
    number = int(gateway.rpartition("-")[2])
    return range(number, ROUTES, GATEWAYS)


def families() -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Name, type and own labels of the series of each metric of proxies, for all targets."""
    from tasks.plans.metrics import METRICS

    for metric in METRICS.values():
        if metric.exporter != "proxy":
            continue
        found = [
            {**target, **own}
            for target in targets()
            for own in _own(metric.labels, target["gateway"])
        ]
        yield metric.name, metric.type, found


def _own(labels: tuple[str, ...], gateway: str) -> Iterator[dict[str, str]]:
    values = {
        "envoy_cluster_name": [f"httproute/shop/route-{it}/rule/0" for it in routes(gateway)],
        "envoy_http_conn_manager_prefix": ["http-10080", "https-10443"],
        "envoy_listener_address": ["0.0.0.0_10080", "0.0.0.0_10443"],
        "envoy_response_code_class": ["2", "4", "5"],
        "envoy_response_code": ["200", "404", "503"],
        # one authority towards the backends of a route, five certificates of a listener
        "envoy_tls_certificate": [
            f"edge/shop-{it}" for it in range(1 if "envoy_cluster_name" in labels else 5)
        ],
        "priority": ["default", "high"],
    }
    for found in itertools.product(*(values.get(it, ["x"]) for it in labels)):
        yield dict(zip(labels, found, strict=True))


def write_raw(file: TextIO, now: int) -> int:
    """
    Every proxy's series twice a minute, until some minutes from now, for what follows takes time;
    how many series there are.
    """
    total = 0
    times = range(now - 360, now + AHEAD + 1, 30)
    for name, kind, found in families():
        file.write(f"# TYPE {name} {'gauge' if kind == 'gauge' else 'unknown'}\n")
        for labels in found:
            for series, of in _spread(name, kind, labels):
                total += 1
                head = f"{series}{{{_text(of)}}}"
                base, growth = _healthy(name, kind, of, now)
                for step, at in enumerate(times):
                    file.write(f"{head} {base + growth * step} {at}\n")
    file.write("# EOF\n")
    return total


def _healthy(name: str, kind: str, labels: dict[str, str], now: int) -> tuple[int, int]:
    """Where a series of a healthy proxy begins, and by how much it grows in half a minute."""
    if kind == "gauge":
        values = {"expiration": now + 90 * 86400, "_open": 0, "warming": 0, "ejections": 0}
        return next((it for part, it in values.items() if part in name), 1), 0
    good = labels.get("envoy_response_code_class", labels.get("envoy_response_code", "2"))
    busy = re.search(r"_(rq_xx|rq|rq_total|rq_completed|rq_time|cx_total|handshake)$", name)
    within = float(labels.get("le", "+Inf")) >= 250
    return 1000, 30 if busy and good.startswith("2") and within else 0


def _spread(name: str, kind: str, labels: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    if kind != "histogram":
        yield name, labels
        return
    for edge in EDGES:
        yield f"{name}_bucket", {**labels, "le": str(edge)}
    yield f"{name}_sum", labels
    yield f"{name}_count", labels


def write_recorded(file: TextIO, now: int) -> None:
    """What rules recorded: every minute for three days, and what is kept every five minutes."""
    from tasks.plans.alerts import RECORDS
    from tasks.plans.durations import seconds

    every = {it.name: it.every or f"{INTERVAL}s" for it in RECORDS}
    for level, part, window in itertools.product(
        ("backend", "route", "gateway"),
        ("requests", "errors", "timed", "slow"),
        ("rate5m", "kept5m"),
    ):
        name = f"{level}:envoy_{part}:{window}"
        if name not in every:
            continue
        file.write(f"# TYPE {name} gauge\n")
        step = int(seconds(every[name]))
        value = 0.001 if part in ("errors", "slow") else 10
        for labels in _recorded(level):
            head = f"{name}{{{_text(labels)}}}"
            for at in range(now - DAYS * 86400, now + 1, step):
                file.write(f"{head} {value} {at}\n")
    file.write("# EOF\n")


def _recorded(level: str) -> Iterator[dict[str, str]]:
    for gateway in range(GATEWAYS):
        of = {"gateway_namespace": "edge", "gateway": f"gateway-{gateway}"}
        if level == "gateway":
            yield of
            continue
        for it in routes(f"gateway-{gateway}"):
            route = {"route_kind": "httproute", "route_namespace": "shop", "route": f"route-{it}"}
            cluster = {"envoy_cluster_name": f"httproute/shop/route-{it}/rule/0"}
            yield of | route | (cluster if level == "backend" else {})


def _text(labels: dict[str, str]) -> str:
    return ",".join(f'{key}="{it}"' for key, it in labels.items())


def made(folder: Path, promtool: Path) -> int:
    """Blocks in ``folder``/data, and how many series of proxies they have."""
    data = folder / "data"
    recorded, raw = folder / "recorded.txt", folder / "raw.txt"
    begun = int(time.time()) // INTERVAL * INTERVAL
    with recorded.open("w") as file:
        write_recorded(file, begun)
    _blocks(promtool, recorded, data)
    now = int(time.time()) // INTERVAL * INTERVAL
    with raw.open("w") as file:
        total = write_raw(file, now)
    _blocks(promtool, raw, data)
    return total


def _blocks(promtool: Path, text: Path, data: Path) -> None:
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
    subprocess.run([*command, "--max-block-duration=128h", text, data], check=True)
    text.unlink()


@contextmanager
def prometheus(folder: Path, program: Path) -> Iterator[None]:
    """One that evaluates the rules of ``folder``/rules.yml over its data."""
    config = {
        "global": {"evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        # what is recorded now is older than the last sample of the blocks
        "storage": {"tsdb": {"out_of_order_time_window": "1h"}},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=30d",
                f"--web.listen-address=127.0.0.1:{PORT}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def evaluated() -> dict[str, float]:
    """What Prometheus says of its groups, when each has been evaluated often enough."""
    deadline = time.monotonic() + AHEAD
    while time.monotonic() < deadline:
        time.sleep(5)
        try:
            found = _asked("/metrics")
        except OSError:
            continue
        rounds = _values(found, "rule_group_iterations_total")
        if rounds and min(rounds) >= ROUNDS:
            break
    busy, done = _values(found, "cpu_seconds_total"), sum(rounds)
    time.sleep(QUIET)
    found = _asked("/metrics")
    more = sum(_values(found, "rule_group_iterations_total")) - done
    groups = json.loads(_asked("/api/v1/rules"))["data"]["groups"]
    rules = [it for group in groups for it in group["rules"]]
    slow = [it for it in rules if it["evaluationTime"] > SLOW]
    for it in sorted(slow, key=lambda it: -it["evaluationTime"]):
        print(f"     {it['evaluationTime']:.3f} s {it['name']}")
    for it in rules:
        if it["health"] != "ok":
            print(f"     {it['name']}: {it.get('lastError', it['health'])}")
    return {
        "evaluation of all rules": sum(it["evaluationTime"] for it in groups),
        "processor time of an evaluation": (_values(found, "cpu_seconds_total")[0] - busy[0])
        / more
        * len(groups),
        "rules that fail": sum(it["health"] != "ok" for it in rules),
        "recorded series and alerts": sum(_values(found, "rule_group_last_evaluation_samples")),
    }


def _asked(path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def _values(text: str, name: str) -> list[float]:
    """Of a metric of Prometheus or of its process, each series of it."""
    lines = [it for it in text.splitlines() if re.match(rf"(prometheus|process)_{name}[{{ ]", it)]
    return [float(it.rpartition(" ")[2]) for it in lines]


def measured() -> dict[str, float]:
    from tasks.lab import monitoring
    from tasks.plans.alerts import Settings
    from tasks.plans.prometheus_rules import groups

    promtool = monitoring.promtool()
    # What is kept every five minutes too: a round of it is one of all.
    wanted = [{**it, "interval": "15s"} for it in groups(Settings("weu-1"))]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        series = made(folder, promtool)
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": wanted}))
        with prometheus(folder, promtool.parent / "prometheus"):
            return {"series": float(series), **evaluated()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the evaluation of all rules.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    found = measured()
    missed = 0
    for name, (least, most, unit) in BOUNDS.items():
        value = found[name]
        good = (least is None or value >= least) and (most is None or value <= most)
        missed += not good
        limit = f"at least {least:,}" if least else "" if most is None else f"at most {most:g}"
        print(f"{'ok  ' if good else 'MISS'} {name}: {value:,.3f} {unit} ({limit})".rstrip(" ()"))
    print(f"     load of the machine: {os.getloadavg()[0]:.1f}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

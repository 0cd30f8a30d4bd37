"""
How many series a proxy of a Gateway with 300 routes has, all of them used, and what is left of
them: after the metric relabellings, and where EnvoyProxy has the shortest list of statistics too.
Real proxies, two of them, and a real Prometheus that counts.

    python benchmarks/series.py --print        three minutes with parts cached; needs root
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import lab, shown

LAB = "benchseries"
ROUTES = 300
TWO = ("--data", 'proxy={"replicas": 2, "cpu": "10m", "memory": "64Mi"}')
SYSTEM = "envoy-gateway-system"
PROXIES = ("--namespace", SYSTEM, "--selector", "app.kubernetes.io/component=proxy")
PORT = 18092
STATS = ("every", "all", "needed")

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "series of a proxy, as Envoy has them": (None, ""),
    'kept with stats "all"': (None, ""),
    'kept with stats "needed"': (None, ""),
    "of those that Envoy has": (50.0, "%"),
    "two proxies, needed": (None, ""),
    "names of rules and panels that went with the others": (0.0, ""),
    "one scrape": (None, "MB"),
    "proxies replaced by the list in EnvoyProxy": (None, ""),
    "series of a proxy with that list": (None, ""),
    'kept of them with stats "needed"': (None, ""),
    "names of rules and panels that went with the list": (0.0, ""),
    "one scrape with the list": (None, "MB"),
    "memory of Envoy (allocated)": (None, "MB"),
    "memory of Envoy with the list": (None, "MB"),
}


def measured(place: Path, name: str) -> dict[str, float]:
    """+ name: of a lab that is up, with the sample"""
    from tasks.plans import proxy_stats
    from tests.lab.fleet import opened
    from tests.lab.running import until

    os.environ["ENVOYFLEET_LAB"] = name
    fleet = opened(place, *TWO)
    cluster = fleet.names[0]
    ended = fleet.pyinfra("install", "-y")
    if ended.code:
        raise SystemExit(ended.text)
    how = ("--server-side", "-f", "-")
    fleet.lab.kubectl("--context", cluster, "apply", *how, text="\n---\n".join(routes()))
    until("two proxies", lambda: len(proxies(fleet)) == 2, 240)
    pods = proxies(fleet)
    use(pods)
    plain = counted(place / "plain", pods)

    matches = {"spec": {"telemetry": {"metrics": {"matches": proxy_stats.inclusion()}}}}
    patch = ("--type", "merge", "--patch", json.dumps(matches))
    fleet.kubectl(cluster, "patch", "envoyproxy", "envoy", "--namespace", SYSTEM, *patch)
    until("others with the list", lambda: len(set(proxies(fleet)) - set(pods)) == 2, 240)
    fresh = proxies(fleet)
    use(fresh)
    listed = counted(place / "listed", fresh)
    fed = needed() & plain["every"].names
    return {
        "series of a proxy, as Envoy has them": plain["every"].series,
        'kept with stats "all"': plain["all"].series,
        'kept with stats "needed"': plain["needed"].series,
        "of those that Envoy has": 100 * plain["needed"].series / plain["every"].series,
        "two proxies, needed": 2 * plain["needed"].series,
        "names of rules and panels that went with the others": len(fed - plain["needed"].names),
        "one scrape": plain["every"].size / 1e6,
        "proxies replaced by the list in EnvoyProxy": len(set(pods) - set(fresh)),
        "series of a proxy with that list": listed["every"].series,
        'kept of them with stats "needed"': listed["needed"].series,
        "names of rules and panels that went with the list": len(
            missing(fed - listed["needed"].names)
        ),
        "one scrape with the list": listed["every"].size / 1e6,
        "memory of Envoy (allocated)": plain["every"].memory / 1e6,
        "memory of Envoy with the list": listed["every"].memory / 1e6,
    }


def missing(names: set[str]) -> set[str]:
    if names:
        print("gone:", *sorted(names))
    return names


def routes() -> Iterator[str]:
    """One rule each, as most have, to one of two backends."""
    for number in range(ROUTES):
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": f"web-{number}", "namespace": "demo"},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "edge"}],
                "hostnames": [f"web-{number}.lab.test"],
                "rules": [{"backendRefs": [{"name": ("blue", "green")[number % 2], "port": 8080}]}],
            },
        }
        yield json.dumps(route)


def proxies(fleet: Any) -> list[str]:
    """Addresses of the Pods that serve; none while one comes or leaves."""
    text = fleet.kubectl(fleet.names[0], "get", "pods", *PROXIES, "--output", "json")
    pods = json.loads(text)["items"]
    ready = [it for it in pods if _ready(it).get("status") == "True"]
    leaving = any("deletionTimestamp" in it["metadata"] for it in pods)
    return [it["status"]["podIP"] for it in ready] if ready == pods and not leaving else []


def _ready(pod: Any) -> dict[str, str]:
    conditions = pod["status"].get("conditions", ())
    return next((it for it in conditions if it["type"] == "Ready"), {})


def use(pods: list[str]) -> None:
    """A request through every route of every proxy, until each was answered."""
    from tests.lab.running import until

    for pod in pods:
        until(f"routes of {pod}", partial(answers, pod, ROUTES - 1), 240)
        for number in range(ROUTES):
            until(f"route {number}", partial(answers, pod, number), 60)


def answers(pod: str, number: int) -> bool:
    connection = http.client.HTTPConnection(pod, 10080, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": f"web-{number}.lab.test"})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Count:
    """
    What Prometheus kept of the first proxy: + series, names; + size: bytes that it read, + memory:
    bytes of Envoy's
    """

    def __init__(self, job: str, size: int) -> None:
        self.series = asked(f'max(scrape_samples_post_metric_relabeling{{job="{job}"}})')[0][1]
        found = asked(f'count by (__name__) ({{job="{job}"}})')
        self.names = {labels["__name__"] for labels, _ in found}
        self.size = size
        self.memory = sum(
            it for _, it in asked(f'max(envoy_server_memory_allocated{{job="{job}"}})')
        )


def counted(place: Path, pods: list[str]) -> dict[str, Count]:
    """By what is kept: of every scrape, with stats "all", with "needed"."""
    with urllib.request.urlopen(f"http://{pods[0]}:19001/stats/prometheus", timeout=30) as answer:
        size = len(answer.read())
    with prometheus(place, pods):
        return {job: Count(job, size) for job in STATS}


@contextmanager
def prometheus(place: Path, pods: list[str]) -> Iterator[None]:
    """Debian's, with a job for each way to keep series, until it has scraped each once."""
    from tasks.lab import monitoring_parts, parts
    from tests.lab.running import until

    place.mkdir()
    jobs = [
        {
            "job_name": job,
            "metrics_path": "/stats/prometheus",
            "static_configs": [{"targets": [f"{it}:19001" for it in pods]}],
            "metric_relabel_configs": relabelling(job),
        }
        for job in STATS
    ]
    config = {"global": {"scrape_interval": "15s", "scrape_timeout": "15s"}, "scrape_configs": jobs}
    (place / "prometheus.yml").write_text(json.dumps(config))
    folder = parts.find([monitoring_parts.PROMETHEUS])["prometheus"]
    command = (
        str(folder / "prometheus"),
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{PORT}",
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wanted = len(STATS) * len(pods)
            until("every scrape", lambda: scraped() == wanted, 240)
            yield
        finally:
            running.terminate()


def relabelling(job: str) -> list[dict[str, Any]]:
    from tasks.plans import monitors

    if job == "every":
        return []
    place = {"controller_namespace": SYSTEM, "interval": "30s"}
    found = monitors.scrape_config("proxy", "lab-1", **place, stats=job)
    rules: list[dict[str, Any]] = found["metric_relabel_configs"]
    return rules


def scraped() -> int:
    return sum(value == 1 for _, value in asked("up"))


def asked(query: str) -> list[tuple[Mapping[str, str], float]]:
    """Labels and value of each; none where nobody answers yet."""
    url = f"http://127.0.0.1:{PORT}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return [(it["metric"], float(it["value"][1])) for it in found]


def needed() -> set[str]:
    """Names of series of proxies in rules and dashboards, as a scrape has them."""
    from tests.plans import test_metrics as names

    expressions = [it.values[0] for it in (*names.rules(), *names.panels())]
    every = {it.name for one in expressions for it in names.selectors(one)}
    return {it for it in every if it.startswith("envoy_")}


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the series of proxies.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--lab", help="a lab that is up and stays up, with the sample in it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if arguments.lab:
            return shown(measured(Path(place), arguments.lab), BOUNDS)
        try:
            lab(LAB, "up", "1")
            lab(LAB, "sample")
            return shown(measured(Path(place), LAB), BOUNDS)
        finally:
            lab(LAB, "down")


if __name__ == "__main__":
    raise SystemExit(main())

"""
The catalogue of series against scrapes of real proxies and controllers of each supported release,
under traffic and faults that make series move, and against kube-state-metrics with the
configuration that users get.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from tasks.fleet.render import TEMPLATES
from tasks.lab import monitoring_parts, parts
from tasks.plans.metrics import LISTENERS, METRICS, OF_PROXIES, PREFIX, Exporter, Metric
from tests.lab.fleet import NEW, OLD, SHORT_DRAIN, Fleet, opened
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

SYSTEM = "envoy-gateway-system"
PROXIES = ("--namespace", SYSTEM, "--selector", "app.kubernetes.io/component=proxy")
MANIFEST = Path(__file__).parent / "metrics.yaml"
SERIES = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: What clients meet, by host: the route's name in metrics.yaml.
WANTED = {
    "asked": 200,
    "blue": 200,
    "broken": 503,
    "elsewhere": 404,
    "empty": 503,
    "late": 504,
    "limited": 429,
    "nowhere": 500,
    "refused": 503,
    "shared": 200,
    "sick": 503,
    "unasked": 403,
}
#: A route and a listener that Envoy refuses and that Envoy Gateway takes for good.
REFUSED = [
    (
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "/virtual_hosts/0/routes/0/match/headers",
        [{"name": "x", "string_match": {"safe_regex": {"regex": "("}}}],
    ),
    (
        "type.googleapis.com/envoy.config.listener.v3.Listener",
        "/listener_filters",
        [
            {
                "name": "unheard-of",
                "typed_config": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": "x",
                },
            }
        ],
    ),
]
#: What the controller writes of a route whose back end has no endpoint.
LAST = r'httproute_status_parent_backends_available\{.*name="empty"'
#: Only a fault of the controller's own makes the first, and what it deletes the second; their names
#: are in the source of both releases. The others need a rate limit service that answers:
#: tests/data/scrapes/ has one's.
UNBORN = (
    "watchable_panics_recovered_total",
    "resource_delete_total",
    "envoy_cluster_ratelimit_ok",
    "envoy_cluster_ratelimit_over_limit",
)
#: What moves under that traffic; the others are there and may stay at 0.
MOVED = re.findall(
    r"\w+",
    """
envoy_cluster_health_check_attempt
envoy_cluster_health_check_failure envoy_cluster_health_check_healthy
envoy_cluster_health_check_success envoy_cluster_manager_cds_update_success
envoy_cluster_membership_healthy envoy_cluster_membership_total
envoy_cluster_ratelimit_error envoy_cluster_ratelimit_failure_mode_allowed
envoy_cluster_ssl_certificate_expiration_unix_time_seconds
envoy_cluster_upstream_cx_connect_fail envoy_cluster_upstream_cx_none_healthy
envoy_cluster_upstream_cx_rx_bytes_total envoy_cluster_upstream_cx_total
envoy_cluster_upstream_cx_tx_bytes_total envoy_cluster_upstream_rq
envoy_cluster_upstream_rq_completed envoy_cluster_upstream_rq_pending_failure_eject
envoy_cluster_upstream_rq_pending_overflow envoy_cluster_upstream_rq_retry
envoy_cluster_upstream_rq_retry_limit_exceeded envoy_cluster_upstream_rq_time
envoy_cluster_upstream_rq_timeout envoy_cluster_upstream_rq_total envoy_cluster_upstream_rq_xx
envoy_control_plane_connected_state envoy_http_downstream_cx_rx_bytes_total
envoy_http_downstream_cx_ssl_total envoy_http_downstream_cx_total
envoy_http_downstream_cx_tx_bytes_total envoy_http_downstream_rq_completed
envoy_http_downstream_rq_time envoy_http_downstream_rq_total envoy_http_downstream_rq_xx
envoy_http_ext_authz_error envoy_http_ext_authz_ok envoy_http_local_rate_limit_enabled
envoy_http_local_rate_limit_rate_limited envoy_http_no_route envoy_http_rds_update_rejected
envoy_http_rds_update_success envoy_http_rq_direct_response
envoy_listener_downstream_cx_total envoy_listener_manager_lds_update_rejected
envoy_listener_manager_lds_update_success envoy_listener_manager_total_listeners_active
envoy_listener_no_filter_chain_match envoy_listener_ssl_certificate_expiration_unix_time_seconds
envoy_listener_ssl_connection_error envoy_listener_ssl_handshake
envoy_server_concurrency envoy_server_live envoy_server_memory_allocated envoy_server_uptime
envoy_server_version envoy_tcp_downstream_cx_total
resource_apply_total status_update_total topology_injector_webhook_events_total
watchable_publish_total watchable_subscribe_total xds_snapshot_create_total
xds_snapshot_update_total xds_stream_duration_seconds
""",
)
MOVED_SINCE = {"1.9": ("xds_nack_total",)}


@dataclass(frozen=True)
class Scrape:
    """
    + types: such as {"envoy_server_live": "gauge"}; + series: by name, labels and value of each
    """

    types: Mapping[str, str]
    series: Mapping[str, list[tuple[Mapping[str, str], float]]]


@dataclass
class Scraped:
    """+ release: such as "1.9.1"; + spent: milliseconds that clients waited for HTTP, in all"""

    release: str
    scrapes: dict[Exporter, Scrape] = field(default_factory=dict)
    spent: float = 0.0


def read(text: str) -> Scrape:
    """A scrape in Prometheus' text form."""
    types: dict[str, str] = {}
    series: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
        elif (found := SERIES.match(line)) is not None:
            labels = dict(LABEL.findall(found[2] or ""))
            series.setdefault(found[1], []).append((labels, float(found[3])))
    return Scrape(types, series)


#: Releases whose set-up was begun once.
tried: set[str] = set()


@pytest.fixture(scope="module", params=[NEW, OLD])  # the lab of these tests has NEW
def scraped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    fleet = opened(tmp_path_factory.mktemp("metrics"), *SHORT_DRAIN)
    fleet = Fleet(fleet.lab, fleet.folder, (*fleet.more, "--limit", fleet.names[0]))
    cluster, found = fleet.names[0], Scraped(request.param)
    installed(fleet, found.release, anew=found.release in tried)
    tried.add(found.release)
    with configured(fleet):
        try:
            fleet.lab.kubectl("--context", cluster, "apply", "-f", "-", text=MANIFEST.read_text())
            until("a stream that ended at the new controller", partial(ended, fleet))
            found.spent = met(fleet.address(cluster), WANTED)
            until("the new controller to lead", partial(leads, fleet))
            refuse(fleet)
            with state_metrics(fleet) as text:
                found.scrapes["kube-state-metrics"] = read(text)
            found.scrapes["proxy"] = read(fetched(fleet, "proxy"))
            found.scrapes["controller"] = read(fetched(fleet, "controller"))
        finally:
            fleet.kubectl(cluster, "delete", "envoypatchpolicy", "--all", "--namespace", "edge")
            gone = ("--ignore-not-found", "--wait=false")
            fleet.kubectl(cluster, "delete", "-f", str(MANIFEST), *gone)
    return found


def installed(fleet: Fleet, release: str, anew: bool) -> None:
    """
    This release on the first cluster, which begins anew where another is, or where the attempt
    before failed: what was in its way would be in the way of the next.
    """
    cluster = fleet.names[0]
    there = fleet.version(cluster)
    if anew or there not in ("", release):
        done = run("reset", cluster, name=fleet.lab.name)
        assert done.returncode == 0, done.stdout + done.stderr
    if anew or there != release:
        done = run("sample", cluster, name=fleet.lab.name)
        assert done.returncode == 0, done.stdout + done.stderr
    ended = fleet.pyinfra("install", "-y", "--data", f'envoy_gateway_version="{release}"')
    assert ended.code == 0, ended.text
    assert fleet.version(cluster) == release


@contextmanager
def configured(fleet: Fleet) -> Iterator[None]:
    """Patches of what proxies get, and a rate limit service that there is no image of."""
    cluster = fleet.names[0]
    name = ("configmap", "envoy-gateway-config", "--namespace", SYSTEM)
    text = fleet.kubectl(cluster, "get", *name, "--output", "json", "--show-managed-fields=false")
    found = json.loads(text)
    for key in ("creationTimestamp", "resourceVersion", "uid"):
        del found["metadata"][key]
    config = yaml.safe_load(found["data"]["envoy-gateway.yaml"])
    config["extensionApis"] = {"enableEnvoyPatchPolicy": True}
    redis = {"url": "redis.demo.svc.cluster.local:6379"}
    config["rateLimit"] = {"backend": {"type": "Redis", "redis": redis}}
    controller = ("deployment/envoy-gateway", "--namespace", SYSTEM)

    def put(data: Mapping[str, str]) -> None:
        # In Helm's name, or the next upgrade of others meets a field that is not its.
        how = ("--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-")
        wanted = json.dumps({**found, "data": data})
        fleet.lab.kubectl("--context", cluster, "apply", *how, text=wanted)
        fleet.kubectl(cluster, "rollout", "restart", *controller)
        fleet.kubectl(cluster, "rollout", "status", *controller, "--timeout=240s")

    put({"envoy-gateway.yaml": yaml.safe_dump(config)})
    try:
        yield
    finally:
        put(found["data"])


def met(address: str, wanted: Mapping[str, int]) -> float:
    """
    Ask every host until it answers as it should, then TLS, TLS that fails, and TCP; milliseconds
    spent on HTTP.
    """
    spent = 0.0
    for host, status in wanted.items():
        begun = time.monotonic()
        until(f"{host}: {status}", partial(answers, address, host, status))
        spent += (time.monotonic() - begun) * 1000
    secure = ssl.create_default_context()
    secure.check_hostname, secure.verify_mode = False, ssl.CERT_NONE
    begun = time.monotonic()
    assert answer(address, "blue", secure) == 200
    spent += (time.monotonic() - begun) * 1000
    # Who does not trust the certificate breaks off, and an address is no name of a listener.
    for name, trust in (("blue.lab.test", ()), (address, ("--insecure",))):
        way = ("--connect-to", f"::{address}:443", f"https://{name}/")
        done = subprocess.run(("curl", "-s", *trust, *way), capture_output=True, timeout=20)
        assert done.returncode != 0
    connection = http.client.HTTPConnection(address, 9000, timeout=10)
    connection.request("GET", "/", headers={"Host": "blue.lab.test"})
    assert connection.getresponse().status == 200
    connection.close()
    return spent


def answers(address: str, host: str, status: int) -> bool:
    return answer(address, host) == status


def answer(address: str, host: str, secure: ssl.SSLContext | None = None) -> int:
    """The status of one request, 0 without one."""
    port = 443 if secure else 80
    connection = http.client.HTTPConnection(address, port, timeout=10)
    name = f"{host}.lab.test"
    try:
        if secure:
            connection.connect()
            connection.sock = secure.wrap_socket(connection.sock, server_hostname=name)
        connection.request("GET", "/", headers={"Host": name})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def leads(fleet: Fleet) -> bool:
    """
    Whether the newest controller writes: proxies get their configuration from it before it has
    the Lease that the one before it holds.
    """
    series = read(fetched(fleet, "controller")).series
    return {"resource_apply_total", "status_update_total"} <= series.keys()


def ended(fleet: Fleet) -> bool:
    """
    Whether the newest controller saw a proxy go, which it counts by the stream that ends. One that
    goes before it has found that controller ends a stream of the one before.
    """
    if "xds_stream_duration_seconds_bucket" in read(fetched(fleet, "controller")).series:
        return True
    cluster = fleet.names[0]
    if answers(fleet.address(cluster), "blue", 200):
        fleet.kubectl(cluster, "delete", "pod", *PROXIES, "--grace-period=1")
    return False


def refuse(fleet: Fleet) -> None:
    """Send a route and a listener to the proxy that it refuses, and wait until it has."""
    for number, (kind, path, value) in enumerate(REFUSED):
        operation = {"op": "add", "path": path, "value": value}
        patch = {"type": kind, "name": "edge/public/http", "operation": operation}
        policy = {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyPatchPolicy",
            "metadata": {"name": f"refused-{number}", "namespace": "edge"},
            "spec": {
                "type": "JSONPatch",
                "jsonPatches": [patch],
                "targetRef": {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": "public",
                },
            },
        }
        cluster = ("--context", fleet.names[0])
        fleet.lab.kubectl(*cluster, "apply", "-f", "-", text=json.dumps(policy))
    names = ("envoy_http_rds_update_rejected", "envoy_listener_manager_lds_update_rejected")

    def refused() -> bool:
        scrape = read(fetched(fleet, "proxy"))
        return all(total(scrape, it) for it in names)

    until("a proxy to refuse both", refused)


def fetched(fleet: Fleet, exporter: Exporter) -> str:
    """What a Prometheus in the cluster would get of the newest Pod."""
    cluster = fleet.names[0]
    selectors = {"proxy": PROXIES, "controller": (*PROXIES[:3], "control-plane=envoy-gateway")}
    paths = {"proxy": "/stats/prometheus", "controller": "/metrics"}
    which = ("--sort-by", ".metadata.creationTimestamp", "--output", "name")
    pod = fleet.kubectl(cluster, "get", "pod", *selectors[exporter], *which).split()[-1]
    place = f"/api/v1/namespaces/{SYSTEM}/pods/{pod.removeprefix('pod/')}:19001/proxy"
    return fleet.kubectl(cluster, "get", "--raw", place + paths[exporter])


@contextmanager
def state_metrics(fleet: Fleet) -> Iterator[str]:
    """What kube-state-metrics says with the configuration of templates/, run on this machine."""
    part = next(it for it in monitoring_parts.parts() if it.name == "kube-state-metrics")
    kubeconfig = fleet.folder / "kubeconfig"
    raw = ("config", "view", "--minify", "--flatten", "--raw")
    kubeconfig.write_text(fleet.kubectl(fleet.names[0], *raw))
    command = (
        str(parts.find([part])[part.name] / part.name),
        *("--kubeconfig", str(kubeconfig), "--host", "127.0.0.1", "--telemetry-host", "127.0.0.1"),
        *("--port", "18093", "--telemetry-port", "18094"),
        *("--resources", "pods,deployments,horizontalpodautoscalers"),
        *("--custom-resource-state-config-file", TEMPLATES / "monitoring/kube-state-metrics.yaml"),
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            until("kube-state-metrics", lambda: re.search(LAST, told()) is not None)
            yield told()
        finally:
            running.terminate()


def told() -> str:
    try:
        with urllib.request.urlopen("http://127.0.0.1:18093/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def total(scrape: Scrape, name: str) -> float:
    """Of every series of listeners and clusters that users have."""
    part = "_count" if scrape.types.get(name) == "histogram" else ""
    return sum(
        value
        for labels, value in scrape.series.get(name + part, ())
        if re.fullmatch(LISTENERS, labels.get(PREFIX, "http-1"))
    )


def is_of(metric: Metric, release: str) -> bool:
    """Whether a release has this name."""
    line = Version(".".join(release.split(".")[:2]))
    return not (
        (metric.since is not None and line < Version(metric.since))
        or (metric.until is not None and line > Version(metric.until))
    )


def wrong(metric: Metric, scrape: Scrape) -> list[str]:
    """What the catalogue says of a name and a scrape does not, a line each."""
    kind = scrape.types.get(metric.name, "").replace("info", "gauge")  # kube-state-metrics' word
    if kind != metric.type:
        return [f"{metric.name}: {kind or 'absent'}, and not {metric.type}"]
    part = "_count" if kind == "histogram" else ""
    found = {it for labels, _ in scrape.series[metric.name + part] for it in labels}
    found = {it for it in found if not it.startswith("customresource_")}
    if metric.exporter == "kube-state-metrics":
        missing = set(metric.labels) - found - OPTIONAL
        return [f"{metric.name}: no label {it}" for it in sorted(missing)]
    # Prometheus keeps the label of the target, and this one beside it.
    found = {f"exported_{it}" if it in OF_PROXIES else it for it in found}
    return [] if found == set(metric.labels) else [f"{metric.name}: {sorted(found)}"]


#: Labels of kube-state-metrics that are there where an object has the field.
OPTIONAL = {"parent_namespace", "parent_section_name", "ancestor_namespace"}
#: Of objects and states that this cluster has not; the configuration's form is that of the others.
NOT_HERE = re.compile(
    r"kube_horizontalpodautoscaler_.*|kube_pod_container_status_last_terminated_reason"
    r"|gatewayapi_(grpc|tls|udp)route_.*|gatewayapi_backendtlspolicy_.*"
    r"|gatewayapi_tcproute_status_parent_backends_available"
    r"|envoygateway_envoyextensionpolicy_.*"
)


@pytest.mark.parametrize("exporter", ["proxy", "controller", "kube-state-metrics"])
def test_every_row_is_in_a_scrape(scraped: Scraped, exporter: Exporter) -> None:
    scrape = scraped.scrapes[exporter]
    of_it = [
        it
        for it in METRICS.values()
        if it.exporter == exporter and it.name not in UNBORN and not NOT_HERE.fullmatch(it.name)
    ]
    problems = [line for it in of_it if is_of(it, scraped.release) for line in wrong(it, scrape)]
    problems += [
        f"{it.name}: is there, and not of {scraped.release}"
        for it in of_it
        if not is_of(it, scraped.release) and it.name in scrape.types
    ]
    assert problems == []


def test_names_of_other_releases_are_not_there(scraped: Scraped) -> None:
    types = scraped.scrapes["proxy"].types
    assert not [it for it in types if it.startswith("envoy_cluster_circuit_breakers_default_")]


def test_what_traffic_moves(scraped: Scraped) -> None:
    names = [*MOVED]
    for since, more in MOVED_SINCE.items():
        names += more if Version(scraped.release) >= Version(since) else ()
    still = [it for it in names if total(scraped.scrapes[METRICS[it].exporter], it) == 0]
    assert still == []


def test_units(scraped: Scraped) -> None:
    """Milliseconds of proxies, seconds of controllers, and times since 1970."""
    proxy, controller = scraped.scrapes["proxy"], scraped.scrapes["controller"]
    for it in METRICS.values():
        if it.type == "histogram" and it.exporter in ("proxy", "controller"):
            series = scraped.scrapes[it.exporter].series[f"{it.name}_bucket"]
            last = max(float(labels["le"]) for labels, _ in series if labels["le"] != "+Inf")
            # An hour of Envoy's; xds streams have an edge of 10,000 s.
            assert (last > 1_000_000) == (it.unit == "ms"), it.name
    spent = sum(
        value
        for labels, value in proxy.series["envoy_http_downstream_rq_time_sum"]
        if re.fullmatch(LISTENERS, labels[PREFIX])
    )
    assert 0.001 * scraped.spent < spent <= scraped.spent
    now = time.time()
    for labels, ends in proxy.series["envoy_listener_ssl_certificate_expiration_unix_time_seconds"]:
        assert now < ends < now + 20 * 365 * 86400, labels
    (_, when), *_ = proxy.series["envoy_listener_manager_lds_update_time"]
    assert abs(when / 1000 - now) < 3600
    (_, up), *_ = proxy.series["envoy_server_uptime"]
    assert 0 < up < 3600
    (_, began), *_ = controller.series["process_start_time_seconds"]
    assert abs(began - now) < 3600


def test_conditions_are_told(scraped: Scraped) -> None:
    """A route without a ready endpoint has no cluster in Envoy: only its condition shows it."""
    series: Any = scraped.scrapes["kube-state-metrics"].series

    def of(name: str, route: str) -> list[float]:
        return [value for labels, value in series.get(name, ()) if labels["name"] == route]

    route = "gatewayapi_httproute_status_parent"
    assert of(f"{route}_backends_available", "empty") == [0]
    assert of(f"{route}_backends_available", "blue") == []
    assert of(f"{route}_resolved_refs", "nowhere") == [0]
    assert of(f"{route}_resolved_refs", "blue") == [1]
    assert of("gatewayapi_gateway_status_listener_programmed", "public") == [1, 1, 1]

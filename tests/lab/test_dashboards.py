"""
Every panel against the lab's Prometheus: its queries say something of a Gateway with traffic, those
that show faults say something of faults, and the page draws them all.
"""

from __future__ import annotations

import html
import http.client
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tasks.dashboards import fault_panels, page
from tasks.operations import grafana
from tasks.plans.panels import asked, panels
from tests.lab.fleet import opened
from tests.lab.monitored import Monitored, monitoring_command
from tests.lab.running import until
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
#: Faults, limits and checks of health, as routes of these hosts.
FAULTS = ("metrics.yaml", "dashboards.yaml")
HOSTS = ("broken", "empty", "late", "limited", "nowhere", "plain", "refused", "shared", "sick")
#: What these faults do not make: there is no rate limit service in the lab, before 1.9 the
#: controller does not count refusals, and no proxy is made anew. tests/data/scrapes and
#: tests/lab/test_metrics.py have their series.
NOT_MADE = {
    ("Envoy: control plane", "Topology webhook", "{{status}}"),
    ("Envoy: routes and backends", "Rate limiting", "let through"),
    ("Envoy: routes and backends", "Rate limiting", "refused"),
    ("Envoy: routes and backends", "Rate limiting", "service failed"),
    ("Envoy: control plane", "Snapshots and refusals", "refused"),
    ("Envoy: control plane", "Decisions", "all"),
    ("Envoy: control plane", "Decisions", "near"),
    ("Envoy: control plane", "Decisions", "above"),
    ("Envoy: control plane", "Errors of the service", "decisions"),
    ("Envoy: control plane", "Errors of the service", "settings"),
    ("Envoy: control plane", "Time to decide, P99", "P99"),
}
#: For rates: four scrapes.
WINDOW = "30s"
Name = tuple[str, str, str]


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """The first cluster with Envoy Gateway, its monitoring, and traffic."""
    fleet = opened(tmp_path_factory.mktemp("dashboards"))
    found = Monitored(fleet, fleet.names[0])
    only = ("-y", "--limit", found.cluster)
    if not fleet.version(found.cluster):
        ended = fleet.pyinfra("install", *only, *at(fleet, found.cluster))
        assert ended.code == 0, ended.text
    try:
        monitoring_command(fleet.lab.name, found.cluster)
        ended = fleet.pyinfra("monitoring", *only)
        assert ended.code in (0, 3), ended.text
        with requests(fleet.address(found.cluster), "blue", "elsewhere"):
            yield found
    finally:
        monitoring_command(fleet.lab.name, found.cluster, "--remove")


@contextmanager
def requests(address: str, *names: str) -> Iterator[None]:
    """One after the other to these hosts, over HTTP and TLS, for as long as the block runs."""
    stop, context = Event(), ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def one(name: str, secure: bool) -> None:
        connection = http.client.HTTPConnection(address, 443 if secure else 80, timeout=5)
        if secure:
            plain = socket.create_connection((address, 443), timeout=5)
            connection.sock = context.wrap_socket(plain, server_hostname=f"{name}.lab.test")
        connection.request("GET", "/", headers={"Host": f"{name}.lab.test"})
        connection.getresponse().read()
        connection.close()

    def loop() -> None:
        while not stop.is_set():
            for name in names:
                for secure in (False, True):
                    try:
                        one(name, secure)
                    except (OSError, http.client.HTTPException):
                        continue  # faults are wanted
            stop.wait(0.1)

    thread = Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def ask(monitored: Monitored) -> Iterator[page.Ask]:
    """Asks Prometheus through the API server, by one process for all questions."""
    lab = monitored.fleet.lab.data
    command = [lab["kubectl"], "--kubeconfig", lab["kubeconfig"], "--context", monitored.cluster]
    proxy = subprocess.Popen(
        [*command, "proxy", "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert proxy.stdout is not None
        place = proxy.stdout.readline().decode().split()[-1]  # "... serve on 127.0.0.1:36125"
        service = "api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
        asked = page.prometheus(f"http://{place}/{service}")
        until("Prometheus", lambda: answers(asked, "up"))
        yield asked
    finally:
        proxy.terminate()
        proxy.wait()


def answers(ask: page.Ask, expr: str) -> bool:
    """On a busy machine Prometheus is not ready for a while, now and then."""
    try:
        return bool(ask("query", {"query": expr}))
    except page.Unanswered:
        return False


def empty(ask: page.Ask, which: Callable[[Name], bool]) -> list[Name]:
    """Queries that say nothing now, of those that are asked for."""
    return [
        (dashboard["title"], panel.title, query.legend)
        for dashboard in grafana.dashboards()
        for panel in panels(dashboard)
        for query in panel.queries
        if which((dashboard["title"], panel.title, query.legend))
        and not answers(ask, asked(query.expr, WINDOW))
    ]


def shows_faults(name: Name) -> bool:
    return name[2] in fault_panels().get(name[:2], {})


def test_every_panel_says_something_of_a_healthy_gateway(ask: page.Ask) -> None:
    left = empty(ask, lambda it: not shows_faults(it))

    def all_say() -> bool:
        left[:] = empty(ask, left.__contains__)
        return not left

    try:
        until("panels with data", all_say)
    except AssertionError:
        assert left == []


def silent(drawn: str) -> set[str]:
    """Titles of the panels that a page has no data for."""
    found = re.findall(r'<h4 [^>]*>([^<]*)</h4>\s*<p class="none">', drawn)
    return {html.unescape(it) for it in found}


def test_the_page_draws_them(ask: page.Ask, tmp_path: Path) -> None:
    # A quantile of nothing is no number: a controller that sends nothing has no time for it.
    may_be_empty = {title for _, title in fault_panels()} | {"Time for a message, P99"}
    drawn = ""

    def all_say() -> bool:
        nonlocal drawn
        drawn = page.draw(ask, page.times(time.time(), 600, 15))  # all that it ever said
        return silent(drawn) <= may_be_empty

    try:
        until("panels with data", all_say)
    except AssertionError:
        assert silent(drawn) - may_be_empty == set()
    (tmp_path / "dashboards.html").write_text(drawn, encoding="utf-8")
    wanted = [panel.title for it in grafana.dashboards() for panel in panels(it)]
    assert drawn.count("<h4 ") == len(wanted)
    assert "httproute/demo/blue/rule/0" in drawn
    assert "edge/lab-tls" in drawn


def test_panels_of_faults_say_something_of_faults(monitored: Monitored, ask: page.Ask) -> None:
    fleet, cluster = monitored.fleet, monitored.cluster
    files = [argument for it in FAULTS for argument in ("-f", str(HERE / it))]
    fleet.kubectl(cluster, "apply", *files)
    left: list[Name] = []

    def all_say() -> bool:
        monitored.look()
        left[:] = empty(ask, lambda it: shows_faults(it) and it not in NOT_MADE)
        return not left

    try:
        with requests(fleet.address(cluster), *HOSTS):
            until("faults on panels", all_say)
    except AssertionError:
        assert left == []
    finally:
        fleet.kubectl(cluster, "delete", "--ignore-not-found", *files)


def test_all_that_shows_faults_is_known() -> None:
    listed = {(*panel, legend) for panel, found in fault_panels().items() for legend in found}
    assert listed >= NOT_MADE

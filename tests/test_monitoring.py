"""
deploys/monitoring.py through the real command line, on clusters that a stand-in API server answers
for: what is wrong is a line, the rest goes on, and a second run writes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import Answer, status
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.grafana import TOKEN, standing_grafana
from tests.monitored import (
    ALERTMANAGER,
    ALL,
    GROUP,
    MONITORING,
    OPERATOR,
    PROMETHEUS,
    SETTINGS,
    SYSTEM,
    Monitored,
    groups,
    owner,
)
from tests.stand_in import listed

DATA = {"envoy_gateway_version": "1.9.1", "ring": 0}
SECRET = f"/api/v1/namespaces/{MONITORING}/secrets/pager"
RUN = ["inventory/prod.py", "deploys/monitoring.py", "-y"]
ROUTING = (
    f"/apis/monitoring.coreos.com/v1alpha1/namespaces/{MONITORING}/alertmanagerconfigs/envoyfleet"
)
RULES = f"{OPERATOR}/namespaces/{MONITORING}/prometheusrules/envoyfleet"
MONITORS = f"{OPERATOR}/namespaces/{MONITORING}/podmonitors"
BOTH = {**ALL, "azmonitoring.coreos.com": {"v1": ["podmonitors"]}}
WOULD = (
    "would be applied: PodMonitor monitoring/envoy-proxy, PodMonitor monitoring/envoy-gateway, "
    "PodMonitor monitoring/envoy-ratelimit, PrometheusRule monitoring/envoyfleet, "
    "AlertmanagerConfig monitoring/envoyfleet"
)
GONE = status(404, "not found")
UNKNOWN = 'strict decoding error: unknown field "spec.podMetricsEndpoints[0].scrapeTimeout"'
FOREIGN = owner("Prometheus", podMonitorSelector={"matchLabels": {"release": "other"}})
DEFAULT = owner("Alertmanager", alertmanagerConfigSelector={})


@dataclass(frozen=True)
class Target:
    """
    A cluster with one thing wrong. + says: of its finding; + here: answers by path; + settings:
    what the inventory has changed; + refuses: writes; + writes: something is written for it
    """

    says: str
    here: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    writes: bool = False
    refuses: Mapping[str, Answer] = field(default_factory=dict)


TARGETS = {
    "no-crds": Target(
        "GW801 no-crds: monitoring: it has no monitors: the CRDs of neither monitoring.coreos.com "
        f"nor azmonitoring.coreos.com are installed; {WOULD}: install prometheus-operator",
        {"/apis": groups({"apps": {"v1": ["deployments"]}})},
    ),
    "both": Target(
        "GW801 both: monitoring: it has the monitors of prometheus-operator and of Azure Monitor, "
        f"and nobody says which of them scrapes; {WOULD}: set monitoring.backend",
        {"/apis": groups(BOTH)},
    ),
    "old-crds": Target(
        "GW801 old-crds: PodMonitor: PodMonitor monitoring/envoy-proxy: refused by the API "
        f"server: 400 {UNKNOWN}",
        settings={"interval": "15s"},
        refuses={f"{MONITORS}/envoy-proxy": status(400, UNKNOWN)},
    ),
    "no-routes": Target(
        "GW801 no-routes: AlertmanagerConfig: the CRD alertmanagerconfigs.monitoring.coreos.com is "
        "not installed",
        {"/apis": groups({"monitoring.coreos.com": {"v1": ALL["monitoring.coreos.com"]["v1"]}})},
    ),
    "no-secret": Target(
        "GW808 no-secret: receiver pager: Secret monitoring/pager does not exist, so that it is "
        "left out: create it",
        {SECRET: GONE},
        writes=True,
    ),
    "other-key": Target(
        "GW808 other-key: receiver pager: Secret monitoring/pager has no key url",
        {
            f"/api/v1/namespaces/{MONITORING}/secrets/pager": {
                "metadata": {},
                "data": {"URL": "eA=="},
            }
        },
        writes=True,
    ),
    "no-receivers": Target(
        "GW808 no-receivers: receivers: nobody is told: neither the inventory nor Alertmanager "
        "has a receiver: set monitoring.alertmanager.receivers",
        {f"{ALERTMANAGER}/api/v2/status": {"config": {"original": "receivers: [{name: 'null'}]"}}},
        {"alertmanager": {"receivers": []}},
        writes=True,
    ),
    "one-namespace": Target(
        "GW808 one-namespace: Alertmanager monitoring/k8s: gives the routes of an "
        "AlertmanagerConfig alerts of its own namespace alone",
        {
            f"{OPERATOR}/alertmanagers": listed(
                "monitoring.coreos.com/v1", "Alertmanager", [DEFAULT]
            )
        },
    ),
    "not-installed": Target(
        "GW800 not-installed: monitoring: Envoy Gateway is not installed (no namespace "
        f"{SYSTEM}): nothing was applied: run deploys/install.py first",
        {f"/api/v1/namespaces/{SYSTEM}": GONE},
    ),
    "no-namespace": Target(
        "GW800 no-namespace: monitoring: namespace monitoring does not exist: nothing was applied",
        {f"/api/v1/namespaces/{MONITORING}": GONE},
    ),
    "not-selected": Target(
        "GW807 not-selected: PodMonitor monitoring/envoy-proxy: no Prometheus of the cluster "
        "selects it, with the labels app.kubernetes.io/managed-by=envoyfleet, release=stack",
        {f"{OPERATOR}/prometheuses": listed(f"{GROUP}/v1", "Prometheus", [FOREIGN])},
    ),
    "no-prometheus": Target(
        "GW800 no-prometheus: Prometheus: nobody says where it is, so that nothing was read back: "
        "set monitoring.prometheus",
        {f"{OPERATOR}/prometheuses": listed(f"{GROUP}/v1", "Prometheus", [])},
    ),
    "away": Target(
        "GW800 away: rules: could not be read:",
        {f"{PROMETHEUS}/api/v1/rules": status(403, "services/proxy is forbidden")},
    ),
    "leaks": Target(
        "GW815 leaks: label envoy_virtual_host: has a value for each host name or address",
        {f"{PROMETHEUS}/api/v1/labels": {"data": ["gateway", "envoy_virtual_host"]}},
    ),
    "not-loaded": Target(
        "GW804 not-loaded: PrometheusRule monitoring/envoyfleet, group envoy-proxies: Prometheus "
        "has not loaded it",
        {f"{PROMETHEUS}/api/v1/rules": {"data": {"groups": []}}},
    ),
    "healthy": Target(""),
}


@dataclass(frozen=True)
class Ran:
    """
    A first run over clusters with nothing wrong, and a second after one thing went wrong on each.

    + writes: of each
    """

    first: Outcome
    second: Outcome
    writes: tuple[list[str], list[str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("monitoring") / "clone"
    folder.mkdir()
    with Monitored().running() as server:
        for name in TARGETS:
            server.plant(name)

        def run(changed: bool) -> tuple[Outcome, list[str]]:
            server.asked.clear()
            prepared(folder, Case("", [], inventory=inventory(changed)), server)
            kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *TARGETS)
            found = command_line.run(folder, RUN, KUBECONFIG=str(kubeconfig))
            return found, server.writes()

        first, of_first = run(False)
        for name, target in TARGETS.items():
            goes_wrong(server, name, target)
        shutil.rmtree(folder / "deploys")
        second, of_second = run(True)
        yield Ran(first, second, (of_first, of_second))


def inventory(changed: bool) -> str:
    entries = [
        (
            f"@kube/{name}",
            {**DATA, "monitoring": {**SETTINGS, **(it.settings if changed else {})}},
        )
        for name, it in TARGETS.items()
    ]
    return f"clusters = {entries!r}"


def goes_wrong(server: Monitored, name: str, target: Target) -> None:
    for path, body in target.here.items():
        answer = body if isinstance(body, Answer) else Answer(body=body)
        server.answer("GET", path, answer, cluster=name)
    for path, answer in target.refuses.items():
        server.answer("PATCH", path, answer, cluster=name)


def test_a_first_run_writes_everything_and_finds_it_again(ran: Ran) -> None:
    assert ran.first.code == 0, ran.first.text
    assert [it for it in ran.writes[0] if "lease" not in it and it.startswith("healthy: ")] == [
        f"healthy: PATCH {MONITORS}/envoy-proxy",
        f"healthy: PATCH {MONITORS}/envoy-gateway",
        f"healthy: PATCH {MONITORS}/envoy-ratelimit",
        f"healthy: PATCH {RULES}",
        f"healthy: PATCH {ROUTING}",
    ]
    assert "nothing found" in ran.first.text or "healthy operator 2 of 2" in rows(ran.first)


@pytest.mark.parametrize("name", [it for it in TARGETS if TARGETS[it].says])
def test_says_in_one_line_what_is_wrong(ran: Ran, name: str) -> None:
    lines = [it for it in ran.second.lines if TARGETS[name].says in it and "docs/findings" in it]
    assert len(lines) == 1, [it for it in ran.second.lines if f" {name}: " in it]


def test_the_rest_goes_on(ran: Ran) -> None:
    """What was wrong is a finding; no cluster failed, and no other was held."""
    assert ran.second.code == 3
    assert "Traceback" not in ran.second.text
    assert [it for it in ran.second.lines if " failed " in it or " held " in it] == []


def test_a_second_run_writes_nothing_but_what_its_inventory_changed(ran: Ran) -> None:
    changed = {name for name, it in TARGETS.items() if it.writes}
    wrote = {it.partition(": ")[0] for it in ran.writes[1]}
    assert wrote == changed
    deleted = {it for it in ran.writes[1] if " DELETE " in it}
    assert deleted == {f"{it}: DELETE {ROUTING}" for it in changed}  # nobody is left to be told


def test_no_secret_is_printed(ran: Ran) -> None:
    assert "http://pager" not in ran.first.text + ran.second.text


def rows(outcome: Outcome) -> str:
    return "\n".join(outcome.lines)


def alone(
    folder: Path,
    command_line: CommandLine,
    settings: Mapping[str, Any],
    *more: str,
    **environment: str,
) -> tuple[Outcome, list[str], Path]:
    """A run over one healthy cluster; + settings: of ``monitoring``"""
    clone = folder / "clone"
    clone.mkdir()
    with Monitored().running() as server:
        server.plant("weu-1")
        data = {**DATA, "monitoring": {**SETTINGS, **settings}}
        case = Case("", [], inventory=f"clusters = {[('@kube/weu-1', data)]!r}")
        kubeconfig = prepared(clone, case, server)
        found = command_line.run(clone, [*RUN, *more], KUBECONFIG=str(kubeconfig), **environment)
        return found, server.writes(), clone


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        pytest.param(
            {"thresholds": {"EnvoyProxyConnections.ratio": "much"}},
            "inventory/prod.py: weu-1: monitoring.thresholds.EnvoyProxyConnections.ratio: must "
            "be a valid number, not 'much'",
            id="a threshold that is no number",
        ),
        pytest.param(
            {"backend": "azure"},
            "inventory/prod.py: weu-1: monitoring: backend azure needs workspace, for its rule "
            "groups",
            id="Azure without a workspace",
        ),
    ],
)
def test_an_inventory_that_cannot_be_is_refused(
    tmp_path: Path, command_line: CommandLine, settings: Mapping[str, Any], line: str
) -> None:
    found, written, _ = alone(tmp_path, command_line, settings)
    assert (found.code, written) == (2, [])
    assert line in found.lines


def test_an_inventory_without_monitoring_has_nothing_to_do(
    tmp_path: Path, command_line: CommandLine
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    with Monitored().running() as server:
        server.plant("weu-1")
        case = Case("", [], inventory=f"clusters = {[('@kube/weu-1', DATA)]!r}")
        kubeconfig = prepared(clone, case, server)
        found = command_line.run(clone, RUN, KUBECONFIG=str(kubeconfig))
        assert (found.code, server.writes()) == (0, [])


def test_a_fleet_of_which_some_have_dashboards_and_some_nothing(
    tmp_path: Path, command_line: CommandLine
) -> None:
    """Their steps differ, and each still gets its own."""
    clone = tmp_path / "clone"
    clone.mkdir()
    wanted: dict[str, Mapping[str, Any]] = {
        "boards": {"monitoring": {**SETTINGS, "grafana": {}}},
        "none": {},
        "rules": {"monitoring": SETTINGS},
        "later": {"ring": 1, "monitoring": {**SETTINGS, "grafana": {}}},
    }
    with Monitored().running() as server:
        for name in wanted:
            server.plant(name)
        entries = [(f"@kube/{name}", {**DATA, **its}) for name, its in wanted.items()]
        prepared(clone, Case("", [], inventory=f"clusters = {entries!r}"), server)
        kubeconfig = server.write_kubeconfig(clone / "kubeconfig", *wanted)
        found = command_line.run(clone, RUN, KUBECONFIG=str(kubeconfig))
        written = server.writes()
    assert found.code == 0, found.text
    counts = {
        name: (f"{name}: PATCH {RULES}" in written, len(boards_of(name, written)))
        for name in wanted
    }
    assert counts == {
        "boards": (True, 5),
        "none": (False, 0),
        "rules": (True, 0),
        "later": (True, 5),
    }


def boards_of(cluster: str, written: list[str]) -> list[str]:
    return [it for it in written if it.startswith(f"{cluster}: PATCH") and "/configmaps/" in it]


def test_plain_files_are_written_where_they_differ(
    tmp_path: Path, command_line: CommandLine
) -> None:
    found, written, clone = alone(tmp_path, command_line, {"backend": "files"})
    assert written == []
    folder = clone / "rules" / "weu-1"
    assert sorted(it.name for it in folder.iterdir()) == ["rules.yml", "scrape.yml"]
    assert "GW800 weu-1: Prometheus: nobody says where it is" in found.text
    own = folder / "own.yml"
    own.write_text("groups: []\n")
    (folder / "old.yml").write_text((folder / "rules.yml").read_text())
    before = {it: it.stat().st_mtime_ns for it in folder.iterdir() if it.name != "old.yml"}
    with Monitored().running() as server:
        server.plant("weu-1")
        kubeconfig = server.write_kubeconfig(clone / "kubeconfig", "weu-1")
        command_line.run(clone, RUN, KUBECONFIG=str(kubeconfig))
    assert {it: it.stat().st_mtime_ns for it in folder.iterdir()} == before


def test_the_plan_shows_everything_and_nothing_is_written(
    tmp_path: Path, command_line: CommandLine
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    with Monitored().running() as server:
        server.plant("weu-1")
        data = {**DATA, "monitoring": SETTINGS}
        case = Case("", [], inventory=f"clusters = {[('@kube/weu-1', data)]!r}")
        kubeconfig = prepared(clone, case, server)
        found = command_line.run(clone, [*RUN[:2], "--dry"], KUBECONFIG=str(kubeconfig))
        assert server.writes() == []
    assert [it for it in found.lines if it.startswith("Will ")] == [
        "Will create PodMonitor monitoring/envoy-proxy",
        "Will create PodMonitor monitoring/envoy-gateway",
        "Will create PodMonitor monitoring/envoy-ratelimit",
        "Will create PrometheusRule monitoring/envoyfleet",
        "Will create AlertmanagerConfig monitoring/envoyfleet",
    ]


def test_dashboards_as_config_maps(tmp_path: Path, command_line: CommandLine) -> None:
    found, written, _ = alone(tmp_path, command_line, {"grafana": {}})
    boards = boards_of("weu-1", written)
    assert (found.code, len(boards)) == (0, 5)
    assert boards[0].startswith(f"weu-1: PATCH /api/v1/namespaces/{MONITORING}/configmaps/envoy")


def test_a_token_of_grafana_without_rights_is_a_line(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with standing_grafana() as grafana:
        settings = {"grafana": {"url": grafana.url, "token_env": "TOKEN"}}
        found, written, _ = alone(tmp_path, command_line, settings, TOKEN="glsa_wrong")
    assert found.code == 3
    assert "GW811 inventory: Grafana: " in found.text
    assert "glsa_wrong" not in found.text
    assert f"weu-1: PATCH {RULES}" in written


def test_dashboards_of_a_grafana_are_written_once_and_hand_made_changes_are_said(
    tmp_path: Path, command_line: CommandLine
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    names = ("weu-1", "neu-1")
    with standing_grafana() as there, Monitored().running() as server:
        there.source()
        boards = {"url": there.url, "token_env": "TOKEN"}
        data = {**DATA, "monitoring": {**SETTINGS, "grafana": boards}}
        for name in names:
            server.plant(name)
        entries = [(f"@kube/{name}", data) for name in names]
        kubeconfig = prepared(clone, Case("", [], inventory=f"clusters = {entries!r}"), server)
        environment = {"KUBECONFIG": str(kubeconfig), "TOKEN": TOKEN}
        first = command_line.run(clone, RUN, **environment)
        written = [it for it in there.writes if "dashboards" in it]
        assert (first.code, len(written)) == (0, 5), first.text
        there.by_hand("envoyfleet-fleet", lambda it: it["panels"][1].update(title="Mine"))
        there.asked.clear()
        second = command_line.run(clone, RUN, **environment)
    assert (second.code, there.writes) == (0, ["POST /api/dashboards/db"])
    [line] = [it for it in second.lines if it.startswith("info GW810 inventory: dashboard ")]
    assert "was changed by hand" in line

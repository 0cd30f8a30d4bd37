"""
Whether monitoring works: not what was applied, but what Prometheus, Alertmanager and Grafana say
that they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.checks.findings import Finding, Where
from tasks.plans import loaded
from tasks.plans.kinds import title
from tasks.plans.metrics import Exporter

Object = Mapping[str, Any]
#: Labels and value of a series.
Sample = tuple[Mapping[str, str], float]
#: Labels of Envoy that have a value for each host name or address that clients or endpoints have.
LEAKS: Mapping[str, str] = {
    "envoy_virtual_host": "EnvoyProxy spec.telemetry.metrics.enableVirtualHostStats: false",
    "envoy_endpoint_address": "EnvoyProxy spec.telemetry.metrics.enablePerEndpointStats: false",
    "host": 'monitoring.stats "needed", which keeps what rules and panels use',
    "authority": 'monitoring.stats "needed", which keeps what rules and panels use',
}

#: What a healthy gateway has from its first minute, of what rules may stand on: Envoy makes other
#: counters when they first move.
ALWAYS: Mapping[Exporter, tuple[str, ...]] = {
    "proxy": (
        "envoy_server_live",
        "envoy_server_uptime",
        "envoy_control_plane_connected_state",
        "envoy_cluster_manager_cds_update_rejected",
        "envoy_listener_manager_lds_update_rejected",
        "envoy_cluster_membership_total",
        "envoy_cluster_membership_healthy",
    ),
    "controller": (
        "process_start_time_seconds",
        "watchable_publish_total",
        "xds_snapshot_create_total",
        "xds_snapshot_update_total",
    ),
}

#: What a reload mends.
RELOADED = frozenset(("GW802", "GW803", "GW804", "GW805", "GW806"))


@dataclass(frozen=True)
class Target:
    """A Pod that is to be scraped. + job: of its monitor; + title: such as "Pod eg/envoy-1" """

    job: str
    namespace: str
    pod: str

    @property
    def title(self) -> str:
        return f"Pod {self.namespace}/{self.pod}"


def scrapable(pod: Object, now: datetime, young: float) -> bool:
    """Whether a Pod runs, and has for so many seconds, so that it must have been scraped."""
    status = pod.get("status") or {}
    begun = status.get("startTime")
    return (
        status.get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        and isinstance(begun, str)
        and (now - datetime.fromisoformat(begun)).total_seconds() >= young
    )


def awaited(finding: Finding) -> bool:
    """Whether a reload of Prometheus or Alertmanager may mend it."""
    if finding.code == "GW808":
        return str(finding.where.object).startswith("receiver ")
    return finding.code in RELOADED


def unread(cluster: str, thing: str, why: str, fix: str) -> Finding:
    """GW800: something was not read, or not provisioned. + thing: such as "rules" """
    return Finding("GW800", "warning", Where(cluster, thing), why, fix)


def not_applied(cluster: str, thing: str, why: str, would: Sequence[str], fix: str) -> Finding:
    """GW801. + would: titles of what would be applied"""
    text = f"{why}; would be applied: {', '.join(would)}" if would else why
    return Finding("GW801", "error", Where(cluster, thing), text, fix)


def targets(
    cluster: str,
    wanted: Sequence[Target],
    up: Sequence[Sample],
    errors: Mapping[tuple[str, str], str],
) -> Iterator[Finding]:
    """
    GW802 and GW803: Pods that nobody scrapes, or whose scrape fails.

    + up: the series ``up`` of this cluster; + errors: why, by job and Pod, where it is known
    """
    seen = {(it.get("job"), it.get("namespace"), it.get("pod")): value for it, value in up}
    for it in wanted:
        where = Where(cluster, it.title)
        value = seen.get((it.job, it.namespace, it.pod))
        if value is None:
            yield Finding(
                "GW802",
                "error",
                where,
                f"nobody scrapes it as {it.job}",
                "look at the monitor's labels, and at what Prometheus may read in this namespace",
            )
        elif value == 0:
            why = errors.get((it.job, it.pod))
            yield Finding(
                "GW803",
                "error",
                where,
                "its scrape fails" + (f": {why}" if why else ""),
                "look whether a NetworkPolicy or a port keeps Prometheus away",
            )


def rules(
    cluster: str, thing: str, wanted: Sequence[Object], found: Sequence[Object]
) -> Iterator[Finding]:
    """
    GW804 and GW805: groups that are not loaded as they were written, and rules that fail.

    + thing: such as "PrometheusRule monitoring/envoyfleet"; + found: Prometheus's own groups
    """
    for group in wanted:
        where = Where(cluster, thing, f"group {group['name']}")
        there = loaded.of(group, found)
        if there is None:
            yield Finding(
                "GW804",
                "error",
                where,
                "Prometheus has not loaded it",
                "look which Prometheus takes it (monitoring.labels), and at its operator's log",
            )
            continue
        if not loaded.whole(group, there):
            old = loaded.differing(group, there)
            yield Finding(
                "GW804",
                "error",
                where,
                f"Prometheus has another text of {_some(old) or 'its rules'}",
                "wait for its reload; then look at its operator's log",
            )
        for rule in there.get("rules") or ():
            if rule.get("health") == "err":
                yield Finding(
                    "GW805",
                    "error",
                    where,
                    f"{rule.get('name')} cannot be evaluated: "
                    f"{' '.join(str(rule.get('lastError')).split())}",
                    "look whether two clusters or two monitors write the same series",
                )


def series(
    cluster: str, needed: Mapping[str, Iterable[str]], found: Mapping[str, Iterable[str]]
) -> Iterator[Finding]:
    """
    GW806: series that rules stand on and that are not there, by job. A job without any series has
    no targets, which was said.
    """
    for job, names in needed.items():
        there = set(found.get(job, ()))
        missing = sorted(set(names) - there)
        if there and missing:
            yield Finding(
                "GW806",
                "error",
                Where(cluster, f"series of {job}"),
                f"rules stand on {_some(missing)}, and nobody has it",
                "look at EnvoyProxy spec.telemetry.metrics and at relabelings of the monitor",
            )


def untaken(cluster: str, owner: str, those: Iterable[Object]) -> Iterator[Finding]:
    """GW807. + owner: "Prometheus" or "Alertmanager"; + those: objects that none takes"""
    for it in those:
        kept = it["metadata"].get("labels") or {}
        labels = ", ".join(f"{key}={value}" for key, value in sorted(kept.items()))
        yield Finding(
            "GW807",
            "error",
            Where(cluster, title(it)),
            f"no {owner} of the cluster selects it, with the labels {labels}",
            "set monitoring.labels to what its selector asks for (and look at its selector of "
            "namespaces)",
        )


def receivers(cluster: str, wanted: Iterable[str], found: Iterable[str]) -> Iterator[Finding]:
    """
    GW808: receivers that Alertmanager does not have, or nobody to tell at all.

    + wanted: names of the inventory; + found: those of Alertmanager that tell somebody
    """
    there, names = list(found), list(wanted)
    for name in names:
        if not any(it == name or it.endswith(f"/{name}") for it in there):
            yield Finding(
                "GW808",
                "error",
                Where(cluster, f"receiver {name}"),
                "Alertmanager has not loaded it",
                "look which Alertmanager takes monitoring.labels, and at its operator's log",
            )
    if not names and not there:
        yield Finding(
            "GW808",
            "warning",
            Where(cluster, "receivers"),
            "nobody is told: neither the inventory nor Alertmanager has a receiver",
            "set monitoring.alertmanager.receivers",
        )


def no_secret(cluster: str, receiver: str, secret: str, why: str) -> Finding:
    """GW808. + secret: such as "Secret monitoring/pager"; + why: such as "does not exist" """
    return Finding(
        "GW808",
        "error",
        Where(cluster, f"receiver {receiver}"),
        f"{secret} {why}, so that it is left out",
        "create it, or correct secret and key of the receiver",
    )


def never_asked(cluster: str, alertmanager: str) -> Finding:
    """GW808: the operator adds the matcher namespace=... to our routes, and alerts have none."""
    return Finding(
        "GW808",
        "error",
        Where(cluster, alertmanager),
        "gives the routes of an AlertmanagerConfig alerts of its own namespace alone, and alerts "
        "of Gateways have no such label: its receivers are told nothing",
        "set spec.alertmanagerConfigMatcherStrategy.type to None, or to OnNamespaceExceptFor"
        "AlertmanagerNamespace with the monitors beside the Alertmanager",
    )


def no_dashboard(name: str) -> Finding:
    """GW809. + name: its title"""
    return Finding(
        "GW809",
        "error",
        Where(None, f"dashboard {name}"),
        "Grafana does not have it as it was written",
        "look in Grafana who changes dashboards (provisioning, another run), and run again",
    )


def by_hand(name: str, lines: Sequence[str]) -> Finding:
    """GW810, info: it is written over. + lines: what differs"""
    return Finding(
        "GW810",
        "info",
        Where(None, f"dashboard {name}"),
        f"was changed by hand: {_some(lines) or 'its text'}",
        "what is worth keeping belongs into a copy under another name: this one is written over",
    )


def config_map_by_hand(cluster: str, thing: str, who: str) -> Finding:
    """GW810, info. + thing: such as "ConfigMap monitoring/envoyfleet-fleet"; + who: a manager"""
    return Finding(
        "GW810",
        "info",
        Where(cluster, thing),
        f"was changed by hand ({who})",
        "what is worth keeping belongs into a ConfigMap of its own: this one is written over",
    )


def refused(line: str) -> Finding:
    """GW811. + line: why, and what to do, such as "Grafana https://g takes no such token: ..." """
    what, _, fix = line.rpartition(": ")
    return Finding("GW811", "error", Where(None, "Grafana"), what or line, fix or "look at its log")


def not_in_azure(cluster: str, thing: str, line: str) -> Finding:
    """GW812. + line: what differs or was refused"""
    fix = "give this identity the role Monitoring Contributor there, or correct what the line names"
    return Finding(
        "GW812", "error", Where(cluster, thing), f"are not as they are wanted: {line}", fix
    )


def over_limit(cluster: str, line: str) -> Finding:
    """GW813. + line: such as "rule EnvoyX: 11 labels, Azure allows 10: it is left out" """
    rule, _, why = line.partition(": ")
    return Finding(
        "GW813",
        "error",
        Where(cluster, rule),
        f"Azure Monitor does not take it: {why}",
        "shorten what the line names in the inventory: labels, thresholds, runbooks",
    )


def dropped(cluster: str, envoyproxy: Object, lines: Iterable[str]) -> Iterator[Finding]:
    """GW814. + lines: of ``proxy_stats.drops_needed``"""
    for it in lines:
        yield Finding(
            "GW814",
            "error",
            Where(cluster, title(envoyproxy)),
            it,
            "take that out of spec.telemetry.metrics, or those alerts never fire",
        )


def leaks(cluster: str, found: Iterable[str]) -> Iterator[Finding]:
    """GW815. + found: names of labels of the series that Prometheus has of proxies"""
    for label in sorted(set(found) & set(LEAKS)):
        yield Finding(
            "GW815",
            "warning",
            Where(cluster, f"label {label}"),
            "has a value for each host name or address: their number grows with customers, and "
            "whoever reads metrics reads who they are",
            f"set {LEAKS[label]}",
        )


def _some(names: Sequence[str], at_most: int = 3) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more

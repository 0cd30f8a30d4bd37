"""Monitors, rules, receivers and dashboards, and what a diagnosis looks at."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.fleet.inventory.base import Name, Strict, Text
from tasks.plans import alerts


class Objectives(Strict):
    """
    What users may expect of a Gateway over 30 days. + availability: percent of requests that Envoy
    and what is behind it do not fail; + latency: percent that end in time, + within: milliseconds
    """

    availability: Annotated[float, Field(ge=90, lt=100)] = 99.9
    latency: Annotated[float, Field(ge=50, lt=100)] = 99.0
    within: Literal[25, 50, 100, 250, 500, 1000, 2500, 5000, 10000] = 1000


class Receiver(Strict):
    """
    Who gets alerts. + secret, key: where its address or routing key is, a Secret in the namespace
    of the monitors; + severities: empty means all
    """

    name: Name
    kind: Literal["webhook", "pagerduty", "slack", "teams", "opsgenie"]
    secret: Name
    key: Text
    channel: Text | None = None
    severities: list[Literal["critical", "warning"]] = []


class Alertmanager(Strict):
    """
    + address: "https://alerts.example.com", or "namespace/service:port" in the cluster; None is the
      one that the operator runs; + receivers: none leaves routing to what is there
    + silence: a roll-out silences the alerts of what it touches
    """

    address: Text | None = None
    receivers: list[Receiver] = []
    silence: bool = True


class Grafana(Strict):
    """
    + url: None delivers dashboards as ConfigMaps for Grafana's sidecar, with these labels
    + token_env: the environment variable that holds a token of a service account; None is the
      sign-in of Azure, for Azure Managed Grafana
    + data_source: its name in Grafana; + prometheus: the URL of a data source to be made, None
      takes the one that is there
    """

    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    folder: Text = "Envoy Gateway"
    data_source: Text = "Prometheus"
    prometheus: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    labels: dict[str, str] = {"grafana_dashboard": "1"}


class Workspace(Strict):
    """
    Rule groups of Azure Monitor. + id: of the Azure Monitor workspace, an ARM id; + resource_group,
    subscription, location: of the rule groups, None is the workspace's; + action_groups: ARM ids
    of who is told
    """

    id: Annotated[
        str, Field(pattern=r"(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/\S+$")
    ]
    resource_group: Text | None = None
    subscription: Text | None = None
    location: Text | None = None
    action_groups: list[Text] = []


class Logs(Strict):
    """
    Access logs of the proxies. + enabled: JSON on standard output, with what a diagnosis needs
    + otel: "namespace/service:port" of an OpenTelemetry collector that gets them too
    """

    enabled: bool = False
    otel: Annotated[str, Field(pattern=r"^[^/]+/[^/:]+:\d+$")] | None = None


class Monitoring(Strict):
    """
    What deploys/monitoring.py provisions.

    + backend: who scrapes and judges; None finds out by the CRDs of the cluster
    + namespace: of monitors, rules and dashboards; + labels: on them, as Prometheus selects them
    + interval: between scrapes; + stats: "needed" keeps only series that a rule or panel uses
    + prometheus: "https://prometheus.example.com", or "namespace/service:port" in the cluster; None
      is the one that the operator runs
    + thresholds: by alert and name, such as {"EnvoyProxyConnections.ratio": 0.7}
    + runbooks: where docs/alerts.md can be read; + files: folder of plain rule files
    """

    backend: Literal["operator", "azure", "files"] | None = None
    namespace: Name = "monitoring"
    labels: dict[str, str] = {}
    interval: Annotated[str, Field(pattern=r"^\d+s$")] = "30s"
    stats: Literal["needed", "all"] = "needed"
    prometheus: Text | None = None
    environment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "production"
    thresholds: dict[str, float] = {}
    objectives: Objectives = Objectives()
    runbooks: Text = "docs/alerts.md"
    alertmanager: Alertmanager = Alertmanager()
    grafana: Grafana | None = None
    workspace: Workspace | None = None
    logs: Logs = Logs()
    files: Text = "rules"

    @field_validator("thresholds")
    @classmethod
    def _are_known(cls, value: dict[str, float]) -> dict[str, float]:
        for problem in alerts.problems(value):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _has_its_workspace(self) -> Self:
        if self.backend == "azure" and self.workspace is None:
            raise ValueError("backend azure needs workspace, for its rule groups")
        return self


class Loki(Strict):
    """
    Where access logs are kept. + selector: of their streams; + token_env: the environment variable
    with a token; + tenant: of a Loki that has several
    """

    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
    selector: Annotated[str, Field(pattern=r"^\{.*\}$")] = '{container="envoy"}'
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    tenant: Text | None = None


class Diagnosis(Strict):
    """
    What deploys/diagnose.py looks at. + lines, minutes: of the access log of each proxy that a
    request may go through; + loki: None reads the logs of the Pods alone
    """

    lines: Annotated[int, Field(ge=1, le=100000)] = 300
    minutes: Annotated[int, Field(ge=1)] = 15
    loki: Loki | None = None

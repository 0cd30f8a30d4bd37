"""
The data of a cluster in an inventory: every key, its type, its default, and what it means.

All clusters are checked before the first connection; docs/inventory.md is the same table for
readers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tasks.plans import aks, alerts, public_ips, requests, windows
from tasks.plans.budget import parse_budget
from tasks.plans.rings import seconds

#: Keys that are pyinfra's or another connector's own, not the fleet's.
FOREIGN_PREFIXES = ("ssh_", "aks_", "_")

#: Annotations of a Gateway that public_ip stands for.
SAID_BY_PUBLIC_IP = (public_ips.NAME[False], public_ips.GROUP, public_ips.ADDRESS[False])

#: The account is in the host's name; behind another host, such as an emulator's, in the path.
_PART = r"[^/\s?#@]+"
_CONTAINER = re.compile(
    rf"https://(?:(?=[^/]*\.blob\.){_PART}|(?![^/]*\.blob\.){_PART}/{_PART})/{_PART}"
)
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
#: With its registry: the chart's global.imageRegistry replaces the part before the first slash.
Reference = Annotated[str, Field(pattern=r"^[^/\s]+/\S+$")]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Listener(Strict):
    """
    + hostname: such as "*.example.com"; None takes every name. + secret: certificate of an HTTPS
      listener.
    """

    name: Name
    port: Port
    protocol: Literal["HTTP", "HTTPS", "TLS", "TCP", "UDP"] = "HTTP"
    hostname: Text | None = None
    secret: Name | None = None
    routes_from: Literal["Same", "All"] = "All"


class PublicIp(Strict):
    """
    A public IP of Azure for a Gateway, which deploys/reserve_public_ip.py makes where it is not.

    + resource_group, subscription: None is the cluster's node resource group, and its own
      subscription; + prefix: name of a public IP prefix in the same group that it is taken from
    + zones: none is not zone-redundant; + idle_timeout: minutes; + lock: against deletion
    + role: give the cluster's identity the role Network Contributor on the group
    + tags: on what is made
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$")]
    resource_group: Annotated[str, Field(pattern=r"^[\w.()-]{0,89}[\w()-]$")] | None = None
    subscription: Text | None = None
    prefix: Text | None = None
    zones: list[Annotated[str, Field(pattern=r"^[1-9]$")]] = ["1", "2", "3"]
    idle_timeout: Annotated[int, Field(ge=4, le=100)] = 4
    lock: bool = True
    role: bool = True
    tags: dict[str, str] = {}

    @property
    def title(self) -> str:
        """Such as "addresses/weu-1-public"; without a group it is of the node resource group."""
        return "/".join(filter(None, (self.subscription, self.resource_group, self.name)))


class Gateway(Strict):
    """
    + address: a fixed IPv4 address of the load balancer, None lets Azure choose; + public_ip: the
      resource that has it
    """

    name: Name
    namespace: Name
    listeners: Annotated[list[Listener], Field(min_length=1)]
    address: Text | None = None
    public_ip: PublicIp | None = None
    annotations: dict[str, str] = {}

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(IPv4Address(value))
        except ValueError:
            raise ValueError(f"{value!r} is no IPv4 address") from None


class Backend(Strict):
    service: Name
    port: Port
    weight: Annotated[int, Field(ge=0)] = 1


class Route(Strict):
    """
    + listener: the listener's name, None attaches to all of the Gateway. + gateway:
      "namespace/name".
    """

    name: Name
    namespace: Name
    gateway: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    listener: Name | None = None
    kind: Literal["HTTPRoute", "TCPRoute"] = "HTTPRoute"
    hostnames: list[Text] = []
    path: Text = "/"
    backends: Annotated[list[Backend], Field(min_length=1)]


class Proxy(Strict):
    """The data plane of every Gateway of the class; durations look like "10s"."""

    replicas: Annotated[int, Field(ge=1)] = 2
    cpu: Text = "100m"
    memory: Text = "256Mi"
    min_drain: Text = "20s"
    drain_timeout: Text = "60s"


class Controller(Strict):
    replicas: Annotated[int, Field(ge=1)] = 2
    cpu: Text = "100m"
    memory: Text = "256Mi"


class Images(Strict):
    """
    References with the placeholders ``{version}`` (of Envoy Gateway) and ``{envoy}``, such as
    "weu.azurecr.io/envoyproxy/gateway:v{version}"; None keeps what the release itself names.
    """

    envoy_gateway: Reference | None = None
    envoy: Reference | None = None
    ratelimit: Reference | None = None


class Probe(Strict):
    """
    How the run proves that traffic flows. + enabled: false only where the load balancer cannot be
    reached from here. + timeout: seconds for all listeners of a cluster to answer. + rate: requests
    a second through each listener while the cluster is changed; 0 sends none.
    """

    enabled: bool = True
    timeout: Annotated[int, Field(ge=1)] = 120
    rate: Annotated[int, Field(ge=0, le=100)] = 5


class Keep(Strict):
    """How many backups stay: the newest of so many days, weeks and months that have one."""

    daily: Annotated[int, Field(ge=1)] = 7
    weekly: Annotated[int, Field(ge=0)] = 5
    monthly: Annotated[int, Field(ge=0)] = 12


class Backup(Strict):
    """
    What is kept of a cluster. + recipients: age public keys, "age1ql3z..."; + folder: where the
    archives go, one folder a cluster; + identity: the file with an age identity that opens them,
    None where this machine has none; + secrets: false leaves Secrets out; + keep: what is not
    deleted; + container: of Azure Blob Storage, where a copy of each archive goes.
    """

    enabled: bool = True
    recipients: list[Annotated[str, Field(pattern=r"^age1[a-z0-9]+$")]] = []
    folder: Text = "backups"
    identity: Text | None = None
    secrets: bool = True
    keep: Keep = Keep()
    container: str | None = None

    @field_validator("container")
    @classmethod
    def _is_a_container(cls, value: str | None) -> str | None:
        """What was given is not said again: it may hold a token."""
        if value is not None and not _CONTAINER.fullmatch(value):
            raise ValueError(
                "must be https://<account>.blob.core.windows.net/<container>, without a folder or "
                "a token: sign-in is by an identity"
            )
        return value


class Certificate(Strict):
    """
    A TLS Secret that envoyfleet makes and renews.

    + names: its DNS names, empty means the host names of the listeners that use it
    + certificate, key: of source "files": PEM, the served certificate first, then what signed it
    + issuer: of source "cert-manager": "ClusterIssuer letsencrypt" or "Issuer shop"
    + vault, object, version: of source "key-vault": "https://shop.vault.azure.net", "shop-tls", and
      None for the newest; + kind: what the object is there
    + renew_before: such as "30d", None means the cluster's
    + grants: namespaces whose Gateways and ListenerSets may use it
    """

    namespace: Name
    secret: Name
    source: Literal["files", "self-signed", "cert-manager", "key-vault"]
    names: list[Text] = []
    certificate: Text | None = None
    key: Text | None = None
    issuer: Annotated[str, Field(pattern=r"^(Cluster)?Issuer \S+$")] | None = None
    vault: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    object: Text | None = None
    version: Text | None = None
    kind: Literal["certificate", "secret"] = "certificate"
    renew_before: Text | None = None
    grants: list[Name] = []

    @property
    def title(self) -> str:
        """Such as "Secret edge/shop-tls"."""
        return f"Secret {self.namespace}/{self.secret}"

    @field_validator("renew_before")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            seconds(value)
        return value

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        needed = {
            "files": ("certificate", "key"),
            "cert-manager": ("issuer",),
            "key-vault": ("vault", "object"),
        }
        for it in needed.get(self.source, ()):
            if getattr(self, it) is None:
                raise ValueError(f"source {self.source} needs {it}")
        return self


class Http01(Strict):
    """+ gateway: "namespace/name", with an HTTP listener on port 80; + listener: its name"""

    gateway: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    listener: Name | None = None


class Dns01(Strict):
    """
    A zone of Azure DNS. + identity: client id of the managed identity that workload identity gives
    to cert-manager; it needs the role DNS Zone Contributor on the zone.
    """

    subscription: Text
    resource_group: Text
    zone: Text
    identity: Text


class Issuer(Strict):
    """
    An ACME ClusterIssuer of cert-manager. + server: its directory; + email: who is told of trouble;
    + ca: a file with the authority of a server that the world does not know; + http01, dns01: how
    names are proven, one of them or both.
    """

    name: Name
    server: Text = "https://acme-v02.api.letsencrypt.org/directory"
    email: Text | None = None
    ca: Text | None = None
    http01: Http01 | None = None
    dns01: Dns01 | None = None

    @model_validator(mode="after")
    def _proves_names(self) -> Self:
        if self.http01 is None and self.dns01 is None:
            raise ValueError(f"issuer {self.name} needs http01 or dns01")
        return self


class Expiring(Strict):
    """When the end of a certificate is a warning, and when an error."""

    warning: Text = "21d"
    error: Text = "7d"

    @field_validator("warning", "error")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        seconds(value)
        return value


class Window(Strict):
    """
    When a cluster may be changed. + opens, closes: "22:00" every day, or "2026-11-28T22:00" once;
    + days: on which a daily window opens, such as ["sat", "sun"], empty means all; + zone: such as
    "Europe/Berlin".
    """

    opens: Text
    closes: Text
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    zone: Text = "UTC"

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        problem = windows.unreadable(self)
        if problem:
            raise ValueError(problem)
        return self


class Hold(Strict):
    """A cluster that no roll-out touches. + until: the last day, such as "2027-01-31"."""

    until: Text
    reason: Text

    @field_validator("until")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        return _day(value)


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


class Notification(Strict):
    """
    Who is told. + url_env: the environment variable that holds the address, which is a secret;
    + events: empty means all.
    """

    kind: Literal["webhook", "teams", "slack"]
    url_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    events: list[Literal["start", "gate", "failure", "end"]] = []


class Proof(Strict):
    """
    A run on another inventory that must have gone well first. + report: its report.json; + days:
    how old it may be.
    """

    report: Text
    days: Annotated[int, Field(ge=1)] = 30


class Silence(Strict):
    """
    A finding that does not count for now, on this cluster; see docs/findings.md. + code, where:
    patterns such as "GW103" and "weu-1: Gateway edge/*". + until: the last day, such as
    "2027-01-31".
    """

    code: Text
    where: Text
    until: Text
    reason: Text

    @field_validator("until")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        return _day(value)


def _day(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError(f"{value!r} is not a day such as '2027-01-31'") from None


def _listed(value: Any) -> Any:
    """One name is a list of one."""
    return [value] if isinstance(value, str) else value


#: What deploys/drill.py breaks on its target before it restores it, docs/drill.md.
Scenario = Literal[
    "cluster-lost",
    "namespace-deleted",
    "crds-deleted",
    "tls-secrets-deleted",
    "controller-deleted",
    "archive-half-written",
    "wrong-key",
    "old-backup",
]

#: What preflight stops for unless the inventory says to go on all the same.
Accepted = Literal["sick", "values", "disruption", "behaviour", "no-way-back", "address"]


class Cluster(Strict):
    """One cluster's data after pyinfra merged --data, the host's own, its groups' and all's."""

    ring: Annotated[int, Field(ge=0)]
    envoy_gateway_version: Text
    chart: Text = "oci://docker.io/envoyproxy/gateway-helm"
    chart_plain_http: bool = False
    lock: Text = "fleet.lock"
    helm: Text = "helm"
    release: Name = "eg"
    namespace: Name = "envoy-gateway-system"
    controller_name: Text = "gateway.envoyproxy.io/gatewayclass-controller"
    watch_namespaces: list[Name] = []
    deploy_type: Literal["ControllerNamespace", "GatewayNamespace"] = "ControllerNamespace"
    gateway_class: Name = "envoy"
    merge_gateways: bool = False
    image_registry: Text | None = None
    image_pull_secrets: list[Name] = []
    images: Images = Images()
    controller: Controller = Controller()
    proxy: Proxy = Proxy()
    gateways: list[Gateway] = []
    routes: list[Route] = []
    probe: Probe = Probe()
    timeout: Annotated[int, Field(ge=1)] = 300
    max_failed: int | str | None = None
    bake: Text | None = None
    max_parallel: Annotated[int, Field(ge=1)] | None = None
    approval: bool = False
    window: Window | None = None
    hold: Hold | None = None
    accept: list[Accepted] = []
    proven_by: Proof | None = None
    crd_managers: list[Text] = ["helm", "kubectl"]
    backup: Backup = Backup()
    format: Literal["archive", "tree"] = "archive"
    archive: Text | None = None
    from_cluster: Text | None = None
    only: list[Text] = []
    delete_others: bool = False
    newer_certificates: Literal["keep", "replace"] = "keep"
    drill_source: Annotated[list[Text], BeforeValidator(_listed)] = []
    stand_in_image: Text | None = None
    scenario: Scenario | None = None
    rollback_to: Annotated[int, Field(ge=1)] | None = None
    certificates: list[Certificate] = []
    issuers: list[Issuer] = []
    renew_before: Text = "30d"
    renew_now: bool = False
    expiring: Expiring = Expiring()
    read_secrets: bool = True
    trust: Text | None = None
    resolvers: list[Text] = []
    unused_public_ips: bool = True
    monitoring: Monitoring | None = None
    diagnosis: Diagnosis = Diagnosis()
    request: Text | None = None
    send: bool | None = None
    pack: bool = False
    name: Text | None = None
    gateway: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")] | None = None
    approve: Annotated[list[Text], BeforeValidator(_listed)] = []
    undo: Text | None = None
    rehearse: bool = False
    rehearsals: bool = False
    lease_seconds: Annotated[int, Field(ge=5)] = 30
    notifications: list[Notification] = []
    silences: list[Silence] = []
    output: Literal["table", "lines", "json", "markdown", "html"] | None = None
    kube_context: Text | None = None
    kube_config: Text | None = None
    kube_timeout: Annotated[int, Field(ge=1)] = 30

    @property
    def proxy_namespace(self) -> str | None:
        """Where all proxies are, None where each is beside its Gateway."""
        return self.namespace if self.deploy_type == "ControllerNamespace" else None

    @property
    def shared_public_ip(self) -> PublicIp | None:
        """The public IP of the one Service of a class that merges its Gateways, else None."""
        asked = (it.public_ip for it in self.gateways if self.merge_gateways)
        return next((it for it in asked if it is not None), None)

    @field_validator("envoy_gateway_version")
    @classmethod
    def _is_a_version(cls, value: str) -> str:
        from tasks.plans.versions import parse

        return str(parse(value))

    @field_validator("request")
    @classmethod
    def _is_a_request(cls, value: str | None) -> str | None:
        if value is not None:
            requests.parsed(value)
        return value

    @field_validator("max_failed", mode="before")
    @classmethod
    def _is_a_budget(cls, value: Any) -> Any:
        if value is not None:
            parse_budget(value)
        return value

    @field_validator("bake", "renew_before")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            seconds(value)
        return value

    @field_validator("routes")
    @classmethod
    def _known_gateways(cls, routes: list[Route], info: Any) -> list[Route]:
        if "gateways" not in info.data:  # they are wrong themselves, and that was said
            return routes
        known = {f"{it.namespace}/{it.name}": it for it in info.data["gateways"]}
        for route in routes:
            gateway = known.get(route.gateway)
            if gateway is None:
                raise ValueError(
                    f"route {route.name} names Gateway {route.gateway}, not in gateways"
                )
            if route.listener and route.listener not in {it.name for it in gateway.listeners}:
                raise ValueError(
                    f"route {route.name} names listener {route.listener}, not in {route.gateway}"
                )
        return routes

    @field_validator("gateways")
    @classmethod
    def _complete_gateways(cls, gateways: list[Gateway], info: Any) -> list[Gateway]:
        seen: set[str] = set()
        asked = {it.public_ip.title for it in gateways if it.public_ip is not None}
        if info.data.get("merge_gateways") and len(asked) > 1:
            raise ValueError(
                f"merged Gateways have one Service, and public_ip names "
                f"{' and '.join(sorted(asked))}: keep one of them"
            )
        for gateway in gateways:
            title = f"{gateway.namespace}/{gateway.name}"
            if title in seen:
                raise ValueError(f"Gateway {title} is there twice")
            seen.add(title)
            twice = [it for it in gateway.annotations if it in SAID_BY_PUBLIC_IP]
            if gateway.public_ip is not None and twice:
                raise ValueError(
                    f"Gateway {title}: public_ip and annotations both name an address: remove "
                    f"{twice[0]} from annotations"
                )
            names = [it.name for it in gateway.listeners]
            if len(set(names)) < len(names):
                raise ValueError(f"Gateway {title} has two listeners of one name")
            for listener in gateway.listeners:
                if listener.protocol == "HTTPS" and not listener.secret:
                    raise ValueError(
                        f"Gateway {title}: listener {listener.name} is HTTPS without secret"
                    )
        return gateways


def problems(name: str, data: Mapping[str, Any]) -> list[str]:
    """
    What is wrong with one cluster's data, a line each, such as "weu-1: ring: must be a whole
    number of at least 0, not 'one'"; empty where nothing is.
    """
    try:
        parsed(data)
    except ValidationError as error:
        lines = [_of_tag(it, data) or _line(it) for it in error.errors()]
        return [f"{name}: {it}" for it in lines]
    return []


def past(name: str, cluster: Cluster, now: datetime) -> list[str]:
    """A line where the window of a cluster is over for good."""
    window = cluster.window
    if window is None or not windows.past(window, now):
        return []
    return [f"{name}: window: it closed at {window.closes} {window.zone}: set one to come"]


def parsed(data: Mapping[str, Any]) -> Cluster:
    """
    Raises pydantic's ValidationError; ``problems`` has said so before any cluster was connected to.
    """
    own = {key: value for key, value in data.items() if not key.startswith(FOREIGN_PREFIXES)}
    return Cluster.model_validate(own)


def duplicates(clusters: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Two hosts that are one context of one kubeconfig, a line each."""
    seen: dict[tuple[str, str], str] = {}
    found = []
    for name, data in clusters:
        if "kube_context" not in data or "aks_tenant" in data:  # claim_name saw those of Azure
            continue
        key = (str(data["kube_context"]), str(data.get("kube_config")))
        if key in seen:
            found.append(f"{name}: the same context as {seen[key]} ({key[0]}): remove one of them")
        seen.setdefault(key, name)
    return found


def together(reasons: Mapping[str, list[str]]) -> list[str]:
    """
    One line a reason, however many clusters have it: "weu-1 (and 59 more): backup has no ...".
    """
    return [
        f"{names[0]}{f' (and {len(names) - 1} more)' if len(names) > 1 else ''}: {reason}"
        for reason, names in reasons.items()
    ]


def _of_tag(error: Any, data: Mapping[str, Any]) -> str | None:
    """Where it was a tag in Azure that said so, and nothing beside the entry."""
    key = str(error["loc"][0]) if error["loc"] else ""
    text = (data.get("aks_tags") or {}).get(key)
    if text is None or data.get(key) != aks.value(key, text):
        return None
    return aks.tag_problem(data["aks_id"], key, text)


def _line(error: Any) -> str:
    where = ".".join(str(it) for it in error["loc"])
    given = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            known = [*Cluster.model_fields] if len(error["loc"]) == 1 else []
            near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/inventory.md for the keys"
            return f"{where}: unknown key: {hint}"
        case "missing":
            return f"{where}: missing: set it beside the host or in group_data"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case "string_pattern_mismatch":
            return f"{where}: {given!r} is not a valid name here"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{where}: must be a whole number, not {given!r}"
        case "string_type":
            return f"{where}: must be text in quotes, not {given!r}"
        case "string_too_short" | "too_short":
            return f"{where}: must not be empty"
        case "model_type" | "dict_type":
            return f"{where}: must be a dictionary, not {given!r}"
    message = error["msg"].replace("Input should be", "must be").replace("Input", "it")
    return f"{where}: {message[0].lower()}{message[1:]}, not {given!r}"

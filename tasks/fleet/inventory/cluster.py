"""Every key of one cluster, its type and its default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from tasks.fleet.inventory.base import Name, Strict, Text, listed
from tasks.fleet.inventory.certificates import Certificate, Expiring, Issuer
from tasks.fleet.inventory.dynamic_routing import DynamicRoute
from tasks.fleet.inventory.gateways import Gateway, PublicIp, Route
from tasks.fleet.inventory.limits import Address, Limits, Time
from tasks.fleet.inventory.monitoring import Diagnosis, Monitoring
from tasks.fleet.inventory.proxies import Controller, Images, Proxy
from tasks.fleet.inventory.runs import (
    Backup,
    Hold,
    Notification,
    Probe,
    Proof,
    Rehearsal,
    Silence,
    Window,
)
from tasks.fleet.inventory.teams import Team
from tasks.plans import public_ips, requests, shards
from tasks.plans.budget import parse_budget
from tasks.plans.rings import seconds
from tasks.plans.teams import admitted, contradictions

#: Annotations of a Gateway that public_ip stands for.
SAID_BY_PUBLIC_IP = (public_ips.NAME[False], public_ips.GROUP, public_ips.ADDRESS[False])


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
Accepted = Literal[
    "sick", "values", "disruption", "behaviour", "no-way-back", "address", "rehearsal"
]


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
    limits: Limits | None = None
    rate_limit_redis: Address | None = None
    rate_limit_timeout: Time | None = None
    rate_limit_fails: Literal["open", "closed"] = "open"
    gateways: list[Gateway] = []
    routes: list[Route] = []
    dynamic_routing: list[DynamicRoute] = []
    objects: Annotated[list[Text], BeforeValidator(listed)] = []
    values: dict[str, Any] = {}
    check: bool = False
    prune: bool = False
    take_back: bool = False
    class_from: Literal["inventory", "objects"] = "inventory"
    teams: list[Team] = []
    take: bool = False
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
    drill_source: Annotated[list[Text], BeforeValidator(listed)] = []
    stand_in_image: Text | None = None
    scenario: Scenario | None = None
    rehearsal_source: Annotated[list[Text], BeforeValidator(listed)] = []
    keep: bool = False
    rehearsal: Rehearsal = Rehearsal()
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
    approve: Annotated[list[Text], BeforeValidator(listed)] = []
    undo: Text | None = None
    rehearse: bool = False
    rehearsals: bool = False
    runs: Annotated[int, Field(ge=1)] = 20
    drift: bool = True
    shard: Text | None = None
    metrics_folder: Text | None = None
    lease_seconds: Annotated[int, Field(ge=5)] = 30
    notifications: list[Notification] = []
    silences: list[Silence] = []
    output: Literal["table", "lines", "json", "markdown", "html"] | None = None
    kube_context: Text | None = None
    kube_config: Text | None = None
    kube_timeout: Annotated[int, Field(ge=1)] = 30

    @field_validator("shard")
    @classmethod
    def _is_a_shard(cls, value: str | None) -> str | None:
        if value is not None:
            shards.parsed(value)
        return value

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

    @field_validator("rate_limit_timeout", "rate_limit_fails")
    @classmethod
    def _of_rates_counted_together(cls, value: str | None, info: Any) -> str | None:
        if value not in (None, "open") and info.data.get("rate_limit_redis", "") is None:
            raise ValueError("it is of rates that all proxies count: set rate_limit_redis too")
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

    @field_validator("teams")
    @classmethod
    def _at_peace(cls, teams: list[Team], info: Any) -> list[Team]:
        for problem in contradictions(teams):
            raise ValueError(problem)
        for route in info.data.get("routes", ()):
            allowed = admitted(teams, route.gateway, route.listener or "")
            if allowed is not None and route.namespace not in allowed:
                raise ValueError(
                    f"route {route.name} is in namespace {route.namespace}, of no team that names "
                    f"{'/'.join(filter(None, (route.gateway, route.listener)))} in listeners"
                )
        return teams

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
            if gateway.proxy is not None and info.data.get("merge_gateways"):
                raise ValueError(
                    f"merged Gateways have one set of proxies, and Gateway {title} asks for its "
                    "own: say it in proxy of the cluster"
                )
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

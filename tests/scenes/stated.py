"""
Scenes of what no Envoy exports: the controller, the rate limit service, kube-state-metrics and the
like are pages here, whose series are said by hand. What of it a cluster of the lab can do is played
there with the real ones, see tests/lab/test_alert_scenes_cluster.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.scenes import faults
from tests.scenes.backends import Page
from tests.scenes.gateway import STATS
from tests.scenes.stage import Act, Scene, Stage

CONTROLLER, RATE_LIMIT, KUBE = "envoy-gateway", "envoy-ratelimit", "kube-state-metrics"
X509, CERT_MANAGER = "x509-certificate-exporter", "cert-manager"
#: In pages {scene} is the name of the scene, and {pod} its proxy.
DEPLOYMENT = 'namespace="{scene}",deployment="envoy-edge-public-a6cc6474"'
CONTAINER = 'namespace="{scene}",pod="{pod}",container="envoy"'
OBJECT = 'namespace="{scene}",name="shop"'
PARENT = f'{OBJECT},parent_name="public",parent_namespace="edge"'


def says(text: str) -> Act:
    """What the page of the scene has from now on."""

    async def act(stage: Stage) -> None:
        page(stage).text, page(stage).delay = written(stage, text), 0.0

    return act


def counts(text: str, seconds: float = 0.5) -> Act:
    """A counter that grows; {count} is its value."""

    async def forever(stage: Stage) -> None:
        for count in range(10**6):
            page(stage).text = written(stage, text.replace("{count}", str(count * 10)))
            await asyncio.sleep(seconds)

    async def act(stage: Stage) -> None:
        task = asyncio.create_task(forever(stage))
        stage.kept.append(task)
        stage.repeating.append(task)

    return act


def page(stage: Stage) -> Page:
    found = stage.things["page"]
    assert isinstance(found, Page)
    return found


def written(stage: Stage, text: str) -> str:
    pod = f"{stage.scene.name}-0"
    return text.replace("{scene}", stage.scene.name).replace("{pod}", pod) + "\n"


def paged(job: str, text: str) -> Act:
    """The page of a scene, scraped from the start."""

    async def after(stage: Stage) -> None:
        made = Page(stage.address(70), STATS, written(stage, text))
        stage.things["page"] = made
        await made.open()
        labels = {"job": job, "namespace": stage.scene.name, "pod": stage.scene.name}
        stage.prometheus.scrape(f"{stage.scene.name}-page", f"{made.address}:{STATS}", "/", labels)

    return after


def stated(
    name: str,
    what: str,
    alert: str,
    job: str,
    well: str,
    ill: str | Act,
    *,
    proxies: int = 0,
    before: Callable[[Stage], None] | None = None,
    within: float = 60,
) -> Scene:
    """A scene in which a page says one thing and then another."""
    fault = says(ill) if isinstance(ill, str) else ill
    return Scene(
        name,
        what,
        fault,
        faults.each(faults.let_go, says(well)),
        (alert,),
        before=before,
        after=paged(job, well),
        proxies=proxies,
        within=within,
        rate=5,
        stated=job,
    )


async def restart_thrice(stage: Stage) -> None:
    for number in range(1, 4):
        await says(f"process_start_time_seconds {number}")(stage)
        await asyncio.sleep(3)


async def late(stage: Stage) -> None:
    page(stage).delay = 0.8


def zero_or_one(series: str) -> tuple[str, str]:
    """Such a series well, and ill."""
    return f"{series} 1", f"{series} 0"


CONTROL_PLANE = (
    stated(
        "controller-panics",
        "the controller recovers from a panic",
        "EnvoyGatewayControllerPanics",
        CONTROLLER,
        'watchable_panics_recovered_total{runner="gateway-api"} 0',
        'watchable_panics_recovered_total{runner="gateway-api"} 1',
    ),
    stated(
        "controller-restarts-often",
        "the controller is started again and again",
        "EnvoyGatewayControllerRestarts",
        CONTROLLER,
        "process_start_time_seconds 0",
        restart_thrice,
    ),
    stated(
        "translation-fails",
        "the controller cannot make a configuration of what it reads",
        "EnvoyGatewayTranslationFails",
        CONTROLLER,
        'watchable_subscribe_total{runner="gateway-api",message="resources",status="failure"} 0',
        'watchable_subscribe_total{runner="gateway-api",message="resources",status="failure"} 20',
    ),
    stated(
        "snapshot-fails",
        "the controller cannot give a configuration to a proxy",
        "EnvoyGatewaySnapshotFails",
        CONTROLLER,
        'xds_snapshot_update_total{nodeID="envoy-1",status="failure"} 0',
        'xds_snapshot_update_total{nodeID="envoy-1",status="failure"} 1',
    ),
    stated(
        "configuration-refused",
        "a proxy tells the controller that it refuses endpoints",
        "EnvoyGatewayConfigurationRefused",
        CONTROLLER,
        'xds_nack_total{nodeID="envoy-1",typeURL="endpoints"} 0',
        'xds_nack_total{nodeID="envoy-1",typeURL="endpoints"} 1',
    ),
    stated(
        "infrastructure-fails",
        "the controller may not write a Deployment",
        "EnvoyGatewayInfrastructureFails",
        CONTROLLER,
        'resource_apply_total{kind="Deployment",name="envoy-edge",status="failure"} 0',
        'resource_apply_total{kind="Deployment",name="envoy-edge",status="failure"} 9',
    ),
    stated(
        "status-not-written",
        "the controller may not write statuses",
        "EnvoyGatewayStatusNotWritten",
        CONTROLLER,
        'status_update_total{kind="Gateway",status="failure"} 0',
        counts('status_update_total{kind="Gateway",status="failure"} {count}'),
    ),
    stated(
        "no-leader",
        "no controller leads",
        "EnvoyGatewayNoLeader",
        CONTROLLER,
        *zero_or_one('leader_election_master_status{name="lease"}'),
    ),
    stated(
        "queue-grows",
        "the controller does not keep up",
        "EnvoyGatewayQueueGrows",
        CONTROLLER,
        'watchable_depth{runner="xds",message="xds-ir"} 0',
        'watchable_depth{runner="xds",message="xds-ir"} 50',
    ),
    stated(
        "scrape-large",
        "a target has very many series",
        "EnvoyScrapeLarge",
        CONTROLLER,
        "up_to_now 1",
        "\n".join(f'series{{number="{n}"}} 1' for n in range(6000)),
    ),
    stated(
        "scrape-slow",
        "a scrape takes nearly as long as it may",
        "EnvoyScrapeSlow",
        CONTROLLER,
        "up_to_now 1",
        late,
    ),
    stated(
        "ratelimit-fails",
        "the rate limit service has no Redis",
        "EnvoyRateLimitErrors",
        RATE_LIMIT,
        'ratelimit_service_should_rate_limit_error{err_type="ratelimit-fails"} 0',
        counts('ratelimit_service_should_rate_limit_error{err_type="ratelimit-fails"} {count}'),
    ),
    stated(
        "ratelimit-refuses",
        "the rate limit service refuses its configuration",
        "EnvoyRateLimitConfigurationRejected",
        RATE_LIMIT,
        "ratelimit_service_config_load_error 0",
        "ratelimit_service_config_load_error 1",
    ),
)

OBJECTS = (
    stated(
        "class-not-accepted",
        "a GatewayClass is not Accepted",
        "EnvoyGatewayClassNotAccepted",
        KUBE,
        *zero_or_one('gatewayapi_gatewayclass_status{name="{scene}",type="Accepted"}'),
    ),
    stated(
        "gateway-not-accepted",
        "a Gateway is not Accepted",
        "EnvoyGatewayNotAccepted",
        KUBE,
        *zero_or_one(f'gatewayapi_gateway_status{{{OBJECT},type="Accepted"}}'),
    ),
    stated(
        "gateway-not-programmed",
        "a Gateway is Accepted and not Programmed",
        "EnvoyGatewayNotProgrammed",
        KUBE,
        *zero_or_one(f'gatewayapi_gateway_status{{{OBJECT},type="Programmed"}}'),
    ),
    stated(
        "route-not-accepted",
        "an HTTPRoute is not Accepted",
        "EnvoyRouteNotAccepted",
        KUBE,
        *zero_or_one(f"gatewayapi_httproute_status_parent_accepted{{{PARENT}}}"),
    ),
    stated(
        "route-unresolved",
        "a GRPCRoute names a Service that is not there",
        "EnvoyRouteBackendsUnresolved",
        KUBE,
        *zero_or_one(f"gatewayapi_grpcroute_status_parent_resolved_refs{{{PARENT}}}"),
    ),
    stated(
        "deployment-unavailable",
        "no proxy of a Deployment is available",
        "EnvoyProxyDeploymentUnavailable",
        KUBE,
        f"kube_deployment_spec_replicas{{{DEPLOYMENT}}} 2",
        f"kube_deployment_spec_replicas{{{DEPLOYMENT}}} 2\n"
        f"kube_deployment_status_replicas_available{{{DEPLOYMENT}}} 0",
    ),
    stated(
        "replicas-missing",
        "one of two proxies of a Deployment is available",
        "EnvoyProxyReplicasMissing",
        KUBE,
        f"kube_deployment_spec_replicas{{{DEPLOYMENT}}} 2",
        f"kube_deployment_spec_replicas{{{DEPLOYMENT}}} 2\n"
        f"kube_deployment_status_replicas_available{{{DEPLOYMENT}}} 1",
        proxies=1,
    ),
    stated(
        "proxies-not-scraped",
        "two proxies are available, and one is scraped",
        "EnvoyProxiesNotScraped",
        KUBE,
        f"kube_deployment_status_replicas_available{{{DEPLOYMENT}}} 1",
        f"kube_deployment_status_replicas_available{{{DEPLOYMENT}}} 2",
        proxies=1,
    ),
    stated(
        "proxy-does-not-start",
        "the kubelet starts a proxy in vain",
        "EnvoyProxyDoesNotStart",
        KUBE,
        f"kube_pod_container_status_restarts_total{{{CONTAINER}}} 0",
        f'kube_pod_container_status_waiting_reason{{{CONTAINER},reason="CrashLoopBackOff"}} 1',
    ),
    stated(
        "proxy-out-of-memory",
        "the kernel kills a proxy at its limit",
        "EnvoyProxyOutOfMemory",
        KUBE,
        f"kube_pod_container_status_restarts_total{{{CONTAINER}}} 0",
        f"kube_pod_container_status_restarts_total{{{CONTAINER}}} 1\n"
        f'kube_pod_container_status_last_terminated_reason{{{CONTAINER},reason="OOMKilled"}} 1',
    ),
    stated(
        "proxy-memory",
        "a real proxy uses more than nine tenths of the memory that its container is said to have",
        "EnvoyProxyMemory",
        KUBE,
        f'kube_pod_container_resource_limits{{{CONTAINER},resource="memory"}} 1e9',
        f'kube_pod_container_resource_limits{{{CONTAINER},resource="memory"}} 1e7',
        proxies=1,
    ),
    stated(
        "autoscaler-at-its-limit",
        "a HorizontalPodAutoscaler has all replicas it may have",
        "EnvoyProxyAutoscalerAtLimit",
        KUBE,
        *(
            "kube_horizontalpodautoscaler_spec_max_replicas"
            f'{{namespace="{{scene}}",horizontalpodautoscaler="envoy-edge"}} 5\n'
            "kube_horizontalpodautoscaler_status_current_replicas"
            f'{{namespace="{{scene}}",horizontalpodautoscaler="envoy-edge"}} {replicas}'
            for replicas in (3, 5)
        ),
    ),
    stated(
        "certificate-not-loaded",
        "a Secret has a newer certificate than the real proxy serves",
        "EnvoyCertificateNotLoaded",
        X509,
        'x509_cert_not_after{secret_namespace="{scene}",secret_name="shop-tls"} 1',
        'x509_cert_not_after{secret_namespace="{scene}",secret_name="shop-tls"} 9e9',
        proxies=1,
        before=faults.https(),
    ),
    stated(
        "certificate-not-renewed",
        "cert-manager cannot issue a certificate that the real proxy serves",
        "EnvoyCertificateNotRenewed",
        CERT_MANAGER,
        "certmanager_certificate_ready_status"
        '{namespace="{scene}",name="shop-tls",condition="False"} 0',
        "certmanager_certificate_ready_status"
        '{namespace="{scene}",name="shop-tls",condition="False"} 1',
        proxies=1,
        before=faults.https(),
        within=100,
    ),
)

#: The fleet's own controller and rate limit service: their alerts name no Gateway.
ALONE = (
    Scene(
        "controller-down",
        "no controller answers",
        faults.ended("controller"),
        faults.begun("controller"),
        ("EnvoyGatewayControllerDown",),
        proxies=1,
        alone=True,
        stated=CONTROLLER,
    ),
    Scene(
        "ratelimit-down",
        "no rate limit service answers",
        faults.ended("ratelimit"),
        faults.begun("ratelimit"),
        ("EnvoyRateLimitDown",),
        proxies=1,
        alone=True,
        stated=RATE_LIMIT,
    ),
)

STATED = (*CONTROL_PLANE, *OBJECTS, *ALONE)

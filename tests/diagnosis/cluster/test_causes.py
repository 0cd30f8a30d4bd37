"""Each thing that can ail a cluster, on one that is else well; and the nearest that is none."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from tasks.diagnosis import cluster
from tasks.diagnosis.evidence import Entry, Evidence, Gap
from tasks.diagnosis.explain import diagnosis
from tests.diagnosis.recorded import Cluster, Wrong, condition
from tests.objects import certificate

OURS = "gateway.envoyproxy.io/gatewayclass-controller"
PROXIES = "app.kubernetes.io/managed-by"
EG, GW, NETWORK = (
    "gateway.envoyproxy.io/v1alpha1",
    "gateway.networking.k8s.io/v1",
    "networking.k8s.io/v1",
)
CONTROLLER = "Deployment envoy-gateway-system/envoy-gateway"
PROXY = "Deployment envoy-gateway-system/envoy-edge-public-a6cc6474"
EDGE = {"namespace": "edge", "name": "public"}
TO_BLUE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "blue"}


def told(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Cause, object and field of each."""
    return [(it.cause, it.object.text, it.field) for it in cluster.causes(evidence)]


def parent(it: dict[str, Any], kind: str, reason: str, message: str) -> None:
    """A condition of a route's parent that is False."""
    for one in it["status"]["parents"]:
        conditions = [of for of in one["conditions"] if of["type"] != kind]
        said = {"type": kind, "status": "False", "reason": reason, "message": message}
        one["conditions"] = [*conditions, {**said, "lastTransitionTime": "2026-11-22T10:40:00Z"}]


def of_listener(it: dict[str, Any], name: str, kind: str, reason: str, message: str) -> None:
    for one in it["status"]["listeners"]:
        if one["name"] == name:
            conditions = [of for of in one["conditions"] if of["type"] != kind]
            said = {"type": kind, "status": "False", "reason": reason, "message": message}
            stamp = {"lastTransitionTime": "2026-11-22T10:40:00Z"}
            one["conditions"] = [*conditions, {**said, **stamp}]


def waits(pod: dict[str, Any], reason: str, message: str = "") -> None:
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    state = {"state": {"waiting": {"reason": reason, "message": message}}, "ready": False}
    pod["status"]["containerStatuses"] = [{"name": "envoy", "restartCount": 3, **state}]


def controller_scaled(it: Cluster) -> None:
    deployment = it.get("Deployment", "envoy-gateway")
    deployment["spec"]["replicas"] = 0
    it.drop("Pod", "envoy-gateway-f7")


def controller_crashes(it: Cluster) -> None:
    waits(it.get("Pod", "envoy-gateway-f7"), "CrashLoopBackOff")


def controller_uninstalled(it: Cluster) -> None:
    it.drop("Deployment", "envoy-gateway")
    it.drop("Pod", "envoy-gateway-f7")


def blind(it: Cluster) -> None:
    lease = it.get("Lease", "5b9825d2")
    lease["spec"]["renewTime"] = "2026-11-22T11:30:00.000000Z"


def own_file(it: Cluster) -> None:
    pod = it.get("Pod", "envoy-gateway-f7")
    waits(pod, "CrashLoopBackOff")
    place = f"envoy-gateway-system/{pod['metadata']['name']}"
    it.record["logs"] = {f"{place}/previous": ["Error: unsupported provider type: Nowhere"]}


def forbidden(it: Cluster) -> None:
    [name] = it.record["logs"]
    line = (
        "2026-11-22T11:41:00.000Z\terror\tfailed to list *v1.HTTPRoute: "
        'httproutes.gateway.networking.k8s.io is forbidden: User "system:serviceaccount:'
        'envoy-gateway-system:envoy-gateway" cannot list resource "httproutes" in API group '
        '"gateway.networking.k8s.io" at the cluster scope'
    )
    it.record["logs"] = {name: [*it.record["logs"][name], line]}


def without_tcp(it: Cluster) -> None:
    it.record["served"]["tcproutes.gateway.networking.k8s.io"] = ["v1alpha2"]


def proxies_scaled(it: Cluster) -> None:
    it.get("Deployment", "envoy-edge")["spec"]["replicas"] = 0
    it.drop("Pod", "envoy-edge")


def proxy_image(it: Cluster) -> None:
    waits(it.get("Pod", "envoy-edge"), "ImagePullBackOff", "not found")


def proxy_hangs(it: Cluster) -> None:
    """The newest template does not come up, the one before serves."""
    good = it.get("Pod", "envoy-edge")
    new: Any = {**good, "metadata": {**good["metadata"], "name": "envoy-edge-public-new"}}
    new["metadata"]["labels"] = {**good["metadata"]["labels"], "pod-template-hash": "new"}
    new["status"] = dict(good["status"])
    waits(new, "ErrImagePull")
    it.objects.append(new)


def killed(it: Cluster) -> None:
    status = it.get("Pod", "envoy-edge")["status"]["containerStatuses"]
    envoy = next(one for one in status if one["name"] == "envoy")
    ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-22T11:30:00Z"}
    envoy["lastState"] = {"terminated": ended}


def short(it: Cluster) -> None:
    pod = it.get("Pod", "envoy-edge")
    envoy = next(one for one in pod["spec"]["containers"] if one["name"] == "envoy")
    envoy["resources"] = {"limits": {"memory": "256Mi"}}
    usage = [{"name": "envoy", "usage": {"memory": "251Mi", "cpu": "20m"}}]
    it.add(
        "metrics.k8s.io/v1beta1",
        "PodMetrics",
        pod["metadata"]["name"],
        "envoy-gateway-system",
        containers=usage,
    )


def class_absent(it: Cluster) -> None:
    it.add(GW, "Gateway", "annex", "edge", spec={"gatewayClassName": "envoi", "listeners": []})


def class_refused(it: Cluster) -> None:
    condition(it.get("GatewayClass", "envoy"), "Accepted", "False", "InvalidParameters", "no such")


def parameters(it: Cluster) -> None:
    condition(it.get("Gateway", "public"), "Accepted", "False", "InvalidParameters", "no such")


def refused_listeners(it: Cluster) -> None:
    made = it.add(GW, "ListenerSet", "more", "edge", spec={"parentRef": {"name": "public"}})
    condition(made, "Accepted", "False", "NotAllowed", "not allowed by Gateway edge/public")


def conflict(it: Cluster) -> None:
    of_listener(it.get("Gateway", "public"), "http", "Accepted", "PortUnavailable", "in use")


def secret_absent(it: Cluster) -> None:
    it.drop("Secret", "lab-tls")
    of_listener(
        it.get("Gateway", "public"),
        "https",
        "ResolvedRefs",
        "InvalidCertificateRef",
        "No valid secrets exist: certificate refs 0: Secret edge/lab-tls does not exist.",
    )


def other_key(it: Cluster) -> None:
    of_listener(
        it.get("Gateway", "public"),
        "https",
        "ResolvedRefs",
        "InvalidCertificateRef",
        "certificate refs 0: Secret edge/lab-tls must contain a matching tls.crt and tls.key",
    )


def no_address(it: Cluster) -> None:
    it.get("Gateway", "public")["metadata"]["creationTimestamp"] = "2026-11-22T10:40:00Z"
    condition(it.get("Gateway", "public"), "Programmed", "False", "AddressNotAssigned", "none")


def refused_address(it: Cluster) -> None:
    no_address(it)
    service = it.get("Service", "envoy-edge")
    service["status"] = {"loadBalancer": {}}
    about = {"kind": "Service", **{key: service["metadata"][key] for key in ("name", "namespace")}}
    it.add(
        "v1",
        "Event",
        "e",
        "envoy-gateway-system",
        involvedObject=about,
        type="Warning",
        reason="SyncLoadBalancerFailed",
        message="PublicIPNotFound",
    )


def with_certificate(it: Cluster, name: str, days: int) -> None:
    secret = it.get("Secret", "lab-tls")
    made, _ = certificate(name, days, it.record["now"])
    secret["data"]["tls.crt"] = base64.b64encode(made.encode()).decode()


def route(it: Cluster, **spec: Any) -> dict[str, Any]:
    whole = {
        "parentRefs": [EDGE],
        "rules": [{"backendRefs": [{"name": "blue", "port": 80}]}],
        **spec,
    }
    made = it.add(GW, "HTTPRoute", "cart", "demo", spec=whole)
    made["status"] = {"parents": []}
    return made


def lost(it: Cluster) -> None:
    route(it)


def taken(it: Cluster) -> None:
    """All conditions True, and no proxy has it."""
    made = route(it)
    said = {"type": "Accepted", "status": "True", "lastTransitionTime": "2026-11-22T10:40:00Z"}
    made["status"]["parents"] = [{"controllerName": OURS, "parentRef": EDGE, "conditions": [said]}]


def no_parent(it: Cluster) -> None:
    route(it, parentRefs=[{"name": "nope", "namespace": "edge"}])


def not_ready(it: Cluster) -> None:
    service = it.get("Service", "blue")
    service["metadata"]["creationTimestamp"] = "2026-11-22T10:40:00Z"
    for one in it.get("EndpointSlice", "blue")["endpoints"]:
        one["conditions"]["ready"] = False
    it.drop("Pod", "blue-")


def scaled_backend(it: Cluster) -> None:
    not_ready(it)
    it.get("Deployment", "blue")["spec"]["replicas"] = 0


def policy(it: Cluster, kind: str, **spec: Any) -> dict[str, Any]:
    return it.add(EG, kind, "limits", "demo", spec=spec)


def for_nobody(it: Cluster) -> None:
    policy(it, "SecurityPolicy", targetRefs=[{**TO_BLUE, "name": "nope"}])


def patch(it: Cluster) -> None:
    policy(it, "EnvoyPatchPolicy", targetRef=EDGE)


def refused_policy(it: Cluster, reason: str, message: str) -> None:
    made = policy(it, "SecurityPolicy", targetRefs=[TO_BLUE], extAuth={"http": {}})
    said = {"type": "Accepted", "status": "False", "reason": reason, "message": message}
    stamp = {"lastTransitionTime": "2026-11-22T10:40:00Z"}
    ancestor = {"controllerName": OURS, "conditions": [{**said, **stamp}]}
    made["status"] = {"ancestors": [ancestor]}


def walled(it: Cluster, **spec: Any) -> None:
    it.add(NETWORK, "NetworkPolicy", "wall", "demo", spec={"podSelector": {}, **spec})


def refused_by_proxy(it: Cluster) -> None:
    [files] = it.record["proxies"].values()
    files["config_dump.json"] = files["config_dump.json"].replace(
        '"dynamic_listeners": [\n    {',
        '"dynamic_listeners": [\n    {"error_state": {"details": "bad cipher"},',
        1,
    )


def unconnected(it: Cluster) -> None:
    [files] = it.record["proxies"].values()
    files["stats.txt"] = files["stats.txt"].replace("connected_state: 1", "connected_state: 0")
    pod = it.get("Pod", "envoy-edge")
    pod["metadata"]["creationTimestamp"] = "2026-11-22T10:40:00Z"


def late(it: Cluster) -> None:
    made = it.get("HTTPRoute", "blue")
    made["metadata"]["generation"] += 1
    for one in made["metadata"]["managedFields"]:
        one["time"] = "2026-11-22T11:40:00Z"


POD = "Pod envoy-gateway-system/envoy-edge-public-a6cc6474-66c86dd48c-vmp4d"
CASES: list[tuple[Wrong, tuple[str, str, str]]] = [
    (controller_scaled, ("controller_down", CONTROLLER, "spec.replicas")),
    (controller_crashes, ("controller_down", CONTROLLER, "status.readyReplicas")),
    (controller_uninstalled, ("controller_down", CONTROLLER, "")),
    (blind, ("controller_not_leading", CONTROLLER, "")),
    (
        own_file,
        (
            "controller_rejected_configuration",
            "ConfigMap envoy-gateway-system/envoy-gateway-config",
            "data",
        ),
    ),
    (forbidden, ("not_permitted", "ServiceAccount envoy-gateway-system/envoy-gateway", "")),
    (
        without_tcp,
        (
            "crd_missing",
            "CustomResourceDefinition tcproutes.gateway.networking.k8s.io",
            "spec.versions",
        ),
    ),
    (proxies_scaled, ("proxy_down", PROXY, "spec.replicas")),
    (proxy_image, ("proxy_down", PROXY, "status.readyReplicas")),
    (
        killed,
        (
            "memory_or_processor_short",
            PROXY,
            "spec.template.spec.containers[].resources.limits.memory",
        ),
    ),
    (
        short,
        (
            "memory_or_processor_short",
            PROXY,
            "spec.template.spec.containers[].resources.limits.memory",
        ),
    ),
    (class_absent, ("gateway_not_accepted", "Gateway edge/annex", "spec.gatewayClassName")),
    (class_refused, ("gateway_not_accepted", "GatewayClass envoy", "spec.parametersRef")),
    (
        parameters,
        ("gateway_not_accepted", "Gateway edge/public", "spec.infrastructure.parametersRef"),
    ),
    (refused_listeners, ("gateway_not_accepted", "ListenerSet edge/more", "spec.parentRef")),
    (conflict, ("gateway_not_accepted", "Gateway edge/public", "spec.listeners[0]")),
    (
        secret_absent,
        ("certificate_invalid", "Gateway edge/public", "spec.listeners[1].tls.certificateRefs[0]"),
    ),
    (other_key, ("certificate_invalid", "Secret edge/lab-tls", "data[tls.crt]")),
    (no_address, ("address_missing", "Gateway edge/public", "status.addresses")),
    (
        refused_address,
        (
            "load_balancer_failed",
            "Service envoy-gateway-system/envoy-edge-public-a6cc6474",
            "status.loadBalancer",
        ),
    ),
    (
        lambda it: with_certificate(it, "*.lab.test", -3),
        ("certificate_expired", "Secret edge/lab-tls", "data[tls.crt]"),
    ),
    (
        lambda it: with_certificate(it, "shop.example.com", 3000),
        ("certificate_wrong_name", "Secret edge/lab-tls", "data[tls.crt]"),
    ),
    (lost, ("route_not_attached", "HTTPRoute demo/cart", "spec.parentRefs[0]")),
    (no_parent, ("route_not_attached", "HTTPRoute demo/cart", "spec.parentRefs[0].name")),
    (taken, ("configuration_stale", "Gateway edge/public", "")),
    (late, ("configuration_stale", "HTTPRoute demo/blue", "metadata.generation")),
    (unconnected, ("configuration_stale", POD, "")),
    (
        lambda it: parent(
            it.get("HTTPRoute", "blue"), "Accepted", "NoMatchingListenerHostname", "x"
        ),
        ("route_not_attached", "HTTPRoute demo/blue", "spec.hostnames"),
    ),
    (
        lambda it: parent(it.get("HTTPRoute", "blue"), "ResolvedRefs", "RefNotPermitted", "x"),
        ("reference_not_permitted", "HTTPRoute demo/blue", "spec.rules[0].backendRefs[0]"),
    ),
    (
        lambda it: parent(it.get("HTTPRoute", "blue"), "ResolvedRefs", "BackendNotFound", "x"),
        ("invalid_backend_ref", "HTTPRoute demo/blue", "spec.rules[0].backendRefs[0]"),
    ),
    (not_ready, ("service_without_endpoints", "Service demo/blue", "spec.selector")),
    (scaled_backend, ("service_without_endpoints", "Service demo/blue", "spec.selector")),
    (
        for_nobody,
        ("policy_not_attached", "SecurityPolicy demo/limits", "spec.targetRefs[0].name"),
    ),
    (
        patch,
        ("policy_not_attached", "EnvoyPatchPolicy demo/limits", "spec.targetRef"),
    ),
    (
        lambda it: refused_policy(it, "Conflicted", "another one"),
        ("policy_conflict", "SecurityPolicy demo/limits", "spec.targetRefs"),
    ),
    (
        lambda it: refused_policy(it, "Invalid", "ExtAuth: service demo/guard not found"),
        ("policy_not_attached", "SecurityPolicy demo/limits", "spec.extAuth"),
    ),
    (
        lambda it: walled(it, policyTypes=["Ingress"]),
        ("network_policy", "NetworkPolicy demo/wall", "spec.ingress"),
    ),
    (
        lambda it: walled(it, ingress=[{"ports": [{"port": 9999}]}]),
        ("network_policy", "NetworkPolicy demo/wall", "spec.ingress"),
    ),
    (
        lambda it: walled(it, ingress=[{"from": [{"podSelector": {}}]}]),
        ("network_policy", "NetworkPolicy demo/wall", "spec.ingress"),
    ),
]


def test_nothing_of_a_cluster_that_is_well() -> None:
    assert told(Cluster().evidence()) == []
    assert diagnosis(Cluster().evidence()).findings == ()


@pytest.mark.parametrize(("wrong", "wanted"), CASES)
def test_what_ails_it(wrong: Wrong, wanted: tuple[str, str, str]) -> None:
    it = Cluster()
    wrong(it)
    found = list(cluster.causes(it.evidence()))
    assert [(one.cause, one.object.text, one.field) for one in found] == [wanted]
    assert all(one.evidence and one.fix and one.sentence for one in found)
    assert all("\n" not in text for one in found for text in (one.sentence, one.fix, *one.evidence))


def test_a_rollout_that_hangs_is_a_warning() -> None:
    it = Cluster()
    proxy_hangs(it)
    [found] = cluster.causes(it.evidence())
    assert (found.severity, found.object.text) == ("warning", PROXY)


def proxies_let_through(it: Cluster) -> None:
    peer = {"podSelector": {"matchLabels": {PROXIES: "envoy-gateway"}}, "namespaceSelector": {}}
    walled(it, ingress=[{"from": [peer], "ports": [{"port": 3000}]}])


def addresses_let_through(it: Cluster) -> None:
    walled(it, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])


def only_egress(it: Cluster) -> None:
    walled(it, policyTypes=["Egress"], egress=[])


def of_another_controller(it: Cluster) -> None:
    spec = {"controllerName": "example.com/other"}
    it.add(GW, "GatewayClass", "other", "", spec=spec)["metadata"].pop("namespace")
    made = it.add(GW, "Gateway", "theirs", "edge", spec={"gatewayClassName": "other"})
    condition(made, "Accepted", "False", "Invalid", "theirs")
    route(it, parentRefs=[{"name": "theirs", "namespace": "edge"}])


def begins(it: Cluster) -> None:
    """A Gateway that was made this moment has no address yet."""
    made = it.get("Gateway", "public")
    made["metadata"]["creationTimestamp"] = "2026-11-22T11:41:20Z"
    condition(made, "Programmed", "False", "AddressNotAssigned", "none")


def old_condition(it: Cluster) -> None:
    """Said of a generation before; the newest was changed this moment."""
    made = it.get("Gateway", "public")
    condition(made, "Accepted", "False", "InvalidParameters", "no such")
    made["metadata"]["generation"] += 1
    for one in made["metadata"]["managedFields"]:
        one["time"] = "2026-11-22T11:41:24Z"


def of_a_parent_before(it: Cluster) -> None:
    """Its status is of a parent that it has no more; the one that it has is not ours to judge."""
    late(it)
    it.get("HTTPRoute", "blue")["spec"]["parentRefs"] = [{**EDGE, "sectionName": "http"}]


def weightless(it: Cluster) -> None:
    not_ready(it)
    it.drop("TCPRoute")
    backends = it.get("HTTPRoute", "blue")["spec"]["rules"][0]["backendRefs"]
    backends[:] = [{"name": "green", "port": 80}, {"name": "blue", "port": 80, "weight": 0}]


def clock_of_this_machine(it: Cluster) -> None:
    """An hour apart from the cluster's: its Leases tell its time."""
    it.record["now"] += 3600


def unused_kind(it: Cluster) -> None:
    without_tcp(it)
    it.drop("TCPRoute")


def far_end(it: Cluster) -> None:
    """Of a short life, as an issuer makes them that renews."""
    with_certificate(it, "*.lab.test", 60)


@pytest.mark.parametrize(
    "alike",
    [
        proxies_let_through,
        addresses_let_through,
        only_egress,
        of_another_controller,
        begins,
        old_condition,
        of_a_parent_before,
        weightless,
        clock_of_this_machine,
        unused_kind,
        far_end,
    ],
)
def test_what_only_looks_like_it(alike: Wrong) -> None:
    it = Cluster()
    alike(it)
    assert told(it.evidence()) == []


def began(it: Cluster) -> None:
    """Its only Pod, 20 s ago; the Lease is still that of the one before."""
    [container] = it.get("Pod", "envoy-gateway-f7")["status"]["containerStatuses"]
    container["state"] = {"running": {"startedAt": "2026-11-22T11:41:02Z"}}


def took_the_lease(it: Cluster) -> None:
    """From another one, 20 s ago."""
    it.get("Lease", "5b9825d2")["spec"]["acquireTime"] = "2026-11-22T11:41:02.106345Z"


@pytest.mark.parametrize("wrong", [taken, late, unconnected])
@pytest.mark.parametrize("lately", [began, took_the_lease])
def test_not_yet_is_no_finding(wrong: Wrong, lately: Wrong) -> None:
    it = Cluster()
    wrong(it)
    lately(it)
    assert told(it.evidence()) == []


def test_a_controller_that_goes_on_beside_a_new_one_is_followed() -> None:
    it = Cluster()
    unconnected(it)
    young = copy.deepcopy(it.get("Pod", "envoy-gateway-f7"))
    young["metadata"]["name"] = "envoy-gateway-f7-2"
    it.objects.append(young)
    began(it)
    [found] = cluster.causes(it.evidence())
    assert found.cause == "configuration_stale"


@pytest.mark.parametrize(
    ("wrong", "resource"),
    [
        (controller_scaled, "deployments.apps"),
        (blind, "leases.coordination.k8s.io"),
        (not_ready, "endpointslices.discovery.k8s.io"),
        (lambda it: with_certificate(it, "a.b", 30), "secrets"),
        (lambda it: walled(it), "networkpolicies.networking.k8s.io"),
    ],
)
def test_what_was_not_read_accuses_nobody(wrong: Wrong, resource: str) -> None:
    it = Cluster()
    wrong(it)
    it.gaps.append(Gap(resource, "no right to list", "much"))
    assert told(it.evidence()) == []


@pytest.mark.parametrize(
    ("details", "wanted"),
    [
        (["via_upstream"], []),
        (["via_upstream", "upstream_reset_before_response_started{connection_timeout}"], [1]),
    ],
)
def test_a_way_that_was_just_taken_is_open(details: list[str], wanted: list[int]) -> None:
    it = Cluster()
    walled(it, policyTypes=["Ingress"])
    addresses = [one["addresses"][0] for one in it.get("EndpointSlice", "blue")["endpoints"]]
    addresses += [one["addresses"][0] for one in it.get("EndpointSlice", "green")["endpoints"]]
    entries = [
        Entry(
            "log",
            number,
            at=f"2026-11-22T11:40:0{number}Z",
            upstream_host=f"{one}:3000",
            details=said,
        )
        for one in addresses
        for number, said in enumerate(details)
    ]
    found = told(it.evidence(entries=entries))
    assert [1 for one in found if one[0] == "network_policy"] == wanted


def test_routes_of_a_listener_that_is_not_served_are_not_accused() -> None:
    it = Cluster()
    taken(it)
    other_key(it)
    assert [one[0] for one in told(it.evidence())] == ["certificate_invalid"]


def test_objects_of_a_bundle_are_not_a_cluster() -> None:
    it = Cluster()
    controller_scaled(it)
    assert told(it.evidence(live=False)) == []


def test_a_cluster_without_envoy_gateway() -> None:
    it = Cluster()
    assert cluster.installed(it.evidence())
    for kind in ("GatewayClass", "Deployment", "Gateway"):
        it.drop(kind)
    assert not cluster.installed(it.evidence())


def test_a_name_that_dns_does_not_know() -> None:
    names: dict[str, Any] = {"shop.example.com": {"addresses": [], "why": None}}
    assert told(Cluster().evidence(names=names)) == [
        ("name_not_resolved", "Name shop.example.com", "")
    ]


@pytest.mark.parametrize(
    "said", [{"addresses": [], "why": "no answer"}, {"addresses": ["1.2.3.4"], "why": None}]
)
def test_a_name_that_leads_elsewhere_or_that_nobody_could_ask(said: dict[str, Any]) -> None:
    assert told(Cluster().evidence(names={"shop.example.com": said})) == []


def test_notes_say_what_changed_last_and_where_a_name_leads() -> None:
    names = {"shop.example.com": {"addresses": ["1.2.3.4"], "why": None}}
    first, *rest = cluster.notes(Cluster().evidence(names=names))
    assert first.startswith("shop.example.com is 1.2.3.4 in DNS, no address of a Gateway here")
    assert all(it.startswith("changed ") for it in rest)
    assert rest

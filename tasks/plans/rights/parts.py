"""
What runs do on a cluster, piece by piece, and the rights that each piece needs. A right with a
reason is needed only where that happens.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks.plans import control_plane, memory
from tasks.plans.kinds import (
    ACME,
    CERT_MANAGER,
    ENVOY_GATEWAY,
    EXPERIMENTAL,
    GATEWAY_API,
    ISTIO,
    KINDS,
    PROMETHEUS_OPERATOR,
)
from tasks.plans.lease import NAME as LEASE
from tasks.plans.permissions import Right
from tasks.plans.rights.places import Places

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CRDS_STATUS = "customresourcedefinitions/status.apiextensions.k8s.io"
POLICIES = tuple(
    f"validatingadmission{it}.admissionregistration.k8s.io" for it in ("policies", "policybindings")
)
WEBHOOKS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
LEASES, DEPLOYMENTS, DAEMONSETS = (
    "leases.coordination.k8s.io",
    "deployments.apps",
    "daemonsets.apps",
)
ROLES = ("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io")
CLUSTER_ROLES = tuple(f"cluster{it}" for it in ROLES)
ROUTED = tuple(f"{it}.{GATEWAY_API}" for it in ("gatewayclasses", "gateways", "httproutes"))
TLS = (
    *ROUTED,
    *(f"{it}.{GATEWAY_API}" for it in ("grpcroutes", "tlsroutes", "listenersets")),
    f"referencegrants.{GATEWAY_API}",
    *(f"{it}.{ENVOY_GATEWAY}" for it in ("clienttrafficpolicies", "envoyproxies")),
)
#: What cert-manager makes on the way to a certificate.
ATTEMPTS = (f"certificaterequests.{CERT_MANAGER}", f"orders.{ACME}", f"challenges.{ACME}")
ALERTMANAGERS = f"alertmanagers.{PROMETHEUS_OPERATOR}"
ENDPOINTS = "endpointslices.discovery.k8s.io"


def everywhere(
    verbs: str, *resources: str, names: tuple[str, ...] = (), rare: str = ""
) -> list[Right]:
    return [Right(verb, it, None, names, rare) for it in resources for verb in verbs.split()]


def inside(
    places: Iterable[str], verbs: str, *resources: str, names: tuple[str, ...] = (), rare: str = ""
) -> list[Right]:
    return [
        Right(verb, it, place, names, rare)
        for place in sorted(set(places))
        for it in resources
        for verb in verbs.split()
    ]


def kinds_read() -> list[str]:
    """The kinds that preflight and backup list, such as "httproutes.gateway.networking.k8s.io"."""
    groups = (GATEWAY_API, EXPERIMENTAL, ENVOY_GATEWAY)
    return [f"{it.plural}.{group}" for (group, _), it in KINDS.items() if group in groups]


def own_kinds() -> list[str]:
    """Those without the experimental ones."""
    return [it for it in kinds_read() if not it.endswith(EXPERIMENTAL)]


def moved() -> list[str]:
    """Resources whose storage version was another in a release that an upgrade may start from."""
    plurals = ("tcproutes", "tlsroutes", "udproutes", "grpcroutes", "referencegrants")
    return [f"{it}.{GATEWAY_API}" for it in (*plurals, "backendtlspolicies", "listenersets")]


NO_NAMESPACE = "the controller's namespace is not there yet"
HELM_3 = "Helm 3, and Helm 4 where the API server has no streamed lists (before Kubernetes 1.32)"
FIRST = "the first certificate of a name, or its first grant"
FAILED = "a step failed, and the last good state is brought back"
LEFT = "an object has left the inventory"
WEBSOCKET = "from Kubernetes 1.35 on a port forward is asked for by this verb too"
EXTRA = "the cluster serves experimental kinds"


def connecting(at: Places) -> list[Right]:
    """Which cluster this is."""
    return everywhere("get", "namespaces", names=("kube-system",))


def lease(at: Places) -> list[Right]:
    """Nobody else works on the cluster meanwhile."""
    here = (at.namespace,)
    return [
        *inside(here, "create", LEASES, rare="no run of envoyfleet has changed this cluster yet"),
        *inside(here, "get update", LEASES, names=(LEASE,)),
    ]


def namespace(at: Places) -> list[Right]:
    """The controller's namespace, where the Lease is put first."""
    return everywhere("create", "namespaces", rare=NO_NAMESPACE)


def records(at: Places) -> list[Right]:
    """What Helm has written down: Secrets in the controller's namespace, with all others there."""
    return inside((at.namespace,), "get list", "secrets")


def controller(at: Places) -> list[Right]:
    return inside((at.namespace,), "get", DEPLOYMENTS, LEASES) + inside(
        (at.namespace,), "list", "pods"
    )


def kinds(at: Places) -> list[Right]:
    """Gateways, routes and policies, wherever they are."""
    return [
        right
        for it in kinds_read()
        for right in everywhere("list", it, rare=EXTRA if it.endswith(EXPERIMENTAL) else "")
    ]


def backup(at: Places) -> list[Right]:
    """The cluster as it is, before the first write."""
    return [
        *kinds(at),
        *everywhere("list", "namespaces", "services"),
        *everywhere("get", CRDS, *POLICIES),
        *inside(at.kept, "list", "secrets"),
        *inside((at.namespace,), "get", "secrets"),
        *inside((at.namespace,), "list", "configmaps"),
        *inside(at.gateways, "list", "configmaps", rare="a policy refers to one"),
    ]


def reading(at: Places) -> list[Right]:
    """What preflight and the first installation look at."""
    return [*kinds(at), *around(at), *inside(at.gateways, "get", "secrets")]


def around(at: Places) -> list[Right]:
    """What is there besides, before the first write."""
    return [
        *everywhere("list", "namespaces", "services"),
        *everywhere("get", *POLICIES),
        *inside((at.namespace,), "list", "secrets", "configmaps"),
    ]


def definitions(at: Places) -> list[Right]:
    """CRDs, and the policy that keeps older ones away."""
    stored = "objects are stored anew where the storage version of their CRD has moved"
    return [
        *everywhere("list patch", CRDS),
        *everywhere("list patch", *POLICIES),
        *everywhere("get", CRDS, rare=stored),
        *everywhere("create", CRDS),
        *everywhere("create", *POLICIES, rare="a release before 1.8 was there, or none"),
        *everywhere("patch", CRDS_STATUS, rare=stored),
        *everywhere("patch", *moved(), rare=stored),
    ]


_RUNNING = ("services", DEPLOYMENTS, "configmaps")


def chart_roles(at: Places) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Names of the ClusterRoles and of the Roles that the chart makes (gateway-helm 1.9, templates/),
    in whichever way the controller is set up; bindings have such names too.
    """
    called = at.release if "gateway-helm" in at.release else f"{at.release}-gateway-helm"
    wide = ("envoy-gateway-role", f"certgen:{at.namespace}", "cluster-infra-manager")
    inside = ("envoy-gateway-role", "certgen", "infra-manager", "leader-election-role")
    return (
        tuple(f"{called}-{it}" for it in (*wide, "infra-manager-tokenreview")),
        tuple(f"{called}-{it}" for it in (*inside, "namespaced-infra-manager")),
    )


def helm(at: Places) -> list[Right]:
    """
    The chart's objects. Its ClusterRoles hold more than this: ``escalate`` and ``bind`` allow to
    write exactly those, by their names.
    """
    here, (wide, own) = (at.namespace,), chart_roles(at)
    lasting = ("serviceaccounts", *ROLES, *_RUNNING)
    return [
        *everywhere("get patch watch", *CLUSTER_ROLES),
        *everywhere("escalate bind", CLUSTER_ROLES[0], names=wide),
        *inside(here, "get patch watch", *lasting),
        *inside(here, "escalate bind", ROLES[0], names=own),
        *inside(here, "list", "pods", "replicasets.apps"),
        *inside(here, "create list update", "secrets"),
        *everywhere("list", *CLUSTER_ROLES, rare=HELM_3),
        *everywhere("get list", WEBHOOKS, rare=HELM_3),
        *inside(here, "list", *lasting, rare=HELM_3),
        *inside(here, "get list", "jobs.batch", rare=HELM_3),
        *inside(here, "delete", *_RUNNING, rare="an object has left the chart"),
        *inside(here, "delete", "secrets", rare="more than ten revisions, or a damaged record"),
        *inside(
            here,
            "get list create patch delete watch",
            "poddisruptionbudgets.policy",
            rare="controller.replicas is greater than 1",
        ),
    ]


def hooks(at: Places) -> list[Right]:
    """The chart's Job that makes keys, with a service account and roles that are made for it."""
    here = (at.namespace,)
    return [
        *everywhere("create delete", *CLUSTER_ROLES),
        *everywhere("create patch delete watch", WEBHOOKS),
        *inside(here, "create delete", "serviceaccounts", *ROLES),
        *inside(here, "create patch delete watch", "jobs.batch"),
    ]


def new_release(at: Places) -> list[Right]:
    """What an installation makes and an upgrade finds."""
    here = (at.namespace,)
    return [
        *inside(here, "create", *_RUNNING),
        *everywhere("patch", "namespaces", names=here),
    ]


def proving(at: Places) -> list[Right]:
    """Gateways and their proxies, asked one by one."""
    pods = (
        everywhere("list", "pods", "services")
        if at.beside
        else inside(at.all_proxies, "list", "pods", "services")
    )
    return [
        *everywhere("list", *ROUTED),
        *pods,
        *inside(at.all_proxies, "get", "pods/portforward"),
        *inside(at.all_proxies, "create", "pods/portforward", rare=WEBSOCKET),
    ]


def workloads(at: Places) -> list[Right]:
    """Proxies that are replaced."""
    each = "proxies are waited for that run on each node"
    return [*everywhere("list", DEPLOYMENTS), *everywhere("list", DAEMONSETS, rare=each)]


def alerts(at: Places) -> list[Right]:
    """Where Alertmanager is, so that it is told of the roll-out."""
    return everywhere("list", ALERTMANAGERS)


def objects(at: Places) -> list[Right]:
    """The inventory's own objects, where they are."""
    not_there = {("namespaces", "create"): "a namespace is not there yet"}
    return [
        Right(verb, resource, place, rare=not_there.get((resource, verb), ""))
        for resource, place in at.written
        for verb in ("create", "patch")
    ]


def objects_there(at: Places) -> list[Right]:
    """What is there of the kinds of the inventory's own objects."""
    there = everywhere("list", *dict.fromkeys(resource for resource, _ in at.written))
    return [*there, *inside(at.gateways, "get", "secrets")]


def remembering(at: Places) -> list[Right]:
    """The objects as they were, kept in the cluster until the change is through."""
    return inside((at.namespace,), "create patch", "secrets", names=(memory.NAME,))


def going_back(at: Places) -> list[Right]:
    """Proxies that hang on the state before."""
    return inside(at.all_proxies, "delete", "pods", rare=FAILED)


def bringing_back(at: Places) -> list[Right]:
    """The inventory's objects as they were before, those that were new deleted."""
    return [*objects(at), *pruning(at)]


def lease_read(at: Places) -> list[Right]:
    return inside((at.namespace,), "get", LEASES, names=(LEASE,))


def table(at: Places) -> list[Right]:
    """One row of a table."""
    return [
        *everywhere("list", CRDS, *ROUTED[:2]),
        *records(at),
        *inside((at.namespace,), "get", DEPLOYMENTS),
    ]


def evidence(at: Places) -> list[Right]:
    """All that says why a request fails; Secrets without their keys."""
    own = [it for it in own_kinds() if it not in _DETAILS]
    beside = ("services", "pods", "secrets", DEPLOYMENTS, LEASES, ENDPOINTS)
    return [
        *everywhere("list", *own, *beside, "networkpolicies.networking.k8s.io"),
        *inside({at.namespace, *at.all_proxies}, "get", "pods/log"),
        *inside(at.all_proxies, "get", "pods/portforward"),
        *inside(at.all_proxies, "create", "pods/portforward", rare=WEBSOCKET),
    ]


#: What a diagnosis reads where something asks for it (tasks/diagnosis/needed.py).
_DETAILS = (
    f"referencegrants.{GATEWAY_API}",
    f"httproutefilters.{ENVOY_GATEWAY}",
    *("namespaces", "events", DAEMONSETS),
)


def details(at: Places) -> list[Right]:
    """What explains the rest."""
    return [
        *everywhere("list", *_DETAILS),
        *everywhere("list", "pods.metrics.k8s.io", rare="metrics-server is there"),
    ]


def curing(at: Places) -> list[Right]:
    """What a runbook's steps do once somebody has approved them."""
    return [
        *objects(at),
        *inside(at.all_proxies, "delete", "pods"),
        *inside((at.namespace,), "get patch", DEPLOYMENTS),
    ]


def served(at: Places) -> list[Right]:
    """Every certificate: in Secrets, which the API server gives with their keys, and as served."""
    more = (f"backendtlspolicies.{GATEWAY_API}", f"backends.{ENVOY_GATEWAY}")
    made = (f"certificates.{CERT_MANAGER}", *ATTEMPTS)
    return [
        *everywhere("list", *TLS, *more, "pods", "services", "secrets"),
        *everywhere("list", *made, rare="cert-manager is there"),
        *everywhere("list", f"gateways.{ISTIO}", rare="Istio is there"),
        *everywhere("get", "secrets", "configmaps", rare="an object names an authority in one"),
        *inside(at.all_proxies, "get", "pods/portforward"),
        *inside(at.all_proxies, "create", "pods/portforward", rare=WEBSOCKET),
    ]


def handshakes(at: Places) -> list[Right]:
    """Who serves which certificate now, asked of each proxy and address."""
    return [*everywhere("list", *TLS), *proving(at)]


def renewing(at: Places) -> list[Right]:
    """The Secrets of the inventory, by their names."""
    found = []
    for place, names in sorted(at.secrets.items()):
        found += inside((place,), "get patch", "secrets", names=tuple(sorted(names)))
        found += inside((place,), "create", "secrets", names=tuple(sorted(names)), rare=FIRST)
    grants = f"referencegrants.{GATEWAY_API}"
    return [
        *found,
        *inside(at.granting, "create patch", grants, rare=FIRST),
        *inside(at.asked, "get", f"certificates.{CERT_MANAGER}"),
        *inside(at.asked, "patch", f"certificates/status.{CERT_MANAGER}"),
        *inside(at.asked, "list", *ATTEMPTS),
    ]


def authority(at: Places) -> list[Right]:
    """The three Secrets and the webhook that the controller's own authority is in."""
    here, asked = (at.namespace,), {at.namespace, *at.all_proxies}
    return [
        *everywhere("list", *ROUTED),
        *inside(here, "get patch", "secrets", names=tuple(sorted(control_plane.NAMES))),
        *everywhere("get patch", WEBHOOKS, names=(control_plane.webhook_name(at.namespace),)),
        *inside(asked, "list", "pods"),
        *inside(asked, "get", "pods/portforward"),
        *inside(asked, "create", "pods/portforward", rare=WEBSOCKET),
    ]


def issuing(at: Places) -> list[Right]:
    """Issuers, Certificates and ReferenceGrants; what cert-manager makes of them."""
    certificates = f"certificates.{CERT_MANAGER}"
    return [
        *everywhere("list create patch", f"clusterissuers.{CERT_MANAGER}"),
        *everywhere("list", certificates, *ATTEMPTS, "namespaces", DEPLOYMENTS),
        *everywhere("list", f"securitypolicies.{ENVOY_GATEWAY}"),
        *inside(at.asked, "create patch", certificates),
        *inside(at.granting, "create patch", f"referencegrants.{GATEWAY_API}", rare=FIRST),
        *inside(at.asked, "list", "secrets"),
    ]


def addresses(at: Places) -> list[Right]:
    """The chain from a Gateway to its public IP."""
    return [
        *everywhere("list", *ROUTED, f"envoyproxies.{ENVOY_GATEWAY}"),
        *everywhere("list", f"grpcroutes.{GATEWAY_API}"),
        *everywhere("list", f"tlsroutes.{GATEWAY_API}", rare="a listener speaks TLS itself"),
        *everywhere("list", "nodes"),
        *inside(at.all_proxies, "list", "services"),
        *inside(at.all_proxies, "list", "events", rare="a Service has no address"),
    ]


def comparing(at: Places) -> list[Right]:
    """All of a cluster that an inventory's objects are compared with."""
    return everywhere("list", *own_kinds(), "namespaces", "services", "configmaps", DEPLOYMENTS)


def pruning(at: Places) -> list[Right]:
    return [Right("delete", resource, place) for resource, place in at.written]


def resolving(at: Places) -> list[Right]:
    """What a resolver names, and its endpoints."""
    return everywhere("list", "services", ENDPOINTS)


def restoring(at: Places) -> list[Right]:
    """Whatever an archive holds, wherever it was."""
    kept = "the archive has such an object, and the cluster has not"
    resources = [*kinds_read(), "namespaces", "services", "secrets", "configmaps"]
    return [
        *everywhere("create patch update", *resources, rare=kept),
        *everywhere("list", ENDPOINTS),
        *inside((at.namespace,), "delete", "pods", rare="the controller is older than its keys"),
    ]


def emptying(at: Places) -> list[Right]:
    """
    A cluster for drills, and nothing else, is looked through before and made empty again after.
    """
    stand_ins = (DEPLOYMENTS, ENDPOINTS)
    return [
        *everywhere("list", "*.*"),
        *everywhere("delete", CRDS, *POLICIES, "namespaces", *CLUSTER_ROLES),
        *everywhere("delete", *kinds_read(), rare="the archive has such an object"),
        *everywhere("delete", WEBHOOKS),
        *everywhere("deletecollection", DEPLOYMENTS, DAEMONSETS, "pods"),
        *everywhere("create patch", *stand_ins),
        *inside(("kube-system",), "get delete", "configmaps"),
    ]


def monitors(at: Places) -> list[Right]:
    """Monitors, rules, receivers and dashboards, and whether Prometheus has them."""
    there = () if at.monitoring is None else (at.monitoring,)
    plurals = ("podmonitors", "servicemonitors", "prometheusrules", "alertmanagerconfigs")
    made = [f"{it}.{PROMETHEUS_OPERATOR}" for it in plurals]
    return [
        *everywhere("list", *made, ALERTMANAGERS, f"prometheuses.{PROMETHEUS_OPERATOR}"),
        *everywhere("list", f"envoyproxies.{ENVOY_GATEWAY}"),
        *everywhere("get", "namespaces", names=there),
        *inside(there, "create patch", *made, "configmaps"),
        *inside(there, "list", "configmaps"),
        *inside(there, "get", "secrets", "services/proxy"),
        *inside({at.namespace, *at.all_proxies}, "list", "pods"),
        *inside(there, "delete", *made, "configmaps", rare=LEFT),
    ]

"""What a drill may take away from its target, and what it must never touch."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import emptying
from tasks.plans.emptying import SERVICE_ACCOUNTS, Found, Mark
from tasks.plans.resources import CORE, Resource

GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway", True)
CLASSES = Resource("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", False)
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False)
POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    False,
)
NAMESPACES, SECRETS = CORE[0], CORE[1]

MARK = Mark(
    run="20261121T140211Z-drill",
    source="weu-1",
    archive="backups/weu-1/20261121T010000Z.tar.gz.age",
    namespaces=frozenset({"edge", "envoy-gateway-system", "envoyfleet-drill"}),
    release="eg",
    namespace="envoy-gateway-system",
    before=frozenset({"namespaces default", "namespaces monitoring", "clusterroles.x edge"}),
)


def found(resource: Resource, name: str, namespace: str | None = None, **meta: Any) -> Found:
    place = {"namespace": namespace} if namespace else {}
    return Found(resource, {"name": name, **place, **meta})


def managed(by: str) -> list[dict[str, str]]:
    return [{"manager": by}]


OURS = [
    pytest.param(found(NAMESPACES, "edge"), id="namespace of the archive"),
    pytest.param(found(GATEWAYS, "public", "edge"), id="what is in such a namespace"),
    pytest.param(found(SECRETS, "tls", "edge"), id="whoever made it"),
    pytest.param(found(CRDS, "gateways.gateway.networking.k8s.io"), id="CRD of the Gateway API"),
    pytest.param(
        found(CLASSES, "envoy", managedFields=managed("envoyfleet")), id="applied by envoyfleet"
    ),
    pytest.param(
        found(SECRETS, "shared", "default", managedFields=managed("envoyfleet")),
        id="in a namespace that every cluster has",
    ),
    pytest.param(
        found(
            ROLES,
            "eg-role",
            annotations={
                "meta.helm.sh/release-name": "eg",
                "meta.helm.sh/release-namespace": "envoy-gateway-system",
            },
        ),
        id="of the Helm release",
    ),
    pytest.param(
        found(
            ROLES,
            "eg-gateway-helm-certgen:envoy-gateway-system",
            labels={
                "app.kubernetes.io/name": "gateway-helm",
                "app.kubernetes.io/instance": "eg",
            },
        ),
        id="a hook of the chart, which helm uninstall leaves",
    ),
    pytest.param(
        found(ROLES, "envoy", labels={"app.kubernetes.io/managed-by": "envoy-gateway"}),
        id="made by the controller",
    ),
]
NOT_OURS = [
    pytest.param(found(NAMESPACES, "shop"), id="a namespace that somebody made meanwhile"),
    pytest.param(found(GATEWAYS, "other", "shop"), id="a Gateway of somebody else"),
    pytest.param(found(CRDS, "certificates.cert-manager.io"), id="another CRD"),
    pytest.param(
        found(
            ROLES,
            "other",
            annotations={
                "meta.helm.sh/release-name": "eg",
                "meta.helm.sh/release-namespace": "elsewhere",
            },
        ),
        id="a release of the same name elsewhere",
    ),
    pytest.param(
        found(SECRETS, "s", "default", managedFields=managed("kubectl")), id="applied by others"
    ),
]


@pytest.mark.parametrize("thing", OURS)
def test_what_the_drill_made_goes(thing: Found) -> None:
    assert emptying.made_by(MARK, [thing]) == [thing]
    assert emptying.came_meanwhile(MARK, [thing]) == []


@pytest.mark.parametrize("thing", NOT_OURS)
def test_what_others_made_meanwhile_stays_and_is_said(thing: Found) -> None:
    assert emptying.made_by(MARK, [thing]) == []
    assert emptying.came_meanwhile(MARK, [thing]) == [thing.title]


@pytest.mark.parametrize("thing", [*OURS, *NOT_OURS])
def test_what_was_there_before_is_never_touched(thing: Found) -> None:
    mark = Mark(**{**vars(MARK), "before": frozenset({thing.key})})
    assert emptying.made_by(mark, [thing]) == []
    assert emptying.came_meanwhile(mark, [thing]) == []


def test_the_mark_itself_is_neither_ours_nor_of_others() -> None:
    mark = found(CORE[2], "envoyfleet-drill", "kube-system", managedFields=managed("envoyfleet"))
    assert emptying.made_by(MARK, [mark]) == []
    assert emptying.came_meanwhile(MARK, [mark]) == []


def test_a_cluster_with_gateways_of_others_is_in_use() -> None:
    there = [found(GATEWAYS, "public", "edge"), found(GATEWAYS, "other", "shop")]
    assert emptying.of_others(MARK, there) == ["Gateway shop/other"]


def test_waves_leave_to_a_namespace_what_goes_with_it() -> None:
    gateway, secret = found(GATEWAYS, "public", "edge"), found(SECRETS, "tls", "edge")
    role, namespace = found(ROLES, "eg"), found(NAMESPACES, "edge")
    crd, thing = found(CRDS, "gateways.gateway.networking.k8s.io"), found(CLASSES, "envoy")
    assert emptying.waves(MARK, [crd, namespace, secret, role, thing, gateway]) == [
        ("Gateways, routes and policies", [gateway]),
        ("GatewayClasses", [thing]),
        ("Helm release and the rest", [role]),
        ("namespaces", [namespace]),
        ("CRDs", [crd]),
    ]


ARCHIVE: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shared", "namespace": "default"},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "edge"},
    },
]
BROUGHT = frozenset({"edge", "envoy-gateway-system", "envoyfleet-drill"})


def test_namespaces_are_those_of_archive_controller_and_stand_ins() -> None:
    brought = emptying.namespaces(ARCHIVE, "envoy-gateway-system", "envoyfleet-drill")
    assert brought == BROUGHT


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        pytest.param(found(GATEWAYS, "a", "b"), ["Gateway b/a"], id="any Gateway"),
        pytest.param(found(NAMESPACES, "edge"), ["Namespace edge"], id="a namespace to bring"),
        pytest.param(
            found(SECRETS, "shared", "default"),
            ["Secret default/shared"],
            id="an object of the archive in a namespace that stays",
        ),
        pytest.param(
            found(SECRETS, "sh.helm.release.v1.eg.v1", "x", labels={"owner": "helm", "name": "eg"}),
            ["Helm release x/eg"],
            id="the release, wherever it is",
        ),
        pytest.param(found(CRDS, "gateways.gateway.networking.k8s.io"), [], id="not CRDs"),
        pytest.param(found(POLICIES, "safe-upgrades"), [], id="nor their policy"),
        pytest.param(found(NAMESPACES, "default"), [], id="nor what every cluster has"),
        pytest.param(found(NAMESPACES, "monitoring"), [], id="nor another namespace"),
        pytest.param(found(SECRETS, "other", "default"), [], id="nor another Secret"),
    ],
)
def test_in_the_way(thing: Found, said: list[str]) -> None:
    assert emptying.in_the_way([thing], ARCHIVE, "eg", BROUGHT) == said


def test_listable_takes_every_kind_once_and_nothing_restless() -> None:
    again = Resource("gateway.networking.k8s.io", "v1beta1", "gateways", "Gateway", True)
    restless = Resource("coordination.k8s.io", "v1", "leases", "Lease", True)
    unlisted = Resource("x.dev", "v1", "reviews", "Review", False, frozenset({"create"}))
    listed = emptying.listable([GATEWAYS, again, restless, unlisted])
    assert listed == [*CORE, SERVICE_ACCOUNTS, GATEWAYS]


def config_map(**changes: Any) -> dict[str, Any]:
    names = ("run", "source", "archive", "release", "namespace")
    data = {name: getattr(MARK, name) for name in names}
    return {
        "data": {**data, "namespaces": " ".join(sorted(MARK.namespaces))},
        "binaryData": {"before": emptying.packed(MARK.before)},
        **changes,
    }


def test_a_mark_is_read_as_it_was_written() -> None:
    assert emptying.read_mark(config_map()) == MARK


@pytest.mark.parametrize("changes", [{"data": None}, {"binaryData": {"before": "e30="}}])
def test_what_is_no_mark_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Error|BadGzipFile"):
        emptying.read_mark(config_map(**changes))


def test_counted() -> None:
    ours = [found(NAMESPACES, "b"), found(GATEWAYS, "g", "b"), found(NAMESPACES, "a")]
    assert emptying.counted(ours) == {"Gateway": 1, "Namespace": 2}

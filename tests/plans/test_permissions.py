"""Which rights a run needs, and how it asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.permissions import (
    Right,
    granted,
    grouped,
    not_shown,
    review,
    rules_review,
    written_by,
)

PATCH = Right("patch", "gateways.gateway.networking.k8s.io")
API = "gateway.networking.k8s.io/v1"
SECRETS = Right("list", "secrets", "envoy-gateway-system")


def test_written_by() -> None:
    manifests = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}},
        {"apiVersion": API, "kind": "Gateway", "metadata": {"name": "a", "namespace": "edge"}},
        {"apiVersion": API, "kind": "Gateway", "metadata": {"name": "b", "namespace": "edge"}},
    ]
    assert written_by(manifests) == (
        ("namespaces", None),
        ("gateways.gateway.networking.k8s.io", "edge"),
    )


def rule(verbs: str, groups: str, resources: str, **more: Any) -> dict[str, Any]:
    return {
        "verbs": verbs.split(","),
        "apiGroups": groups.split(","),
        "resources": resources.split(","),
        **more,
    }


FORWARD = Right("create", "pods/portforward", "edge")
IN_EG = Right("list", "secrets", "eg")
ONE = Right("patch", "gateways.gateway.networking.k8s.io", names=("public",))


@pytest.mark.parametrize(
    ("right", "cluster_wide", "inside", "shown"),
    [
        pytest.param(PATCH, [rule("*", "*", "*")], [], True, id="administrator"),
        pytest.param(
            PATCH,
            [rule("get,patch", "gateway.networking.k8s.io", "gateways")],
            [],
            True,
            id="exact",
        ),
        pytest.param(PATCH, [rule("patch", "", "gateways")], [], False, id="another group"),
        pytest.param(
            PATCH, [rule("get", "gateway.networking.k8s.io", "*")], [], False, id="another verb"
        ),
        pytest.param(
            PATCH,
            [rule("patch", "gateway.networking.k8s.io", "gateways", resourceNames=["public"])],
            [],
            False,
            id="one object alone",
        ),
        pytest.param(
            ONE,
            [rule("patch", "gateway.networking.k8s.io", "gateways", resourceNames=["public", "b"])],
            [],
            True,
            id="the object that is asked about",
        ),
        pytest.param(
            ONE,
            [rule("patch", "gateway.networking.k8s.io", "gateways", resourceNames=["b"])],
            [],
            False,
            id="another object",
        ),
        pytest.param(PATCH, [], [rule("*", "*", "*")], False, id="in the namespace alone"),
        pytest.param(IN_EG, [], [rule("*", "", "secrets")], True, id="namespaced"),
        pytest.param(FORWARD, [], [rule("*", "*", "*")], False, id="in another namespace"),
        pytest.param(FORWARD, [rule("*", "", "pods")], [], False, id="a subresource is its own"),
        pytest.param(FORWARD, [rule("*", "", "*/portforward")], [], True, id="of all resources"),
        pytest.param(FORWARD, [rule("*", "", "*")], [], True, id="all and their subresources"),
    ],
)
def test_not_shown(
    right: Right, cluster_wide: list[dict[str, Any]], inside: list[dict[str, Any]], shown: bool
) -> None:
    assert not_shown([right], cluster_wide, inside, "eg") == ([] if shown else [right])


def test_grouped() -> None:
    rights = [PATCH, IN_EG, Right("get", "secrets"), Right("get", "secrets", "eg")]
    assert grouped(rights) == [
        "patch gateways.gateway.networking.k8s.io",
        "list, get secrets in eg",
        "get secrets",
    ]


def test_rules_review() -> None:
    assert rules_review("eg") == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "eg"},
    }


def test_what_a_message_calls_a_right() -> None:
    assert [PATCH.text, SECRETS.text] == [
        "patch gateways.gateway.networking.k8s.io",
        "list secrets in envoy-gateway-system",
    ]


@pytest.mark.parametrize(
    ("right", "about"),
    [
        pytest.param(
            PATCH,
            {"verb": "patch", "resource": "gateways", "group": "gateway.networking.k8s.io"},
            id="everywhere",
        ),
        pytest.param(
            SECRETS,
            {
                "verb": "list",
                "resource": "secrets",
                "group": "",
                "namespace": "envoy-gateway-system",
            },
            id="a core resource in a namespace",
        ),
        pytest.param(
            FORWARD,
            {
                "verb": "create",
                "resource": "pods",
                "group": "",
                "subresource": "portforward",
                "namespace": "edge",
            },
            id="a subresource",
        ),
    ],
)
def test_review(right: Right, about: dict[str, str]) -> None:
    assert review(right) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        pytest.param({"status": {"allowed": True}}, True),
        pytest.param({"status": {"allowed": False}}, False),
        pytest.param({"status": {"evaluationError": "webhook is away"}}, False, id="not finished"),
        pytest.param({}, False, id="no answer"),
    ],
)
def test_granted(answer: dict[str, Any], yes: bool) -> None:
    assert granted(answer) is yes

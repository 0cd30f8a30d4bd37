"""Which rights a run needs, and how it asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.permissions import Right, granted, needed, review

PATCH = Right("patch", "gateways.gateway.networking.k8s.io")
SECRETS = Right("list", "secrets", "envoy-gateway-system")


def test_needed_is_inside_the_controllers_namespace_where_that_will_do() -> None:
    rights = needed("eg")
    assert {it.namespace for it in rights} == {None, "eg"}
    assert Right("list", "secrets", "eg") in rights
    assert PATCH in rights
    assert len(set(rights)) == len(rights)


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

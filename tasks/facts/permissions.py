"""What the signed-in identity may do."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.plans.permissions import Right, granted, review, rules_review

REVIEWS = "/apis/authorization.k8s.io/v1"


class MayDo(FactBase[bool]):
    """
    Whether this identity has one right. One request (SelfSubjectAccessReview), which changes
    nothing.
    """

    @override
    def command(self, right: Right) -> KubeCommand:
        return KubeCommand("POST", f"{REVIEWS}/selfsubjectaccessreviews", body=review(right))

    @override
    def process(self, output: list[str]) -> bool:
        return granted(json.loads("\n".join(output)))

    @override
    @staticmethod
    def default() -> bool:
        return False


class Rules(FactBase[list[dict[str, Any]]]):
    """
    What this identity may do in one namespace, as far as the authorizers tell: ``[{"verbs":
    ["get"], "apiGroups": [""], "resources": ["pods"]}]``. One request (SelfSubjectRulesReview),
    which changes nothing.

    + namespace: one that does not exist asks for what is allowed everywhere
    """

    @override
    def command(self, namespace: str) -> KubeCommand:
        body = rules_review(namespace)
        return KubeCommand("POST", f"{REVIEWS}/selfsubjectrulesreviews", body=body)

    @override
    def process(self, output: list[str]) -> list[dict[str, Any]]:
        status = json.loads("\n".join(output)).get("status") or {}
        return list(status.get("resourceRules") or ())

    @override
    @staticmethod
    def default() -> list[dict[str, Any]]:
        return []

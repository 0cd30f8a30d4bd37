"""What the signed-in identity may do."""

from __future__ import annotations

import json

from pyinfra.api import FactBase
from typing_extensions import override

from tasks.connectors.command import KubeCommand
from tasks.plans.permissions import Right, granted, review


class MayDo(FactBase[bool]):
    """
    Whether this identity has one right. One request (SelfSubjectAccessReview), which changes
    nothing.
    """

    @override
    def command(self, right: Right) -> KubeCommand:
        return KubeCommand(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review(right)
        )

    @override
    def process(self, output: list[str]) -> bool:
        return granted(json.loads("\n".join(output)))

    @override
    @staticmethod
    def default() -> bool:
        return False

from __future__ import annotations

from collections.abc import Collection

import pytest

from tasks.plans.preflight import Reason, warning
from tasks.plans.served import needed_crds
from tasks.plans.way_back import reasons

TCP = "tcproutes.gateway.networking.k8s.io"
TLS = "tlsroutes.gateway.networking.k8s.io"


def served(**more: Collection[str]) -> dict[str, Collection[str]]:
    """All that 1.8.3 needs, but for some kinds of the Gateway API."""
    own = {name: [it] for name, it in needed_crds("1.8.3").items()}
    return {**own, **{f"{name}.gateway.networking.k8s.io": it for name, it in more.items()}}


@pytest.mark.parametrize(
    ("after", "used", "expected"),
    [
        pytest.param(served(tcproutes=["v1", "v1alpha2"]), {TCP: 3}, [], id="both are served"),
        pytest.param(
            served(tcproutes=["v1"]),
            {TCP: 1},
            [
                Reason(
                    f"no way back to 1.8.3: the new CustomResourceDefinition {TCP} serves v1, and "
                    "that release watches v1alpha2 and would leave its object out in silence",
                    "no-way-back",
                )
            ],
            id="channel standard of 1.6",
        ),
        pytest.param(
            served(tcproutes=["v1"]),
            {},
            [
                warning(
                    f"no way back to 1.8.3: the new CustomResourceDefinition {TCP} serves v1, and "
                    "that release watches v1alpha2; no object of it is there"
                )
            ],
            id="nobody uses it",
        ),
        pytest.param(
            served(tlsroutes=["v1alpha3"]),
            {},
            [
                Reason(
                    f"no way back to 1.8.3: the new CustomResourceDefinition {TLS} serves "
                    "v1alpha3, and that release watches v1 and would not start",
                    "no-way-back",
                )
            ],
            id="would crash",
        ),
    ],
)
def test_way_back(
    after: dict[str, Collection[str]], used: dict[str, int], expected: list[Reason]
) -> None:
    assert reasons("1.8.3", served(), after, used) == expected


def test_what_is_missing_already_is_no_loss() -> None:
    assert reasons("1.8.3", served(tcproutes=["v1"]), served(tcproutes=["v1"]), {TCP: 1}) == []

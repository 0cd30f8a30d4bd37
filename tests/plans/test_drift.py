"""What differs, whose doing it is, and what is taken away."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.drift import Difference, drift, still_used
from tasks.plans.ours import LABELS, labelled
from tasks.plans.references import to

API = "gateway.networking.k8s.io/v1"
WANTED: dict[str, Any] = labelled(
    {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "edge"},
        "spec": {"gatewayClassName": "envoy", "listeners": [{"name": "http", "port": 80}]},
    }
)
LISTENER: dict[str, Any] = {".": {}, "f:name": {}, "f:port": {}}
OWNED = {
    "f:metadata": {"f:labels": {f"f:{key}": {} for key in LABELS}},
    "f:spec": {"f:gatewayClassName": {}, "f:listeners": {'k:{"name":"http"}': LISTENER}},
}


def live(
    *others: dict[str, Any], spec: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    """The wanted object as we applied it, with what others did to it since."""
    ours = {"manager": "envoyfleet", "operation": "Apply", "fieldsV1": OWNED}
    return {
        **WANTED,
        "metadata": {**WANTED["metadata"], "managedFields": [ours, *others], **meta},
        "spec": WANTED["spec"] | (spec or {}),
    }


def edit(manager: str, time: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}


CLASS: dict[str, Any] = {"f:spec": {"f:gatewayClassName": {}}}
ARGO = {"argocd.argoproj.io/tracking-id": "shop:gateway.networking.k8s.io/Gateway:edge/public"}
ADDED: dict[str, Any] = {"f:spec": {"f:infrastructure": {"f:labels": {}}}}
MORE = {"infrastructure": {"labels": {"a": "b"}}}
EVIL = {"name": "evil", "port": 81}
SECOND = {"f:spec": {"f:listeners": {'k:{"name":"evil"}': LISTENER}}}
CASES = [
    pytest.param([live()], [], id="as it should be"),
    pytest.param([], [Difference("missing", WANTED)], id="missing"),
    pytest.param(
        [
            live(
                edit("argocd-server", "2026-11-20T10:00:00Z", {"f:spec": {"f:listeners": {}}}),
                edit("helm", "2026-11-20T10:00:00Z", CLASS),
                edit("kubectl-edit", "2026-11-21T10:00:00Z", CLASS),
                spec={"gatewayClassName": "other"},
            )
        ],
        [Difference("changed", WANTED, "kubectl-edit", (".spec.gatewayClassName",))],
        id="changed by the last who wrote that field",
    ),
    pytest.param(
        [live(spec={"gatewayClassName": "other"})],
        [Difference("changed", WANTED, None, (".spec.gatewayClassName",))],
        id="only the inventory changed",
    ),
    pytest.param(
        [live(spec={"gatewayClassName": "other"}, annotations=ARGO)],
        [
            Difference(
                "kept by others", WANTED, "Argo CD application shop", (".spec.gatewayClassName",)
            )
        ],
        id="of Argo CD, and not the same",
    ),
    pytest.param([live(annotations=ARGO)], [], id="of Argo CD, and the same"),
    pytest.param(
        [live(edit("kubectl-edit", "2026-11-21T10:00:00Z", ADDED), spec=MORE)],
        [Difference("set by others", WANTED, "kubectl-edit", (".spec.infrastructure",))],
        id="a field that somebody added",
    ),
    pytest.param(
        [
            live(
                edit("kubectl-edit", "2026-11-21T10:00:00Z", SECOND),
                spec={"listeners": [*WANTED["spec"]["listeners"], EVIL]},
            )
        ],
        [Difference("set by others", WANTED, "kubectl-edit", (".spec.listeners[name=evil]",))],
        id="a listener that somebody added",
    ),
    pytest.param([live(spec=MORE)], [], id="a field that the server filled in"),
    pytest.param(
        [live(edit("argocd-controller", "2026-11-21T10:00:00Z", ADDED), spec=MORE)],
        [],
        id="a field that somebody added who keeps it",
    ),
]


@pytest.mark.parametrize(("there", "differences"), CASES)
def test_says_what_differs_and_by_whom(
    there: list[dict[str, Any]], differences: list[Difference]
) -> None:
    found = drift([WANTED], {to(it): it for it in there})
    assert [*found.differences] == differences
    ours = [it for it in differences if it.state in ("missing", "changed")]
    assert [*found.writes] == ([WANTED] if ours else [])
    assert len(found.added) == sum(it.state == "set by others" for it in differences)


def test_what_is_changed_and_added_is_both_said() -> None:
    spec = {**MORE, "gatewayClassName": "other"}
    there = live(
        edit("helm", "2026-11-20T10:00:00Z", {"f:spec": {**ADDED["f:spec"], **CLASS["f:spec"]}}),
        spec=spec,
    )
    found = drift([WANTED], {to(there): there})
    assert [*found.differences] == [
        Difference("changed", WANTED, "helm", (".spec.gatewayClassName",)),
        Difference("set by others", WANTED, "helm", (".spec.infrastructure",)),
    ]


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        pytest.param(live(name="old"), True, id="our labels and field manager"),
        pytest.param(live(name="old", managedFields=[]), False, id="our labels alone"),
        pytest.param(live(name="old", labels={}), False, id="our field manager alone"),
        pytest.param(
            live(name="old", labels={"app.kubernetes.io/managed-by": "envoyfleet"}),
            False,
            id="of another deploy of ours",
        ),
        pytest.param(live(name="old", annotations=ARGO), False, id="Argo CD has taken it over"),
    ],
)
def test_only_ours_is_not_wanted_any_more(there: dict[str, Any], taken: bool) -> None:
    found = drift([WANTED], {to(it): it for it in (live(), there)})
    assert [*found.leftovers] == ([there] if taken else [])


def test_a_namespace_is_never_ours() -> None:
    thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    assert labelled(thing) == thing


def test_what_stays_and_refers_to_what_goes() -> None:
    old = live(name="old")
    route = {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "old", "namespace": "edge"}]},
    }
    assert still_used([old], [old, route]) == {"Gateway edge/old": ["HTTPRoute shop/cart"]}
    assert still_used([old, route], [old, route]) == {}

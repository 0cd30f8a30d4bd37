"""What two looks at a cluster make of each other."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.probes import Answer, Request, Seen
from tasks.plans.rehearsals import observed
from tasks.plans.rehearsals.change import Change


def condition(kind: str, status: str = "True", reason: str = "Fine", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, **more}


def route(*conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    parents = [{"parentRef": {"name": "public", "namespace": "edge"}, "conditions": conditions}]
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": "cart"},
        "spec": spec,
        "status": {"parents": parents},
    }


def gateway(attached: int) -> dict[str, Any]:
    listeners = [{"name": "tcp", "attachedRoutes": attached, "conditions": []}]
    meta = {"namespace": "edge", "name": "public"}
    return {"kind": "Gateway", "metadata": meta, "spec": {}, "status": {"listeners": listeners}}


NAME, PART = "HTTPRoute shop/cart", "Gateway edge/public"
GOOD = route(condition("Accepted"))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        pytest.param(GOOD, GOOD, (), id="nothing"),
        pytest.param(
            GOOD,
            route(condition("Accepted", "False", "Invalid", message="Lua is off")),
            (
                Change(
                    "condition",
                    NAME,
                    f"{PART}: Accepted is False now: Invalid: Lua is off",
                    "error",
                ),
            ),
            id="turned",
        ),
        pytest.param(
            GOOD,
            route(),
            (Change("condition", NAME, f"{PART}: Accepted is no longer reported", "error"),),
            id="no longer reported",
        ),
        pytest.param(
            route(condition("ResolvedRefs", "False", "BackendNotFound")),
            route(condition("ResolvedRefs", "False", "RefNotPermitted")),
            (),
            id="wrong before and after",
        ),
        pytest.param(
            route(condition("Accepted", "False")),
            GOOD,
            (Change("condition", NAME, f"{PART}: Accepted is True now", "info"),),
            id="better",
        ),
        pytest.param(
            GOOD,
            route(condition("Accepted"), condition("Warning", reason="DeprecatedField")),
            (
                Change(
                    "condition",
                    NAME,
                    f"{PART}: Warning is True now: DeprecatedField",
                    "warning",
                ),
            ),
            id="a warning is new",
        ),
        pytest.param(
            GOOD,
            route(condition("Accepted"), condition("RouteRulesOverlap", "False", "None")),
            (),
            id="a new type that says no",
        ),
        pytest.param(
            gateway(2),
            gateway(0),
            (
                Change(
                    "condition",
                    "Gateway edge/public",
                    "listener tcp: 0 routes are attached, 2 were",
                    "error",
                ),
            ),
            id="attached no longer",
        ),
    ],
)
def test_conditions_that_turned(before: Any, after: Any, found: Any) -> None:
    name = found[0].name if found else NAME
    assert observed.turned({name: before}, {name: after}) == found


def test_an_object_that_went_is_said() -> None:
    assert observed.turned({NAME: GOOD}, {}) == (
        Change("object", NAME, "is not there any more", "error"),
    )


BEFORE = {"rules": [{"sessionPersistence": {"idleTimeout": "5m", "type": "Cookie"}}], "size": 1}
AFTER = {"rules": [{"sessionPersistence": {"type": "Cookie"}, "new": True}], "size": 2, "a": "b c"}


def test_fields_that_new_crds_drop_change_and_fill_in() -> None:
    was, now = {NAME: route(**BEFORE)}, {NAME: route(**AFTER)}
    at = "spec.rules[0].sessionPersistence.idleTimeout"
    assert observed.dropped(was, now) == (
        Change("field", NAME, f'{at} ("5m") is dropped by the new CRDs', "error"),
        Change("field", NAME, "spec.size is another under the new CRDs, was (1), is (2)", "error"),
    )
    assert observed.filled_in(was, now) == (
        Change("field", NAME, "spec.a is filled in by the new CRDs", "info"),
        Change("field", NAME, "spec.rules[0].new is filled in by the new CRDs (true)", "info"),
    )
    assert observed.dropped(was, was) == observed.filled_in(was, was) == ()


HTTP = Request("edge/public", "http", "http", "", 80, "shop.example.com", "/cart", "shop/cart")
BARE = Request("edge/public", "tcp", "tcp", "", 9000)


def test_answers_that_are_others() -> None:
    before = {HTTP: Answer(200, "demo/a"), BARE: Answer(0)}
    assert observed.answered(before, {HTTP: Answer(200, "demo/b"), BARE: Answer(0)}) == ()
    assert observed.answered({HTTP: "refused"}, {}) == ()
    asked = "http://shop.example.com:80/cart"
    assert observed.answered(before, {HTTP: Answer(500), BARE: "Connection refused"}) == (
        Change(
            "request",
            "Gateway edge/public",
            "a connection to port 9000: connected, now: Connection refused",
            "error",
        ),
        Change("request", NAME, f"{asked}: 200, now 500", "error"),
    )
    [moved] = observed.answered({HTTP: Answer(401)}, {HTTP: Answer(200), BARE: Answer(0)})
    assert moved.severity == "warning"


def test_requests_that_were_lost_are_counted() -> None:
    assert observed.lost(None) == observed.lost(Seen(100, {}, 0.1)) == ()
    [it] = observed.lost(Seen(100, {"503": 2}, 0.1))
    assert it.words == "100 requests, 2 failed (503: 2), longest gap 0.10 s"


def test_what_only_has_to_be_known_is_not_left_behind() -> None:
    info, error = Change("field", "a", "b", "info"), Change("field", "c", "d", "error")
    assert observed.left_behind([info], [error, error]) == (error,)


def test_a_signature_is_of_what_is_said_and_not_when() -> None:
    other = route(condition("Accepted", lastTransitionTime="2026-11-23T02:00:00Z"))
    assert observed.signature(GOOD) == observed.signature(other)
    assert observed.signature(GOOD) != observed.signature(route(condition("Accepted", "False")))

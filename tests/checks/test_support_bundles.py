"""What a support bundle lacks."""

from __future__ import annotations

from tasks.checks.support_bundles import findings

POD = "Pod envoy-gateway-system/envoy-1"


def test_a_bundle_without_any_configuration_is_no_use() -> None:
    missing = {"the port forward (create pods/portforward)": "no right to it"}
    found = list(findings("weu-1", [POD], [], missing))
    assert [it.text for it in found] == [
        f"warning GW992 weu-1: {POD}: the bundle has no configuration of a proxy (no right to it): "
        "give the right to create pods/portforward, and run it again",
        "info GW991 weu-1: the port forward (create pods/portforward): not in the bundle: "
        "no right to it: give the right, or go on without it",
    ]


def test_one_that_told_is_enough_and_none_has_to_run() -> None:
    assert not list(findings("weu-1", [POD, "Pod a/b"], [POD], {}))
    assert not list(findings("weu-1", [], [], {}))
    [found] = findings("weu-1", [POD], [POD], {"events": "500 broken"})
    assert (found.severity, found.fix) == ("info", "see why")

"""What a restore finds when nothing of it failed."""

from __future__ import annotations

from tasks.checks import restored


def test_a_line_becomes_a_finding_with_its_place() -> None:
    [difference] = restored.differences("weu-1", ["HTTPRoute shop/cart: spec.rules is missing"])
    assert difference.text == (
        "warning GW401 weu-1: HTTPRoute shop/cart: is not what the archive has: spec.rules is "
        "missing: look who changed it, and restore it again with only, or leave it"
    )
    [left_out] = restored.left_out(
        "weu-1", {"Certificate edge/tls": "this cluster does not serve it: install what brings it"}
    )
    assert left_out.text == (
        "warning GW402 weu-1: Certificate edge/tls: was not restored, this cluster does not serve "
        "it: install what brings it"
    )
    [unmet] = restored.unmet("weu-1", ["Gateway edge/public: Programmed is False: Invalid"])
    assert (unmet.code, unmet.severity) == ("GW403", "warning")
    assert unmet.what == "was restored and does not work: Programmed is False: Invalid"


def test_what_can_be_mended_here_counts() -> None:
    whys = {"HTTPRoute shop/a": "no Pod is ready", "HTTPRoute shop/b": "OIDC"}
    found = list(restored.not_proven("weu-1", whys, {"HTTPRoute shop/a"}))
    assert [it.severity for it in found] == ["warning", "info"]

"""How deep a text goes, told without a parser."""

from __future__ import annotations

import pytest

from tasks.plans.nesting import MOST, too_deep


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param("[" * MOST + "]" * MOST, False, id="as deep as may be"),
        pytest.param("[" * (MOST + 1), True, id="one more list"),
        pytest.param("{a: " * (MOST + 1), True, id="one more map"),
        pytest.param("[]\n" * 10 * MOST, False, id="many beside each other"),
        pytest.param("]" * MOST + "[" * MOST, False, id="closed before it is open"),
        pytest.param("- " * MOST + "x", True, id="lists in one line"),
        pytest.param("a: b\n" + " " * MOST + "c: d", True, id="far to the right"),
        pytest.param("a: '" + "- " * MOST + "'", False, id="within a text"),
        pytest.param(("[" * (MOST + 1)).encode("utf-16"), True, id="two bytes a sign"),
    ],
)
def test_too_deep(text: str | bytes, expected: bool) -> None:
    assert too_deep(text) is expected

"""What is of another type than it must be is left out, and all else stays."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.shapes import shaped

CASES = [
    pytest.param({"hostnames": ["a.test", 5]}, {"hostnames": ["a.test"]}, id="one of a list"),
    pytest.param({"hostnames": "a.test"}, {}, id="a list that is none"),
    pytest.param({"parentRefs": [{"kind": "Gateway"}]}, {"parentRefs": []}, id="without a name"),
    pytest.param({"ports": [{"port": True}]}, {"ports": []}, id="True is no port"),
    pytest.param({"mergeType": "JSONMerge"}, {"mergeType": "JSONMerge"}, id="what nobody reads"),
    pytest.param(None, {}, id="no spec"),
]


@pytest.mark.parametrize(("spec", "expected"), CASES)
def test_shaped(spec: Any, expected: dict[str, Any]) -> None:
    assert shaped({"kind": "Gateway", "spec": spec}) == {"kind": "Gateway", "spec": expected}

"""What is said of certificates, and which names they are good for."""

from __future__ import annotations

import pytest

from tasks.plans.chains import covers


@pytest.mark.parametrize(
    ("names", "hostname", "wanted"),
    [
        pytest.param(["shop.example.com"], "SHOP.example.com.", True, id="case and last dot"),
        pytest.param(["*.example.com"], "shop.example.com", True, id="one label"),
        pytest.param(["*.example.com"], "a.shop.example.com", False, id="two labels"),
        pytest.param(["*.example.com"], "example.com", False, id="the apex"),
        pytest.param(["*.example.com"], "*.example.com", True, id="a listener's wildcard"),
        pytest.param(["shop.example.com"], "*.example.com", False, id="less than the wildcard"),
    ],
)
def test_names_cover_host_names(names: list[str], hostname: str, wanted: bool) -> None:
    assert covers(names, hostname) is wanted

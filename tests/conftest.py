from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api_server import ApiServer


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    """API servers of this test alone; none of their clusters answers until the test says what."""
    with ApiServer().running() as server:
        yield server

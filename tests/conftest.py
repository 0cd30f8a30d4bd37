from __future__ import annotations

# pyinfra's command line patches the standard library when it is imported; here that is before any
# test, so that each finds the same process, alone or with all others.
from gevent import monkey

monkey.patch_all()

from collections.abc import Iterator  # noqa: E402

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.api_server import ApiServer  # noqa: E402
from tests.command_line import CommandLine  # noqa: E402

# The seconds of an example are those of the machine, which may be busy; and examples may share a
# fixture here.
settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("busy")


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    """API servers of this test alone; none of their clusters answers until the test says what."""
    with ApiServer().running() as server:
        yield server


@pytest.fixture(scope="session")
def command_line() -> Iterator[CommandLine]:
    """One for all tests: to begin is half a second of imports, and a run leaves nothing in it."""
    with CommandLine() as started:
        yield started

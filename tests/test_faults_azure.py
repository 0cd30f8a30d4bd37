"""
What goes wrong between a run and Azure Resource Manager, for a fleet that Azure lists: the faults
of API servers, with the lab's stand-in behind the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.api_server import ApiServer
from tests.azure import standing_azure
from tests.command_line import CommandLine, Outcome
from tests.faults.certificates import AUTHORITY
from tests.faults.judged import DEFECT
from tests.faults.running import ALWAYS, ONCE, Place, proxied
from tests.fleet.test_run import Case, prepared
from tests.test_aks import STATUS, Fleet

Run = Callable[[str, int, int], Outcome]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Run]:
    """deploys/status.py of the clusters of a subscription: kind, first request, how many."""
    place = tmp_path_factory.mktemp("faults")
    folder = place / "clone"
    folder.mkdir()
    with (
        pytest.MonkeyPatch.context() as patched,
        ApiServer().running() as server,
        standing_azure(place / "azure", patched) as azure,
    ):
        prepared(folder, Case("", []), server)
        fleet = Fleet(azure, server, folder, command_line)
        fleet.cluster("weu-1")
        upstreams = {"azure": {"url": azure.url, "ca": str(azure.authority)}}
        with proxied(place, upstreams) as proxy:
            trusted = place / "trusted.ca.pem"
            trusted.write_bytes(azure.authority.read_bytes() + (place / AUTHORITY).read_bytes())

            def run(kind: str, first: int, times: int) -> Outcome:
                url = proxy.stand("azure", kind, Place(first, times))
                leads = {"AZURE_RESOURCE_MANAGER_URL": url, "REQUESTS_CA_BUNDLE": str(trusted)}
                return fleet.run("@aks/lab", *STATUS, **leads)

            yield run


#: What a run ends with where Azure does not answer as it should.
REACHED = "https://{proxy} cannot be reached (Remote end closed connection without response): let "
NO_OBJECT = "GET https://{proxy}/subscriptions: the answer is no JSON object: is it Azure's?"
DAMAGED = "GET /subscriptions: the answer is damaged: is it Azure's?"


@pytest.mark.parametrize(
    "kind", ["429 with Retry-After", "503", "reset in the body", "reset", "closed", "cut gzip"]
)
def test_what_is_asked_once_more(run: Run, kind: str) -> None:
    outcome = run(kind, 1, ONCE)
    assert outcome.code == 0
    assert "weu-1 0 1.35.4 not installed - none none -" in outcome.lines


@pytest.mark.parametrize(
    ("kind", "times", "said"),
    [
        ("401", ALWAYS, "Azure answers 401 401 to GET /subscriptions: Unauthorized: sign in again"),
        ("garbage", ONCE, DAMAGED),
        ("half of it", ONCE, DAMAGED),
        ("a list", ONCE, NO_OBJECT),
        ("sign-in page", ONCE, NO_OBJECT),
        ("nothing", ONCE, NO_OBJECT),
        ("closed", ALWAYS, REACHED),
        ("reset in the body", ALWAYS, DAMAGED),
        (
            "expired certificate",
            ALWAYS,
            "https://{proxy} cannot be reached ([SSL: CERTIFICATE_VERIFY_FAILED] certificate "
            "verify failed: certificate has expired",
        ),
    ],
)
def test_what_ends_the_run_in_a_line(run: Run, kind: str, times: int, said: str) -> None:
    outcome = run(kind, 1, times)
    [line] = [re.sub(r"127\.0\.0\.1:\d+", "{proxy}", it) for it in outcome.lines]
    assert line.startswith(f"@aks/lab: {said}")
    assert (outcome.code, DEFECT.search(line)) == (2, None)

"""
Rights that are generated for a deploy, on a real cluster: with these and no others it does what it
is for, and asks for each of them. docs/rights.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.fleet import OLD, SHORT_DRAIN, Fleet, opened
from tests.lab.rights import EMPTY, Run, seen
from tests.lab.running import run as run_lab
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

OWN = "labrights"
CERTIFICATE = {"namespace": "edge", "secret": "lab-tls", "source": "self-signed"}
ROUTE = ("httproute", "blue", "--namespace", "demo")
AT_OLD: dict[str, Any] = {"envoy_gateway_version": OLD}
RENEW: dict[str, Any] = {
    "certificates": [{**CERTIFICATE, "names": ["blue.lab.test"]}],
    "renew_now": True,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return opened(tmp_path_factory.mktemp("rights"), *SHORT_DRAIN)


@pytest.fixture(scope="module")
def installed(fleet: Fleet) -> Fleet:
    """Of whichever release another test left there."""
    ended = fleet.pyinfra("install", "-y", "--limit", fleet.names[0], *at(fleet, fleet.names[0]))
    assert ended.code == 0, ended.text
    return fleet


def proven(fleet: Fleet, run: Run) -> None:
    found = seen(fleet, run)
    assert found.refused == []
    assert found.ended.code in run.code, found.ended.text
    assert found.unused == []
    assert found.leaks == set()


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(Run("backup", ("-y",)), id="backup"),
        pytest.param(Run("gateways", ("-y",)), id="gateways"),
        pytest.param(Run("rotate_certificates", ("-y",), RENEW), id="rotate_certificates"),
    ],
)
def test_a_sample(installed: Fleet, run: Run) -> None:
    if run.deploy == "gateways":
        installed.kubectl(installed.names[0], "delete", *ROUTE)
    proven(installed, replace(run, data={**run.data, **there(installed)}))


#: In this order, on a cluster without anything; the second stays empty, for drills.
NIGHTLY = [
    Run("install", ("-y",), AT_OLD),
    Run("upgrade", ("-y",)),
    Run("status"),
    Run("doctor", code=(0, 3)),
    Run("diagnose", code=(0, 3)),
    Run("support_bundle", code=(0, 3)),
    Run("certificates", code=(0, 3)),
    Run("public_ips", code=(0, 3)),
    Run("history", code=(0, 3)),
    Run("runbook", ("--data", "name=gateway-not-responding"), code=(0, 3)),
    Run("adopt", code=(0, 3)),
    Run("adopt", ("-y", "--data", "take=true"), code=(0, 3)),
    Run("rollback", ("-y",), {"rollback_to": 1}),
    Run("verify"),
    Run("rotate_control_plane", ("-y",), {"renew_now": True}),
]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A lab of its own: what an installation needs is seen where nothing is there."""
    up = run_lab("up", "2", name=OWN)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        sample = run_lab("sample", f"{OWN}-1", name=OWN)
        assert sample.returncode == 0, sample.stdout + sample.stderr
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ENVOYFLEET_LAB", OWN)
            yield opened(tmp_path_factory.mktemp("fresh"), *SHORT_DRAIN)
    finally:
        run_lab("down", name=OWN)


@pytest.mark.nightly
@pytest.mark.parametrize("run", NIGHTLY, ids=lambda it: it.deploy)
def test_every_deploy(fresh: Fleet, run: Run) -> None:
    proven(fresh, run)


@pytest.fixture(scope="module")
def kept(fresh: Fleet) -> Fleet:
    """The first cluster with a backup by somebody else."""
    ended = fresh.pyinfra("backup", "-y", "--limit", fresh.names[0], *at(fresh, fresh.names[0]))
    assert ended.code == 0, ended.text
    return fresh


@pytest.mark.nightly
def test_what_was_deleted_comes_back(kept: Fleet) -> None:
    kept.kubectl(kept.names[0], "delete", *ROUTE)
    proven(kept, Run("restore", ("-y",), there(kept)))


@pytest.mark.nightly
@pytest.mark.parametrize("deploy", ["drill", "rehearse"])
def test_an_empty_cluster(kept: Fleet, deploy: str) -> None:
    """A drill leaves it empty, so that there is one for the rehearsal."""
    source = kept.names[0]
    data: dict[str, dict[str, Any]] = {
        "drill": {"drill_source": [source], **there(kept)},
        "rehearse": {"rehearsal_source": [source]},
    }
    proven(kept, Run(deploy, ("-y",), data[deploy], code=(0, 3), cluster=1, space=EMPTY))


def there(fleet: Fleet) -> dict[str, str]:
    """The release that runs on the first cluster."""
    return {"envoy_gateway_version": fleet.version(fleet.names[0])}


@pytest.mark.nightly
def test_crds_on_an_empty_cluster(fresh: Fleet) -> None:
    proven(fresh, Run("crds", ("-y",), cluster=1))

"""
A sample of what goes wrong between a run and its API server, at a stand-in cluster; all kinds, all
deploys and a real cluster: ``make faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.api_server import ApiServer
from tests.command_line import CommandLine, Outcome
from tests.faults.__main__ import DEPLOYS
from tests.faults.array import MOMENTS, READING, THRICE, moments, trials
from tests.faults.judged import judged
from tests.faults.kinds import FAMILIES, KINDS
from tests.faults.running import ALWAYS, ONCE, Place, proxied
from tests.fleet.test_run import Case, prepared
from tests.stand_in import with_envoy_gateway
from tests.test_preflight import DATA, WELL, crds_of, old_release, write_chart

Run = Callable[[str, int, int], Outcome]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Run]:
    """deploys/status.py through the proxy: kind, the request that meets it first, how many do."""
    place = tmp_path_factory.mktemp("faults")
    folder = place / "clone"
    folder.mkdir()
    data = {**DATA, "kube_timeout": 3}
    with ApiServer().running() as server:
        case = Case("", [], inventory=f'clusters = [("@kube/weu-1", {data!r})]')
        prepared(folder, case, server)
        write_chart(folder)
        crds, release = crds_of("1.8.3"), old_release()
        with_envoy_gateway(server, "weu-1", crds=crds, release=release, objects=WELL)
        upstreams = {"weu-1": {"url": f"http://127.0.0.1:{server.port}/weu-1", "ca": None}}
        with proxied(place, upstreams) as proxy:

            def run(kind: str, first: int, times: int) -> Outcome:
                file = folder / "kubeconfig"
                user = {"token": "t0p-s3cret"}
                where = Place(first, times)
                kubeconfig = proxy.kubeconfig(file, user, ["weu-1"], kind, where)
                words = ["inventory/prod.py", "deploys/status.py"]
                return command_line.run(folder, words, KUBECONFIG=str(kubeconfig))

            yield run


@pytest.mark.parametrize(
    ("kind", "times", "verdict"),
    [
        ("429 with Retry-After", ONCE, "right"),
        ("502 page", ONCE, "right"),
        ("reset in the body", ONCE, "right"),
        ("sign-in page", ONCE, "right"),
        ("half of it", ALWAYS, "stopped"),
        ("cut gzip", ONCE, "right"),
        ("broken chunk", ALWAYS, "stopped"),
        ("a failure that says 200", ALWAYS, "stopped"),
        ("404 page", ALWAYS, "stopped"),
        ("401", ALWAYS, "stopped"),
        ("stalled", ALWAYS, "stopped"),
        ("null", ALWAYS, "stopped"),
        ("expired certificate", ALWAYS, "stopped"),
    ],
)
def test_what_comes_of_it(run: Run, kind: str, times: int, verdict: str) -> None:
    found = judged([run("429", ALWAYS, ONCE)], run(kind, 3, times))
    assert (found.verdict, found.why) == (verdict, "")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "expired certificate",
            "cannot reach this cluster: its certificate is not trusted: certificate has expired: "
            "renew it, or fetch the credentials again",
        ),
        (
            "sign-in page",
            "cannot reach this cluster: a web page answered, no API server: look at server in the "
            "kubeconfig, and at proxies between",
        ),
    ],
)
def test_what_is_said(run: Run, kind: str, said: str) -> None:
    assert f"[weu-1] {said}" in run(kind, 1, ALWAYS).lines


def test_there_are_enough_of_them() -> None:
    assert len(KINDS) >= 40


WHOLE = [*trials({**{it.name: it.writes for it in DEPLOYS.values()}})]


def test_each_kind_is_of_one_family_and_tried() -> None:
    assert sorted(it for kinds in FAMILIES.values() for it in kinds) == sorted(KINDS)
    assert {it.kind for it in WHOLE} == set(KINDS)


def test_each_deploy_meets_each_family_and_each_moment() -> None:
    met = {(it.deploy, it.family) for it in WHOLE}
    at = {(it.deploy, it.moment) for it in WHOLE}
    for deploy in DEPLOYS.values():
        due = {it for it in FAMILIES if deploy.writes or it != THRICE}
        assert {family for name, family in met if name == deploy.name} == due
        when = set(MOMENTS) if deploy.writes else set(READING)
        assert {moment for name, moment in at if name == deploy.name} == when


def test_each_family_comes_at_each_moment_that_it_has() -> None:
    met = {(it.family, it.moment) for it in WHOLE}
    due = {
        (family, moment)
        for family, kinds in FAMILIES.items()
        for kind in kinds
        for moment in moments(kind, True)
    }
    assert met == due

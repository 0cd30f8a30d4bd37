"""
What a rotation of the control plane's certificates refuses, and that nothing due writes nothing,
through the real command line, on clusters that a stand-in API server answers for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine
from tests.control_plane import NAMESPACE, secrets, unit
from tests.fleet.test_run import Case, prepared
from tests.stand_in import listed

DATA = {"envoy_gateway_version": "1.9.1", "ring": 0}
GOOD = secrets(unit(1))
ONE_IS_MISSING = [it for it in GOOD if it["metadata"]["name"] != "envoy"]
PROXY = {
    "metadata": {"name": "envoy-1", "namespace": NAMESPACE},
    "status": {"phase": "Running"},
}
NOBODY: Mapping[str, Any] = {f"/api/v1/namespaces/{NAMESPACE}/pods": listed("v1", "Pod", [])}


def kept(by: str) -> list[dict[str, Any]]:
    found = secrets(unit(1))
    found[0]["metadata"]["annotations"] = {by: "envoy-gateway"}
    return found


@dataclass(frozen=True)
class Target:
    """+ says: of its row; + here: paths that it answers"""

    says: str
    secrets: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] = field(default_factory=lambda: DATA)
    here: Mapping[str, Any] = field(default_factory=lambda: NOBODY)


ASKED = {**DATA, "renew_now": True}
TARGETS = {
    "nothing-due": Target("control plane nothing is due: {ends} ends on {until}", GOOD),
    "missing": Target(
        f"Secret {NAMESPACE}/envoy does not exist: the certgen Job of the chart makes it, but "
        "under an authority of its own: restore it from the backup, or delete all three and let "
        "certgen make them",
        ONE_IS_MISSING,
    ),
    "cert-manager": Target(
        f"Secrets envoy-gateway, envoy, envoy-rate-limit in {NAMESPACE} are kept by cert-manager: "
        "renew them there",
        kept("cert-manager.io/certificate-name"),
        ASKED,
    ),
    "beside": Target(
        "deploy_type GatewayNamespace: proxies there read the authority from a ConfigMap that the "
        "controller writes once, which cannot overlap: see docs/rotate_control_plane.md",
        GOOD,
        {**ASKED, "deploy_type": "GatewayNamespace"},
    ),
    "no-right": Target(
        f"Pod {NAMESPACE}/envoy-1: no right to pods/portforward: a rotation could not be proven",
        GOOD,
        ASKED,
        {f"/api/v1/namespaces/{NAMESPACE}/pods": listed("v1", "Pod", [PROXY])},
    ),
}


@dataclass(frozen=True)
class Ran:
    """+ writes: by cluster, requests that change something"""

    code: int
    text: str
    writes: Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("rotation") / "clone"
    folder.mkdir()
    with ApiServer().running() as server:
        entries = [(f"@kube/{name}", dict(it.data)) for name, it in TARGETS.items()]
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
        for name, target in TARGETS.items():
            answers(server, name, target)
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *TARGETS)
        arguments = ["inventory/prod.py", "deploys/rotate_control_plane.py", "-y"]
        budget = ("--data", "max_failed=4")
        outcome = command_line.run(folder, [*arguments, *budget], KUBECONFIG=str(kubeconfig))
        writes: dict[str, list[str]] = {name: [] for name in TARGETS}
        for it in server.asked:
            if it.method != "GET":
                writes[it.cluster].append(f"{it.method} {it.path}")
        yield Ran(outcome.code, "\n".join(outcome.lines), writes)


def answers(server: ApiServer, name: str, target: Target) -> None:
    server.cluster(name)
    for it in target.secrets:
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{it['metadata']['name']}"
        server.answer("GET", path, Answer(body=it), cluster=name)
    for path, body in target.here.items():
        server.answer("GET", path, Answer(body=body), cluster=name)
    forward = f"/api/v1/namespaces/{NAMESPACE}/pods/envoy-1/portforward"
    server.answer("GET", forward, status(403, "pods is forbidden"), cluster=name)


@pytest.mark.parametrize("name", TARGETS)
def test_says_so_in_its_row(ran: Ran, name: str) -> None:
    authority = unit(1)["envoy"].trusted[0]
    said = TARGETS[name].says.format(
        ends=f"authority {authority.serial}", until=f"{authority.not_after:%Y-%m-%d}"
    )
    [row] = [it for it in ran.text.splitlines() if it.startswith(f"{name} 0 ")]
    assert said in row


def test_ends_well_for_the_one_that_is_good(ran: Ran) -> None:
    assert ran.code == 1
    assert "Traceback" not in ran.text
    assert "nothing-due 0 unchanged" in ran.text


def test_nothing_was_written(ran: Ran) -> None:
    assert ran.writes == {name: [] for name in TARGETS}

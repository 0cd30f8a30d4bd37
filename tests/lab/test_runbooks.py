"""
Runbooks on a real cluster, each with its fault switched on: the walk names the step, changes
nothing until it is approved, and ends with requests that are served.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.running import run as lab
from tests.lab.running import until

pytestmark = pytest.mark.lab

SPACE = ("--namespace", "envoy-gateway-system")
EVERY_PROXY = ("--selector", "app.kubernetes.io/component=proxy")
#: Of Gateway edge/public; the gym before these tests leaves another one with its own.
PROXIES = (
    "--selector",
    "app.kubernetes.io/component=proxy,gateway.envoyproxy.io/owning-gateway-name=public",
)
CONTROLLER = ("--selector", "control-plane=envoy-gateway")
#: Seconds from the approval until requests are served again.
BOUND = 90.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    found = opened(tmp_path_factory.mktemp("runbooks"))
    installed = found.pyinfra("install", "-y")
    assert installed.code == 0, installed.text
    saved = found.pyinfra("backup", "-y")
    assert saved.code == 0, saved.text
    return found


@pytest.fixture(autouse=True)
def whole(fleet: Fleet) -> Iterator[None]:
    """Each fault begins on a cluster that serves, also after one that was not mended."""
    if status(fleet) != 200:
        again = lab("sample", fleet.names[0], name=fleet.lab.name)
        assert again.returncode == 0, again.stdout + again.stderr
        installed = fleet.pyinfra("install", "-y")
        assert installed.code == 0, installed.text
    until("blue answers", lambda: status(fleet) == 200)
    yield
    let_it_end(fleet)


def kubectl(fleet: Fleet, *arguments: str) -> str:
    return fleet.kubectl(fleet.names[0], *arguments)


def status(fleet: Fleet, secure: bool = False) -> int | str:
    """What a client of blue.lab.test gets."""
    try:
        address = fleet.address(fleet.names[0])
        connection: http.client.HTTPConnection
        if secure:
            context = ssl._create_unverified_context()
            connection = _Named(address, context)
        else:
            connection = http.client.HTTPConnection(address, 80, timeout=5)
        connection.request("GET", "/", headers={"Host": "blue.lab.test", "Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


class _Named(http.client.HTTPSConnection):
    """A handshake for blue.lab.test at an address."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__(address, 443, timeout=5, context=context)
        self._wrap = context

    @override
    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._wrap.wrap_socket(self.sock, server_hostname="blue.lab.test")


def patch(fleet: Fleet, kind: str, name: str, namespace: str, body: Any) -> None:
    how = "json" if isinstance(body, list) else "merge"
    place = ("--namespace", namespace, "--type", how, "--patch", json.dumps(body))
    kubectl(fleet, "patch", kind, name, *place)


def controller_at_0_and_proxies_deleted(fleet: Fleet) -> None:
    kubectl(fleet, "scale", "deployment", "envoy-gateway", *SPACE, "--replicas", "0")
    kubectl(fleet, "wait", "--for", "delete", "pod", *CONTROLLER, *SPACE, "--timeout", "240s")
    kubectl(fleet, "delete", "deployment", *EVERY_PROXY, *SPACE)


def proxy_that_hangs(fleet: Fleet) -> None:
    """Stopped, as an Envoy in a deadlock: its Pod has no liveness probe that would restart it."""
    until("proxies that leave to be gone", lambda: not _leaving(fleet))
    stopped = _envoys(fleet)
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    unready = ("--for", "condition=Ready=false", "--timeout", "240s")
    kubectl(fleet, "wait", "pod", *PROXIES, *SPACE, *unready)


def _leaving(fleet: Fleet) -> bool:
    """Whether proxies are on their way out; these are hurried, for they may take six minutes."""
    going = [it["metadata"]["name"] for it in _proxies(fleet) if _goes(it)]
    if going:
        kubectl(fleet, "delete", "pod", *going, *SPACE, "--grace-period=1", "--ignore-not-found")
    return bool(going)


def _goes(pod: Any) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _proxies(fleet: Fleet) -> list[Any]:
    listed = kubectl(fleet, "get", "pods", *PROXIES, *SPACE, "--output", "json")
    return list(json.loads(listed)["items"])


def _envoys(fleet: Fleet) -> list[int]:
    """The Envoys of this cluster's proxies, by the control groups of their Pods."""
    uids = [it["metadata"]["uid"] for it in _proxies(fleet)]
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            name = path.with_name("comm").read_text().strip()
            if name == "envoy" and any(uid in path.read_text() for uid in uids):
                found.append(int(path.parent.name))
    return found


def let_it_end(fleet: Fleet) -> None:
    """What was stopped goes on, so that its Pod can go."""
    for pid in _envoys(fleet):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def selector_of_a_backend(fleet: Fleet) -> None:
    patch(fleet, "service", "blue", "demo", {"spec": {"selector": {"app": "bleu"}}})


def target_port_of_a_backend(fleet: Fleet) -> None:
    change = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 3999}]
    patch(fleet, "service", "blue", "demo", change)


def tls_secret_deleted(fleet: Fleet) -> None:
    kubectl(fleet, "delete", "secret", "lab-tls", "--namespace", "edge")


def listener_on_another_port(fleet: Fleet) -> None:
    change = [{"op": "replace", "path": "/spec/listeners/0/port", "value": 8088}]
    patch(fleet, "gateway", "public", "edge", change)


def route_for_another_host(fleet: Fleet) -> None:
    patch(fleet, "httproute", "blue", "demo", {"spec": {"hostnames": ["bleu.lab.test"]}})


def route_deleted(fleet: Fleet) -> None:
    kubectl(fleet, "delete", "httproute", "blue", "--namespace", "demo")


@dataclass(frozen=True)
class Case:
    """+ step: that names the cause; + secure: the fault is one of HTTPS"""

    fault: Callable[[Fleet], None]
    step: str
    what: str
    secure: bool = False


CASES = [
    Case(controller_at_0_and_proxies_deleted, "controller", "is scaled to 0"),
    Case(proxy_that_hangs, "proxies", "no proxy is ready"),
    Case(selector_of_a_backend, "backends", "its selector fits no Pod"),
    Case(target_port_of_a_backend, "backends", "sends to port 3999 of its Pods"),
    Case(tls_secret_deleted, "listeners", "Secret edge/lab-tls does not exist", secure=True),
    Case(listener_on_another_port, "listeners", "is not as the inventory has it"),
    Case(route_for_another_host, "routes", "is not as the inventory has it"),
    Case(route_deleted, "routes", "HTTPRoute demo/blue does not exist"),
]


def walk(fleet: Fleet, name: str, *more: str) -> tuple[Ended, dict[str, Any]]:
    """A walk, and its row of the JSON."""
    ended = fleet.pyinfra("runbook", "--data", f"name={name}", "--data", "output=json", *more)
    assert ended.out, ended.err
    (row,) = json.loads(ended.out)["clusters"]
    return ended, row


def found(row: dict[str, Any]) -> dict[str, str]:
    return {it["name"]: it["what"] for it in row["steps"] if it["verdict"] == "this is it"}


@pytest.mark.parametrize("case", [pytest.param(it, id=it.fault.__name__) for it in CASES])
def test_gateway_not_responding_ends_with_traffic(case: Case, fleet: Fleet) -> None:
    case.fault(fleet)
    until("the fault shows", lambda: status(fleet, case.secure) != 200)
    ended, row = walk(fleet, "gateway-not-responding")
    assert case.what in found(row)[case.step], ended.text
    assert ended.code == 4
    assert status(fleet, case.secure) != 200, "something was changed without an approval"

    approval = ("--data", f"approve={case.step}", "--data", "rehearse=True")
    ended, row = walk(fleet, "gateway-not-responding", *approval)
    assert status(fleet, case.secure) == 200, ended.text
    assert [it["proven"] for it in row["actions"]] == [True]
    assert (ended.code, found(row)) == (0, {}), ended.text
    seconds = row["actions"][0]["seconds"]
    print(f"{case.fault.__name__}: served after {seconds:.0f} s, {ended.seconds:.0f} s in all")
    assert seconds < BOUND
    assert journalled(fleet)["by"].endswith("by --data approve")


def journalled(fleet: Fleet) -> dict[str, Any]:
    """The newest action of a journal."""
    newest = max((fleet.folder / "runs").glob("*-runbook/journal.jsonl"))
    entries = [json.loads(line) for line in newest.read_text().splitlines()]
    last: dict[str, Any] = [it for it in entries if it["event"] == "action"][-1]
    return last


def test_the_runbook_of_an_alert_and_its_undo(fleet: Fleet) -> None:
    kubectl(fleet, "scale", "deployment", "blue", "--namespace", "demo", "--replicas", "0")
    until("the fault shows", lambda: status(fleet) == 503)
    ended, row = walk(fleet, "EnvoyGatewayAnswersErrors", "--data", "gateway=edge/public")
    assert "Deployment demo/blue is scaled to 0" in found(row)["backends"], ended.text

    approve = ("--data", "approve=backends")
    ended, row = walk(fleet, "EnvoyGatewayAnswersErrors", *approve)
    assert (ended.code, status(fleet)) == (0, 200), ended.text

    run = max((fleet.folder / "runs").glob("*-runbook")).name
    undo = fleet.pyinfra("runbook", "--data", f"undo={run}")
    assert (undo.code, "-  replicas: 1" in undo.text) == (4, True), undo.text
    undo = fleet.pyinfra("runbook", "--data", f"undo={run}", "--data", "approve=undo")
    assert undo.code == 0, undo.text
    until("the fault is back", lambda: status(fleet) == 503)
    ended, row = walk(fleet, "EnvoyBackendErrorsBurnFast", *approve)
    assert (ended.code, status(fleet)) == (0, 200), ended.text
    kubectl(fleet, "scale", "deployment", "blue", "--namespace", "demo", "--replicas", "2")


def test_an_address_that_the_cloud_does_not_give_is_nothing_to_approve(fleet: Fleet) -> None:
    fleet.fault(fleet.names[0], "no-address", "on")
    try:
        until("no address", lambda: not fleet.address(fleet.names[0]))
        ended, row = walk(fleet, "gateway-not-responding")
        assert "its load balancer has no address" in found(row)["address"], ended.text
        assert (ended.code, row["actions"]) == (3, [])
    finally:
        fleet.fault(fleet.names[0], "no-address", "off")
    until("blue answers", lambda: status(fleet) == 200)
    ended, row = walk(fleet, "gateway-not-responding")
    assert (ended.code, found(row)) == (0, {}), ended.text

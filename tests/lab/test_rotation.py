"""
Certificates rotated on two real clusters with two proxies each, under new handshakes; refused,
rolled back, and left alone where nothing is due. On a Gateway of its own. The tests stand in the
order of one certificate's life.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.plans.rotation import UNPROVEN
from tests.authorities import NOW, Pair, chain, issued
from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.handshakes import Shaken, handshakes
from tests.lab.running import until
from tests.lab.test_deploys import writes
from tests.lab.test_restore import at
from tests.leaks import watched

pytestmark = pytest.mark.lab

#: The Gateway's namespace, and the Secret's: a grant lets one use the other.
PLACE, SAFE = "rotation", "rotation-certificates"
HOST = "shop.rotation.test"
SECRET = ("secret", "shop-tls", "--namespace", SAFE)
ENTRY = {
    "namespace": SAFE,
    "secret": "shop-tls",
    "source": "files",
    "certificate": "shop.pem",
    "key": "shop.key",
    "grants": [PLACE],
}
DATA = (
    "--data",
    f"certificates={json.dumps([ENTRY])}",
    "--data",
    'probe={"timeout": 180, "rate": 0}',
)
CONTROLLER = ("deployment", "envoy-gateway", "--namespace", "envoy-gateway-system")
#: A busy machine answers the kubelet late: such a proxy would be taken out, or even restarted.
PATIENT = {"failureThreshold": 100, "timeoutSeconds": 20}
PROBES = {"livenessProbe": PATIENT, "readinessProbe": PATIENT}
CONTAINERS = [{"name": it, **PROBES} for it in ("envoy", "shutdown-manager")]
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SAFE}},
    {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "two", "namespace": PLACE},
        "spec": {
            "provider": {
                "type": "Kubernetes",
                "kubernetes": {
                    "envoyDeployment": {
                        "replicas": 2,
                        "container": {"resources": {"requests": {"cpu": "10m"}}},
                        "patch": {
                            "type": "StrategicMerge",
                            "value": {"spec": {"template": {"spec": {"containers": CONTAINERS}}}},
                        },
                    }
                },
            }
        },
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": PLACE},
        "spec": {
            "gatewayClassName": "envoy",
            "infrastructure": {
                "parametersRef": {
                    "group": "gateway.envoyproxy.io",
                    "kind": "EnvoyProxy",
                    "name": "two",
                }
            },
            "listeners": [
                {
                    "name": "https",
                    "port": 443,
                    "protocol": "HTTPS",
                    "hostname": HOST,
                    "tls": {"certificateRefs": [{"namespace": SAFE, "name": "shop-tls"}]},
                }
            ],
        },
    },
]
#: Days from the certificates' beginning of time until today.
SINCE = (datetime.now(UTC) - NOW).days
AUTHORITY = issued("Authority", authority=True, begin=-900, end=SINCE + 900)


def shop(begin: int, end: int) -> Pair:
    """+ begin, end: days from today"""
    return issued(HOST, [HOST], AUTHORITY, begin=SINCE + begin, end=SINCE + end)


def serial(pair: Pair) -> str:
    return f"{pair.certificate.serial_number:x}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    found = opened(tmp_path_factory.mktemp("rotation"))
    for name in found.names:
        if not found.version(name):
            ended = found.pyinfra("install", "-y", "--limit", name, *at(found, name))
            assert ended.code == 0, ended.text
        for it in OBJECTS:
            found.lab.kubectl("--context", name, "apply", "-f", "-", text=json.dumps(it))
    yield found
    for name in found.names:
        found.kubectl(name, "delete", "gateway", "public", "--namespace", PLACE)
        found.kubectl(name, "delete", "namespace", PLACE, SAFE, "--wait=false")


@pytest.fixture(scope="module")
def life() -> dict[str, Pair]:
    """The first certificate is due; the second one takes its place."""
    return {"first": shop(-80, 20), "second": shop(-1, 89)}


def offer(fleet: Fleet, pair: Pair, *above: Pair) -> None:
    """Put chain and key where the inventory looks for them."""
    (fleet.folder / "shop.pem").write_bytes(chain(pair, *(above or (AUTHORITY,))))
    (fleet.folder / "shop.key").write_bytes(pair.key_pem())


def rotated(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra("rotate_certificates", "-y", *DATA, *more)


def address(fleet: Fleet, cluster: str) -> str:
    path = "{.status.addresses[0].value}"
    place = ("gateway", "public", "--namespace", PLACE, "--output", f"jsonpath={path}")
    return fleet.kubectl(cluster, "get", *place)


def held(fleet: Fleet, cluster: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet.kubectl(cluster, "get", *SECRET, "--output", "json"))
    return found


def answers(fleet: Fleet, cluster: str) -> dict[str, str]:
    [one] = [it for it in fleet.report()["clusters"] if it["name"] == cluster]
    found: dict[str, str] = one["answers"]
    return found


def why(fleet: Fleet, cluster: str) -> str:
    [one] = [it for it in fleet.report()["clusters"] if it["name"] == cluster]
    return str(one["why"])


@contextmanager
def shaken(fleet: Fleet) -> Iterator[Sequence[Shaken]]:
    """50 new handshakes a second with each cluster."""
    with ExitStack() as stack:
        yield [stack.enter_context(handshakes(address(fleet, it), HOST)) for it in fleet.names]


def test_first_import(fleet: Fleet, life: dict[str, Pair]) -> None:
    """
    The Gateway has waited for its Secret and for the grant; Pods and address serve it in the end.
    """
    offer(fleet, life["first"])
    ended = rotated(fleet)
    assert ended.code == 0, ended.text
    for name in fleet.names:
        found = list(answers(fleet, name).values())
        assert found.count(f"serial none → {serial(life['first'])}") == len(found) >= 2
        assert set(held(fleet, name)["data"]) == {"tls.crt", "tls.key"}


def test_due_under_handshakes(fleet: Fleet, life: dict[str, Pair]) -> None:
    """Both clusters, both replicas of each and the address: the new serial, and nothing failed."""
    for name in fleet.names:
        labels = f"gateway.envoyproxy.io/owning-gateway-namespace={PLACE}"
        rollout = ("deployment", "--namespace", "envoy-gateway-system", "--selector", labels)
        ready = "{.items[0].status.readyReplicas}"
        until(
            "two proxies",
            lambda: fleet.kubectl(name, "get", *rollout, "--output", f"jsonpath={ready}") == "2",  # noqa: B023
        )
    offer(fleet, life["second"])
    key = life["second"].key_pem().splitlines()[1].decode()
    with (
        shaken(fleet) as met,
        watched([key], fleet.folder / "runs", fleet.folder / "rendered") as seen,
    ):
        time.sleep(1)
        ended = rotated(fleet)
        time.sleep(1)
    assert ended.code == 0, ended.text
    assert not seen.found
    arrow = f"serial {serial(life['first'])} → {serial(life['second'])}"
    for name, one in zip(fleet.names, met, strict=True):
        assert (one.failed, len(one.served)) == ({}, 2), one
        assert one.sent > 80
        found = answers(fleet, name)
        assert set(found.values()) == {arrow}
        assert [it.split()[0] for it in sorted(found)] == ["Pod", "Pod", "address"]
        secret = held(fleet, name)
        assert set(secret["data"]) == {"tls.crt", "tls.key"}
        assert UNPROVEN not in (secret["metadata"].get("annotations") or {})


def test_nothing_due(fleet: Fleet) -> None:
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = rotated(fleet)
    assert ended.code == 0, ended.text
    assert set(fleet.statuses().values()) == {"unchanged"}
    for name in fleet.names:
        assert writes(fleet.requests(name)[before[name] :]) == []


def test_a_bad_chain_never_reaches_the_cluster(fleet: Fleet, life: dict[str, Pair]) -> None:
    offer(fleet, shop(0, 120))
    (fleet.folder / "shop.key").write_bytes(life["first"].key_pem())
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = rotated(fleet, "--data", 'max_failed="100%"')
    assert ended.code == 1, ended.text
    for name in fleet.names:
        assert why(fleet, name).startswith(f"Secret {SAFE}/shop-tls: ")
        assert writes(fleet.requests(name)[before[name] :]) == []


@pytest.fixture
def deaf(fleet: Fleet) -> Iterator[str]:
    """A cluster whose proxies are told nothing: its controller is away."""
    name = fleet.names[0]
    labels = ("--namespace", CONTROLLER[3], "--selector", "control-plane=envoy-gateway")
    fleet.kubectl(name, "scale", *CONTROLLER, "--replicas", "0")
    fleet.kubectl(name, "wait", "--for=delete", "pod", *labels, "--timeout=240s")
    yield name
    back(fleet, name)


def back(fleet: Fleet, name: str) -> None:
    fleet.kubectl(name, "scale", *CONTROLLER, "--replicas", "1")
    fleet.kubectl(name, "rollout", "status", *CONTROLLER, "--timeout=240s")


def marked(fleet: Fleet, cluster: str) -> bool:
    return UNPROVEN in (held(fleet, cluster)["metadata"].get("annotations") or {})


def test_what_no_proxy_takes_up(fleet: Fleet, life: dict[str, Pair], deaf: str) -> None:
    """
    It goes back, and that is proven; a run that is killed before leaves that to the next one, which
    finds proxies that can be told again. No handshake fails.
    """
    third = shop(0, 100)
    offer(fleet, third)
    was = held(fleet, deaf)["data"]
    with shaken(fleet) as met:
        ended = rotated(fleet, "--limit", deaf, "--data", 'probe={"timeout": 3, "rate": 0}')
        assert ended.code == 1, ended.text
        [one] = fleet.report()["clusters"]
        assert one["status"] == "rolled back"
        assert f"serves serial {serial(life['second'])}" in one["why"]
        assert f"serial {serial(life['second'])}, served by 2 Pods and 1 address" in str(one)
        assert held(fleet, deaf)["data"] == was
        killed(fleet, deaf)
        assert set(held(fleet, deaf)["data"]) == {
            *("tls.crt", "tls.key"),
            *("previous.crt", "previous.key"),
        }
        back(fleet, deaf)
        ended = rotated(fleet, "--limit", deaf)
    assert ended.code == 0, ended.text
    [one] = fleet.report()["clusters"]
    assert "rotate_certificates did not prove it" in one["facts"][f"Secret {SAFE}/shop-tls"]
    assert set(held(fleet, deaf)["data"]) == {"tls.crt", "tls.key"}
    assert not marked(fleet, deaf)
    for it in met:
        assert it.failed == {}, it


def killed(fleet: Fleet, cluster: str) -> None:
    """A run that ends behind its write."""
    command = ("inventory/lab.py", "deploys/rotate_certificates.py", "-y", *DATA)
    process = fleet.started(*command, "--limit", cluster)
    until("a certificate that nobody has proven", lambda: marked(fleet, cluster))
    process.kill()
    process.wait()

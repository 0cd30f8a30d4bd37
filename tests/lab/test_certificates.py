"""
The audit of certificates on real clusters: quiet on a healthy one, each planted fault found by its
code and gone when it is repaired, and a replica that missed a new certificate.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.authorities import Pair, chain, issued
from tests.lab.fleet import Fleet, opened
from tests.lab.running import until
from tests.lab.test_restore import at
from tests.lab.test_traffic import envoy_of

pytestmark = pytest.mark.lab

SYSTEM = "envoy-gateway-system"
API = "gateway.networking.k8s.io/v1"
#: Listeners of the Gateway audit/audit, each with a Secret of its name.
NAMES = ("good", "expired", "wrong", "mixed", "disorder", "missing", "ungranted")
AT = "Gateway audit/audit"
FAULTS = [
    ("GW601", "Secret audit/expired", None),
    ("GW604", AT, "listener wrong"),
    ("GW605", "Secret audit/disorder", None),
    ("GW607", "Secret audit/mixed", None),
    ("GW609", AT, "listener missing"),
    ("GW611", AT, "listener ungranted"),
]
#: Keeps a proxy from its controller: what it was told last, it serves on.
CUT_OFF = """
table ip cutoff {
  chain leaving { type filter hook output priority 0; tcp dport 18000 drop; }
  chain arriving { type filter hook input priority 0; tcp sport 18000 drop; }
}
"""
ROOT = issued("audit root", authority=True, end=36500)
BETWEEN = issued("audit between", by=ROOT, authority=True, end=36500)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The first cluster, with two proxies for a Gateway of our own."""
    found = opened(tmp_path_factory.mktemp("certificates"))
    cluster = found.names[0]
    try:
        ended = found.pyinfra("install", "-y", "--limit", cluster, *at(found, cluster))
        assert ended.code == 0, ended.text
        yield found
    finally:
        gone = ("delete", "namespace", "audit", "audit-keys", "--ignore-not-found")
        found.kubectl(cluster, *gone, "--timeout=240s")


def certificate(name: str, **more: Any) -> Pair:
    return issued(name, [f"{name}.audit.test"], BETWEEN, **{"end": 36500, **more})


def secret(name: str, text: bytes, key: bytes, namespace: str = "audit") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": text.decode(), "tls.key": key.decode()},
    }


def well(name: str, namespace: str = "audit") -> dict[str, Any]:
    made = certificate(name)
    return secret(name, chain(made, BETWEEN), made.key_pem(), namespace)


def faulty() -> list[dict[str, Any]]:
    over, other = certificate("expired", end=-10), certificate("other")
    mixed, disorder = certificate("mixed"), certificate("disorder")
    return [
        well("good"),
        secret("expired", chain(over, BETWEEN), over.key_pem()),
        secret("wrong", chain(other, BETWEEN), other.key_pem()),
        secret("mixed", chain(mixed, BETWEEN), other.key_pem()),
        secret("disorder", chain(disorder, ROOT, BETWEEN), disorder.key_pem()),
        well("ungranted", "audit-keys"),
    ]


def repaired() -> list[dict[str, Any]]:
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "audit", "namespace": "audit-keys"},
        "spec": {
            "from": [{"group": API.partition("/")[0], "kind": "Gateway", "namespace": "audit"}],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }
    return [*(well(it) for it in NAMES[:-1]), grant]


def gateway(fleet: Fleet) -> list[dict[str, Any]]:
    """Two proxies like those of the class, and a listener for each name."""
    one = ("get", "envoyproxy", "envoy", "--namespace", SYSTEM, "--output", "json")
    spec = json.loads(fleet.kubectl(fleet.names[0], *one))["spec"]
    spec["provider"]["kubernetes"]["envoyDeployment"]["replicas"] = 2
    listeners = [
        {
            "name": it,
            "port": 443,
            "protocol": "HTTPS",
            "hostname": f"{it}.audit.test",
            "tls": {
                "certificateRefs": [
                    {"name": it, "namespace": "audit-keys" if it == "ungranted" else "audit"}
                ]
            },
        }
        for it in NAMES
    ]
    place = {"name": "audit", "namespace": "audit"}
    proxy = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "audit"}
    return [
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": it}}
            for it in ("audit", "audit-keys")
        ),
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": place,
            "spec": spec,
        },
        {
            "apiVersion": API,
            "kind": "Gateway",
            "metadata": place,
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": listeners,
                "infrastructure": {"parametersRef": proxy},
            },
        },
    ]


def applied(fleet: Fleet, things: list[dict[str, Any]]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    fleet.lab.kubectl("--context", fleet.names[0], "apply", "--filename", "-", text=text)


def audit(fleet: Fleet, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of one run on the first cluster."""
    arguments = ("--limit", fleet.names[0], "--data", "output=json", *more)
    ended = fleet.pyinfra("certificates", *arguments)
    return ended.code, json.loads(ended.out[ended.out.index("{") :])


def planted(document: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Code and place of each finding about our own objects, in the order of the codes."""
    found = [
        (it["code"], it["object"], it["part"])
        for it in document["findings"]
        if " audit" in (it["object"] or "")
    ]
    return sorted(found, key=str)


def audited(fleet: Fleet, wanted: list[tuple[str, str, str | None]]) -> tuple[int, dict[str, Any]]:
    """Audit until nothing else is found; exit code and document."""
    last: list[tuple[int, dict[str, Any]]] = []

    def seen() -> bool:
        last[:] = [audit(fleet)]
        return planted(last[0][1]) == wanted

    until(f"findings {wanted}", seen)
    return last[0]


def served(document: dict[str, Any], listener: str) -> list[str | None]:
    """The serial at each place where a listener of ours was asked."""
    [cluster] = document["clusters"]
    [one] = [it for it in cluster["listeners"] if (it["owner"], it["listener"]) == (AT, listener)]
    return [it["serial"] for it in one["served"]]


def test_a_healthy_cluster_has_no_findings(fleet: Fleet) -> None:
    before = len(fleet.requests(fleet.names[0]))
    code, document = audit(fleet)
    assert (code, document["findings"]) == (0, [])
    [cluster] = document["clusters"]
    assert cluster["mode"] == "secrets and sockets"
    [listener] = [it for it in cluster["listeners"] if it["owner"] == "Gateway edge/public"]
    assert {it["why"] for it in listener["served"]} == {None}
    assert {it["place"].partition(" ")[0] for it in listener["served"]} == {"Pod", "address"}
    asked = [it["requestURI"] for it in fleet.requests(fleet.names[0])[before:]]
    assert len(asked) <= 30, asked
    assert all("type%3Dkubernetes.io" in it for it in asked if "/secrets" in it), asked


def test_sockets_alone_need_no_secrets(fleet: Fleet) -> None:
    before = len(fleet.requests(fleet.names[0]))
    code, document = audit(fleet, "--data", "read_secrets=False")
    assert (code, document["findings"]) == (0, [])
    assert document["clusters"][0]["mode"] == "sockets"
    asked = [it["requestURI"] for it in fleet.requests(fleet.names[0])[before:]]
    assert not [it for it in asked if "/secrets" in it]


def test_each_planted_fault_is_found_and_goes_with_its_repair(fleet: Fleet) -> None:
    applied(fleet, gateway(fleet)[:2])
    applied(fleet, [*faulty(), *gateway(fleet)[2:]])
    code, document = audited(fleet, FAULTS)
    assert code == 3
    assert set(served(document, "expired")) == {None}
    # By sockets alone, what is served tells of these two.
    alone = audit(fleet, "--data", "read_secrets=False")[1]
    seen = [(code, part) for code, _, part in planted(alone)]
    assert ("GW604", "listener wrong") in seen
    assert ("GW605", "listener disorder") in seen
    applied(fleet, repaired())
    _, document = audited(fleet, [])
    assert len(served(document, "expired")) == 3
    assert len(set(served(document, "expired"))) == 1


def test_a_replica_that_missed_a_certificate_is_named(fleet: Fleet) -> None:
    """One of two proxies does not hear of a new certificate."""
    labels = "gateway.envoyproxy.io/owning-gateway-name=audit"
    names = ("get", "pods", "--namespace", SYSTEM, "-l", labels)
    path = "jsonpath={.items[*].metadata.name}"
    late, _ = fleet.kubectl(fleet.names[0], *names, "--output", path).split()
    network = Path("/proc") / envoy_of(late) / "ns" / "net"
    inside = ["nsenter", f"--net={network}", "nft"]
    subprocess.run([*inside, "-f", "-"], input=CUT_OFF, text=True, check=True)
    try:
        applied(fleet, [well("good")])
        _, document = audited(fleet, [("GW615", AT, "listener good")])
        [found] = [it for it in document["findings"] if it["code"] == "GW615"]
        assert found["severity"] == "warning"
        assert found["fix"].startswith(f"restart Pod {SYSTEM}/{late}")
    finally:
        subprocess.run([*inside, "delete", "table", "ip", "cutoff"], check=True)
    audited(fleet, [])

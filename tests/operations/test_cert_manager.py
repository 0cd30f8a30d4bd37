"""
cert-manager asked for a certificate, by a rotation through the real command line, on clusters that
a stand-in API server answers for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api_server import GROUPS, Answer, ApiServer, Asked, status
from tests.command_line import CommandLine
from tests.fleet.test_run import Case, prepared
from tests.test_rotation import held, in_place, new

EDGE = "/apis/cert-manager.io/v1/namespaces/edge"
CERTIFICATE = f"{EDGE}/certificates/shop"
ORDERS = "/apis/acme.cert-manager.io/v1/namespaces/edge"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/envoy-gateway-system/leases"
LEASE = {"metadata": {"name": "envoyfleet", "namespace": "envoy-gateway-system"}, "spec": {}}
DATA = {
    "envoy_gateway_version": "1.9.1",
    "ring": 0,
    "renew_now": True,
    "timeout": 3,
    "certificates": [
        {"namespace": "edge", "secret": "tls", "source": "cert-manager", "issuer": "Issuer shop"}
    ],
}


def secret(pair: Any) -> Answer:
    found = held(pair)
    found["metadata"]["annotations"] = {"cert-manager.io/certificate-name": "shop"}
    return Answer(body=found)


def certificate(revision: int, **more: Any) -> Answer:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
    meta = {"namespace": "edge", "name": "shop", "generation": 1, "resourceVersion": "7"}
    return Answer(
        body={
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {**meta, "uid": "shop"},
            "status": {"conditions": [ready], "revision": revision, **more},
        }
    )


ISSUING = {"conditions": [{"type": "Issuing", "status": "True"}]}
REQUEST = {
    "metadata": {"namespace": "edge", "name": "shop-2", "ownerReferences": [{"uid": "shop"}]},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "Failed", "message": "order is invalid"}
        ]
    },
}


@dataclass(frozen=True)
class Target:
    """+ says: of its row; + certificates: in turn; + patches: answers to being asked, in turn"""

    says: str
    certificates: Sequence[Answer]
    patches: Sequence[Answer] = (Answer(),)
    requests: Sequence[Mapping[str, Any]] = field(default=())


TARGETS = {
    "renews": Target(
        "done Secret edge/tls serial",
        [certificate(1), certificate(1), certificate(1, **ISSUING), certificate(2)],
        [status(409, "it was changed"), Answer()],
    ),
    "at-work": Target("done Secret edge/tls serial", [certificate(1, **ISSUING), certificate(2)]),
    "fails": Target(
        "failed Secret edge/tls: Certificate edge/shop: CertificateRequest edge/shop-2: Failed: "
        "order is invalid",
        [certificate(1), certificate(1, failedIssuanceAttempts=1, lastFailureTime="now")],
        requests=[REQUEST],
    ),
    "says-nothing": Target(
        "failed Secret edge/tls: not reached within 3 s: Certificate edge/shop: no new revision "
        "yet",
        [certificate(1)],
    ),
    "no-right": Target(
        "failed Secret edge/tls: Certificate edge/shop: not asked for anew: 403 forbidden",
        [certificate(1)],
        [status(403, "forbidden")],
    ),
    "gone": Target(
        "failed Secret edge/tls: Certificate edge/shop does not exist: run deploys/issuers.py "
        "first",
        [status(404, "not found")],
    ),
}


@dataclass(frozen=True)
class Ran:
    text: str
    asked: Sequence[Asked]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Ran]:
    """One run over all of them."""
    folder = tmp_path_factory.mktemp("cert-manager") / "clone"
    folder.mkdir()
    with ApiServer().running() as server:
        entries = [(f"@kube/{name}", DATA) for name in TARGETS]
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
        for name, target in TARGETS.items():
            answered(server, name, target)
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *TARGETS)
        arguments = ["inventory/prod.py", "deploys/rotate_certificates.py", "-y"]
        budget = ("--data", "max_failed=5")
        outcome = command_line.run(folder, [*arguments, *budget], KUBECONFIG=str(kubeconfig))
        yield Ran("\n".join(outcome.lines), list(server.asked))


def answered(server: ApiServer, name: str, target: Target) -> None:
    def answer(method: str, path: str, *answers: Answer) -> None:
        server.answer(method, path, *answers, cluster=name)

    server.cluster(name)
    answer("GET", "/apis", Answer(body=GROUPS))
    answer(
        "POST",
        LEASES,
        Answer(body={**LEASE, "metadata": {**LEASE["metadata"], "resourceVersion": "1"}}),
    )
    answer("PUT", f"{LEASES}/envoyfleet", Answer(body=LEASE))
    # Read before the Lease, under it, and once it is renewed.
    answer("GET", "/api/v1/namespaces/edge/secrets/tls", *[secret(in_place())] * 2, secret(new()))
    answer("GET", CERTIFICATE, *target.certificates)
    answer("PATCH", f"{CERTIFICATE}/status", *target.patches)
    requests = {"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequestList"}
    answer(
        "GET",
        f"{EDGE}/certificaterequests",
        Answer(body={**requests, "items": list(target.requests)}),
    )
    for plural, kind in (("orders", "Order"), ("challenges", "Challenge")):
        listed = {"apiVersion": "acme.cert-manager.io/v1", "kind": f"{kind}List", "items": []}
        answer("GET", f"{ORDERS}/{plural}", Answer(body=listed))


@pytest.mark.parametrize("name", TARGETS)
def test_says_so_in_its_row(ran: Ran, name: str) -> None:
    [row] = [it for it in ran.text.splitlines() if it.startswith(f"{name} 0 ")]
    assert TARGETS[name].says in row
    assert "Traceback" not in ran.text


def test_asks_as_its_own_client_does(ran: Ran) -> None:
    """Once more where it was changed in between; not at all where cert-manager is at work."""
    asked = [it for it in ran.asked if it.method == "PATCH" and it.path.startswith(CERTIFICATE)]
    by = {name: [it for it in asked if it.cluster == name] for name in TARGETS}
    assert {name: len(it) for name, it in by.items() if it} == {
        "renews": 2,
        "fails": 1,
        "says-nothing": 1,
        "no-right": 1,
    }
    body = by["fails"][0].body
    assert body["metadata"] == {"resourceVersion": "7"}
    ready, issuing = body["status"]["conditions"]
    assert (ready["type"], issuing["type"]) == ("Ready", "Issuing")
    assert (issuing["status"], issuing["reason"]) == ("True", "ManuallyTriggered")
    assert issuing["observedGeneration"] == 1

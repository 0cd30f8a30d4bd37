"""Addresses of Services of type LoadBalancer, and how long an endpoint that leaves is sent to."""

import ipaddress
import json
import time
import urllib.request

import pytest

from tests.lab.running import LabUnderTest, until

pytestmark = pytest.mark.lab

ANNOTATION = "service.beta.kubernetes.io/azure-load-balancer-ipv4"


def service(lab: LabUnderTest, name: str, address: str) -> None:
    """A Service that wants a fixed address, in front of the blue backend."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "demo", "annotations": {ANNOTATION: address}},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "blue"},
            "ports": [{"port": 80, "targetPort": 3000}],
        },
    }
    lab.kubectl("apply", "--filename", "-", text=json.dumps(manifest))


def address_of(lab: LabUnderTest, name: str) -> str | None:
    status = lab.get("service", name, "--namespace", "demo")["status"]["loadBalancer"]
    return str(status["ingress"][0]["ip"]) if status.get("ingress") else None


def pod_that_answers(address: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=1) as reply:
            return str(json.load(reply)["pod"])
    except OSError:
        return None


def test_a_fixed_address_is_given_served_and_moved(lab: LabUnderTest) -> None:
    block = ipaddress.ip_network(lab.cluster["load_balancer_range"])
    first, second = str(block[21]), str(block[22])
    service(lab, "fixed", first)
    until("the address", lambda: address_of(lab, "fixed") == first)
    until("an answer", lambda: pod_that_answers(first))
    service(lab, "fixed", second)
    until("the other address", lambda: address_of(lab, "fixed") == second)
    until("an answer there", lambda: pod_that_answers(second))
    until("silence", lambda: pod_that_answers(first) is None)


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        pytest.param("outside", "192.0.2.9", "was not found in resource group", id="not ours"),
        pytest.param("taken", "taken", "PublicIPAddressInUse", id="someone else's"),
    ],
)
def test_a_wrong_address_is_refused_with_an_event(
    lab: LabUnderTest, name: str, wanted: str, message: str
) -> None:
    block = ipaddress.ip_network(lab.cluster["load_balancer_range"])
    taken = str(block[31])
    service(lab, "owner", taken)
    until("the owner's address", lambda: address_of(lab, "owner") == taken)
    service(lab, name, taken if wanted == "taken" else wanted)
    field = f"--field-selector=involvedObject.name={name}"
    until("the event", lambda: message in str(lab.get("events", "--namespace", "demo", field)))
    assert address_of(lab, name) is None


def test_a_leaving_endpoint_is_sent_to_for_the_seconds_set(lab: LabUnderTest) -> None:
    """The Pod itself serves for five seconds after it was told to go; its Service for four."""
    address = str(ipaddress.ip_network(lab.cluster["load_balancer_range"])[41])
    service(lab, "leaving", address)
    seen: list[float] = []
    while not seen or (not 3 < seen[-1] < 5.5 and len(seen) < 4):  # again on a busy machine
        seen.append(seconds_of_a_leaving_pod(lab, address))
    assert 3 < seen[-1] < 5.5, seen


def seconds_of_a_leaving_pod(lab: LabUnderTest, address: str) -> float:
    """For how long the Service sends to a Pod that was told to go."""
    until("an answer", lambda: pod_that_answers(address))
    leaving = pod_that_answers(address)
    assert leaving
    began = time.monotonic()
    lab.kubectl("delete", "pod", leaving, "--namespace", "demo", "--wait=false")
    seen = 0.0
    while time.monotonic() - began < 8:
        if pod_that_answers(address) == leaving:
            seen = time.monotonic() - began
        time.sleep(0.05)
    return seen

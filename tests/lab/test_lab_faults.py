"""Every fault does what its name says, and is over when it is switched off."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.lab.running import LabUnderTest, run, until

pytestmark = pytest.mark.lab


def answer(address: str) -> str:
    """Which backend answered, or the error in its place."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=2) as reply:
            service: str = json.load(reply)["service"]
            return service
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return type(error).__name__


def seconds_of_a_request(lab: LabUnderTest) -> float:
    began = time.monotonic()
    lab.kubectl("get", "--raw", "/api/v1/namespaces/demo")
    return time.monotonic() - began


def pods(lab: LabUnderTest, namespace: str, selector: str) -> list[dict[str, object]]:
    return list(lab.get("pods", "--namespace", namespace, "--selector", selector)["items"])


def test_a_dead_api_server_is_left_dead_until_the_fault_is_off(lab: LabUnderTest) -> None:
    lab.fault("apiserver-killed", "on")
    try:
        assert "refused" in lab.kubectl("get", "nodes", check=False)
        up = run("up", "1")
        assert (up.returncode, "apiserver-killed is on" in up.stdout) == (0, True)
        assert "refused" in lab.kubectl("get", "nodes", check=False)
    finally:
        lab.fault("apiserver-killed", "off")
    assert lab.get("nodes")["items"]


def test_a_slow_api_server_answers_late_and_correctly(lab: LabUnderTest) -> None:
    lab.fault("apiserver-slow", "on", "--value", "2000")
    try:
        assert seconds_of_a_request(lab) > 2
    finally:
        lab.fault("apiserver-slow", "off")
    until("an answer in time", lambda: seconds_of_a_request(lab) < 2)


def test_a_failing_api_server_fails_a_share_of_requests(lab: LabUnderTest) -> None:
    lab.fault("apiserver-errors", "on", "--value", "503:100")
    try:
        raw = lab.kubectl("get", "--raw", "/api/v1/namespaces/demo", check=False)
        assert "fault apiserver-errors" in raw
        assert run("status", "--json").stdout.count("apiserver-errors") == 1
    finally:
        lab.fault("apiserver-errors", "off")
    assert lab.get("namespace", "demo")


def test_etcd_refuses_writes_and_reads_go_on(lab: LabUnderTest) -> None:
    write = ("create", "configmap", "written", "--namespace", "demo")
    lab.fault("etcd-read-only", "on")
    try:
        assert "database space exceeded" in lab.kubectl(*write, check=False)
        assert lab.get("namespace", "demo")
    finally:
        lab.fault("etcd-read-only", "off")
    lab.kubectl(*write)


def test_an_image_that_is_gone_cannot_be_pulled(lab: LabUnderTest) -> None:
    image = lab.data["images"]["echo"]
    lab.fault("image-not-pullable", "on", "--value", image)
    try:
        lab.kubectl("run", "late", "--image", image, "--namespace", "demo")

        def reason() -> bool:
            [pod] = pods(lab, "demo", "run=late")
            return "ErrImagePull" in str(pod["status"]) or "ImagePullBackOff" in str(pod["status"])

        until("ErrImagePull", reason)
    finally:
        lab.fault("image-not-pullable", "off")
    lab.kubectl("delete", "pod", "late", "--namespace", "demo", "--wait=false")
    lab.kubectl("run", "again", "--image", image, "--namespace", "demo")
    lab.kubectl(
        "wait", "--for=condition=Ready", "pod/again", "--namespace", "demo", "--timeout=240s"
    )
    lab.kubectl("delete", "pod", "again", "--namespace", "demo", "--wait=false")


def test_backends_refuse_and_the_proxy_says_so(lab: LabUnderTest, gateway: str) -> None:
    until("the sample answers", lambda: answer(gateway) == "blue")
    lab.fault("backend-refusing", "on")
    try:
        until("503", lambda: answer(gateway) == "503")
    finally:
        lab.fault("backend-refusing", "off")
    until("the sample answers again", lambda: answer(gateway) == "blue")


def test_without_an_address_the_gateway_is_not_reachable(lab: LabUnderTest, gateway: str) -> None:
    until("the sample answers", lambda: answer(gateway) == "blue")
    lab.fault("no-address", "on")
    try:
        until("no answer", lambda: answer(gateway) == "URLError")
        events = ("events", "--namespace", "envoy-gateway-system")
        until("the event", lambda: "PublicIPCountLimitReached" in str(lab.get(*events)))
    finally:
        lab.fault("no-address", "off")
    until("the sample answers again", lambda: answer(gateway) == "blue")


@pytest.mark.parametrize(
    ("fault", "selector"),
    [
        pytest.param("controller-crash", "control-plane=envoy-gateway", id="controller"),
        pytest.param("proxy-killed", "app.kubernetes.io/component=proxy", id="proxy"),
    ],
)
def test_containers_are_killed_again_and_again(
    lab: LabUnderTest, gateway: str, fault: str, selector: str
) -> None:
    def restarts() -> int:
        found = pods(lab, "envoy-gateway-system", selector)
        statuses = [one for pod in found for one in pod["status"]["containerStatuses"]]  # type: ignore[index]
        return sum(one["restartCount"] for one in statuses)

    before = restarts()
    lab.fault(fault, "on")
    try:
        until("two restarts", lambda: restarts() >= before + 2)
    finally:
        lab.fault(fault, "off")

"""A lab comes up once, lives beside others, and leaves nothing behind however it ended."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.running import NAME, LabUnderTest, run, until

pytestmark = pytest.mark.lab

OTHER = "labgone"


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def processes(name: str, below: str = "**") -> list[int]:
    """Every process in the control groups of a lab, in any hierarchy; ours are in "processes"."""
    found: set[int] = set()
    for file in Path("/sys/fs/cgroup").glob(f"**/envoyfleet/{name}/{below}/**/cgroup.procs"):
        found.update(int(line) for line in file.read_text().split())
    return sorted(found)


def traces(name: str) -> list[str]:
    """What is left of a lab on this machine, in words."""
    found = [f"process {pid}" for pid in processes(name)]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/envoyfleet/{name}")]
    found += [line for line in output("ip", "netns").split("\n") if f"envoyfleet-{name}-" in line]
    found += [
        link["ifname"]
        for link in json.loads(output("ip", "-json", "link"))
        if link.get("ifalias") == f"envoyfleet/{name}"
    ]
    found += [  # a container's own file system lies below the lab's folder
        str(file)
        for pattern in ("[0-9]*/cmdline", "[0-9]*/mountinfo")
        for file in Path("/proc").glob(pattern)
        if f"/envoyfleet/{name}/" in _text(file)
    ]
    if Path(f"/var/lib/envoyfleet/{name}").exists():
        found.append("folder")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def components() -> dict[int, str]:
    """What the lab itself started, without shims: those come and go with containers."""
    found = {pid: _text(Path(f"/proc/{pid}/cmdline")) for pid in processes(NAME, "processes")}
    return {pid: line for pid, line in found.items() if line and "containerd-shim" not in line}


def test_a_second_up_changes_nothing_and_is_quick(lab: LabUnderTest) -> None:
    before = components()
    seconds: list[float] = []
    while not seconds or (min(seconds) >= 5 and len(seconds) < 5):  # again on a busy machine
        began = time.monotonic()
        up = run("up", "1")
        seconds.append(time.monotonic() - began)
        assert (up.returncode, components()) == (0, before)
    assert min(seconds) < 5, seconds


def test_what_died_is_started_again(lab: LabUnderTest) -> None:
    [kubelet] = [
        pid for pid in processes(NAME) if "/kubelet\0" in _text(Path(f"/proc/{pid}/cmdline"))
    ]
    os.kill(kubelet, signal.SIGKILL)
    assert run("up", "1").returncode == 0
    assert "7 of 7" in run("status").stdout


def empties_a_lab_and_switches_faults_off() -> None:
    """``reset``, on the lab that is about to be killed anyway."""
    for command in (["sample"], ["fault", f"{OTHER}-1", "apiserver-slow", "on"], ["reset"]):
        done = run(*command, name=OTHER)
        assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(run("status", "--json", name=OTHER).stdout)
    kubectl = (data["kubectl"], "--kubeconfig", data["kubeconfig"])
    namespaces = output(*kubectl, "get", "namespaces", "--output", "name").split()
    assert sorted(namespaces) == [
        f"namespace/{name}" for name in ("default", "kube-node-lease", "kube-public", "kube-system")
    ]
    assert data["clusters"][0]["faults"] == []


def test_down_after_everything_was_killed_leaves_nothing(lab: LabUnderTest) -> None:
    """Another lab beside this one, with running containers, killed in the middle of its life."""
    assert run("up", "1", "--envoy-gateway", "1.8.3", name=OTHER).returncode == 0
    try:
        empties_a_lab_and_switches_faults_off()
        assert run("sample", name=OTHER).returncode == 0
        assert any("containerd-shim" in _text(Path(f"/proc/{p}/cmdline")) for p in processes(OTHER))
        for pid in processes(OTHER)[::2]:
            os.kill(pid, signal.SIGKILL)
        Path(f"/var/lib/envoyfleet/{OTHER}/lab.json").write_text('{"name": "')
    finally:
        down = run("down", name=OTHER)
    assert (down.returncode, traces(OTHER)) == (0, [])

    again = run("down", name=OTHER)
    assert (again.returncode, "nothing to take down" in again.stdout) == (0, True)
    # The first lab did not notice.
    assert [node["metadata"]["name"] for node in lab.get("nodes")["items"]] == [f"{NAME}-1"]
    assert "7 of 7" in run("status").stdout


def test_a_chart_has_the_same_digest_in_every_lab(lab: LabUnderTest) -> None:
    digests = {chart["version"]: chart["digest"] for chart in lab.data["charts"]}
    assert digests == {
        "1.8.3": "sha256:0141d3bc1136b875031b5334751fd2c5e8332c86df4b8637f44781e13fda5e3a"
    }


def test_a_client_certificate_does_as_well_as_a_token(lab: LabUnderTest) -> None:
    config = lab.data["kubeconfig_certificate"]
    answer = output(lab.data["kubectl"], "--kubeconfig", config, "auth", "whoami", "-o", "json")
    assert json.loads(answer)["status"]["userInfo"]["username"] == "admin"


def test_requests_of_the_operator_are_in_the_audit_log(lab: LabUnderTest) -> None:
    log = Path(lab.cluster["audit_log"])
    start = log.stat().st_size
    lab.kubectl("get", "--raw", "/api/v1/namespaces/demo")

    def asked() -> list[tuple[str, str, str]]:
        written = log.read_bytes()[start:].rpartition(b"\n")[0]
        lines = [json.loads(line) for line in written.splitlines()]
        return [(one["user"]["username"], one["verb"], one["stage"]) for one in lines]

    until("the request in the log", asked)
    assert asked() == [("admin", "get", "ResponseComplete")]

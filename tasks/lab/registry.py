"""The OCI registry of a lab, and the charts in it."""

import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass

from tasks.lab import charts
from tasks.lab.processes import Process
from tasks.lab.progress import LabError, wait_for
from tasks.lab.state import Lab, write

#: 1980-01-01, in seconds: the time of every chart, so that its digest is the same in every lab.
LONG_AGO = 315532800

CONFIGURATION = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}/registry}}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http: {{addr: {address}}}
"""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Chart:
    """A chart in the registry: ``ref`` is what helm calls it, ``digest`` its manifest's hash."""

    name: str
    version: str
    ref: str
    digest: str


def process(lab: Lab) -> Process:
    """Debian's docker-registry on the lab's bridge, plain HTTP."""
    configuration = lab.root / "registry.yaml"
    text = CONFIGURATION.format(root=lab.root, address=lab.registry)
    if not configuration.exists() or configuration.read_text() != text:
        write(configuration, text)
    program = str(lab.part("registry") / "docker-registry")
    return Process(lab.name, "lab", "docker-registry", [program, "serve", str(configuration)])


def wait_until_up(lab: Lab) -> None:
    """Wait until the registry answers."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{lab.registry}/v2/", timeout=2):
                return True
        except OSError:
            return False

    wait_for("registry", answers, 20, f"see {process(lab).log}", every=0.05)


def push_charts(lab: Lab) -> None:
    """Push the charts of the lab's releases that the registry does not have."""
    for version in lab.versions:
        if digest(lab, version) is None:
            archive = lab.root / f"{charts.NAME}-{version}.tgz"
            shutil.copyfile(lab.part(f"chart-{version}") / archive.name, archive)
            # Helm writes the archive's time into the manifest, and so into the digest.
            os.utime(archive, (LONG_AGO, LONG_AGO))
            helm(lab, "push", str(archive), f"oci://{lab.registry}/charts", "--plain-http")
            archive.unlink()


def pushed(lab: Lab) -> list[Chart]:
    """The charts in the registry."""
    found = []
    for version in lab.versions:
        checksum = digest(lab, version)
        if checksum is not None:
            ref = f"oci://{lab.registry}/charts/{charts.NAME}"
            found.append(Chart(charts.NAME, version, ref, checksum))
    return found


def digest(lab: Lab, version: str) -> str | None:
    """The digest of a chart in the registry, or ``None`` where it is not there."""
    url = f"http://{lab.registry}/v2/charts/{charts.NAME}/manifests/{version}"
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": MANIFEST})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            value: str | None = answer.headers["Docker-Content-Digest"]
            return value
    except OSError:
        return None


def helm(lab: Lab, *arguments: str) -> str:
    """The output of helm, which keeps what it keeps below the lab's folder."""
    folders = {
        f"HELM_{name}_HOME": str(lab.root / "helm" / name.lower())
        for name in ("CACHE", "CONFIG", "DATA")
    }
    command = [str(lab.part("helm") / "helm"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **folders})
    if done.returncode != 0:
        raise LabError(f"`helm {arguments[0]}` failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout

"""
Envoy Gateway's own Helm chart, packed from its Go module as a release packs it, the same bytes on
every machine.
"""

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

from tasks.lab import golang
from tasks.lab.parts import Needs
from tasks.lab.progress import LabError

NAME = "gateway-helm"


def make(version: str) -> Callable[[Path, Needs], None]:
    """Makes a part that is ``gateway-helm-<version>.tgz`` for a version such as "1.9.1"."""

    def make(target: Path, needs: Needs) -> None:
        module = golang.module(f"github.com/envoyproxy/gateway@v{version}", needs)
        (target / f"{NAME}-{version}.tgz").write_bytes(pack(module / "charts" / NAME, version))

    return make


def pack(chart: Path, version: str) -> bytes:
    """
    The chart in this folder as a ``.tgz``, with version and images filled in as the project's
    release does.
    """
    files = {
        str(file.relative_to(chart)): file.read_bytes()
        for file in sorted(chart.rglob("*"))
        if file.is_file()
    }
    try:
        values = files.pop("values.tmpl.yaml").decode()
        description = files["Chart.yaml"].decode()
    except KeyError as missing:
        raise LabError(
            f"{chart} holds no {missing}: it is not the chart of Envoy Gateway"
        ) from None
    values = values.replace("${GatewayImage}", f"docker.io/envoyproxy/gateway:v{version}")
    files["values.yaml"] = values.replace("${GatewayImagePullPolicy}", "IfNotPresent").encode()
    description = re.sub(r"(?m)^version:.*$", f"version: {version}", description)
    description = re.sub(r"(?m)^appVersion:.*$", f'appVersion: "v{version}"', description)
    files["Chart.yaml"] = description.encode()

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        # Helm reads the chart's name from the first entry.
        for name in sorted(files, key=lambda name: (name != "Chart.yaml", name)):
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size, entry.mode = len(files[name]), 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(content.getvalue(), mtime=0)

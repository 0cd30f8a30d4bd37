"""Charts and images are the same bytes on every machine."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tasks.lab import charts, images
from tasks.lab.images import Image
from tasks.lab.progress import LabError

IMAGE = Image("docker.io/lab/tool:v1", "tool", "tool", "/usr/local/bin/tool")


def chart(folder: Path, *, mtime: int) -> Path:
    files = {
        "Chart.yaml": 'name: gateway-helm\nversion: v0.0.0-latest\nappVersion: "latest"\n',
        "values.tmpl.yaml": "image: ${GatewayImage}\npolicy: ${GatewayImagePullPolicy}\n",
        "templates/a.yaml": "kind: A\n",
        "charts/crds/crds/b.yaml": "kind: B\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
        os.utime(folder / name, (mtime, mtime))
    return folder


def test_a_chart_is_filled_in_as_a_release(tmp_path: Path) -> None:
    packed = charts.pack(chart(tmp_path, mtime=1), "1.9.1")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        content = {one.name: tar.extractfile(one).read().decode() for one in tar}  # type: ignore[union-attr]
    assert content == {
        "gateway-helm/Chart.yaml": 'name: gateway-helm\nversion: 1.9.1\nappVersion: "v1.9.1"\n',
        "gateway-helm/charts/crds/crds/b.yaml": "kind: B\n",
        "gateway-helm/templates/a.yaml": "kind: A\n",
        "gateway-helm/values.yaml": (
            "image: docker.io/envoyproxy/gateway:v1.9.1\npolicy: IfNotPresent\n"
        ),
    }


def test_a_chart_depends_on_its_content_only(tmp_path: Path) -> None:
    one = charts.pack(chart(tmp_path / "one", mtime=1), "1.9.1")
    other = charts.pack(chart(tmp_path / "other", mtime=1_700_000_000), "1.9.1")
    assert one == other
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(one))) as tar:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in tar} == {
            (0, 0, 0, "")
        }


def test_a_folder_that_is_no_chart_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"holds no 'values\.tmpl\.yaml'"):
        charts.pack(tmp_path, "1.9.1")


def test_an_image_names_its_layers_by_their_hash(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"binary")
    layer = images.layer({IMAGE.program: tmp_path / "tool"})
    layout = tmp_path / "layout"
    layout.mkdir()
    images.write(layout, IMAGE, layer)

    for blob in (layout / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    index = json.loads((layout / "index.json").read_text())
    [entry] = index["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/lab/tool:v1"
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        found = {entry.name: (oct(entry.mode), entry.uid, entry.mtime) for entry in tar}
    assert found == {
        "etc": ("0o755", 0, 0),
        "etc/passwd": ("0o644", 0, 0),
        "tmp": ("0o1777", 0, 0),
        "usr": ("0o755", 0, 0),
        "usr/local": ("0o755", 0, 0),
        "usr/local/bin": ("0o755", 0, 0),
        "usr/local/bin/tool": ("0o755", 0, 0),
    }

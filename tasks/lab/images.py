"""
Container images of our own making: OCI layouts around real binaries, the same bytes wherever the
binaries are the same.
"""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.lab.parts import Needs

USER = 65532
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n"


@dataclass(frozen=True)
class Image:
    """
    An image to write: its reference such as "docker.io/lab/envoy:distroless-v1.38.3", the part and
    file its program comes from, where that lies in the image, and whether the libraries it is
    linked to come along. ``more`` are other files of the part, and where they lie.
    """

    reference: str
    part: str
    file: str
    program: str
    libraries: bool = False
    more: tuple[tuple[str, str], ...] = ()


def layout(image: Image) -> Callable[[Path, Needs], None]:
    """Makes a part that is the image as an OCI layout, a folder of blobs and an index."""

    def make(target: Path, needs: Needs) -> None:
        binary = needs[image.part] / image.file
        files = {image.program: binary}
        files |= {place: needs[image.part] / file for file, place in image.more}
        if image.libraries:
            files |= {str(library): library for library in libraries(binary)}
        write(target, image, layer(files))

    return make


def libraries(binary: Path) -> list[Path]:
    """What the binary is linked to on this machine, with the loader itself."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    words = [word for line in listed.splitlines() for word in line.split()]
    return sorted({Path(word) for word in words if word.startswith("/")})


def layer(files: Mapping[str, Path]) -> bytes:
    """
    One layer with these files, a place for temporary files and the users; not compressed, for it
    never leaves this machine.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = {str(parent) for name in files for parent in Path(name).parents} | {
            "/etc",
            "/tmp",
        }
        for folder in sorted(folders - {"/", "."}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "/tmp" else 0o755
            tar.addfile(entry)
        contents = {name: file.read_bytes() for name, file in files.items()}
        contents["/etc/passwd"] = PASSWD.encode()
        for name, body in sorted(contents.items()):
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(body), 0o644 if name == "/etc/passwd" else 0o755
            tar.addfile(entry, io.BytesIO(body))
    return content.getvalue()


def write(target: Path, image: Image, content: bytes) -> None:
    """The OCI layout of an image in this folder: index, manifest, configuration and one layer."""
    blobs: dict[str, bytes] = {}
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": [image.program],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
    }
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": _blob(blobs, f"{kind}.config.v1+json", _json(configuration)),
        "layers": [_blob(blobs, f"{kind}.layer.v1.tar", content)],
    }
    entry = _blob(blobs, f"{kind}.manifest.v1+json", _json(manifest))
    names = {
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": names}]}
    (target / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (target / "index.json").write_bytes(_json(index))
    folder = target / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for digest, body in blobs.items():
        (folder / digest).write_bytes(body)


def _blob(blobs: dict[str, bytes], kind: str, body: bytes) -> dict[str, str | int]:
    digest = _digest(body)
    blobs[digest.removeprefix("sha256:")] = body
    return {"mediaType": kind, "digest": digest, "size": len(body)}


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

"""
The image of envoyfleet itself, for schedules in a lab: this interpreter, what this environment
installs for a run, and the code as it stands here. A real image is made from the Containerfile,
which needs what a lab has not: a registry with a base image.
"""

import io
import re
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tasks.lab import images
from tasks.lab.catalogue import NAMES
from tasks.lab.images import Image

REPOSITORY = Path(__file__).parents[2]
HOME = "/envoyfleet"
PYTHON = "/usr/local/bin/python3"
#: Parts of the standard library that no run imports.
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "lib2to3"}
SCRIPT = f"""#!{PYTHON}
import sys
from pyinfra_cli.main import main
sys.exit(main())
"""


def write(target: Path) -> str:
    """An OCI layout in this empty folder; gives its reference."""
    image = Image(NAMES.fleet, "", "", "/usr/local/bin/pyinfra")
    images.write(target, image, _layer(_files()))
    return image.reference


def _files() -> dict[str, Path | bytes]:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = Path(sys.executable).resolve()
    library = f"/usr/local/lib/{version}"
    found: dict[str, Path | bytes] = {PYTHON: binary, "/usr/local/bin/pyinfra": SCRIPT.encode()}
    stdlib = Path(sysconfig.get_path("stdlib"))
    for file in _below(stdlib):
        first = file.relative_to(stdlib).parts[0]
        if first not in LEFT_OUT and not first.startswith("config-"):
            found[f"{library}/{file.relative_to(stdlib)}"] = file
    for it in closure("envoyfleet"):
        for place, file in _installed(it):
            found[f"{library}/site-packages/{place}"] = file
    for part in ("config.py", "deploys", "templates", "tasks"):
        for file in _below(REPOSITORY / part):
            if not file.is_relative_to(REPOSITORY / "tasks/lab"):
                found[f"{HOME}/{file.relative_to(REPOSITORY)}"] = file
    files = [it for it in found.values() if isinstance(it, Path) and it.suffix == ".so"]
    linked = [one for it in (binary, *files) for one in images.libraries(it)]
    return found | {str(it): it for it in linked}


def _below(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for file in sorted(place.rglob("*")):
        if file.is_file() and not file.is_symlink() and ".opt-" not in file.name:
            yield file


def closure(name: str) -> list[Distribution]:
    """What a package needs to run, without its extras, itself first."""
    found: dict[str, Distribution] = {}
    left = [name]
    while left:
        wanted = Requirement(left.pop(0))
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(wanted.name)
        except PackageNotFoundError:  # of another system
            continue
        for line in found[key].requires or ():
            one = Requirement(line)
            if one.marker is None or any(
                one.marker.evaluate({"extra": it}) for it in (wanted.extras or {""})
            ):
                left.append(line)
    return list(found.values())


def _installed(package: Distribution) -> Iterator[tuple[str, Path]]:
    """Its files by their place below site-packages; what an editable install adds stays here."""
    for it in package.files or ():
        file = Path(str(package.locate_file(it)))
        inside = not str(it).startswith("..") and "__editable__" not in str(it)
        if inside and file.is_file() and it.name not in ("direct_url.json", "RECORD"):
            yield str(it), file


def _layer(files: dict[str, Path | bytes]) -> bytes:
    """One layer; times stay, so that compiled modules are taken for what they are."""
    content = io.BytesIO()
    everything = {**files, "/etc/passwd": images.PASSWD.encode()}
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = {str(parent) for name in everything for parent in Path(name).parents} | {"/tmp"}
        for folder in sorted(folders - {"/", "."}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "/tmp" else 0o755
            tar.addfile(entry)
        for name, source in sorted(everything.items()):
            body = source if isinstance(source, bytes) else source.read_bytes()
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(body), 0o755
            entry.mtime = 0 if isinstance(source, bytes) else int(source.stat().st_mtime)
            tar.addfile(entry, io.BytesIO(body))
    return content.getvalue()

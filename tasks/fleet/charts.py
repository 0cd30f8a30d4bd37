"""
The chart of a run: fetched once, held against fleet.lock before any cluster is touched, kept by
digest.

    python -m tasks.fleet.charts lock oci://docker.io/envoyproxy/gateway-helm 1.9.1
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from gevent.lock import RLock
from pyinfra.api.exceptions import DeployError

from tasks.connectors import documents
from tasks.plans import crds, helm

LOCK, HELM = "fleet.lock", "helm"
#: Where charts since 1.8 have the safe-upgrades policy of the Gateway API.
POLICY = "charts/crds/templates/gatewayapi-safe-upgrade-policy.yaml"
#: Its name there, and ours.
POLICY_NAME, OWN_NAME = "safe-upgrades.gateway.networking.k8s.io", "safe-upgrades.envoyfleet.dev"
DIGEST = re.compile(r"^Digest:\s*(sha256:[0-9a-f]{64})\s*$", re.MULTILINE)


class ChartRefused(DeployError):
    """The chart of this run cannot be had, or is not the locked one: nothing was touched."""


@dataclass(frozen=True)
class Chart:
    """
    One chart version on this machine.

    + path: the archive or folder that helm is given
    + digest: such as "sha256:5f3c..."; of the OCI manifest, or of all files of a folder
    """

    name: str
    version: str
    digest: str
    path: Path = field(compare=False)

    @cached_property
    def files(self) -> dict[str, bytes]:
        """
        All files by their path inside the chart, such as ``{"templates/service.yaml": b"..."}``.
        """
        return dict(_files(self.path))

    @cached_property
    def content(self) -> str:
        """The digest that a release installed from this chart has, see ``plans.helm.content``."""
        templates = {
            name: data for name, data in self.files.items() if name.startswith("templates/")
        }
        return helm.content(templates, _yaml(self.files["values.yaml"]) or {})

    @cached_property
    def crds(self) -> tuple[dict[str, Any], ...]:
        """
        The CustomResourceDefinitions of the chart and of its subchart ``crds`` (Envoy Gateway
        keeps them in the chart's own crds/ up to 1.7 and in charts/crds since 1.8),
        ``plans.crds.marked``, in the order of their names. Parsing 5 MB of YAML takes 2 s, so the
        result is kept beside the chart as JSON.
        """
        kept = cache_folder() / f"crds-{self.digest.removeprefix('sha256:')}.json"
        with suppress(OSError, ValueError):
            return tuple(json.loads(kept.read_bytes()))
        found = {}
        for name, data in self.files.items():
            if (
                re.match(r"^(charts/crds/)?crds/.*\.yaml$", name)
                and b"CustomResourceDefinition" in data
            ):
                for document in _yaml_all(data):
                    if document and document.get("kind") == "CustomResourceDefinition":
                        found[document["metadata"]["name"]] = crds.marked(document)
        return _kept(kept, [found[name] for name in sorted(found)])

    def policy(self, helm_binary: str) -> tuple[dict[str, Any], ...]:
        """
        The safe-upgrades policy of the Gateway API and its binding, ``plans.crds.marked``; empty
        before 1.8. One helm process a digest, the result is kept beside the chart. Raises
        ChartRefused.

        They have a name of our own. Helm 4.1 cannot roll back to a revision that holds an object
        which exists, but not in the revision before ("original object ... not found"): were the
        name the chart's, no release that was installed with it could ever go back.
        """
        if POLICY not in self.files:
            return ()
        kept = cache_folder() / f"policy-{self.digest.removeprefix('sha256:')}.json"
        with _lock:
            with suppress(OSError, ValueError):
                return tuple(json.loads(kept.read_bytes()))
            return _kept(kept, [*map(crds.marked, _rendered(self.path, POLICY, helm_binary))])


def _kept(place: Path, objects: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    part = place.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(objects), encoding="utf-8")
    part.replace(place)
    return tuple(objects)


def _rendered(chart: Path, template: str, helm_binary: str) -> list[Any]:
    """What ``helm template`` makes of one template, without a cluster. Raises ChartRefused."""
    command = [helm_binary, "template", "eg", str(chart), "--show-only", template]
    done = _ran(
        [*command, "--set", "crds.enabled=true"],
        f"{chart.name}: helm template did not end within 300 s",
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChartRefused(f"{chart.name}: {template} cannot be rendered: {said}")
    documents = _yaml_all(done.stdout.replace(POLICY_NAME, OWN_NAME).encode())
    return [it for it in documents if it]


def _ran(command: list[str], late: str) -> subprocess.CompletedProcess[str]:
    """A helm that has ended. + late: what to say where it has not. Raises ChartRefused."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except FileNotFoundError:
        raise ChartRefused(
            f"{command[0]} is not installed: install Helm 3.17 or newer, or set helm in the "
            "inventory"
        ) from None
    except OSError as error:
        raise ChartRefused(
            f"{command[0]} cannot be started ({error.strerror}): correct helm in the inventory"
        ) from error
    except subprocess.TimeoutExpired:
        raise ChartRefused(late) from None


def locked(source: str, version: str, lock: Path, helm_binary: str, plain_http: bool) -> Chart:
    """
    The chart that ``lock`` pins, from the cache or fetched with ``helm pull``.

    + source: "oci://registry/path/gateway-helm" or a folder
    + version: such as "1.9.1"

    Raises ChartRefused.
    """
    name = source.rstrip("/").rpartition("/")[2]
    wanted = read_lock(lock).get(name, {}).get(version)
    if wanted is None:
        raise ChartRefused(
            f"{lock} does not pin {name} {version}: look at the chart, then pin it with "
            + lock_command(source, version, lock, helm_binary, plain_http)
        )
    cached = cache_folder() / f"{name}-{version}-{wanted.removeprefix('sha256:')[:16]}.tgz"
    if source.startswith("oci://") and cached.exists():
        return Chart(name, version, wanted, cached)
    chart = fetched(source, version, helm_binary, plain_http)
    if chart.digest != wanted:
        raise ChartRefused(
            f"{source} {version} has digest {chart.digest}, {lock} pins {wanted}: somebody "
            "changed the chart under its version; find out who before you pin the new digest"
        )
    if source.startswith("oci://"):
        chart.path.replace(cached)
        return Chart(name, version, wanted, cached)
    return chart


def lock_command(source: str, version: str, lock: Path, helm_binary: str, plain_http: bool) -> str:
    """What an operator types to pin a chart, such as "python -m tasks.fleet.charts lock ..."."""
    words = ["python", "-m", "tasks.fleet.charts", "lock", source, version]
    words += ["--lock", str(lock)] if lock != Path(LOCK) else []
    words += ["--helm", helm_binary] if helm_binary != HELM else []
    words += ["--plain-http"] if plain_http else []
    return shlex.join(words)


_once: dict[tuple[str, str, Path], Chart | ChartRefused] = {}
_lock = RLock()


def once(source: str, version: str, lock: Path, helm_binary: str, plain_http: bool) -> Chart:
    """``locked``, asked once a run for all clusters of one version; a refusal is remembered too."""
    key = (source, version, lock)
    with _lock:
        if key not in _once:
            try:
                _once[key] = locked(source, version, lock, helm_binary, plain_http)
            except ChartRefused as error:
                _once[key] = error
    found = _once[key]
    if isinstance(found, ChartRefused):
        raise found
    return found


def fetched(source: str, version: str, helm_binary: str, plain_http: bool = False) -> Chart:
    """The chart as its source has it now, whatever the lock says. Raises ChartRefused."""
    if not source.startswith("oci://"):
        return _folder(Path(source), version)
    with tempfile.TemporaryDirectory(prefix="pull-", dir=cache_folder()) as folder:
        return _pulled(source, version, helm_binary, plain_http, Path(folder))


def _pulled(source: str, version: str, helm_binary: str, plain_http: bool, folder: Path) -> Chart:
    command = [helm_binary, "pull", source, "--version", version, "--destination", str(folder)]
    late = f"{source} {version}: no answer within 300 s: is the registry up?"
    done = _ran([*command, *(["--plain-http"] if plain_http else [])], late)
    digest = DIGEST.search(done.stdout + done.stderr)
    archive = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or digest is None or archive is None:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChartRefused(f"{source} {version} cannot be pulled: {said}")
    kept = cache_folder() / f"pulled-{digest[1].removeprefix('sha256:')}.tgz"
    archive.replace(kept)
    return Chart(source.rstrip("/").rpartition("/")[2], version, digest[1], kept)


def read_lock(path: Path) -> dict[str, dict[str, str]]:
    """
    ``{"gateway-helm": {"1.9.1": "sha256:..."}}``; a missing file pins nothing. Raises ChartRefused.
    """
    try:
        document = _yaml(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ChartRefused(f"{path} cannot be read: {error}") from error
    charts = document.get("charts") if isinstance(document, dict) else document
    if not isinstance(charts, dict | None) or not all(
        isinstance(it, dict) for it in (charts or {}).values()
    ):
        raise ChartRefused(
            f"{path} is not a lock: it looks like 'charts: {{gateway-helm: {{1.9.1: sha256:...}}}}'"
        )
    return {
        name: {str(version): str(digest) for version, digest in versions.items()}
        for name, versions in (charts or {}).items()
    }


def cache_folder() -> Path:
    """Charts by digest; ``XDG_CACHE_HOME`` moves it."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "envoyfleet" / "charts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _folder(folder: Path, version: str) -> Chart:
    try:
        about = _yaml((folder / "Chart.yaml").read_bytes())
    except OSError as error:
        raise ChartRefused(
            f"{folder} is not a chart folder ({error.strerror}): correct chart"
        ) from error
    except ValueError as error:
        raise ChartRefused(f"{folder}/Chart.yaml is {error}: correct the chart") from error
    if not isinstance(about, dict):
        raise ChartRefused(f"{folder}/Chart.yaml holds no mapping: correct the chart")
    if str(about.get("version", "")).lstrip("v") != version:
        raise ChartRefused(
            f"{folder} holds version {about.get('version')}, not {version}: correct chart or "
            "the version"
        )
    digest = sha256()
    for name, data in sorted(_files(folder)):
        digest.update(f"{name}\0{sha256(data).hexdigest()}\n".encode())
    return Chart(folder.name, version, f"sha256:{digest.hexdigest()}", folder.resolve())


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name.partition("/")[2], stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ChartRefused(
            f"{path} is not a chart archive ({error}): delete it and run again"
        ) from error


def _yaml(data: bytes) -> Any:
    import yaml

    try:
        return documents.one(data)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error


def _yaml_all(data: bytes) -> list[Any]:
    return documents.every(data)


def main() -> None:
    """
    ``lock SOURCE VERSION [--lock FILE] [--helm PATH] [--plain-http]``: pin what the source has now.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="python -m tasks.fleet.charts")
    parser.add_argument("verb", choices=["lock"])
    parser.add_argument("source")
    parser.add_argument("version")
    parser.add_argument("--lock", type=Path, default=Path(LOCK))
    parser.add_argument("--helm", default=HELM)
    parser.add_argument("--plain-http", action="store_true")
    given = parser.parse_args()
    try:
        pins = read_lock(given.lock)
        chart = fetched(given.source, given.version, given.helm, given.plain_http)
    except ChartRefused as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    before = pins.setdefault(chart.name, {}).get(chart.version)
    pins[chart.name][chart.version] = chart.digest
    lines = [
        "# Pinned by python -m tasks.fleet.charts lock; review a changed digest like code.",
        "charts:",
    ]
    for name in sorted(pins):
        lines.append(f"  {name}:")
        lines += [f'    "{version}": {pins[name][version]}' for version in sorted(pins[name])]
    new = given.lock.with_suffix(".new")
    try:
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        new.replace(given.lock)
    except OSError as error:
        print(f"{given.lock} cannot be written ({error.strerror})", file=sys.stderr)
        sys.exit(2)
    print(
        f"{given.lock}: {chart.name} {chart.version} {chart.digest}"
        + (f" (was {before})" if before else "")
    )


if __name__ == "__main__":
    main()

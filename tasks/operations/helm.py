"""Helm as a program, for what only Helm does: installing a chart with its hooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra import state
from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.exceptions import OperationError

from tasks.connectors import documents
from tasks.facts.helm import HelmRelease
from tasks.fleet.charts import Chart
from tasks.fleet.guard import Steps, fact, fleet_operation, kubernetes_version
from tasks.plans import manifests
from tasks.plans.helm import Release


@fleet_operation()
def upgrade(
    release: str,
    chart: Chart,
    values: Mapping[str, Any],
    namespace: str,
    binary: str = "helm",
    timeout: int = 300,
) -> Steps:
    """
    ``helm upgrade --install``, waiting for what the chart itself can wait for. Not idempotent by
    itself: the caller has compared the release before.

    + values: the whole of them; never ``--reuse-values``, which keeps the image of the release
      before (facts of Envoy Gateway 1.2 to 1.9). They go through standard input, so no file holds
      them.
    + timeout: seconds, of Helm's own wait
    """
    yield StringCommand(
        QuoteString(_absolute(binary)),
        "upgrade",
        "--install",
        QuoteString(release),
        QuoteString(str(chart.path)),
        "--namespace",
        QuoteString(namespace),
        "--create-namespace",
        "--values -",
        "--wait",
        f"--timeout {timeout}s",
        "--history-max 10",
        "--output json",
        ">/dev/null",
        _stdin=json.dumps(dict(values)),
        _timeout=timeout + 60,
    )


@fleet_operation()
def rollback(
    release: str, revision: int, namespace: str, binary: str = "helm", timeout: int = 300
) -> Steps:
    """
    ``helm rollback`` to one revision, never to "the previous one", which may be one that failed.
    Not idempotent by itself: the caller has compared the release before. Fields that somebody
    changed by hand meanwhile are taken back where Helm can do that (Helm 4), because a way back
    that stops at a conflict is none.

    + timeout: seconds, of Helm's own wait
    """
    binary = _absolute(binary)
    taking_back = ["--force-conflicts"] if major(binary) >= 4 else []
    yield StringCommand(
        QuoteString(binary),
        "rollback",
        QuoteString(release),
        str(revision),
        "--namespace",
        QuoteString(namespace),
        "--wait",
        f"--timeout {timeout}s",
        "--history-max 10",
        *taking_back,
        ">/dev/null",
        _timeout=timeout + 60,
    )


def difference(
    installed: str | None,
    release: str,
    chart: Chart,
    values: Mapping[str, Any],
    namespace: str,
    binary: str = "helm",
) -> list[str]:
    """
    With --diff, what ``upgrade`` would change of what is installed, see
    ``tasks.plans.manifests.difference``; else nothing. Hooks and CRDs are left out. One helm
    process for all clusters of the same chart, values and Kubernetes version.

    + installed: the release's manifest, or None where it is not installed

    Raises OperationError where the chart cannot be rendered.
    """
    if not state.config.DIFF:
        return []
    command = [_absolute(binary), "template", release, str(chart.path), "--namespace", namespace]
    command += ["--kube-version", kubernetes_version(), "--no-hooks", "--values", "-"]
    command += ["--is-upgrade"] if installed is not None else []
    planned = _rendered((*command, json.dumps(dict(values), sort_keys=True)))
    return manifests.difference(_objects(installed or ""), planned)


def difference_to(revision: int, release: Release) -> list[str]:
    """
    The same for ``rollback``: from what ``release`` installed to what one of its older revisions
    did. One request.
    """
    if not state.config.DIFF:
        return []
    record = f"sh.helm.release.v1.{release.name}.v{revision}"
    wanted = fact(HelmRelease, record=record, namespace=release.namespace)
    return manifests.difference(
        _objects(release.manifest), _objects(wanted.manifest if wanted else "")
    )


#: By command and values: a greenlet that all clusters wait for; its value may be an exception.
_rendering: dict[tuple[str, ...], Any] = {}


def _rendered(key: tuple[str, ...]) -> list[dict[str, Any]]:
    import gevent

    if key not in _rendering:
        _rendering[key] = gevent.spawn(_template, list(key[:-1]), key[-1])
    found: list[dict[str, Any]] | OperationError = _rendering[key].get()
    if isinstance(found, OperationError):
        raise found
    return found


def _template(command: list[str], values: str) -> list[dict[str, Any]] | OperationError:
    try:
        done = subprocess.run(
            command, input=values, capture_output=True, text=True, timeout=60, check=True
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no message"])[-1]
        return OperationError(f"helm template {Path(command[3]).name}: {said}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return OperationError(f"helm template {Path(command[3]).name}: {type(error).__name__}")
    return _objects(done.stdout)


def _objects(text: str) -> list[dict[str, Any]]:
    return [it for it in documents.every(text) if it]


@cache
def version(binary: str) -> str | None:
    """Such as "v4.1.4", asked once a run, or None where the program does not run."""
    try:
        done = subprocess.run(
            [binary, "version", "--template", "{{.Version}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def major(binary: str) -> int:
    """4 for Helm 4; 3 where it is not known."""
    match = re.match(r"v?(\d+)\.", version(binary) or "")
    return int(match[1]) if match else 3


def _absolute(binary: str) -> str:
    """A path as seen from any folder: programs are started in one of their cluster's own."""
    return str(Path(binary).resolve()) if os.sep in binary else binary

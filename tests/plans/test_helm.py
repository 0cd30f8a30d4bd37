"""Helm's own records, built here as Helm 4 writes them: base64 in base64 of gzipped JSON."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.plans.helm import (
    Release,
    content,
    decode,
    failed,
    finished,
    may_still_run,
    newest,
    stuck,
)

TEMPLATES = {"templates/deployment.yaml": b"kind: Deployment\n", "templates/NOTES.txt": b"hi"}
DEFAULTS = {"deployment": {"replicas": 1}}
RECORD: dict[str, Any] = {
    "name": "eg",
    "namespace": "envoy-gateway-system",
    "version": 3,
    "info": {"status": "deployed", "description": "Upgrade complete"},
    "chart": {
        "metadata": {"name": "gateway-helm", "version": "1.9.1", "appVersion": "v1.9.1"},
        "templates": [
            {"name": name, "data": base64.b64encode(data).decode()}
            for name, data in TEMPLATES.items()
        ],
        "values": DEFAULTS,
    },
    "config": {"crds": {"enabled": False}},
    "manifest": "---\n",
}
RELEASE = Release(
    name="eg",
    namespace="envoy-gateway-system",
    revision=3,
    status="deployed",
    chart="gateway-helm",
    chart_version="1.9.1",
    app_version="v1.9.1",
    values={"crds": {"enabled": False}},
    content=content(TEMPLATES, DEFAULTS),
)


def secret(record: Any, revision: int = 3) -> dict[str, Any]:
    packed = record if isinstance(record, bytes) else gzip.compress(json.dumps(record).encode())
    text = base64.b64encode(base64.b64encode(packed)).decode()
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.eg.v{revision}",
            "labels": {"owner": "helm", "version": str(revision)},
        },
        "type": "helm.sh/release.v1",
        "data": {"release": text},
    }


def test_reads_a_record() -> None:
    release = decode(secret(RECORD))
    assert release == RELEASE
    assert release.version == "1.9.1"
    assert "crds" not in repr(release)


def test_a_record_without_values_and_app_version() -> None:
    chart = {"metadata": {"name": "gateway-helm", "version": "1.9.1"}, "templates": None}
    release = decode(secret({**RECORD, "config": None, "chart": chart}))
    assert (release.values, release.version) == ({}, "1.9.1")


COMPRESSED = gzip.compress(json.dumps(RECORD).encode())
BROKEN = [
    pytest.param({"data": {}}, id="no record"),
    pytest.param({"data": {"release": "%%%"}}, id="base64"),
    pytest.param(secret(b"plain text"), id="not compressed"),
    pytest.param(secret(COMPRESSED[:-20]), id="cut off"),
    pytest.param(secret(COMPRESSED[:40] + b"\0" * 40 + COMPRESSED[80:]), id="bytes altered"),
    pytest.param(secret(gzip.compress(b"{")), id="not JSON"),
    pytest.param(secret(gzip.compress(b"[" * 100_000)), id="nested too deep"),
    pytest.param(secret([]), id="a list"),
    pytest.param(secret({**RECORD, "chart": "x"}), id="a chart that is text"),
    pytest.param(secret({**RECORD, "config": {"global": "x"}}), id="images that are text"),
    pytest.param(secret({**RECORD, "info": {}}), id="no status"),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_record_is_one_line(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="release record") as error:
        decode({**secret(RECORD), **broken})
    assert str(error.value) == (
        "Secret sh.helm.release.v1.eg.v3 is not a Helm release record: look at it with helm "
        "history, and restore or delete it"
    )


def test_the_newest_revision_counts_as_a_number() -> None:
    records = [secret(RECORD, it) for it in (9, 10, 2)]
    found = newest(records)
    assert found is not None
    assert found["metadata"]["name"] == "sh.helm.release.v1.eg.v10"
    assert newest([]) is None


@pytest.mark.parametrize(
    ("release", "holds"),
    [
        pytest.param(RELEASE, True, id="the same"),
        pytest.param({"status": "failed"}, False, id="a failed release"),
        pytest.param({"chart_version": "1.9.0"}, False, id="another version"),
        pytest.param({"content": "x"}, False, id="a chart packed again under its version"),
        pytest.param({"values": {}}, False, id="other values"),
    ],
)
def test_holds(release: Any, holds: bool) -> None:
    if isinstance(release, dict):
        release = Release(**{**vars(RELEASE), **release})
    assert release.holds("1.9.1", RELEASE.content, {"crds": {"enabled": False}}) is holds


def test_content_knows_names_data_and_defaults() -> None:
    same = content(dict(reversed(TEMPLATES.items())), {"deployment": {"replicas": 1}})
    assert content(TEMPLATES, DEFAULTS) == same
    others = [
        content({**TEMPLATES, "templates/NOTES.txt": b"ho"}, DEFAULTS),
        content({"templates/deployment.yaml": b"kind: Deployment\n"}, DEFAULTS),
        content(TEMPLATES, {}),
    ]
    assert same not in others


HELM = "Helm release envoy-gateway-system/eg"
KILLED = "its helm process was killed, and Helm refuses to touch it"
STUCK = [
    pytest.param("deployed", None, id="deployed"),
    pytest.param("failed", None, id="failed, which Helm upgrades"),
    pytest.param(
        "pending-upgrade", f"{HELM} revision 3 is pending-upgrade: {KILLED}", id="pending"
    ),
    pytest.param("uninstalling", f"{HELM} revision 3 is uninstalling: {KILLED}", id="uninstalling"),
]


@pytest.mark.parametrize(("status", "why"), STUCK)
def test_stuck(status: str, why: str | None) -> None:
    assert stuck(replace(RELEASE, status=status)) == why


def test_a_killed_release_is_marked_as_helm_marks_it_on_sigterm() -> None:
    pending = secret({**RECORD, "info": {"status": "pending-upgrade"}})
    pending["metadata"]["labels"]["status"] = "pending-upgrade"
    pending["metadata"]["resourceVersion"] = "77"
    mended = failed(pending)
    assert decode(mended) == replace(RELEASE, status="failed")
    assert mended["metadata"] == {
        **pending["metadata"],
        "labels": {**pending["metadata"]["labels"], "status": "failed"},
    }
    assert failed(pending) == mended


def test_an_unreadable_record_cannot_be_marked() -> None:
    with pytest.raises(ValueError, match=r"Secret sh.helm.release.v1.eg.v3 is not a Helm release"):
        failed({**secret(RECORD), "data": {}})


def records(*statuses: str) -> list[dict[str, Any]]:
    return [
        {"metadata": {"name": f"v{it}", "labels": {"version": str(it), "status": status}}}
        for it, status in enumerate(statuses, start=1)
    ]


@pytest.mark.parametrize(
    ("statuses", "good"),
    [
        pytest.param((), [], id="never installed"),
        pytest.param(("deployed",), ["v1"], id="installed"),
        pytest.param(("superseded", "failed", "deployed"), ["v3", "v1"], id="at the second try"),
        pytest.param(("deployed", "failed", "pending-upgrade"), ["v1"], id="not the one before"),
        pytest.param(("superseded", "superseded", "failed"), ["v2", "v1"], id="its record is lost"),
        pytest.param(("pending-install",), [], id="never finished"),
        pytest.param(("superseded",) * 9 + ("deployed",), ["v10", "v9"], id="as numbers"),
    ],
)
def test_revisions_that_helm_finished(statuses: tuple[str, ...], good: list[str]) -> None:
    assert finished(records(*statuses))[:2] == good


NOW = datetime(2026, 11, 21, 14, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "changed", "why"),
    [
        pytest.param(
            "pending-upgrade",
            "2026-11-21T14:04:20.123456789Z",
            f"{HELM} revision 3 is pending-upgrade since 14:04:20 UTC: a helm process may still "
            "work on it: run again in 261 s",
            id="young",
        ),
        pytest.param("pending-upgrade", "2026-11-21T13:59:00Z", None, id="older than helm waits"),
        pytest.param("pending-upgrade", "2026-11-21T15:04:20+01:00", "", id="other zone"),
        pytest.param("failed", "2026-11-21T14:04:20Z", None, id="failed"),
        pytest.param("pending-upgrade", None, None, id="no time"),
        pytest.param("pending-upgrade", "soon", None, id="no time at all"),
    ],
)
def test_a_helm_that_may_still_run(status: str, changed: str | None, why: str | None) -> None:
    info = {"status": status, "last_deployed": changed}
    said = may_still_run(decode(secret({**RECORD, "info": info})), NOW, 300)
    assert said == why or (why == "" and said is not None)

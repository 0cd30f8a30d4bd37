"""Helm's own records, built here as Helm 4 writes them: base64 in base64 of gzipped JSON."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from tasks.plans.helm import Release, content, decode, newest, stuck

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
    pytest.param({"data": {}}, "KeyError", id="no record"),
    pytest.param({"data": {"release": "%%%"}}, "JSONDecodeError|BadGzipFile|Error", id="base64"),
    pytest.param(secret(b"plain text"), "BadGzipFile", id="not compressed"),
    pytest.param(secret(COMPRESSED[:-20]), "EOFError", id="cut off"),
    pytest.param(
        secret(COMPRESSED[:40] + b"\0" * 40 + COMPRESSED[80:]), "error", id="bytes altered"
    ),
    pytest.param(secret(gzip.compress(b"{")), "JSONDecodeError", id="not JSON"),
    pytest.param(secret([]), "TypeError", id="a list"),
    pytest.param(secret({**RECORD, "chart": "x"}), "TypeError", id="a chart that is text"),
    pytest.param(secret({**RECORD, "info": {}}), "KeyError", id="no status"),
]


@pytest.mark.parametrize(("broken", "kind"), BROKEN)
def test_a_broken_record_is_one_line(broken: dict[str, Any], kind: str) -> None:
    with pytest.raises(ValueError, match="is not a Helm release record") as error:
        decode({**secret(RECORD), **broken})
    head, _, rest = str(error.value).partition("(")
    assert head == "Secret sh.helm.release.v1.eg.v3 is not a Helm release record "
    assert rest.partition(")")[0] in kind.split("|")
    assert rest.partition(")")[2] == ": look at it with helm history, and restore or delete it"


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
STUCK = [
    pytest.param("deployed", None, id="deployed"),
    pytest.param("failed", None, id="failed, which Helm upgrades"),
    pytest.param(
        "pending-upgrade",
        f"{HELM} revision 3 is pending-upgrade: a helm process was killed or still runs; when none "
        "runs, go back with helm rollback eg <good revision> -n envoy-gateway-system",
        id="pending",
    ),
    pytest.param(
        "uninstalling",
        f"{HELM} is uninstalling: finish with helm uninstall, then install",
        id="uninstalling",
    ),
]


@pytest.mark.parametrize(("status", "why"), STUCK)
def test_stuck(status: str, why: str | None) -> None:
    assert stuck(Release(**{**vars(RELEASE), "status": status})) == why

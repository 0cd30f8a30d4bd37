"""
The end state that every side brings about, as each of them reads it: an inventory, and the same
objects, values and CRDs as files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import REPOSITORY

#: Of HTTPRoutes that a change touches.
ROUTES = 12
#: Names the change: the value of a header that requests must have.
CHANGE = "SIDES_CHANGE"
FLEET = f"""
import os, runpy
os.environ["ENVOYFLEET_LAB"] = {{lab!r}}
data = dict(runpy.run_path({str(REPOSITORY / "inventory/lab.py")!r})["clusters"][0][1])
data |= {{more!r}}
data["envoy_gateway_version"] = os.environ.get("SIDES_VERSION", "1.9.1")
data["routes"] = [
    *data["routes"],
    *(
        {{{{
            "name": f"side-{{{{it}}}}",
            "namespace": "demo",
            "gateway": "edge/public",
            "hostnames": [f"side-{{{{it}}}}.lab.test"],
            "headers": {{{{"x-change": os.environ.get({CHANGE!r}, "0")}}}},
            "backends": [{{{{"service": "blue", "port": 8080}}}}],
        }}}}
        for it in range({ROUTES})
    ),
]
clusters = [(f"@kube/{{{{it}}}}", data) for it in {{names!r}}]
"""


@dataclass(frozen=True)
class Wanted:
    """
    + folder: with crds.yaml, values.yaml, objects.yaml, and values.json byte for byte as Helm
      tells them
    + chart: the archive
    """

    folder: Path
    chart: Path

    @property
    def objects(self) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self.folder / "objects.yaml").read_text()))


def inventory(folder: Path, lab: str, names: Sequence[str], more: Mapping[str, Any]) -> Path:
    """``fleet.py``: each of these contexts is a cluster that wants the same."""
    file = folder / "fleet.py"
    file.write_text(FLEET.format(lab=lab, more=dict(more), names=list(names)))
    return file


def written(work: Path, name: str, chart: Path, helm: Path, change: str) -> Wanted:
    """
    What the peers apply, rendered from fleet.py of ``work``: so all sides want the same.

    + name: a cluster of it; + change: see CHANGE
    """
    folder = work / f"wanted-{change}"
    if (folder / "crds.yaml").exists():
        return Wanted(folder, chart)
    folder.mkdir(exist_ok=True)
    tree = folder / "tree"
    subprocess.run(
        [sys.executable, "-m", "tasks.render", "fleet.py", "--cluster", name, "--output", tree],
        cwd=work,
        env={**os.environ, CHANGE: change, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    files = sorted(it for it in tree.rglob("*.yaml") if it.name != "kustomization.yaml")
    values = next(it for it in files if it.name == "values.yaml")
    objects = [yaml.safe_load(it.read_text()) for it in files if it != values]
    objects.sort(key=lambda it: (it["kind"] != "Namespace", it["kind"] == "HTTPRoute"))
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    (folder / "values.yaml").write_text(values.read_text())
    told = json.dumps(yaml.safe_load(values.read_text()), sort_keys=True, separators=(",", ":"))
    (folder / "values.json").write_text(told)
    (folder / "crds.yaml").write_text(yaml.safe_dump_all(crds(chart, helm)))
    return Wanted(folder, chart)


def crds(chart: Path, helm: Path) -> list[dict[str, Any]]:
    """Those that the chart carries."""
    shown = subprocess.run(
        [helm, "show", "crds", chart], capture_output=True, text=True, check=True
    ).stdout
    found = [it for it in yaml.safe_load_all(shown) if it]
    return [it for it in found if it["kind"] == "CustomResourceDefinition"]

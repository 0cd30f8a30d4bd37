"""
What is wanted of a cluster as the files of a folder, for Argo CD and Flux: the same text for the
same inventory, on every run and machine.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import Any

from tasks.desired.values import values
from tasks.desired.wanted import Wanted
from tasks.fleet.inventory import Cluster
from tasks.plans.references import to

#: How each of our files begins, so that a file of somebody else is never touched.
MARK = "# envoyfleet:"
#: Texts that Python's YAML reads as they are, and Go's, of kustomize and kubectl, as numbers:
#: "12e4" of a hash is 120000 there (go-yaml, resolve.go).
_NUMBERS = re.compile(r"[-+]?(0o[0-7_]+|(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?)$")
KUSTOMIZATION, VALUES = "kustomization.yaml", "values.yaml"
HINT = "change the inventory, not this file"


def files(name: str, data: Cluster, wanted: Wanted) -> dict[str, str]:
    """
    By path below the cluster's folder, the text: a file an object, the chart's values, and a
    kustomization.yaml that lists the objects. Raises TemplateRefused, and ValueError where a Secret
    is among the objects or the release is not known.
    """
    found = {}
    for thing in wanted.objects:
        if thing["kind"] == "Secret":
            raise ValueError("a Secret has no place in a tree that others can read")
        origin = wanted.origins[to(thing)]
        found[path(thing)] = text(f"from {origin}: {HINT}", thing)
    listed = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(found),
    }
    found[KUSTOMIZATION] = text(f"objects of {name}: {HINT}", listed)
    chart = f"values of {data.chart} {data.envoy_gateway_version} on {name}: {HINT}"
    found[VALUES] = text(chart, values(name, data))
    return found


def path(thing: dict[str, Any]) -> str:
    """Such as "shop/httproute-cart.yaml", "gatewayclass-envoy.yaml"."""
    meta = thing["metadata"]
    file = f"{thing['kind'].lower()}-{meta['name']}.yaml"
    return f"{meta['namespace']}/{file}" if meta.get("namespace") else file


def text(comment: str, document: dict[str, Any]) -> str:
    """YAML with sorted keys and unbroken lines; a text of several lines stays readable."""
    return f"{MARK} {comment}\n{_dumped(json.dumps(document))}"


@lru_cache(maxsize=16384)
def _dumped(document: str) -> str:
    """Of JSON, so that what many clusters have is written in YAML once."""
    import yaml

    return yaml.dump(
        json.loads(document),
        Dumper=_dumper(),
        sort_keys=True,
        allow_unicode=False,  # libyaml and Python escape different signs
        width=2**16,
        default_flow_style=False,
    )


@cache
def _dumper() -> Any:
    """Of libyaml, which is ten times as fast as the one in Python and writes the same."""
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    made: Any = type("Dumper", (base,), {"ignore_aliases": lambda *_: True})
    made.add_representer(str, _as_block)
    made.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBERS, list("-+.0123456789"))
    return made


def _as_block(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text.strip() and " \n" not in text and "\t" not in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

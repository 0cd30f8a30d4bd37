"""
What the schemas of a chart's CRDs refuse of a cluster's objects: made once a run, for all clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tasks.fleet.charts import Chart
from tasks.plans import crds, schemas


def of(chart: Chart, crd: str, thing: Mapping[str, Any]) -> list[str]:
    """
    What the chart's schema refuses of an object, a line each, such as "spec.rules has 2 items, at
    most 1 are allowed".
    """
    errors = _validator(chart, crd).iter_errors(schemas.own(thing))
    return [
        f"{schemas.path(it.absolute_path)} "
        + schemas.said(it.validator, it.validator_value, it.instance)
        for it in errors
    ]


@cache
def _validator(chart: Chart, crd: str) -> Any:
    """Made once a run: the schemas of EnvoyProxy alone are half a megabyte."""
    from jsonschema import Draft202012Validator

    found = next(it for it in chart.crds if it["metadata"]["name"] == crd)
    schema = schemas.schema_of(found, crds.storage_version(found)) or {}
    return Draft202012Validator(schemas.translated(schema))

"""What a chart would change, object by object."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.manifests import difference


def thing(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "eg"}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


A, B = thing("ConfigMap", "config", data={"a": "1"}), thing("ConfigMap", "config", data={"a": "2"})
SECRET = thing("Secret", "tls", data={"key": "b2xk"})


@pytest.mark.parametrize(
    ("installed", "planned", "lines"),
    [
        pytest.param([A], [A], [], id="nothing"),
        pytest.param(
            [A],
            [B],
            [
                "change ConfigMap eg/config",
                "@@ -1,5 +1,5 @@",
                " apiVersion: v1",
                " data:",
                "-  a: '1'",
                "+  a: '2'",
                " kind: ConfigMap",
                " metadata:",
            ],
            id="a value",
        ),
        pytest.param(
            [thing("Role", "certgen")],
            [thing("Service", "eg")],
            [
                "create Service eg/eg",
                "@@ -0,0 +1,5 @@",
                "+apiVersion: v1",
                "+kind: Service",
                "+metadata:",
                "+  name: eg",
                "+  namespace: eg",
                "delete Role eg/certgen",
            ],
            id="one comes, one goes",
        ),
        pytest.param(
            [SECRET],
            [thing("Secret", "tls", data={"key": "bmV3"})],
            [
                "change Secret eg/tls",
                "@@ -1,5 +1,5 @@",
                " apiVersion: v1",
                " data:",
                "-  key: '*** (before)'",
                "+  key: '*** (after)'",
                " kind: Secret",
                " metadata:",
            ],
            id="no value of a Secret",
        ),
    ],
)
def test_difference(
    installed: list[dict[str, Any]], planned: list[dict[str, Any]], lines: list[str]
) -> None:
    assert difference(installed, planned) == lines

"""The objects that backups and restores are tried with, before any cluster has seen them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.objects import crds_of_others, forms, kinds, objects, unused, with_canaries


@pytest.mark.parametrize(("release", "count"), [("1.8.3", 32), ("1.9.1", 33)])
def test_thirty_kinds_and_more(release: str, count: int) -> None:
    things = objects(release)
    assert len(kinds(things)) == count
    titles = [
        (it["apiVersion"], it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"])
        for it in things
    ]
    assert len(titles) == len(set(titles))


def test_a_field_that_nobody_uses_is_named() -> None:
    [crd] = [it for it in crds_of_others() if it["spec"]["names"]["kind"] == "Issuer"]
    fields: dict[str, Any] = {"properties": {"acme": {}, "ca": {}}}
    schema = {"openAPIV3Schema": {"properties": {"spec": fields}}}
    crd["spec"]["versions"] = [{"served": True, "schema": schema}]
    assert unused([crd], objects("1.9.1")) == ["Issuer.ca"]


def test_every_secret_has_its_canary() -> None:
    secrets = [it for it in with_canaries(objects("1.9.1"), "tweet") if it["kind"] == "Secret"]
    assert len(secrets) == 11
    assert {it["stringData"]["canary"] for it in secrets} == {"tweet"}


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_a_canary_is_found_wherever_it_stands_in_what_was_encoded(before: bytes) -> None:
    secret = "canary-5e1f0c7a9b"
    encoded = base64.b64encode(before + secret.encode() + b" and more")
    assert any(it in encoded for it in forms(secret).values())

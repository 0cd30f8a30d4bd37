from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.plans.preflight import Reason
from tasks.plans.schemas import own, path, pruned, reasons, said, schema_of, translated

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["rules", "mode"],
            "properties": {
                "mode": {"type": "string", "default": "Fast", "enum": ["Fast", "Slow"]},
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}]},
                "note": {"type": "string", "nullable": True, "enum": ["a"]},
                "codes": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "x-kubernetes-list-type": "set",
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "many": {"type": "integer", "maximum": 10, "exclusiveMaximum": True},
                "odd": {"type": "string", "pattern": r"^\p{L}+$"},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "rules": {
                    "type": "array",
                    "maxItems": 1,
                    "items": {"type": "object", "properties": {"retry": {"type": "object"}}},
                },
                "one": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                    "not": {"required": ["c"]},
                },
            },
        },
    },
}
RULES: dict[str, Any] = {"rules": []}


def refused(spec: dict[str, Any]) -> list[str]:
    thing = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"}, "spec": spec}
    return [
        f"{path(it.absolute_path)} {said(it.validator, it.validator_value, it.instance)}"
        for it in Draft202012Validator(translated(SCHEMA)).iter_errors(own(thing))
    ]


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        pytest.param(RULES, [], id="a required field with a default is filled in"),
        pytest.param({}, ["spec lacks rules"], id="missing"),
        pytest.param({"rules": None}, ["spec lacks rules"], id="null is dropped"),
        pytest.param(
            {"rules": [{}, {}]}, ["spec.rules has 2 items, at most 1 are allowed"], id="too many"
        ),
        pytest.param({**RULES, "mode": "s3"}, ["spec.mode is none of Fast, Slow"], id="enum"),
        pytest.param({**RULES, "port": "http"}, ["spec.port does not fit anyOf"], id="any of"),
        pytest.param({**RULES, "port": 80}, [], id="int or string"),
        pytest.param({**RULES, "note": "a"}, [], id="nullable"),
        pytest.param({**RULES, "codes": [1, 1]}, ["spec.codes has an item twice"], id="set"),
        pytest.param(
            {**RULES, "labels": {"a": 1}}, ["spec.labels.a is not of type string"], id="map"
        ),
        pytest.param({**RULES, "many": 10}, ["spec.many is 10, the exclusiveMaximum is 10"]),
        pytest.param({**RULES, "many": 9}, [], id="below"),
        pytest.param({**RULES, "odd": "1"}, [], id="a pattern that only Go knows is left out"),
        pytest.param(
            {**RULES, "name": "S3cret"},
            [
                "spec.name has 6 characters, at most 5 are allowed",
                "spec.name does not match ^[a-z]+$",
            ],
            id="the value itself is not said",
        ),
        pytest.param({**RULES, "one": {}}, ["spec.one does not fit oneOf"], id="one of"),
        pytest.param({**RULES, "one": {"a": "", "c": ""}}, ["spec.one does not fit not"], id="not"),
        pytest.param({**RULES, "unknown": 1}, [], id="unknown fields are pruned, not refused"),
    ],
)
def test_refused(spec: dict[str, Any], lines: list[str]) -> None:
    assert sorted(refused(spec)) == sorted(lines)


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        pytest.param({"rules": [{"retry": {}}], "mode": "Fast"}, [], id="all specified"),
        pytest.param(
            {"rules": [{}, {"session": {"idle": "1h"}}]}, ["spec.rules[1].session"], id="in a list"
        ),
        pytest.param({"free": {"a": {"b": 1}}, "pod": {"spec": {}}}, [], id="preserved"),
        pytest.param({"labels": {"a": "b"}}, [], id="a map takes every key"),
        pytest.param({"one": {"z": 1}}, ["spec.one.z"], id="below a field"),
    ],
)
def test_pruned(spec: dict[str, Any], paths: list[str]) -> None:
    thing = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"}, "spec": spec}
    assert list(pruned(SCHEMA, own(thing))) == paths


def test_what_of_an_object_is_looked_at() -> None:
    thing = {"kind": "X", "metadata": {"name": "a"}, "spec": {"a": None, "b": [None, 1]}}
    assert own({**thing, "status": {"x": 1}}) == {
        "kind": "X",
        "metadata": {},
        "spec": {"b": [None, 1]},
    }


def test_schema_of() -> None:
    crd = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": SCHEMA}}]}}
    assert schema_of(crd, "v1") == SCHEMA
    assert schema_of(crd, "v2") is None


@pytest.mark.parametrize(
    ("keyword", "limit", "value", "line"),
    [
        pytest.param("minItems", 1, [], "has 0 items, at least 1 are allowed"),
        pytest.param("minProperties", 1, {}, "has 0 entries, at least 1 are allowed"),
        pytest.param("minimum", 1, 0, "is 0, the minimum is 1"),
        pytest.param("type", ["integer", "string"], [], "is not of type integer or string"),
    ],
)
def test_said(keyword: str, limit: Any, value: Any, line: str) -> None:
    assert said(keyword, limit, value) == line


def test_reasons() -> None:
    assert reasons("httproutes.x", "1.9.1", [], []) == []
    assert reasons("httproutes.x", "1.9.1", ["A: b", "C: d", "E: f", "G: h"], ["A: spec.y"]) == [
        Reason(
            "the httproutes.x of 1.9.1 refuse what is there: A: b; C: d; E: f (and 1 more): "
            "correct it first",
            "behaviour",
        ),
        Reason(
            "the httproutes.x of 1.9.1 no longer have fields that are set, and they are lost when "
            "the object is next written: A: spec.y: take them out, or write what replaces them",
            "behaviour",
        ),
    ]

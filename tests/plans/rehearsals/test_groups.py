"""Rehearsals of many clusters: which are told together, in which order, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tasks.plans.rehearsals import outcome
from tasks.plans.rehearsals.change import Change
from tasks.plans.rehearsals.groups import Line, groups
from tasks.plans.rehearsals.outcome import Outcome, Rehearsal

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs" / "rehearsal.schema.json").read_text()
)


def rehearsal(source: str, **more: Any) -> Rehearsal:
    said: dict[str, Any] = {
        **{"run": "r", "who": "anna@jump", "target": "rehearsal-1", "before": "1.8.3"},
        **{"after": "1.9.1", "began": "2026-11-23T02:00:00+00:00", "kinds": {"Gateway": 1}},
    }
    return Rehearsal(source=source, **{**said, **more})


def timeout(host: str) -> Outcome:
    """The same for each cluster, but for its own name."""
    words = f"requests go: 100 % to cluster {host}-cart → none"
    return Outcome(configuration=(Change("route", f"HTTPRoute shop/{host}", words),))


LUA = Change("condition", "EnvoyExtensionPolicy shop/lua", "Accepted is False now", "error")


def test_clusters_that_showed_the_same_are_told_once() -> None:
    found = groups(
        [
            rehearsal("@aks/prod/weu-1", outcome=timeout("weu-1"), requests={"sent": 9, "lost": 1}),
            rehearsal("@aks/prod/neu-1", outcome=timeout("neu-1"), requests={"sent": 8, "lost": 0}),
            rehearsal("weu-10", outcome=timeout("weu-1")),
            rehearsal("lab-1", outcome=Outcome(refused=(LUA,))),
            rehearsal("lab-2", problems=["lab-2: helm failed"]),
            rehearsal("lab-3", problems=["lab-3: helm failed"]),
            *(rehearsal(f"good-{it}") for it in range(3)),
        ]
    )

    assert [(it.clusters, it.first.result, it.tone) for it in found] == [
        (("lab-2", "lab-3"), "not ended", "bad"),
        (("lab-1",), "breaks", "bad"),
        (("@aks/prod/neu-1", "@aks/prod/weu-1"), "nothing breaks", "wait"),
        (("weu-10",), "nothing breaks", "wait"),
        (("good-0", "good-1", "good-2"), "nothing breaks", "good"),
    ]
    words = "requests go: 100 % to cluster <cluster>-cart → none"
    assert found[2].sections[0].lines == [Line("warning", words, ("HTTPRoute shop/<cluster>",))]
    assert found[3].sections[0].lines[0].names == ("HTTPRoute shop/weu-1",)
    assert (found[2].requests("sent"), found[2].requests("lost"), found[2].objects) == (17, 1, 2)
    assert [it.next for it in found] == [
        "correct what is said below, then rehearse again",
        "mend what is marked as an error, then rehearse again",
        "see whether each warning is meant, then upgrade these clusters with deploys/upgrade.py",
        "see whether each warning is meant, then upgrade it with deploys/upgrade.py",
        "upgrade these clusters with deploys/upgrade.py",
    ]


def test_how_many_requests_were_lost_does_not_part_clusters() -> None:
    lost = (
        Outcome(traffic=(Change("request", "requests while upgrading", f"{it} of 900 lost"),))
        for it in (1, 22)
    )
    found = groups(rehearsal(f"weu-{number}", outcome=it) for number, it in enumerate(lost))
    assert [it.clusters for it in found] == [("weu-0", "weu-1")]
    assert found[0].sections[0].lines[0].words == "… of … lost"


def test_the_same_words_are_told_once_with_all_whom_they_are_about() -> None:
    routes = tuple(
        Change("route", f"HTTPRoute shop/r{it}", "request timeout: 15 s → none") for it in range(3)
    )
    other = Change("cluster", "cluster it", "highest TLS version: none → TLSv1_3", "info")
    found = groups([rehearsal("weu-1", outcome=Outcome(configuration=(*routes, other)))])
    section = found[0].sections[0]
    assert (section.title, section.changes) == ("Proxies", 4)
    assert section.lines == [
        Line("warning", "request timeout: 15 s → none", tuple(it.name for it in routes)),
        Line("info", "highest TLS version: none → TLSv1_3", ("cluster it",)),
    ]


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(rehearsal("weu-1"), id="begun"),
        pytest.param(
            rehearsal(
                "weu-1",
                ended="2026-11-23T02:05:00+00:00",
                digests={"HTTPRoute shop/cart": "3fa1b2c43fa1b2c4"},
                requests={"sent": 1200, "lost": 3},
                outcome=Outcome(refused=(LUA,)),
                problems=["weu-1: no"],
                kept=True,
            ),
            id="whole",
        ),
    ],
)
def test_the_document_keeps_to_its_schema(record: Rehearsal) -> None:
    document = json.loads(json.dumps(outcome.document(record)))
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert outcome.read(document) == record

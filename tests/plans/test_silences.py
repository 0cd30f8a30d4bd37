from __future__ import annotations

from datetime import UTC, datetime

from tasks.plans import silences
from tasks.plans.alerts import ALERTS

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def test_a_silence_is_of_one_cluster_names_run_and_person_and_ends_by_itself() -> None:
    body = silences.body(
        "weu-1", ["EnvoyB", "EnvoyA"], "20261122T070000Z-upgrade", "anna@j", NOW, 300
    )
    assert body == {
        "matchers": [
            {"name": "cluster", "value": "weu-1", "isRegex": False, "isEqual": True},
            {"name": "alertname", "value": "EnvoyA|EnvoyB", "isRegex": True, "isEqual": True},
        ],
        "startsAt": "2026-11-22T07:00:00+00:00",
        "endsAt": "2026-11-22T07:30:00+00:00",
        "createdBy": "envoyfleet",
        "comment": "run 20261122T070000Z-upgrade of anna@j changes weu-1",
    }


def test_only_warnings_that_are_there_are_ever_silenced() -> None:
    warnings = {it.name for it in ALERTS if it.severity == "warning"}
    wanted = {name for names in silences.ROLL_OUTS.values() for name in names}
    assert wanted - warnings == set()
    assert all(silences.of(deploy) for deploy in silences.ROLL_OUTS)


def test_nothing_that_tells_what_users_get_is_silenced() -> None:
    told = [it for deploy in silences.ROLL_OUTS for it in silences.of(deploy)]
    words = ("Burn", "Errors", "Latency", "Backend", "Certificate", "Route", "Traffic")
    assert [it for it in told if any(word in it for word in words)] == []


def test_a_deploy_that_replaces_nothing_silences_nothing() -> None:
    assert silences.of("rotate_certificates") == silences.of("monitoring") == []


def test_what_a_run_left_is_what_it_made_and_did_not_lift() -> None:
    journal = [
        {"event": "silence", "cluster": "weu-1", "silence": "a"},
        {"event": "silence", "cluster": "weu-2", "silence": "b"},
        {"event": "silence", "cluster": "weu-1", "silence": "c"},
        {"event": "silence lifted", "cluster": "weu-1", "silence": "a"},
    ]
    assert silences.left_over(journal, "weu-1") == ["c"]
    assert silences.left_over([], "weu-1") == []

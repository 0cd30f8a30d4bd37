"""
The order of clusters, what a gate decides, and that no schedule of failures, approvals and stops
gets past it. ``ENVOYFLEET_SCHEDULES`` sets how many random schedules are tried.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tasks.plans.rings import (
    Decision,
    Situation,
    Wave,
    approved,
    broken_off,
    decide,
    passed,
    seconds,
    waves,
)

ZERO = Wave(0, 1, 1, ("a",))
ONE_1, ONE_2 = Wave(1, 1, 2, ("b",)), Wave(1, 2, 2, ("c",))


def test_waves_go_by_ring_and_name() -> None:
    assert waves({"c": 1, "a": 5, "b": 1}, {}) == [
        Wave(1, 1, 1, ("b", "c")),
        Wave(5, 1, 1, ("a",)),
    ]


def test_the_smallest_max_parallel_splits_a_ring() -> None:
    rings = {"a": 0, "b": 0, "c": 0, "d": 1}
    assert waves(rings, {"a": 5, "b": 2, "c": None, "d": 1}) == [
        Wave(0, 1, 2, ("a", "b")),
        Wave(0, 2, 2, ("c",)),
        Wave(1, 1, 1, ("d",)),
    ]


def test_newest_ring_first() -> None:
    assert [it.ring for it in waves({"a": 0, "b": 2}, {}, newest_first=True)] == [2, 0]


AFTER_ZERO = Situation(ZERO, ONE_1, clusters=3)
WITHIN_ONE = Situation(ONE_1, ONE_2, clusters=3)


@pytest.mark.parametrize(
    ("at", "decision"),
    [
        pytest.param(AFTER_ZERO, Decision("go on"), id="nothing against it"),
        pytest.param(
            replace(AFTER_ZERO, failed=["a"]),
            Decision(
                "hold",
                "budget",
                "after ring 0: 1 of 3 clusters failed (a), max_failed allows 0",
            ),
            id="budget spent",
        ),
        pytest.param(
            replace(WITHIN_ONE, failed=["b", "a"], allowed=1),
            Decision(
                "hold",
                "budget",
                "after ring 1, part 1 of 2: 2 of 3 clusters failed (a, b), max_failed allows 1",
            ),
            id="within a ring too",
        ),
        pytest.param(
            Situation(None, ZERO, clusters=3, failed=["c"]),
            Decision(
                "hold",
                "budget",
                "before ring 0: 1 of 3 clusters failed (c), max_failed allows 0",
            ),
            id="before the first ring",
        ),
        pytest.param(replace(AFTER_ZERO, failed=["a"], allowed=1), Decision("go on")),
        pytest.param(
            replace(AFTER_ZERO, stop="SIGUSR1", failed=["a"]),
            Decision("hold", "stop", "stop was asked (SIGUSR1): run the same command to go on"),
            id="a stop comes first",
        ),
        pytest.param(replace(AFTER_ZERO, bake=60), Decision("bake")),
        pytest.param(replace(AFTER_ZERO, bake=60, baked={}), Decision("go on"), id="baked"),
        pytest.param(
            replace(AFTER_ZERO, bake=60, baked={"a": "no answer"}, failed=["a"], allowed=3),
            Decision("hold", "budget", "while baking ring 0: a: no answer"),
            id="a failed bake holds, whatever the budget",
        ),
        pytest.param(
            replace(AFTER_ZERO, approval=True, bake=60),
            Decision("bake"),
            id="nobody is asked before it has baked",
        ),
        pytest.param(
            replace(AFTER_ZERO, approval=True),
            Decision("hold", "approval", "ring 1 waits for approval"),
        ),
        pytest.param(replace(AFTER_ZERO, approval=True, approved_by="ann"), Decision("go on")),
        pytest.param(
            replace(WITHIN_ONE, approval=True, bake=60),
            Decision("go on"),
            id="neither counts within a ring",
        ),
        pytest.param(
            Situation(None, ZERO, clusters=3, approval=True),
            Decision("hold", "approval", "ring 0 waits for approval"),
        ),
    ],
)
def test_decide(at: Situation, decision: Decision) -> None:
    assert decide(at) == decision


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("1h", 3600), ("0s", 0)])
def test_seconds(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "m", "1.5m", "-1s", "10 m", "1w"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a time such as "90s", "10m", "1h" or "30d"'):
        seconds(text)


def test_what_a_journal_tells() -> None:
    first = {"event": "gate", "ring": None, "part": None, "parts": None, "following": 0}
    entries: list[dict[str, Any]] = [
        {"event": "run", "id": "x"},
        {**first, "passed": True, "approved_by": "ann"},
        {"event": "change", "cluster": "a"},
        {"event": "change ended", "cluster": "a"},
        {"event": "gate", "ring": 0, "part": 1, "parts": 1, "following": 1, "passed": True},
        {"event": "change", "cluster": "b"},
        {"event": "gate", "ring": 1, "part": 1, "parts": 2, "following": 1, "passed": True},
        {"event": "gate", "ring": 1, "part": 2, "parts": 2, "following": 2, "passed": False},
    ]
    assert passed(entries) == {0}
    assert approved(entries) == {0: "ann"}
    assert broken_off(entries) == {"b"}


@dataclass
class Schedule:
    """
    What happens to a fleet of which cluster ``c<n>`` is in ring ``rings[n]``.

    + failing: each fails at this of its steps; 0 is before the first ring (not reached, stopped)
    + sick: those that fail while they bake; + closed: those outside their window
    + needs, given: approvals by ring; + stop_at: the step of the whole run at which a stop is asked
    + turns: how the clusters under way take turns
    """

    rings: list[int]
    max_parallel: dict[int, int] = field(default_factory=dict)
    allowed: int = 0
    failing: dict[int, int] = field(default_factory=dict)
    sick: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    bake: dict[int, int] = field(default_factory=dict)
    needs: set[int] = field(default_factory=set)
    given: set[int] = field(default_factory=set)
    stop_at: int | None = None
    turns: list[int] = field(default_factory=list)


STEPS = 3


@dataclass
class Simulated:
    """
    A fleet under ``decide``, step by step: what was done, in order, such as ("begun", "c0").
    """

    schedule: Schedule
    before: list[dict[str, Any]] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    steps: int = 0

    def run(self) -> Simulated:
        its = self.schedule
        names = {f"c{it}": ring for it, ring in enumerate(its.rings)}
        limits = {name: its.max_parallel.get(ring) for name, ring in names.items()}
        self.failed |= {f"c{it}" for it, at in its.failing.items() if at == 0}
        order = waves(names, limits)
        self._turn(0)
        for number, wave in enumerate(order):
            rule = self._gate(order[number - 1] if number else None, wave)
            if rule is not None:
                later = {name for it in order[number:] for name in it.clusters}
                self.held |= dict.fromkeys(later - self.failed - set(self.held), rule)
                return self
            self._wave(wave)
        return self

    def _turn(self, steps: int) -> None:
        self.steps += steps
        if self.steps == self.schedule.stop_at:
            self.log.append(("stop", ""))

    @property
    def stop(self) -> str | None:
        at = self.schedule.stop_at
        return None if at is None or self.steps < at else "SIGUSR1"

    def _gate(self, done: Wave | None, following: Wave) -> str | None:
        its, ring = self.schedule, following.ring
        bake = its.bake.get(done.ring, 0) if done and done.ring not in passed(self.before) else 0
        at = Situation(
            done,
            following,
            clusters=len(its.rings),
            failed=sorted(self.failed),
            allowed=its.allowed,
            stop=self.stop,
            approval=ring in its.needs,
            approved_by="ann" if ring in its.given else approved(self.before).get(ring),
            bake=bake,
        )
        decision = decide(at)
        if decision.action == "bake" and done:
            self.log.append(("baked", str(done.ring)))
            members = {f"c{it}" for it in its.sick if its.rings[it] == done.ring}
            baked = dict.fromkeys(members - self.failed - set(self.held), "sick")
            self.failed |= set(baked)
            self.log += [("sick", it) for it in baked]
            self._turn(1)
            decision = decide(replace(at, baked=baked, failed=sorted(self.failed), stop=self.stop))
        if done:
            self.journal.append(
                {
                    "event": "gate",
                    "ring": done.ring,
                    "part": done.part,
                    "parts": done.parts,
                    "following": ring,
                    "passed": decision.action == "go on",
                    "approved_by": at.approved_by,
                }
            )
        assert decision.action != "bake"
        return decision.rule

    def _wave(self, wave: Wave) -> None:
        its = self.schedule
        self.held |= {it: "window" for it in wave.clusters if int(it[1:]) in its.closed}
        left = {it: STEPS for it in wave.clusters if it not in self.failed and it not in self.held}
        self.log += [("begun", it) for it in sorted(left)]
        while left:
            self._turn(1)
            turn = its.turns[self.steps % len(its.turns)] if its.turns else 0
            name = sorted(left)[turn % len(left)]
            left[name] -= 1
            if its.failing.get(int(name[1:])) == STEPS - left[name]:
                self.failed.add(name)
                self.log.append(("failed", name))
                del left[name]
            elif not left[name]:
                self.log.append(("done", name))
                del left[name]


def drawn(seed: int) -> Schedule:
    """
    A random schedule. Drawn here and not by strategies, which take 20 times as long; a seed that
    fails is printed, and makes the same schedule again.
    """
    draw = Random(seed)
    size = draw.randint(1, 8)
    clusters, some_rings = range(size), range(4)

    def some(of: range, most: int) -> list[int]:
        return draw.sample(of, draw.randint(0, min(most, len(of))))

    return Schedule(
        rings=[draw.choice(some_rings) for _ in clusters],
        max_parallel={it: draw.randint(1, 3) for it in some(some_rings, 2)},
        allowed=draw.choice([0, 0, 1, 1, 2, 4]),
        failing={it: draw.randint(0, STEPS) for it in some(clusters, 4)},
        sick=set(some(clusters, 2)) if draw.random() < 0.3 else set(),
        closed=set(some(clusters, 2)) if draw.random() < 0.3 else set(),
        bake=dict.fromkeys(some(some_rings, 4), 60),
        needs=set(some(some_rings, 2)) if draw.random() < 0.5 else set(),
        given=set(some(some_rings, 4)),
        stop_at=draw.randint(0, 3 * size) if draw.random() < 0.3 else None,
        turns=[draw.randint(0, 7) for _ in range(4)],
    )


@settings(
    max_examples=int(os.environ.get("ENVOYFLEET_SCHEDULES", "2000")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)
@given(st.integers(0, 2**64 - 1))
@pytest.mark.timeout(7200)
def test_any_schedule(seed: int) -> None:
    schedule = drawn(seed)
    early = {f"c{it}" for it, at in schedule.failing.items() if at == 0}
    one = Simulated(schedule).run()
    _keeps_the_rules(schedule, one, early)

    # the same command again, approved and without a stop: only what failed holds it now
    rest = replace(schedule, stop_at=None, given=set(range(4)), sick=set(), closed=set())
    rest.failing = {it: at for it, at in rest.failing.items() if f"c{it}" not in one.failed}
    two = Simulated(rest, before=one.journal).run()
    _keeps_the_rules(rest, two, set())
    baked = [ring for what, ring in two.log if what == "baked"]
    assert not set(map(int, baked)) & passed(one.journal), "a gate that was passed bakes again"
    if len(rest.failing) <= rest.allowed:
        assert two.held == {}


def _keeps_the_rules(schedule: Schedule, it: Simulated, early: set[str]) -> None:
    ring = {f"c{n}": its for n, its in enumerate(schedule.rings)}
    begun = [name for what, name in it.log if what == "begun"]
    # nobody is lost: each is held, was begun, or never could be
    assert set(begun) | set(it.held) | early == set(ring)
    assert not set(begun) & set(it.held)
    assert len(set(begun)) == len(begun)
    # order, by ring and by what is under way
    assert [ring[name] for name in begun] == sorted(ring[name] for name in begun)
    under_way: set[str] = set()
    failed = set(early)
    for number, (what, name) in enumerate(it.log):
        if what == "baked":
            assert not under_way
            continue
        if what == "stop":
            assert "begun" not in [one for one, _ in it.log[number:]], "begun after a stop"
            continue
        if what == "sick":
            assert "begun" not in [one for one, _ in it.log[number:]], "begun after a bad bake"
        if what == "begun":
            assert {ring[one] for one in under_way} <= {ring[name]}
            assert len(failed) <= schedule.allowed, "begun although the budget was spent"
            under_way.add(name)
            limit = schedule.max_parallel.get(ring[name])
            assert limit is None or len(under_way) <= limit
        else:
            under_way.discard(name)
            failed |= set() if what == "done" else {name}
    # approvals
    assert all(ring[name] not in schedule.needs - schedule.given for name in begun)
    # the budget is exceeded by what was in flight at most
    if begun:
        last = ring[begun[-1]]
        in_flight = schedule.max_parallel.get(last, list(ring.values()).count(last))
        sick = [what for what, _ in it.log].count("sick")
        assert len(it.failed) <= schedule.allowed + max(in_flight, sick)
    else:
        assert it.failed == early

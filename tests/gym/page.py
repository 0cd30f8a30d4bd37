"""docs/diagnosis-score.md: how often a diagnosis is right, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.gym import ledger
from tests.gym.fault import Truth
from tests.gym.faults import EVERY
from tests.gym.judge import Row, Verdict
from tests.gym.score import WAYS, Total, total

HEAD = """\
# How often a diagnosis is right

`make score` writes this page. Nothing here is typed in: each bundle is diagnosed anew as
`python -m tasks.diagnosis` does it, and its first finding is held against the truth.

A fault is **found** where the first finding names its cause, its object (kind, namespace and name)
and who answered. **Recall** is the share of faults that are found; **precision** is the share of
findings that are true of the fault they were made on, whichever place they have. A **look-alike**
has the same shape and nothing wrong: any finding on it is an accusation, and counts against
precision.
"""
GYM = """\
## The gym: a real cluster with a real control plane

One fault at a time on a cluster of the lab, Envoy Gateway 1.9.1 with its own Envoy. *Bundle* is
what `deploys/support_bundle.py` writes, diagnosed offline and anew for this page; *live* is what
the same reading of the cluster said at the moment it was taken, and is kept with the recording
(`python -m tests.gym --all --keep` makes it anew). Both call the functions behind the deploys. The
columns *diagnose.py* and *support_bundle.py* are the commands of an operator, each a process of its
own: `pyinfra inventory/lab.py deploys/diagnose.py --data output=json --data request=...` must end
with exit 3 and the right first finding, and with exit 0 and none on a look-alike; the bundle of
`deploys/support_bundle.py` is given to `python -m tasks.diagnosis` in an empty folder, without the
cluster's settings. These are not judged anew, for the cluster has gone: they are what was said when
they were played.

*yes* is found; *no field* is found, but another field of the object is named; else the page says
what was concluded. The last column counts accusations of the look-alike, in the order of the
columns before. *-* was not played, or cannot be.

What differs from a cluster of yours: names are not in DNS, so each request says its address; Envoy
writes its access log five times a second instead of every ten seconds; a diagnosis waits 3 s before
it holds a new condition for settled, and the gym asks as if they had passed; the CNI of the lab
enforces no NetworkPolicy, so a packet filter drops what the one of the gym would; applications that
break protocols run outside of the cluster, behind Services without a selector.

The gym is not held out: what it found wrong in the diagnosis was mended, so this table says what is
kept right from then on. Three faults have no live column, for one more request cannot show them (a
connection that was opened for another host, an old client, a client that gives up). Where a fault
shows by an endpoint, an application or a listener, more than one object may count as named; the
list is in `tests/gym/faults`.
"""
HOW = """\
### To play it through the deploys

It needs root and a lab of one cluster; `--only` takes names of faults, `--after` goes on behind the
last one that was played, and each row is kept as soon as it is there. It takes an hour and more.

```console
$ .venv/bin/python -m tasks.lab up 1 --name gym
$ .venv/bin/python -m tests.gym --lab gym --all --through-deploys --keep
$ make score
$ .venv/bin/python -m tasks.lab down --name gym
```

It prints a row for each fault and the sums, and ends with exit 1 where a judgement is wrong. Where
several requests are needed to show a fault, they go on while the deploys run. The bundle of a fault
that one more request cannot show gets the `client.json` of what the client saw, as the
[page of bundles](support_bundle.md) says.
"""
CAPTURES = """\
## Captured faults: an Envoy alone

The shared scenarios and captures of our own (docs/diagnosis-captures.md), in the shapes of Envoy
Gateway and of a plain Envoy. *ok* are captures in which nothing is wrong.
"""


def page(captures: Sequence[Any], rows: Sequence[Row]) -> str:
    """+ captures: ``tests.score.Judged`` of each"""
    parts = [HEAD, *_totals(captures, rows), CAPTURES, *_captures(captures)]
    parts += [GYM, *_gym(rows), HOW]
    return "\n".join(parts).rstrip() + "\n"


def _totals(captures: Sequence[Any], rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | faults | recall | precision | look-alikes | accused |"
    yield "| --- | --- | --- | --- | --- | --- |"
    faults = [it for it in captures if it.wanted != "ok"]
    well = [it for it in captures if it.wanted == "ok"]
    accused = [it for it in captures if it.got != "ok"]
    yield _total(
        "captures",
        len(faults),
        sum(map(_found, faults)) / max(len(faults), 1),
        sum(it.right for it in accused) / max(len(accused), 1),
        len(well),
        sum(it.count > 0 for it in well),
    )
    for way in WAYS:
        it = total(rows, way)
        yield _total(f"gym, {way}", it.faults, it.recall, it.precision, it.alikes, it.accused)
    yield ""


def _total(
    what: str, faults: int, recall: float, precision: float, alikes: int, accused: int
) -> str:
    return f"| {what} | {faults} | {recall:.3f} | {precision:.3f} | {alikes} | {accused} |"


def _found(it: Any) -> bool:
    return bool(it.right and it.answered and it.object)


def _captures(captures: Sequence[Any]) -> Iterator[str]:
    by_cause: dict[str, list[Any]] = defaultdict(list)
    for it in captures:
        by_cause[it.wanted].append(it)
    said: dict[str, list[Any]] = defaultdict(list)
    for it in captures:
        said[it.got].append(it)
    yield "| cause | captures | found | recall | said | precision | taken for |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for cause, those in sorted(by_cause.items()):
        found = sum(map(_found, those))
        true = sum(it.right for it in said[cause])
        precision = f"{true / len(said[cause]):.2f}" if said[cause] else "-"
        others = sorted({it.got for it in those if not it.right})
        yield (
            f"| {cause} | {len(those)} | {found} | {found / len(those):.2f} | {len(said[cause])} | "
            f"{precision} | {', '.join(others)} |"
        )
    yield ""


def _gym(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| fault | truth | {' | '.join(WAYS)} | look-alike |"
    yield f"| --- | --- | {'--- | ' * len(WAYS)}--- |"
    for row in rows:
        it = row.it
        name = f"{it.name}: {it.notes}" if it.notes else it.name
        cells = [verdict(row.fault.get(way)) for way in WAYS]
        cells.append(", ".join(accused(row.alike.get(way)) for way in WAYS))
        yield f"| {name} | {_truth(it.truth)} | {' | '.join(cells)} |"
    yield ""
    yield from _left(rows)
    for way in WAYS:
        yield summed(total(rows, way))
        yield ""


def _left(rows: Sequence[Row]) -> Iterator[str]:
    """What the table does not have yet, and of when the rest is."""
    for said, way in (("recorded", "bundle"), ("played through the deploys", ledger.BUNDLE)):
        known = {it.it.name for it in rows if way in (it.fault if it.it.truth else it.alike)}
        if left := [it.name for it in EVERY if it.name not in known]:
            yield f"Described and not {said} yet: {', '.join(left)}."
            yield ""
    if noted := ledger.kept():
        yield f"Played through the deploys: {ledger.played(noted)}."
        yield ""


def summed(it: Total) -> str:
    """In a sentence, such as "live: 88 of 88 faults found, ..."."""
    return (
        f"{it.way}: {it.found} of {it.faults} faults found, {it.fields} with the "
        f"field; {it.right} of {it.findings} findings are true; {it.accused} of {it.alikes} "
        "look-alikes accused."
    )


def _truth(truth: Truth | None) -> str:
    if truth is None:
        return "nothing wrong"
    kind, namespace, name = truth.thing
    return f"{truth.cause}, {kind} {f'{namespace}/' if namespace else ''}{name}"


def verdict(it: Verdict | None) -> str:
    """A cell of the table: whether a fault was found."""
    if it is None:
        return "-"
    more = f", {it.wrong} wrong besides" if it.found and it.wrong else ""
    if not it.found:
        return it.said
    return ("yes" if it.field else "no field") + more


def accused(it: Verdict | None) -> str:
    """A cell of the table: how many findings there are of a look-alike."""
    return "-" if it is None else str(it.wrong)

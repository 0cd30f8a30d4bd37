"""docs/side-by-side.md: what was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.measuring import REPOSITORY
from benchmarks.sides.commands import NOTHING
from benchmarks.sides.rows import (
    CURVE,
    GRID,
    HEAD,
    OURS,
    Row,
    Scene,
    by_scene,
    judged,
    losing,
)

PAGE = REPOSITORY / "docs/side-by-side.md"
INTRO = """\
# Beside Ansible, and beside bash around kubectl and helm

The same work by three sides, on the same API servers, to the same end state, which a reader of its
own verifies from the API servers alone. `make bench` measures it;
`.venv/bin/python benchmarks/side_by_side.py --page` writes this page from what was measured last
(benchmarks/sides/results.jsonl).

+ **envoyfleet**: a deploy as an operator runs it. Its checks, lock and journal are in the figures.
+ **ansible N**: `ansible-playbook --forks N` with kubernetes.core's `k8s` and `helm` modules and
  server-side apply, facts not gathered (benchmarks/sides/ansible/; versions with their hashes in
  benchmarks/sides/requirements.txt).
+ **bash**: `xargs -P 16` over a script with kubectl and helm (benchmarks/sides/bash/). It looks at
  the release first and leaves the chart alone where it is as wanted.

Eight real API servers, each with its etcd; a stand-in plays the controller of Envoy Gateway and
the Pods' readiness, so that waits are real and short. Where a scene has more clusters than eight,
several contexts share a server, each through a line of its own with TLS and an identity of its own
(tests/lab/distant.py); those scenes change nothing. Processor time is that of a side's processes
alone, memory their sum (PSS) at its highest, requests what the API servers' audit logs count. The
machine has two cores, which the API servers and the lines share with the side that is measured:
wall times of sides that keep both cores busy are longer than elsewhere, processor times are not.
Of three clusters that fail one refuses connections, one knows no token, one never answers; a run
that has not ended after ten minutes there is killed: exit -9.
"""


def write(rows: Sequence[Row]) -> None:
    PAGE.write_text("\n".join(text(rows)))


def table(rows: Sequence[Row]) -> str:
    """A table a scene, and how much less of the processor ours took than each peer."""
    lines: list[str] = []
    for title, those in by_scene(rows).items():
        ours = next((it for it in those if it.side == OURS), None)
        lines += [f"### {title}", "", *_head([*HEAD, "CPU against ours"])]
        for it in those:
            times = f"{it.processor / ours.processor:.1f}" if ours and it != ours else ""
            lines.append(_line([*it.cells, times]))
        lines.append("")
    return "\n".join(lines)


def text(rows: Sequence[Row]) -> Iterator[str]:
    yield INTRO
    days = sorted({it.when[:10] for it in rows})
    yield f"Measured on {' and '.join(days)}.\n" if days else "Nothing was measured yet.\n"
    yield "## Bounds\n"
    yield from _head(["", "measured"])
    yield from (_line(["kept" if good else "**missed**", said]) for good, said in judged(rows))
    yield "\n## Where a peer is better\n"
    yield from (f"- {it}" for it in [*losing(rows)] or ["nowhere"])
    yield "\n## Nothing to do: how far away, and how many requests fail\n"
    yield "Seconds of wall and of processor time; exit codes other than 0 in brackets.\n"
    yield from _grid(rows)
    yield "\n## What a cluster costs\n"
    yield from _curve(rows)
    yield "\n## Scene by scene\n"
    grid = {Scene(NOTHING, 16, *it).title for it in GRID if it != (50, 0.0)}
    alone = {Scene(NOTHING, it).title for it in CURVE if it != 64}
    yield table([it for it in rows if it.scene not in grid | alone])


def _grid(rows: Sequence[Row]) -> Iterator[str]:
    titles = {Scene(NOTHING, 16, *it).title: it for it in GRID}
    those = [it for it in rows if it.scene in titles]
    yield from _head(["side", *(f"{ms} ms, {errors:.0%}" for ms, errors in GRID)])
    for side in dict.fromkeys(it.side for it in those):
        cells = []
        for title in titles:
            one = next((it for it in those if (it.scene, it.side) == (title, side)), None)
            codes = sorted({str(it) for it in one.codes if it}) if one else []
            text = f"{one.wall:.1f} / {one.processor:.1f}" if one else ""
            cells.append(f"{text} ({', '.join(codes)})" if codes else text)
        yield _line([side, *cells])


def _curve(rows: Sequence[Row]) -> Iterator[str]:
    yield from _head(["clusters", "wall s", "CPU s", "CPU a cluster", "memory MB", "requests"])
    for count in CURVE:
        title = Scene(NOTHING, count).title
        for it in (it for it in rows if (it.scene, it.side) == (title, OURS)):
            each = f"{1000 * it.processor / count:.0f} ms"
            figures = [f"{it.wall:.1f}", f"{it.processor:.1f}", each, f"{it.memory:.0f}"]
            yield _line([str(count), *figures, f"{it.requests:.0f}"])


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""
Whether the cases of tests/alerts notice a rule that is wrong: every threshold, comparison, matcher,
aggregation, window and duration is changed on its own, and promtool is asked again.

    python -m tests.mutations                    all of them, with those that nobody noticed
    python -m tests.mutations --rule EnvoyProxyDown
    python -m tests.mutations --every 12         each twelfth alone

What occurs several times in an expression, such as a matcher of each part of a sum, is changed
everywhere at once: changed in one place alone it often means the same.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import promql_parser

from tests import promtool

#: Of mutants in one process of promtool.
TOGETHER = 100
BOUND = 0.9
_TEXT = r'"[^"]*"'
_NUMBER = re.compile(rf"{_TEXT}|(?<![\w.:\[-])(\d+(?:\.\d+)?)(?![\w.\]])")
_DURATION = re.compile(rf"{_TEXT}|(\[\d+[smhd]\]|offset \d+[smhd])")
_MATCHER = re.compile(r'[{,] *(\w+ *(?:=~|!~|!=|=) *"[^"]*")')
_LABELS = re.compile(r"\b(by|without|on) \(([^()]+)\)")
_COMPARED = {">": (">=", "<"), ">=": (">", "<="), "<": ("<=", ">"), "==": ("!=",), "!=": ("==",)}
_SETS = {"and": ("or", "unless"), "unless": ("and",), "or": ("and",)}
_SUMS = {"/": ("*",), "*": ("/",), "-": ("+",), "+": ("-",)}
_FUNCTIONS = {
    "sum": ("max", "count"),
    "max": ("min", "sum"),
    "min": ("max",),
    "count": ("sum",),
    "rate": ("increase",),
    "increase": ("delta",),
    "resets": ("changes",),
    "changes": ("resets",),
    "avg_over_time": ("max_over_time",),
    "max_over_time": ("min_over_time",),
    "min_over_time": ("max_over_time",),
    "sum_over_time": ("max_over_time",),
    "clamp_min": ("clamp_max",),
}
_WORD = re.compile(rf"{_TEXT}|\b({'|'.join(_FUNCTIONS)}|and|or|unless)\b(?=[ (\n])")
_SIGN = re.compile(rf"{_TEXT}|(?<= )(>=|<=|==|!=|>|<|/|\*|-|\+)(?= )")


@dataclass(frozen=True)
class Mutant:
    """+ what: was changed, such as "> becomes >="; + changed: the rule as it is then"""

    rule: str
    what: str
    changed: Mapping[str, Any]


def mutants(rule: Mapping[str, Any]) -> list[Mutant]:
    """Every change of one rule that Prometheus can still read."""
    name = rule.get("alert") or rule["record"]
    found = {
        expr: Mutant(name, what, {**rule, "expr": expr})
        for what, expr in _expressions(rule["expr"])
        if expr != rule["expr"] and _is_read(expr)
    }
    return [*found.values(), *(Mutant(name, what, it) for what, it in _settings(rule))]


def _expressions(expr: str) -> Iterator[tuple[str, str]]:
    yield from _replaced(expr, _NUMBER, _other_numbers)
    yield from _replaced(expr, _SIGN, lambda it: (_COMPARED | _SUMS)[it])
    yield from _replaced(expr, _WORD, lambda it: (_SETS | _FUNCTIONS)[it])
    for duration in dict.fromkeys(it for it in _DURATION.findall(expr) if it):
        for factor in (2, 0.5):
            other = _scaled(duration, factor)
            yield f"{duration} becomes {other}", expr.replace(duration, other)
    for matcher in dict.fromkeys(_MATCHER.findall(expr)):
        yield f"without {matcher}", _without(expr, matcher)
        yield f"not {matcher}", expr.replace(matcher, _negated(matcher))
    for modifier, labels in dict.fromkeys(_LABELS.findall(expr)):
        for label in labels.split(", "):
            fewer = ", ".join(it for it in labels.split(", ") if it != label)
            yield (
                f"{modifier} ({labels}) without {label}",
                expr.replace(f"{modifier} ({labels})", f"{modifier} ({fewer})"),
            )


def _settings(rule: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "alert" not in rule:
        return
    for lasts in ("5m",) if rule["for"] == "0m" else (_scaled(rule["for"], it) for it in (2, 0.5)):
        yield f"for {rule['for']} becomes {lasts}", {**rule, "for": lasts}
    other = {"critical": "warning", "warning": "critical"}[rule["labels"]["severity"]]
    yield f"severity becomes {other}", {**rule, "labels": {**rule["labels"], "severity": other}}


def _replaced(
    expr: str, pattern: re.Pattern[str], others: Callable[[str], Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Each place on its own."""
    for found in pattern.finditer(expr):
        if found[1]:
            for it in others(found[1]):
                place = f"{found[1]} at {found.start(1)}"
                yield f"{place} becomes {it}", expr[: found.start(1)] + it + expr[found.end(1) :]


def _other_numbers(text: str) -> tuple[str, ...]:
    value = float(text)
    return (f"{value * 1.25:.12g}", f"{value * 0.8:.12g}") if value else ("1",)


def _scaled(duration: str, factor: float) -> str:
    """ "[5m]" and "offset 5m" and "5m", twice or half as long, in seconds."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return re.sub(
        r"(\d+)([smhd])", lambda it: f"{int(it[1]) * seconds[it[2]] * factor:.0f}s", duration
    )


def _without(expr: str, matcher: str) -> str:
    return re.sub(rf", *{re.escape(matcher)}|{re.escape(matcher)}(, *)?", "", expr)


def _negated(matcher: str) -> str:
    opposite = {"=~": "!~", "!~": "=~", "!=": "=", "=": "!="}
    return re.sub(r"=~|!~|!=|=", lambda it: opposite[it[0]], matcher, count=1)


def _is_read(expr: str) -> bool:
    try:
        promql_parser.parse(expr)
    except ValueError:
        return False
    return True


def survivors(wanted: Sequence[Mutant], folder: Path) -> list[Mutant]:
    """Those that no case notices."""
    rules, cases = promtool.rules(), promtool.cases()
    found: list[Mutant] = []
    queue = iter(enumerate(wanted))
    while together := dict(islice(queue, TOGETHER)):
        paths = {
            number: promtool.write(
                folder,
                str(number),
                it.changed,
                [one for one in cases if one.rule == it.rule],
                judged=rules[it.rule],
            )
            for number, it in together.items()
        }
        noticed = promtool.run(paths.values())
        found += [it for number, it in together.items() if paths[number].name not in noticed]
    return found


def main() -> int:
    """Print a line a rule, those that nobody noticed, and the score."""
    options = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    options.add_argument("--rule", help="of this alert or recorded series alone")
    options.add_argument("--every", type=int, default=1, metavar="N", help="each Nth alone")
    given = options.parse_args()
    rules = promtool.rules().values()
    every = [it for rule in rules for it in mutants(rule) if given.rule in (None, it.rule)]
    wanted = every[:: given.every]
    with tempfile.TemporaryDirectory() as folder:
        alive = survivors(wanted, Path(folder))
    total, left = Counter(it.rule for it in wanted), Counter(it.rule for it in alive)
    for rule, count in total.items():
        print(f"{rule}: {count - left[rule]} of {count}")
    for it in alive:
        print(f"not noticed: {it.rule}: {it.what}")
    score = 1 - len(alive) / len(wanted)
    print(f"{len(wanted) - len(alive)} of {len(wanted)} mutants of {len(total)} rules: {score:.1%}")
    return 0 if score >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())

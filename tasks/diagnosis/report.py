"""
A diagnosis as people read it: a table on a terminal, plain lines, Markdown, or one page of HTML;
for one cluster or bundle, and for a fleet, where the same cause is said once.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

from tasks.diagnosis.diagnosis import SCHEMA, Diagnosis, Found, as_json
from tasks.diagnosis.evidence import Evidence

Output = Literal["table", "lines", "markdown", "html", "json"]
OUTPUTS: tuple[Output, ...] = get_args(Output)

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "diagnosis"
_CONTROL = re.compile(
    r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
_MARKDOWN = re.compile(r"([\\`*\[\]<>#|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WIDE = 160
_RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Same:
    """
    One cause on some clusters. + objects: by their text, on which clusters each has it
    + first: of all that are meant, the surest
    """

    first: Found
    objects: Mapping[str, Sequence[str]]

    @property
    def clusters(self) -> list[str]:
        return list(dict.fromkeys(it for names in self.objects.values() for it in names))

    @property
    def text(self) -> str:
        """Such as "on 14 clusters: Gateway edge/public (12), Gateway edge/admin (2)"."""
        names = self.clusters
        where = f"on {len(names)} clusters" if len(names) > 1 else f"on {names[0]}"
        if len(self.objects) == 1:
            return f"{where}: {next(iter(self.objects))}"
        counted = sorted(self.objects.items(), key=lambda it: (-len(it[1]), it[0]))
        return f"{where}: {', '.join(f'{name} ({len(it)})' for name, it in counted)}"


def same(diagnoses: Mapping[str, Diagnosis]) -> list[Same]:
    """
    What is wrong on the clusters of a fleet, each cause once: errors first, then what most clusters
    have. + diagnoses: by cluster
    """
    kinds: dict[tuple[str, str, str], list[tuple[str, Found]]] = {}
    for name, it in diagnoses.items():
        for found in it.findings:
            kinds.setdefault((found.code, found.object.kind, found.field), []).append((name, found))
    every = []
    for members in kinds.values():
        objects: dict[str, list[str]] = {}
        for name, found in members:
            clusters = objects.setdefault(found.object.text, [])
            if name not in clusters:
                clusters.append(name)
        every.append(Same(max((it for _, it in members), key=lambda it: it.confidence), objects))
    return sorted(
        every, key=lambda it: (_RANK[it.first.severity], -len(it.clusters), it.first.code)
    )


def looked_at(it: Evidence) -> str:
    """Such as "4 requests, 7 lines of access logs, 1 proxy, 13 objects"."""
    counted = (
        (len(it.exchanges), "request"),
        (len(it.entries), "line of access logs"),
        (len(it.proxies), "proxy"),
        (len(it.objects or ()), "object"),
    )
    return ", ".join(_count(number, word) for number, word in counted if number) or "nothing"


def _count(number: int, word: str) -> str:
    if number == 1:
        return f"1 {word}"
    first, *rest = word.split(" ")
    plural = first.removesuffix("y") + "ies" if first.endswith("xy") else f"{first}s"
    return " ".join((str(number), plural, *rest))


def write(
    it: Diagnosis, output: Output, stream: IO[str], looked: str = "", title: str = "Diagnosis"
) -> None:
    """
    Print one diagnosis.

    + looked: ``looked_at``, which is all there is to say where nothing is wrong
    + title: of a page, such as "Diagnosis of weu-1"
    """
    if output == "json":
        _write_json(as_json(it), stream)
        return
    of_fleet({title: it}, output, stream, {title: looked}, title=title)


def of_fleet(
    diagnoses: Mapping[str, Diagnosis],
    output: Output,
    stream: IO[str],
    looked: Mapping[str, str] | None = None,
    title: str = "Diagnosis of the fleet",
) -> None:
    """
    Print the diagnoses of a fleet; more than one: what they have in common first.

    + diagnoses, looked: by cluster
    """
    if output == "json":
        clusters = [{"name": name, **as_json(it)} for name, it in diagnoses.items()]
        _write_json({"schema": SCHEMA, "clusters": clusters, "same": _same(diagnoses)}, stream)
        return
    page = _page(diagnoses, looked or {}, title)
    if output in ("markdown", "html"):
        stream.write(_template(output).render(page=page))
    elif output == "lines":
        stream.writelines(f"{it}\n" for it in _lines(page))
    else:
        _write_table(page, stream)


def _write_json(document: object, stream: IO[str]) -> None:
    json.dump(document, stream, indent=2)
    stream.write("\n")


def _same(diagnoses: Mapping[str, Diagnosis]) -> list[dict[str, Any]]:
    return [
        {
            "code": it.first.code,
            "cause": it.first.cause,
            "severity": it.first.severity,
            "field": it.first.field,
            "clusters": it.clusters,
            "objects": {name: list(names) for name, names in it.objects.items()},
            "sentence": it.first.sentence,
            "fix": it.first.fix,
        }
        for it in same(diagnoses)
    ]


def _page(
    diagnoses: Mapping[str, Diagnosis], looked: Mapping[str, str], title: str
) -> dict[str, Any]:
    """What every form shows, as plain text: names and messages come from clusters."""
    shared = [] if len(diagnoses) < 2 else [_shared(it) for it in same(diagnoses)]
    clusters = [_cluster(name, it, looked.get(name, "")) for name, it in diagnoses.items()]
    every = (found for it in diagnoses.values() for found in it.findings)
    page = {"title": title, "same": shared, "clusters": clusters, "summary": _summary(every)}
    return dict(_plain(page))


def _shared(it: Same) -> dict[str, Any]:
    found = it.first
    return {**_found(found), "object": it.text, "clusters": it.clusters}


def _cluster(name: str, it: Diagnosis, looked: str) -> dict[str, Any]:
    answered = f"answered by {it.answered_by}" + (f": {it.reason}" if it.reason else "")
    return {
        "name": name,
        "answered": answered if it.reason else "",
        "healthy": f"nothing found; looked at {looked or 'what there is'}",
        "findings": [_found(one) for one in it.findings],
        "ruled_out": list(it.ruled_out),
        "gaps": [f"{one.what} ({one.why}): {one.cost}" for one in it.gaps],
        "skipped": [f"{one.what}: {one.count} skipped: {one.why}" for one in it.skipped],
        "notes": list(it.notes),
    }


def _found(it: Found) -> dict[str, Any]:
    return {
        "severity": it.severity,
        "code": it.code,
        "cause": it.cause,
        "confidence": f"{round(100 * min(1.0, max(0.0, it.confidence)))} %",
        "answered_by": it.answered_by,
        "object": it.object.text + (f", {it.field}" if it.field else ""),
        "where": it.where,
        "sentence": it.sentence,
        "evidence": list(it.evidence),
        "fix": it.fix,
        "docs": f"docs/findings.md#{it.code.lower()}",
    }


def _summary(found: Iterable[Found]) -> str:
    counts = Counter(it.severity for it in found)
    if not counts:
        return ""
    return ", ".join(_count(counts[it], it) for it in ("error", "warning", "info"))


def _lines(page: Mapping[str, Any]) -> list[str]:
    lines = [_line_of(it) for it in page["same"]]
    alone = len(page["clusters"]) == 1
    for it in page["clusters"]:
        begin = "" if alone else f"{it['name']}: "
        if not it["findings"]:
            lines.append(begin + it["healthy"])
        if it["answered"]:
            lines.append(begin + it["answered"])
        for found in it["findings"]:
            lines += [begin + _line_of(found), *_indented("evidence", found["evidence"])]
        lines += [f"{begin}{label}: {_one_line(text)}" for label, text in _rest(it)]
    if page["summary"]:
        lines.append(page["summary"])
    return lines


def _line_of(it: Mapping[str, Any]) -> str:
    where = f" ({it['where']})" if it["where"] else ""
    return _one_line(
        f"{it['severity']} {it['code']} {it['cause']} ({it['confidence']}) {it['object']}{where}: "
        f"{it['sentence']}: {it['fix']} ({it['docs']})"
    )


def _indented(label: str, texts: Sequence[str]) -> list[str]:
    return [f"  {label}: {_one_line(it)}" for it in texts]


def _rest(it: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is said beside findings, each under its label."""
    kinds = (("ruled out", "ruled_out"), ("not read", "gaps"), ("skipped", "skipped"))
    return [(label, text) for label, key in (*kinds, ("note", "notes")) for text in it[key]]


def _write_table(page: Mapping[str, Any], stream: IO[str]) -> None:
    """Colours follow the terminal and NO_COLOR, which rich reads. Cells are text, never markup."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, width=None if stream.isatty() else _WIDE, highlight=False)
    for it in page["same"]:
        console.print(Text(_line_of(it), style=_COLOURS.get(it["severity"], "")))
    alone = len(page["clusters"]) == 1
    for it in page["clusters"]:
        if not alone:
            console.print(Text(it["name"], style="bold"))
        if not it["findings"]:
            console.print(Text(it["healthy"], style="green"))
        if it["answered"]:
            console.print(Text(it["answered"]))
        for found in it["findings"]:
            console.print(_card(found))
        for label, text in _rest(it):
            console.print(Text(f"{label}: {_one_line(text)}", style="dim"))
    if page["summary"]:
        console.print(Text(page["summary"]))


def _card(it: Mapping[str, Any]) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    head = Text(f"{it['severity']} {it['code']} {it['cause']}", style=_COLOURS[it["severity"]])
    rows = [
        ("", head),
        ("where", Text(it["object"] + (f" ({it['where']})" if it["where"] else ""))),
        ("cause", Text(it["sentence"])),
        ("sure", Text(f"{it['confidence']}, answered by {it['answered_by']}")),
        *(("evidence", Text(_one_line(one))) for one in it["evidence"]),
        ("fix", Text(it["fix"])),
        ("see", Text(it["docs"])),
    ]
    for label, text in rows:
        table.add_row(label, text)
    return table


def _template(output: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = lambda it: _MARKDOWN.sub(r"\\\1", _one_line(it))
    environment.filters["code"] = _code
    environment.filters["block"] = _block
    return environment.get_template(f"diagnosis.{ {'markdown': 'md'}.get(output, output) }.j2")


def _code(text: str) -> str:
    """A span of code that what is in it cannot end."""
    line = _one_line(text) or " "
    fence = "`" * (1 + max((len(it) for it in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"`{line}`"


def _block(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(it) for it in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text.strip()}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(thing: Any) -> Any:
    if isinstance(thing, Mapping):
        return {key: _plain(it) for key, it in thing.items()}
    if isinstance(thing, list):
        return [_plain(it) for it in thing]
    return _CONTROL.sub("", thing) if isinstance(thing, str) else thing

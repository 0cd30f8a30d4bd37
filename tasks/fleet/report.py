"""
What a run leaves behind: ``runs/<id>/report.json`` (stable schema), ``.md``, ``.html`` and
``junit.xml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from tasks.plans import run_pages
from tasks.plans.evidence import duration, moment
from tasks.plans.timeline import step_name

SCHEMA = "envoyfleet.run/1"
#: Characters that a comment on a pull request may have (GitHub: 65,536).
COMMENT = 65_000
#: Steps that did not succeed, and what is said of one without a message.
UNDONE = {"failed": "failed", "running": "interrupted"}
CONTROL = re.compile(
    r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def write(folder: Any, document: dict[str, Any], journal: Iterable[Mapping[str, Any]] = ()) -> None:
    """
    All four files, each whole or not at all.

    + journal: the entries of journal.jsonl, which the page tells of
    """
    document = plain(document)
    page = run_pages.page(document, plain([*journal]))
    html = templates("report").get_template("report.html.j2")
    files = {
        "report.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        "report.md": markdown(document, page),
        "report.html": html.render(run=document, page=page),
        "junit.xml": junit(document),
    }
    for name, text in files.items():
        put(folder / name, text)


def markdown(document: dict[str, Any], page: run_pages.Page) -> str:
    """
    For a pull request. What does not fit into its comment is left out: steps first, then diffs,
    then the rows of clusters that are as they should be.
    """
    template = templates("report").get_template("report.md.j2")
    text = ""
    for detail in ("steps", "changes", "fleet", "problems"):
        text = str(template.render(run=document, page=page, detail=detail))
        if len(text) <= COMMENT:
            return text
    return text[: COMMENT - 2] + "…\n"


def templates(folder: str) -> Any:
    """The pages in a folder of templates/, with the filter ``cell`` for tables in Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    from tasks.fleet.render import TEMPLATES

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / folder),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell": lambda it: one_line(it).replace("|", r"\|"),
        "duration": duration,
        "fence": run_pages.fence,
        "moment": moment,
        "lost": run_pages.lost,
        "step_name": step_name,
    }
    environment.globals["status_tone"] = run_pages.STATUSES
    return environment


def one_line(text: object) -> str:
    """Its words with single spaces."""
    return " ".join(str(text).split())


def put(path: Any, text: str) -> None:
    """All of a file or nothing of it, for its owner alone."""
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def plain(thing: Any) -> Any:
    """Without colours and control characters, which programs print and no XML may hold."""
    if isinstance(thing, dict):
        return {plain(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [plain(it) for it in thing]
    return CONTROL.sub("", thing) if isinstance(thing, str) else thing


def junit(document: dict[str, Any]) -> str:
    """One suite a cluster, one case a step, as CI systems read it (the JUnit XML of Apache Ant)."""
    root = ElementTree.Element("testsuites", name=document["deploy"])
    for cluster in document["clusters"]:
        steps, status = cluster["steps"], cluster["status"]
        left_out = status in ("held", "waiting", "not run")
        without_step = not steps or left_out
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=cluster["name"],
            tests=str(len(steps) + without_step),
            failures=str(
                sum(it["status"] in UNDONE for it in steps) + (without_step and not left_out)
            ),
            skipped=str(left_out + sum(it["status"] == "skipped" for it in steps)),
        )
        for step in steps:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                name=step["name"],
                classname=cluster["name"],
                time=str(step["seconds"]),
            )
            if step["status"] == "skipped":
                ElementTree.SubElement(case, "skipped")
            if step["status"] in UNDONE:
                message = one_line(step["error"] or UNDONE[step["status"]])
                ElementTree.SubElement(case, "failure", message=message)
        if without_step:
            case = ElementTree.SubElement(suite, "testcase", name=status, classname=cluster["name"])
            message = one_line(cluster["why"] or status)
            ElementTree.SubElement(case, "skipped" if left_out else "failure", message=message)
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )

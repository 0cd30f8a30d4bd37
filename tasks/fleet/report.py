"""
What a run leaves behind: ``runs/<id>/report.json`` (stable schema), ``.md``, ``.html`` and
``junit.xml``.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

SCHEMA = "envoyfleet.run/1"
#: Steps that did not succeed, and what is said of one without a message.
UNDONE = {"failed": "failed", "running": "interrupted"}
CONTROL = re.compile(
    r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def write(folder: Any, document: dict[str, Any]) -> None:
    """All four files, each whole or not at all."""
    pages, document = templates("report"), plain(document)
    files = {
        "report.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        "report.md": pages.get_template("report.md.j2").render(run=document),
        "report.html": pages.get_template("report.html.j2").render(run=document),
        "junit.xml": junit(document),
    }
    for name, text in files.items():
        put(folder / name, text)


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
    environment.filters["cell"] = lambda it: " ".join(str(it).split()).replace("|", r"\|")
    return environment


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
                message = step["error"] or UNDONE[step["status"]]
                ElementTree.SubElement(case, "failure", message=message)
        if without_step:
            case = ElementTree.SubElement(suite, "testcase", name=status, classname=cluster["name"])
            ElementTree.SubElement(
                case, "skipped" if left_out else "failure", message=cluster["why"] or status
            )
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )

"""The evidence of a drill in the run's folder: JSON, Markdown and one HTML page."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.fleet.render import SAFE, TEMPLATES
from tasks.fleet.report import plain
from tasks.plans.evidence import duration


def write(folder: Path, document: dict[str, Any]) -> dict[str, str]:
    """
    ``drill-<source>.json``, ``.md`` and ``.html``, 0600; the SHA-256 of each by its name.

    + document: ``tasks.plans.evidence.document``
    """
    document = plain(document)
    texts = {
        "json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        "md": _rendered("evidence.md.j2", document),
        "html": _rendered("evidence.html.j2", document),
    }
    digests = {}
    for ending, text in texts.items():
        path = folder / f"drill-{SAFE.sub('_', document['source'])}.{ending}"
        part = path.with_name(f".{path.name}.part")
        part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        digests[path.name] = sha256(text.encode()).hexdigest()
    return digests


def _rendered(template: str, document: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "drill"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = lambda it: " ".join(str(it).split()).replace("|", r"\|")
    environment.filters["duration"] = duration
    environment.filters["yes"] = lambda it: {True: "yes", False: "no"}.get(it, "")
    return environment.get_template(template).render(drill=document)

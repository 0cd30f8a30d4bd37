"""The evidence of a drill in the run's folder: JSON, Markdown and one HTML page."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tasks.fleet.render import SAFE
from tasks.fleet.report import plain, put, templates
from tasks.plans.evidence import duration, moment


def write(folder: Path, document: dict[str, Any]) -> dict[str, str]:
    """
    ``drill-<source>.json``, ``.md`` and ``.html``, 0600; the SHA-256 of each by its name.

    + document: ``tasks.plans.evidence.document``
    """
    pages, document = templates("drill"), plain(document)
    pages.filters["duration"] = duration
    pages.filters["moment"] = moment
    pages.filters["yes"] = lambda it: {True: "yes", False: "no"}.get(it, "")
    texts = {
        "json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        "md": pages.get_template("evidence.md.j2").render(drill=document),
        "html": pages.get_template("evidence.html.j2").render(drill=document),
    }
    digests = {}
    for ending, text in texts.items():
        path = folder / f"drill-{SAFE.sub('_', document['source'])}.{ending}"
        put(path, text)
        digests[path.name] = sha256(text.encode()).hexdigest()
    return digests

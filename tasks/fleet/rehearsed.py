"""Rehearsals on the disk: in the folder of their run, and the newest of each cluster."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from pyinfra.api.exceptions import DeployError

from tasks.fleet.render import SAFE
from tasks.fleet.report import plain, put, templates
from tasks.plans.rehearsals import outcome
from tasks.plans.rehearsals.outcome import Rehearsal


def write(folder: Path, newest: str, record: Rehearsal) -> dict[str, str]:
    """
    ``rehearsal-<source>.json`` and ``.md`` into the folder of the run, and the JSON as
    ``<newest>/<source>.json``, 0600; the SHA-256 of each by its name. Raises DeployError.
    """
    document, name = plain(outcome.document(record)), SAFE.sub("_", record.source)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    page = templates("rehearsal").get_template("report.md.j2")
    texts = {"json": text, "md": page.render(rehearsal=record, sections=record.outcome.sections)}
    digests = {}
    try:
        Path(newest).mkdir(mode=0o700, parents=True, exist_ok=True)
        put(Path(newest) / f"{name}.json", text)
        for ending, content in texts.items():
            path = folder / f"rehearsal-{name}.{ending}"
            put(path, content)
            digests[path.name] = sha256(content.encode()).hexdigest()
    except OSError as error:
        raise DeployError(
            f"{error.filename} cannot be written ({error.strerror}): correct rehearsal.folder, or "
            "make room"
        ) from error
    return digests


def newest(folder: str, source: str) -> Rehearsal | None:
    """The newest rehearsal of a cluster, or None. Raises DeployError where it cannot be read."""
    path = Path(folder) / f"{SAFE.sub('_', source)}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return outcome.read(found)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeployError(f"{path} cannot be read ({error.strerror}): correct that") from error
    except (ValueError, RecursionError) as error:
        said = "it is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DeployError(f"{path} cannot be used: {said}: delete it, then rehearse again") from (
            error
        )

"""Rehearsals on the disk: in the folder of their run, and the newest of each cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from pyinfra.api.exceptions import DeployError

from tasks.fleet.render import SAFE
from tasks.fleet.report import plain, put, templates
from tasks.plans.rehearsals import outcome
from tasks.plans.rehearsals.groups import groups
from tasks.plans.rehearsals.outcome import Rehearsal


def write(folder: Path, newest: str | None, record: Rehearsal) -> dict[str, str]:
    """
    ``rehearsal-<source>.json``, ``.md`` and ``.html`` into the folder of the run, beside them
    ``rehearsals.md`` and ``.html`` of all that the run has rehearsed so far, and the JSON as
    ``<newest>/<source>.json``, 0600; the SHA-256 of each by its name. + newest: None where
    nothing was shown. Raises DeployError.
    """
    document, name = plain(outcome.document(record)), SAFE.sub("_", record.source)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    texts = {"json": text, **pages([outcome.read(document)])}
    digests = {}
    try:
        if newest is not None:
            Path(newest).mkdir(mode=0o700, parents=True, exist_ok=True)
            put(Path(newest) / f"{name}.json", text)
        for ending, content in texts.items():
            path = folder / f"rehearsal-{name}.{ending}"
            put(path, content)
            digests[path.name] = sha256(content.encode()).hexdigest()
        found = [*folder.glob("rehearsal-*.json")]
        if len(found) > 1:
            records = [outcome.read(json.loads(it.read_text(encoding="utf-8"))) for it in found]
            for ending, content in pages(records).items():
                put(folder / f"rehearsals.{ending}", content)
    except OSError as error:
        raise DeployError(
            f"{error.filename} cannot be written ({error.strerror}): correct rehearsal.folder, or "
            "make room"
        ) from error
    return digests


def pages(records: Iterable[Rehearsal]) -> dict[str, str]:
    """One page of them by how its file ends; clusters that showed the same are told once."""
    found, environment = groups(records), templates("rehearsal")
    said = {"groups": found, "clusters": sum(len(it.rehearsals) for it in found)}
    return {
        ending: environment.get_template(f"report.{ending}.j2").render(said)
        for ending in ("md", "html")
    }


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

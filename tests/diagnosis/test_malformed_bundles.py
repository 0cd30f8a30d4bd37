"""A damaged bundle gives an answer, and says what of it was not read."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tasks.diagnosis import bundle as reading
from tasks.diagnosis import folders, report
from tasks.diagnosis.diagnosis import as_json
from tasks.diagnosis.explain import diagnosis
from tests.captures import bundle
from tests.diagnosis.damage import damage
from tests.diagnosis.test_folders import as_dumps, as_egctl, as_ours

SCENARIOS = sorted((Path(__file__).parents[1] / "data" / "scenarios").glob("*.gz"))
COUNT = int(os.environ.get("ENVOYFLEET_MALFORMED", "120"))
#: Of how many are one test: a folder is written once for them.
EACH = 20
WRITERS = (bundle, bundle, as_ours, as_egctl, as_dumps)


@pytest.mark.parametrize("first", range(0, COUNT, EACH))
def test_no_damage_ends_in_a_traceback(first: int, tmp_path: Path) -> None:
    random = Random(first)
    path = random.choice(SCENARIOS)
    capture: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    write = random.choice(WRITERS)
    whole = write(capture, tmp_path / "whole")
    for number in range(first, min(first + EACH, COUNT)):
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder, symlinks=True)
        gone = damage(Random(number), folder)
        try:
            answer = tried(folder)
        except FileNotFoundError:
            assert not any(it.name in folders.ADMIN and it.is_file() for it in folder.iterdir())
            shutil.rmtree(folder)
            continue
        except Exception as error:
            raise AssertionError(f"bundle {number}: {write.__name__} of {path.name}") from error
        if write is bundle:
            said = json.dumps([answer["gaps"], answer["skipped"]])
            unsaid = [it for it in gone if it in reading.COSTS and it not in said]
            unsaid = [it for it in unsaid if it not in ("clusters.json", "stats.txt")]
            assert not unsaid, f"bundle {number}: {write.__name__} of {path.name}: {said}"
        shutil.rmtree(folder)


def tried(folder: Path) -> dict[str, Any]:
    """The answer as JSON, after each form was printed; what it says is text of the right type."""
    evidence = reading.read(folder)
    found = diagnosis(evidence)
    for output in report.OUTPUTS:
        stream = io.StringIO()
        report.write(found, output, stream, report.looked_at(evidence))
        stream.getvalue().encode()
    answer = as_json(found)
    json.loads(json.dumps(answer, allow_nan=False))
    for it in answer["findings"]:
        texts = [it[key] for key in ("code", "cause", "answered_by", "sentence", "fix", "field")]
        assert all(
            isinstance(one, str) for one in (*texts, *it["evidence"], *it["object"].values())
        )
    for it in answer["skipped"]:
        assert it["count"] >= 1
        assert it["why"]
    return answer

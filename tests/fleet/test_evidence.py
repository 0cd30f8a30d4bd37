"""The files that a drill leaves for an auditor."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from tasks.fleet import evidence
from tasks.plans.evidence import document
from tests.plans.test_evidence import BEGAN, ENDED, SILENT, drill


def test_three_files_for_their_owner_with_their_digests(tmp_path: Path) -> None:
    digests = evidence.write(tmp_path, document(drill(), ENDED))
    files = sorted(tmp_path.iterdir())
    assert [it.name for it in files] == ["drill-weu-1.html", "drill-weu-1.json", "drill-weu-1.md"]
    assert {it.name: sha256(it.read_bytes()).hexdigest() for it in files} == digests
    assert {it.stat().st_mode & 0o777 for it in files} == {0o600}
    assert json.loads(files[1].read_text()) == document(drill(), ENDED)


def test_pages_say_what_a_reader_wants_to_know(tmp_path: Path) -> None:
    evidence.write(tmp_path, document(drill(restores=[SILENT], source="a/b<c"), ENDED))
    page = (tmp_path / "drill-a_b_c.html").read_text()
    text = (tmp_path / "drill-a_b_c.md").read_text()
    for it in (
        "48 s",
        "13 h 2 min",
        "restored with findings",
        "anna@jump-1",
        "0" * 64,
        "ab" * 32,
        "HTTPRoute shop/cart: 503",
        "not proven, as expected: HTTPRoute shop/login",
        "Service shop/cart",
        "Secret default/other",
        f"{BEGAN:%Y-%m-%d %H:%M:%S} UTC",
    ):
        assert it in page, it
        assert it in text, it
    assert "a/b&lt;c" in page
    assert "http" not in page.replace("https://a.test", "").replace("https</td>", "").replace(
        "edge/public:https", ""
    )


def test_pages_of_a_drill_that_never_began(tmp_path: Path) -> None:
    failed = drill(
        archive=None, restores=[], emptied=None, rpo_seconds=None, problems=["no backup"]
    )
    evidence.write(tmp_path, document(failed, ENDED))
    text = (tmp_path / "drill-weu-1.md").read_text()
    assert "- failed: no backup\n" in text
    assert "| age of the backup (RPO) | not known |" in text
    assert "Nothing was written to the target" in text

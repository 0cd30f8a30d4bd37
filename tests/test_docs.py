"""Every deploy and every finding code has its entry in the documentation, and none is left over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODES = {
    code
    for room in ("checks", "plans", "diagnosis")
    for module in (ROOT / "tasks" / room).rglob("*.py")
    for code in re.findall(
        r'"(GW[0-9]{3})"', re.sub(r'""".*?"""', "", module.read_text(), flags=re.S)
    )
}
FINDINGS = ROOT / "docs" / "findings.md"
ENTRIES = dict(
    re.findall(r"^## (GW[0-9]{3})\n(.*?)(?=^## |\Z)", FINDINGS.read_text(), flags=re.S | re.M)
    if FINDINGS.exists()
    else ()
)
DEPLOYS = sorted((ROOT / "deploys").glob("*.py"))


def test_finding_codes_are_those_documented() -> None:
    assert sorted(ENTRIES) == sorted(CODES)


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_entry_says_what_it_means_how_to_fix_and_how_to_silence(code: str) -> None:
    assert [it for it in ("**", "*Fix:* ", "*Silence:* ") if it not in ENTRIES[code]] == []


def test_every_deploy_has_its_page_with_a_command_line() -> None:
    without = [
        it.name
        for it in DEPLOYS
        if not (page := ROOT / "docs" / f"{it.stem}.md").exists()
        or f"deploys/{it.name}" not in page.read_text()
    ]
    assert without == []

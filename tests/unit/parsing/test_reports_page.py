"""docs/reference/reports.md has a section for every dialect and lists every reason code."""

import json
import re
from pathlib import Path

import pytest

from flakeguard_pipeline.domain.model import IssueCode, ReasonCode

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "reports.md").read_text(encoding="utf-8")
SAMPLES = json.loads((ROOT / "tests" / "fixtures" / "reports" / "expected.json").read_text(encoding="utf-8"))
DIALECTS = sorted({sample["dialect"] for sample in SAMPLES.values()})
SECTIONS = {
    found[1]: found[2]
    for found in re.finditer(r"^### [^\n]+ \(`([a-z0-9-]+)`\)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
LIMITS = PAGE.partition("## Limits and reason codes\n")[2].partition("\n## ")[0]


def test_there_is_a_section_for_every_dialect_and_for_nothing_else() -> None:
    assert sorted(SECTIONS) == DIALECTS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_section_says_how_retries_look_and_shows_a_sample(dialect: str) -> None:
    section = SECTIONS[dialect]
    assert "**Retries" in section
    assert section.count("```xml") == 1


@pytest.mark.parametrize("code", ReasonCode)
def test_every_reason_code_is_listed(code: ReasonCode) -> None:
    assert f"\n| `{code.value}` |" in LIMITS


def test_no_reason_code_is_made_up() -> None:
    assert set(re.findall(r"^\| `([a-z_]+)` \|", LIMITS, re.MULTILINE)) == {code.value for code in ReasonCode}


@pytest.mark.parametrize("code", IssueCode)
def test_every_issue_code_is_listed(code: IssueCode) -> None:
    assert f"| `{code.value}` |" in PAGE

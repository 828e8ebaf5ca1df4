"""What the reference pages and .env.example say of the configuration is what the code takes."""

import re
from pathlib import Path

import pytest
import yaml

from flakeguard_pipeline.settings import CONFIG_VARIABLE, HOME_VARIABLE, VARIABLES, load_settings
from flakeguard_pipeline.source_sections import SECTIONS, RemoteSection, SourceSection

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SOURCES = (ROOT / "docs" / "reference" / "sources.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read_by_the_code() -> set[str]:
    """Return the names of FlakeGuard's own variables in the code, wherever they stand."""
    files = [*(ROOT / "flakeguard_pipeline").rglob("*.py"), *(ROOT / "assets").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return set(re.findall(r"\"(FLAKEGUARD_[A-Z_]+[A-Z])\"", text))


def test_every_variable_that_the_code_reads_is_in_the_example() -> None:
    listed = set(re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert read_by_the_code() >= {CONFIG_VARIABLE, HOME_VARIABLE, *VARIABLES.values()}
    assert read_by_the_code() - listed == set()
    assert {"DAGSTER_HOME", "GITHUB_TOKEN"} <= listed


def test_every_variable_of_the_example_is_commented_out() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("page", [SOURCES, CONFIGURATION], ids=["sources", "configuration"])
def test_the_examples_are_configurations(page: str, tmp_path: Path) -> None:
    examples = [text for text in YAML.findall(page) if yaml.safe_load(text)]
    assert examples
    for text in examples:
        (tmp_path / "flakeguard.yml").write_text(text)
        load_settings(tmp_path / "flakeguard.yml", environment={})


def test_the_example_of_sources_has_every_kind_and_names_the_variables_of_the_example(tmp_path: Path) -> None:
    (tmp_path / "flakeguard.yml").write_text(YAML.findall(SOURCES)[0])
    settings = load_settings(tmp_path / "flakeguard.yml", environment={})
    assert len({each.kind for each in settings.sources}) == len(SECTIONS)
    for name in re.findall(r"token: \{env: ([A-Z_]+)\}", SOURCES):
        assert f"\n#{name}=" in EXAMPLE


def test_the_table_of_keys_has_what_all_sources_have_in_common() -> None:
    keys = set(re.findall(r"^\| `([a-z_]+)` \|", SOURCES, re.MULTILINE))
    assert keys == {*SourceSection.model_fields, *RemoteSection.model_fields, "kind", "url", "token"}

"""The generated page on the warehouse is the one that the metadata and dbt's descriptions give."""

from pathlib import Path

import yaml

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.dictionary import TYPES, dictionary
from flakeguard_pipeline.warehouse.load import _POLARS, name_of
from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "warehouse.md"


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == dictionary(), f"{PAGE.name} is behind the code: run `make docs` and commit what it writes"


def test_every_table_tells_its_grain_its_key_and_its_writer() -> None:
    for table in metadata.tables.values():
        assert table.schema in SCHEMAS
        assert (table.comment or "").startswith("one row per "), name_of(table)
        assert table.info["writer"], name_of(table)
        assert set(table.info["key"]) <= set(table.columns.keys()), name_of(table)
        assert "org" in table.info["key"], f"{name_of(table)} does not say whose its rows are"


def test_every_column_is_described_and_of_a_kind_we_know() -> None:
    for table in metadata.tables.values():
        for column in table.columns:
            assert column.comment, f"{name_of(table)}.{column.name}"
            assert type(column.type) in TYPES
            assert type(column.type) in _POLARS


def test_text_is_never_null() -> None:
    nullable = [
        f"{name_of(table)}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.nullable and TYPES[type(column.type)] == "text"
    ]
    assert nullable == []


def test_every_dbt_model_of_a_folder_is_on_its_page_and_the_other_way_round() -> None:
    for folder in ("marts", "intermediate", "staging"):
        place = bundled("dbt") / "models" / folder
        page = yaml.safe_load((place / f"{folder}.yml").read_text(encoding="utf-8"))
        assert sorted(model["name"] for model in page["models"]) == sorted(file.stem for file in place.glob("*.sql"))
        assert all(model["description"].strip() for model in page["models"])

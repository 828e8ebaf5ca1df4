"""What was altered by hand is told, by table and column, with what to do about it."""

import pytest

from flakeguard_pipeline.warehouse import migrate
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.table_differences import WRITE_COMMENTS, Difference, differences

BY_HAND = (
    "alter table core.test_execution drop column suite",
    "alter table core.test_execution add column note text",
    "alter table core.test_execution alter column retry_index type bigint",
    "alter table core.test_execution alter column output drop not null",
    "alter table core.test_execution alter column duration_us set not null",
    "comment on column core.test_execution.outcome is 'mine'",
    "comment on table core.job is null",
    "drop table core.inferred_pass",
    "create table quarantine.notes (line text)",
)

FOUND = {
    ("core.test_execution", "suite", "missing"),
    ("core.test_execution", "note", "not one of FlakeGuard's"),
    ("core.test_execution", "retry_index", "bigint, and not integer"),
    ("core.test_execution", "output", "may be null"),
    ("core.test_execution", "duration_us", "may not be null"),
    ("core.test_execution", "outcome", "its comment is another"),
    ("core.job", "", "its comment is another"),
    ("core.inferred_pass", "", "missing"),
    ("quarantine.notes", "", "not one of FlakeGuard's"),
}


def altered(warehouse: Warehouse, *statements: str) -> dict[tuple[str, str, str], Difference]:
    migrate.upgrade(warehouse)
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)
        return {(each.table, each.column, each.found): each for each in differences(connection)}


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    if request.param == "duckdb":
        return Warehouse(str(request.getfixturevalue("tmp_path") / "warehouse.duckdb"))
    return Warehouse(request.getfixturevalue("postgres").url)


def test_every_alteration_by_hand_is_found_and_nothing_else(warehouse: Warehouse) -> None:
    found = altered(warehouse, *BY_HAND)
    assert set(found) == FOUND
    assert all(each.remedy for each in found.values())
    assert {each.remedy for each in found.values() if each.is_comment} == {WRITE_COMMENTS}


def test_what_to_do_mends_what_can_be_mended_by_one_statement(warehouse: Warehouse) -> None:
    found = altered(warehouse, *(each for each in BY_HAND if "drop column" not in each and "drop table" not in each))
    with warehouse.connect() as connection:
        for each in found.values():
            if each.remedy.startswith("alter table"):
                connection.execute(each.remedy)
        left = {each.found for each in differences(connection) if each.table != "quarantine.notes"}
    assert left == {"its comment is another"}
    from flakeguard_pipeline.warehouse.migration_session import write_comments

    write_comments(warehouse)
    with warehouse.connect() as connection:
        assert [each.table for each in differences(connection)] == ["quarantine.notes"]


def test_what_only_postgres_has_is_compared_there(postgres: object) -> None:
    found = altered(
        Warehouse(postgres.url),  # type: ignore[attr-defined]
        'alter table core.test_execution alter column name type text collate "default"',
        "drop index core.test_execution_run_attempt",
        "drop index core.job_run_attempt",
        "create index job_run_attempt on core.job (run_id)",
        "drop index core.raw_artifact_key",
        "alter table core.repository drop constraint repository_pkey",
        "create index of_my_own on core.test_execution (started_at)",
    )
    assert set(found) == {
        ("core.test_execution", "name", 'collation "default", and not "C"'),
        ("core.test_execution", "", "no index test_execution_run_attempt"),
        ("core.job", "", "index job_run_attempt covers (run_id), and not (repository_id, run_id, run_attempt)"),
        ("core.raw_artifact", "", "no index raw_artifact_key"),
        ("core.repository", "", "no primary key, and not (org, repository_id)"),
    }
    for each in found.values():
        postgres.execute(each.remedy.removeprefix("drop it, and ")) if "drop it" not in each.remedy else None  # type: ignore[attr-defined]
    with Warehouse(postgres.url).connect() as connection:  # type: ignore[attr-defined]
        assert [each.table for each in differences(connection)] == ["core.job"]


def test_a_table_made_again_without_its_key_is_found_on_duckdb(tmp_path: object) -> None:
    warehouse = Warehouse(str(tmp_path / "warehouse.duckdb"))  # type: ignore[operator]
    found = altered(
        warehouse,
        "create table core.copy as from core.repository",
        "drop table core.repository",
        "alter table core.copy rename to repository",
    )
    assert ("core.repository", "", "no primary key, and not (org, repository_id)") in found
    assert ("core.repository", "org", "may be null") in found


def test_only_the_executions_have_a_key_that_no_index_enforces() -> None:
    # the suite of the data check proves this one unique (quality/execution_suite.py); another one would need the same
    from flakeguard_pipeline.quality.execution_suite import SUITE_NAME
    from flakeguard_pipeline.warehouse.load import name_of
    from flakeguard_pipeline.warehouse.tables import metadata

    assert [name_of(each) for each in metadata.tables.values() if not each.info["enforced"]] == [SUITE_NAME]

"""What may be wrong with a warehouse, on both engines: one clear line, nothing half-written, the next run completes."""

import json
import os
import random
import shutil
import string
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from flakeguard_pipeline import cli
from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.operations.inference import infer_passes
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.postgres_session import close_pools
from tests.support.drops import add_run, case, flaky_history, report, run_object, zipped
from tests.support.places import Place, make_place
from tests.support.postgres import PostgresDatabase, PostgresServer, newest_programs, started

SEED = 4

COUNTS = "select (select count(*) from core.run_attempt), (select count(*) from core.test_execution) as executions"


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A drop folder and an empty warehouse of each engine."""
    url = "" if request.param == "duckdb" else request.getfixturevalue("postgres").url
    yield make_place(tmp_path, warehouse=url)
    close_pools()


def flakeguard(place: Place, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command on the warehouse; return its exit status and its error, which is one line and no password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["flakeguard", *arguments])
        patch.setenv("FLAKEGUARD_WAREHOUSE", place.warehouse.url)
        patch.setenv("FLAKEGUARD_HOME", str(place.source.path / "home"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
    said = capsys.readouterr().err
    assert len(said.splitlines()) <= 1, said
    if place.warehouse.dialect == "postgres":
        assert place.warehouse.url.partition("@")[0].rpartition(":")[2] not in said
    return int(str(ended.value.code)), said


def change(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--drop", "."],
        ["migrate"],
        ["migrate", "status"],
        ["migrate", "check"],
        ["migrate", "down", "--to", "0001"],
        ["alias", "list"],
        ["sql", "--query", "flakiest_tests"],
        ["sql", "select gone from core.job"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_command_takes_a_warehouse_of_a_newer_version(
    place: Place, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(place.warehouse)
    change(place.warehouse, "update core.alembic_version set version_num = '9999'")
    code, said = flakeguard(place, *command, capsys=capsys)
    assert code == 1
    assert "was made by a newer FlakeGuard (revision 9999); update FlakeGuard" in said


def test_what_a_newer_warehouse_can_answer_is_answered(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    upgrade(place.warehouse)
    change(place.warehouse, "update core.alembic_version set version_num = '9999'")
    assert flakeguard(place, "sql", "select 1 as one", capsys=capsys) == (0, "")


def test_texts_that_are_longer_than_a_key_takes_give_the_same_rows_on_both_engines(
    tmp_path: Path, postgres: PostgresDatabase
) -> None:
    places = [make_place(tmp_path / "file"), make_place(tmp_path / "server", warehouse=postgres.url)]
    told = []
    for place in places:
        write_long_texts(place.source.path)
        place.land()
        upgrade(place.warehouse)
        counts = place.load()
        assert counts.faults == []
        told.append(
            {
                table: place.rows(f"select * from {table} order by all_columns".replace("all_columns", ordering))
                for table, ordering in (
                    ("core.run_attempt", "run_id"),
                    ("core.test_execution", "run_id, variant, test_key"),
                    ("core.raw_artifact", "run_id, artifact, path, kind"),
                    ("core.rejected_artifact", "reason_code, artifact, path, digest"),
                )
            }
        )
    close_pools()
    assert told[0] == told[1]
    assert {row[2] for row in told[0]["core.run_attempt"]} == {"1", "2", "3", "4"}
    reasons = [str(row) for row in told[0]["core.rejected_artifact"]]
    assert sum("bad_run_metadata" in row for row in reasons) == 4
    assert sum("bad_job_metadata" in row for row in reasons) == 1


def write_long_texts(drop: Path) -> None:
    """Write runs with texts of some kilobytes that do not compress, each in another place."""
    chosen = random.Random(SEED)

    def long(length: int = 9000) -> str:
        return "".join(chosen.choices(string.ascii_letters + string.digits, k=length))

    whole = {"a.zip": zipped({"r.xml": report(case("test_a"))})}
    add_run(drop, run_object(1), whole)
    add_run(drop, run_object(2, name=long()), whole)
    add_run(drop, run_object(3), {"a.zip": zipped({"/".join([long(200)] * 40) + "/r.xml": report(case("test_a"))})})
    add_run(drop, run_object(4), whole, [{"id": long(), "name": "x", "conclusion": "success"}])
    name, owner = long(), long()
    odd = [
        {**run_object(5), "id": long()},
        run_object(6, repository={"full_name": f"acme/{name}"}),
        run_object(7, repository={"id": 77, "full_name": f"{owner}/x"}),
        run_object(8, repository={"id": long(), "full_name": "acme/y"}),
    ]
    for number, run in enumerate(odd):
        folder = drop / f"odd-{number}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(run))
    deep = drop.joinpath("deep", *([long(200)] * 15))
    deep.mkdir(parents=True)
    (deep / "note.xml").write_text("<note/>")


def test_a_role_without_rights_is_told_which_it_lacks(
    tmp_path: Path, postgres: PostgresDatabase, postgres_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(Warehouse(postgres.url))
    other = postgres_server.database()
    theirs = make_place(tmp_path, warehouse=f"{other.url.rpartition('/')[0]}/{postgres.name}")
    try:
        for command in (["run", "--drop", "."], ["migrate", "check"], ["sql", "select * from core.job"]):
            code, said = flakeguard(theirs, *command, capsys=capsys)
            assert code == 1
            assert "permission denied for schema core" in said
            assert f'`grant usage, create on schema core to "{other.name}"`' in said
    finally:
        close_pools()
        other.drop()


def test_what_a_role_without_rights_is_told_to_grant_can_be_granted(
    tmp_path: Path, postgres: PostgresDatabase, postgres_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(Warehouse(postgres.url))
    # as dbt makes them: a view that bears the name of one of our tables, and a roll-up
    postgres.execute("create schema marts; create view marts.test_execution as select * from core.test_execution")
    postgres.execute("create schema intermediate; create table intermediate.int_test_week (n int)")
    other = postgres_server.database()
    theirs = make_place(tmp_path, warehouse=f"{other.url.rpartition('/')[0]}/{postgres.name}")
    tables = ("core.alembic_version", "flakiness.health_snapshot", "quarantine.quarantine_event")
    granted = {}
    try:
        for relation in (*tables, "intermediate.int_test_week", "marts.test_execution", "core.test_execution"):
            granted[relation] = []
            for _ in range(3):
                code, said = flakeguard(theirs, "sql", f"select * from {relation}", capsys=capsys)
                if code == 0:
                    break
                statement = said.partition("`")[2].partition("`")[0]
                postgres.execute(statement)
                granted[relation].append(statement)
            assert code == 0, said
        for relation in (*tables, "intermediate.int_test_week"):
            assert (
                postgres.execute(
                    f"select has_table_privilege('{other.name}', '{relation}', each) "
                    "from unnest(array['insert', 'update', 'delete']) as each"
                )
                == [(True,)] * 3
            )
    finally:
        close_pools()
        postgres.drop()  # while it is there, the other role has rights in it and cannot go
        other.drop()
    assert granted["marts.test_execution"][1:] == [f'grant select on all tables in schema marts to "{other.name}"']
    # one statement gave the right to all tables of the schema
    assert granted["core.test_execution"] == []


def test_inference_meets_a_table_that_was_altered_by_hand(place: Place) -> None:
    flaky_history(place.source.path)
    place.land()
    upgrade(place.warehouse)
    place.load()
    change(place.warehouse, "alter table core.inferred_pass rename column variant to label")
    (fault,) = infer_passes(place.warehouse, place.settings.inference, core_version="any").faults
    assert fault.endswith("`flakeguard migrate check` shows what differs")
    assert len(fault.splitlines()) == 1


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system, where this process may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_under_postgres_is_told_and_the_next_load_completes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(Path("/tmp") / f"fgdisk{os.getpid()}", "160m"))
        server = stack.enter_context(started(newest_programs(), disk))
        database = server.database()
        place = make_place(tmp_path, warehouse=database.url)
        flaky_history(place.source.path)
        place.land()
        upgrade(place.warehouse)
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        with filler.open("wb") as file:
            file.write(b"\0" * free)
        with pytest.raises(WarehouseError, match=r"is out of room.*nothing is half-written; make room on the server"):
            place.load()
        filler.unlink()
        assert place.rows(COUNTS)[0][0] == 0
        assert place.load().attempts == 24
        close_pools()


def test_nul_in_the_configuration_is_told_with_its_place(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.yml").write_text('provider: github\norg: "a\\0b"\n')
    code, said = flakeguard(place, "run", "--drop", ".", "--config", str(tmp_path / "odd.yml"), capsys=capsys)
    assert code == 2
    assert "odd.yml:2:6: org: holds the character NUL" in said
    if place.warehouse.dialect == "duckdb":
        assert not place.warehouse.path.exists()

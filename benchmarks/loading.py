"""How fast executions are loaded, beside what each engine does by itself, into the same tables in the same run.

`python -m benchmarks.loading` loads 1.2 million simulated executions into DuckDB and, with `--postgres URL` or the
tests' own server, into Postgres. Belongs here: measuring. benchmarks/README.md tells how to read it.

FlakeGuard's part is what the loader does with rows that are read: run attempts are replaced in one transaction, their
executions come in the pieces in which reports are read. Beside it stand DuckDB's own `insert ... select` of one Arrow
table, and a binary COPY of bytes that were encoded beforehand: both into the same tables, with the same keys.
"""

import argparse
import io
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.simulated_year import FIRST_DAY, Scale, repositories
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade

ROUNDS = 5
PIECE = 40_000
"""Executions in a piece: what reading some thousand reports yields at once."""

GOAL = 1.5
TABLE = load.name_of(tables.test_execution)
ATTEMPT = ["repository_id", "run_id", "run_attempt"]


def executions() -> pl.DataFrame:
    """Return about 1.2 million executions of some days and repositories."""
    scale = Scale(repositories=4, days=24)
    days = [FIRST_DAY + timedelta(days=number) for number in range(scale.days)]
    return pl.concat(
        each.executions(number) for each in repositories(scale) for day in days for number in each.attempts(day)
    )


def emptied(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(f"delete from {TABLE}" if warehouse.dialect == "duckdb" else f"truncate {TABLE}")


def flakeguard(warehouse: Warehouse, rows: pl.DataFrame) -> None:
    replaced = rows.select(ATTEMPT).unique()
    with (
        warehouse.connect() as connection,
        load.replacing_attempts(connection, replaced, default_branch=None),
    ):
        for piece in rows.iter_slices(PIECE):
            connection.insert(TABLE, piece)


def duckdb_itself(warehouse: Warehouse, rows: pl.DataFrame) -> None:
    import duckdb

    with closing(duckdb.connect(str(warehouse.path))) as connection:
        connection.register("incoming", rows.to_arrow())
        connection.execute(f"insert into {TABLE} by name select * from incoming")


def encoded(warehouse: Warehouse) -> bytes:
    """Return the loaded executions as the bytes of a binary COPY."""
    import psycopg2

    buffer = io.BytesIO()
    with closing(psycopg2.connect(warehouse.url)) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"copy {TABLE} to stdout (format binary)", buffer)
    return buffer.getvalue()


def binary_copy(warehouse: Warehouse, data: bytes) -> None:
    import psycopg2

    with closing(psycopg2.connect(warehouse.url)) as connection, connection, connection.cursor() as cursor:
        cursor.copy_expert(f"copy {TABLE} from stdin (format binary)", io.BytesIO(data), size=1 << 16)


def compare(
    title: str, rows: int, prepare: Callable[[], None], contenders: dict[str, Callable[[], None]], rounds: int
) -> bool:
    """Let the contenders take turns, print what they took, and say whether the goal is met."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            prepare()
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    own, other = medians.values()
    print(f"\n{title}: {rows:,} executions")
    for name, median in medians.items():
        print(f"  {name:26} {median:6.2f} s  {rows / median / 1000:7,.0f} k rows/s")
    print(f"  FlakeGuard takes {own / other:.2f} times as long (goal: {GOAL})", flush=True)
    return own / other <= GOAL


@contextmanager
def postgres(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    from tests.support.postgres import running

    with running() as server:
        database = server.database()
        yield database.url
        database.drop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--postgres", metavar="URL", help="an empty database, instead of a server of its own")
    options = parser.parse_args()
    rows = executions()
    folder = Path(tempfile.mkdtemp())
    fits = True
    try:
        embedded = Warehouse(str(folder / "warehouse.duckdb"))

        def anew() -> None:
            embedded.path.unlink(missing_ok=True)
            upgrade(embedded)

        fits &= compare(
            "DuckDB",
            rows.height,
            anew,
            {
                "FlakeGuard": lambda: flakeguard(embedded, rows),
                "insert ... select": lambda: duckdb_itself(embedded, rows),
            },
            options.rounds,
        )
        with postgres(options.postgres) as url:
            shared = Warehouse(url)
            upgrade(shared)
            flakeguard(shared, rows)
            data = encoded(shared)
            fits &= compare(
                "Postgres",
                rows.height,
                lambda: emptied(shared),
                {"FlakeGuard": lambda: flakeguard(shared, rows), "binary COPY": lambda: binary_copy(shared, data)},
                options.rounds,
            )
    finally:
        shutil.rmtree(folder)
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()

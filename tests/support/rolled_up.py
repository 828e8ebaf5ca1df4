"""The dbt project on a warehouse that a test filled itself, in this process: dbt is imported once, and parses once."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from assets.dbt_project import known_to_dbt
from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata

ROLLED_UP = (
    "intermediate.int_reported_test",
    "intermediate.int_reported_failure",
    "intermediate.int_first_sighting",
    "intermediate.int_test_name",
    "intermediate.int_failed_code",
    "intermediate.int_flaky_code",
    "intermediate.int_test_attempt",
    "intermediate.int_test_failure",
    "intermediate.int_test_week",
    "intermediate.int_rolled_name",
    "intermediate.int_rolled_attempt",
    "marts.test_execution",
    "marts.failure_signature",
    "marts.flake_trend",
    "marts.report_health",
    "marts.source_freshness",
)
"""What follows from `core` alone, so it has to be the same however `core` came to be."""


def make_tables(warehouse: Warehouse) -> None:
    """Create the tables that dbt reads."""
    if warehouse.dialect == "duckdb":
        upgrade(warehouse)
        return
    engine = sa.create_engine(sa.make_url(warehouse.url).set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        for schema in SCHEMAS:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        metadata.create_all(connection)
    engine.dispose()


@dataclass
class Project:
    """The parsed project; `folder` is for what dbt writes."""

    folder: Path
    _manifests: dict[str, Any] = field(default_factory=dict)

    def build(self, warehouse: Warehouse, *selected: str, full_refresh: bool = False, rows: str = "changed") -> Any:
        """Build the models that read `core` alone, with their tests, or the ones that are selected."""
        chosen = ["--select", *selected] if selected else ["--exclude", "tag:scores"]
        if full_refresh:
            chosen.append("--full-refresh")
        return self.run(warehouse, "build", "--exclude-resource-type", "unit_test", *chosen, rows=rows)

    def run(self, warehouse: Warehouse, *arguments: str, rows: str = "all", **told: Any) -> Any:
        """Run a command of dbt; return its results."""
        from dbt.cli.main import dbtRunner

        place = {} if warehouse.dialect == "postgres" else {"duckdb_path": str(warehouse.path.absolute())}
        variables = {**place, "tested_rows": rows, **told}
        common = ["--project-dir", str(bundled("dbt")), "--profiles-dir", str(bundled("dbt"))]
        common += ["--target", warehouse.dialect, "--vars", json.dumps(variables), "--log-path", str(self.folder)]
        common += ["--target-path", str(self.folder / "target"), "--log-level", "none", "--quiet"]
        with known_to_dbt(warehouse), Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            if warehouse.dialect not in self._manifests:
                self._manifests[warehouse.dialect] = dbtRunner().invoke(["parse", *common]).result
            runner = dbtRunner(manifest=self._manifests[warehouse.dialect])
            done = runner.invoke([*arguments, *common])
            if done.exception:
                raise done.exception
        failed = [
            f"{each.node.name}: {each.message}"
            for each in getattr(done.result, "results", ())
            if each.status not in ("success", "pass", "skipped")
        ]
        assert done.success, "\n".join(failed)
        return done.result


@contextlib.contextmanager
def project() -> Iterator[Project]:
    """Yield the project with a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Project(Path(folder))


def contents(warehouse: Warehouse, relations: tuple[str, ...] = ROLLED_UP) -> dict[str, pl.DataFrame]:
    """Return relations, their rows and columns in an order of their own."""
    with warehouse.connect() as connection:
        frames = {name: connection.read(f"select * from {name}") for name in relations}
    return {name: frame.select(sorted(frame.columns)).sort(sorted(frame.columns)) for name, frame in frames.items()}

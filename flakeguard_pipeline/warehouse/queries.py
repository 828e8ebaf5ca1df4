"""The hand-written queries in sql/queries: one statement a file, whose header states grain and parameters."""

from functools import cache

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.warehouse.dialects import Dialect


@cache
def query(name: str, dialect: Dialect = "duckdb") -> str:
    """Return the text of sql/queries/`name`.sql, or of `name`.`dialect`.sql where an engine needs another."""
    folder = bundled("sql") / "queries"
    own = folder / f"{name}.{dialect}.sql"
    return (own if own.exists() else folder / f"{name}.sql").read_text(encoding="utf-8")

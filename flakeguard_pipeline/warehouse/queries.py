"""The hand-written queries in sql/queries: one statement a file, whose header states grain and parameters."""

from functools import cache

from flakeguard_pipeline.bundled import bundled


@cache
def query(name: str) -> str:
    """Return the text of sql/queries/`name`.sql."""
    return (bundled("sql") / "queries" / f"{name}.sql").read_text(encoding="utf-8")

"""The SQLAlchemy dialects that Great Expectations reads the warehouse through; SQLAlchemy imports them on first use.

Great Expectations closes a connection before it fetches what it asked for; then DuckDB answers `list index out of
range`, and psycopg2 `cursor already closed`. Here every result is fetched as soon as its statement has run. Both
dialects still call themselves what they are, so that everything else stays as it is.
"""

from typing import Any

from duckdb_sqlalchemy import Dialect, DuckDBExecutionContext
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2, PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy


class _Buffering:
    """Fetches every row before anybody can close the connection."""

    cursor: Any
    cursor_fetch_strategy: Any

    def post_exec(self) -> None:
        """Move the rows of the statement that just ran into memory."""
        super().post_exec()  # type: ignore[misc]
        description = self.cursor.description
        if description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, alternate_description=description
            )


class _DuckDBContext(_Buffering, DuckDBExecutionContext):
    pass


class _PostgresContext(_Buffering, PGExecutionContext_psycopg2):
    pass


class BufferedDuckDB(Dialect):
    """DuckDB with buffered results."""

    execution_ctx_cls = _DuckDBContext
    supports_statement_cache = True


class BufferedPostgres(PGDialect_psycopg2):
    """Postgres with buffered results."""

    execution_ctx_cls = _PostgresContext
    supports_statement_cache = True

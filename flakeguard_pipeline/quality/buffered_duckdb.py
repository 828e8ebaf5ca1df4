"""The SQLAlchemy dialect that Great Expectations reads DuckDB through; SQLAlchemy imports it on first use.

Great Expectations closes a connection before it fetches what it asked for. Server databases' drivers have the rows
by then; DuckDB's has not and answers `list index out of range`. Here every result is fetched as soon as its
statement has run.
"""

from typing import Any

from duckdb_sqlalchemy import Dialect, DuckDBExecutionContext
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy


class BufferingContext(DuckDBExecutionContext):
    """Fetches every row before anybody can close the connection."""

    def post_exec(self) -> None:
        """Move the rows of the statement that just ran into memory."""
        super().post_exec()  # type: ignore[no-untyped-call]
        description: Any = self.cursor.description
        if description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, alternate_description=description
            )


class BufferedDuckDB(Dialect):
    """DuckDB with buffered results; it still calls itself `duckdb`, so that everything else stays as it is."""

    execution_ctx_cls = BufferingContext
    supports_statement_cache = True

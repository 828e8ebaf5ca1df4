"""The warehouse at a URL: an embedded DuckDB file or a Postgres database, with one behaviour.

Belongs here: what a connection can do, whichever engine is behind it, and which engine a URL names.
Does not belong here: what is read or written; what is particular to an engine (`duckdb_connection`,
`postgres_connection`).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from flakeguard_pipeline.domain.errors import ConfigurationError
from flakeguard_pipeline.postgres_address import POSTGRES_SCHEMES, read_address, shown
from flakeguard_pipeline.warehouse.dialects import Dialect, Parameters

DUCKDB_SCHEME = "duckdb:///"


class Connection(Protocol):
    """An open connection. Values are bound as `$name`; frames go in through `insert`."""

    @property
    def dialect(self) -> Dialect:
        """Which engine answers."""

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement for its effect."""

    def read(self, sql: str, parameters: Parameters | None = None) -> pl.DataFrame:
        """Run one query and return its rows; times come back in UTC."""

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Return the only value of a query's only row, or None where there is no row."""

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Append `frame` to `table` (`schema.name`), by the names of its columns."""

    def frame(self, name: str, frame: pl.DataFrame) -> AbstractContextManager[None]:
        """Make `frame` readable as relation `name` while the block runs."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what the block did, or undo all of it when it raises."""


RESERVED_NAMES = frozenset({"core", "flakiness", "intermediate", "marts", "quarantine", "staging", "system", "temp"})
"""Schemas of ours and databases of DuckDB's own: where a database has such a name, `core.report` is ambiguous."""


@dataclass(frozen=True, slots=True, repr=False)
class Warehouse:
    """The warehouse at a URL (or a plain path). It holds nothing open: `connect` opens and closes."""

    url: str

    def __post_init__(self) -> None:
        """Refuse URLs that name no warehouse we know."""
        if self.url.startswith(POSTGRES_SCHEMES):
            _require_readable(self.url)
            return
        if "://" not in self.url and self.url.strip():
            object.__setattr__(self, "url", DUCKDB_SCHEME + self.url)
        if not self.url.startswith(DUCKDB_SCHEME) or self.url == DUCKDB_SCHEME:
            raise ConfigurationError(
                f"{self.shown!r} is no warehouse URL; write duckdb:///path/to/file.duckdb "
                "(three slashes before a relative path, four before an absolute one) or postgresql://user@host/database"
            )
        # DuckDB calls a database by its file's name up to the first dot
        called = self.path.name.partition(".")[0]
        if called.lower() in RESERVED_NAMES:
            raise ConfigurationError(
                f"a warehouse cannot be called {self.path.name}: DuckDB would take {called!r} for one of its schemas; "
                "call the file otherwise"
            )

    @property
    def dialect(self) -> Dialect:
        """Which engine the warehouse lives in."""
        return "postgres" if self.url.startswith(POSTGRES_SCHEMES) else "duckdb"

    @property
    def path(self) -> Path:
        """The file of the embedded warehouse. As in SQLAlchemy, a fourth slash starts an absolute path.

        Raises:
            ValueError: the warehouse is no file.
        """
        if self.dialect != "duckdb":
            raise ValueError(f"{self.shown} is no file")
        return Path(self.url.removeprefix(DUCKDB_SCHEME))

    @property
    def shown(self) -> str:
        """The warehouse as people may see it: a file's path, or an address without its password."""
        if self.url.startswith(DUCKDB_SCHEME):
            return str(self.path)
        return shown(self.url)

    def __repr__(self) -> str:
        """Return the warehouse as people may see it: tracebacks and logs show objects like this."""
        return f"Warehouse({self.shown!r})"

    @property
    def exists(self) -> bool:
        """Whether there is anything to read yet; of a server's database that is known only by connecting."""
        return self.dialect == "postgres" or self.path.exists()

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[Connection]:
        """Open the warehouse for the length of the block.

        Raises:
            WarehouseLockedError: another process holds the embedded warehouse's file for too long.
            WarehouseError: the warehouse cannot be opened.
        """
        if self.dialect == "postgres":
            from flakeguard_pipeline.warehouse import postgres_connection  # noqa: PLC0415

            with postgres_connection.connected(self.url, read_only=read_only) as session:
                yield session
        else:
            from flakeguard_pipeline.warehouse import duckdb_connection  # noqa: PLC0415

            with duckdb_connection.connected(self.path, read_only=read_only) as opened:
                yield opened

    @contextmanager
    def run_alone(self) -> Iterator[None]:
        """Keep other runs out for the length of the block, also those of other machines; reading stays possible.

        An embedded warehouse needs no such lock: one process at a time can open its file, and one run at a time works
        in its folder.

        Raises:
            WarehouseLockedError: another run is at work.
            WarehouseError: the warehouse cannot be opened.
        """
        if self.dialect == "postgres":
            from flakeguard_pipeline.warehouse import postgres_connection  # noqa: PLC0415

            with postgres_connection.run_alone(self.url):
                yield
        else:
            yield

    @contextmanager
    def build_alone(self) -> Iterator[str]:
        """Keep other builds by dbt out for the length of the block, also one whose run was killed and that goes on.

        Yields:
            what dbt is told as `build_session`: its models are built only while this session lives. '' for an embedded
            warehouse, whose file one process at a time can open.

        Raises:
            WarehouseLockedError: another build is at work.
            WarehouseError: the warehouse cannot be opened.
        """
        if self.dialect == "postgres":
            from flakeguard_pipeline.warehouse import postgres_connection  # noqa: PLC0415

            with postgres_connection.build_alone(self.url) as session:
                yield session
        else:
            yield ""


def _require_readable(url: str) -> None:
    try:
        read_address(url)
    except ValueError:
        pass
    else:
        return
    # without the error itself, which may hold a part of the password
    raise ConfigurationError(
        "the warehouse's postgresql:// address cannot be read; write postgresql://user:password@host:port/database, "
        "with special characters of user and password percent-encoded (@ as %40, / as %2F, # as %23)"
    )

"""What must hold of `core.test_execution` before anything is decided from it, as a Great Expectations suite.

Belongs here: the expectations and what a broken one says. Does not belong here: what follows from a broken one
(assets/checks), nor counts of broken files, which are normal.

Great Expectations costs seconds to import, so the functions that need it import it. It works on the warehouse's own
tables, through SQLAlchemy, and only counts and a few examples leave the database.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import duckdb
import sqlalchemy as sa

from flakeguard_pipeline.domain.digests import ID_HEX_DIGITS, stable_id
from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.normalize.signatures import SIGNATURE_HEX_DIGITS
from flakeguard_pipeline.quality.checked_attempts import executions_of, record_sound, unchecked
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.duckdb_connection import DuckDBConnection
from flakeguard_pipeline.warehouse.load import name_of

SUITE_NAME = "core.test_execution"

LONGEST_DURATION = timedelta(days=31)
"""Far above what CI lets live (GitHub ends a job after 5 days at most), so a longer test is a unit mistaken for
another: milliseconds read as seconds turn an hour into six weeks."""

EARLIEST_START = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_START = datetime(9999, 12, 31, tzinfo=UTC)
"""What every reader of the warehouse can represent; a clock that was never set shows 1970 and is let pass."""

LARGEST_CHANGED_SHARE = 0.25
"""Up to this share of the run attempts, what has changed is copied for the check, which then reads nothing else; from
there on the copy would take longer, and more room, than looking at everything."""

CHOSEN = "changed_execution"

MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 300

ATTEMPT_IS_LOADED = "expect_run_attempt_to_be_loaded"
NO_SIGNATURE_WITHOUT_FAILURE = "expect_no_failure_signature_without_failure"

_BUFFERED = "flakeguard_pipeline.quality.buffered"
_DUCKDB = "flakeguard_duckdb"
_POSTGRES = "flakeguard_postgres"


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation that does not hold. The examples are some of the unexpected values, in no promised choice."""

    expectation: str
    column: str
    unexpected_count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a suite found. Findings are ordered by expectation and column."""

    is_passed: bool
    expectations: int
    rows: int
    findings: tuple[Finding, ...]

    def detail(self) -> str:
        """Return the findings as canonical JSON; not how much was looked at, which a killed run looked at before."""
        findings = [asdict(each) for each in self.findings]
        return json.dumps(findings, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _RowRule:
    """A rule across columns or tables: a query for the rows that break it. `{batch}` stands for the table."""

    name: str
    column: str
    query: str
    columns: int

    @property
    def order(self) -> str:
        """All columns, by their places: the order of examples is total."""
        return ", ".join(str(place + 1) for place in range(self.columns))


_KEY = ", ".join(tables.test_execution.info["key"])
_ROW_RULES = (
    _RowRule(
        NO_SIGNATURE_WITHOUT_FAILURE,
        "failure_signature",
        f"select {_KEY}, outcome, failure_signature from {{batch}} "  # noqa: S608 - names from our metadata
        f"where outcome in ('{Outcome.PASSED}', '{Outcome.SKIPPED}') and failure_signature <> ''",
        columns=len(tables.test_execution.info["key"]) + 2,
    ),
    _RowRule(
        ATTEMPT_IS_LOADED,
        ", ".join(tables.ATTEMPT_KEY),
        f"select {', '.join(f'execution.{name}' for name in tables.ATTEMPT_KEY)} "  # noqa: S608 - as above
        f"from {{batch}} as execution left join {name_of(tables.run_attempt)} as attempt on "
        + " and ".join(f"attempt.{name} = execution.{name}" for name in tables.ATTEMPT_KEY)
        + " where attempt.run_id is null",
        columns=len(tables.ATTEMPT_KEY),
    ),
)


def check_executions(warehouse: Warehouse) -> SuiteResult:
    """Hold all of `core.test_execution` against its suite; an empty table passes.

    The warehouse stays open, and other processes out, for the length of the call.

    Raises:
        WarehouseLockedError: another process holds the warehouse.
        WarehouseError: the warehouse cannot be opened.
    """
    _import_great_expectations()
    with warehouse.connect() as connection:
        return _check(warehouse, connection, chosen="")


def check_changed_executions(warehouse: Warehouse) -> SuiteResult:
    """Hold the executions of the run attempts that were not found sound as they are now against the suite.

    What passes is remembered, in the order that a kill makes up for: it is checked again. So all executions of `core`
    are sound after a pass, though only the changed ones were read. Where many have changed the whole table is looked
    at. `rows` counts what was looked at.

    Raises:
        WarehouseLockedError: another process holds the warehouse.
        WarehouseError: the warehouse cannot be opened.
    """
    known = {"suite_name": SUITE_NAME, "suite_digest": suite_digest()}
    asked = unchecked(**known)
    with warehouse.connect() as connection:
        if connection.read(asked).is_empty():
            return SuiteResult(is_passed=True, expectations=0, rows=0, findings=())
    _import_great_expectations()
    with warehouse.connect() as connection:
        changed = connection.read(asked)
        loaded = int(connection.value(f"select count(*) from {name_of(tables.run_attempt)}"))  # noqa: S608
        is_whole = changed.height > loaded * LARGEST_CHANGED_SHARE
        result = _check(warehouse, connection, chosen="" if is_whole else executions_of(asked))
        if result.is_passed:
            record_sound(connection, changed, **known)
    return result


def suite_digest() -> str:
    """Return a digest of all that decides what the suite finds: this text, what it names, and who evaluates it."""
    columns = [f"{column.name} {column.nullable}" for column in tables.test_execution.columns]
    named = [str(ID_HEX_DIGITS), str(SIGNATURE_HEX_DIGITS), *(outcome.value for outcome in Outcome)]
    return stable_id(
        [SUITE_NAME, Path(__file__).read_text(encoding="utf-8"), version("great-expectations"), *columns, *named]
    )


def _check(warehouse: Warehouse, connection: Connection, *, chosen: str) -> SuiteResult:
    """Check the executions that a query chooses; all of them where it is empty."""
    relation = f"({chosen}) as execution" if chosen else SUITE_NAME
    rows = int(connection.value(f"select count(*) from {relation}"))  # noqa: S608 - our own query
    count, findings = _validate(warehouse, connection, chosen)
    return SuiteResult(is_passed=not findings, expectations=count, rows=rows, findings=findings)


def _import_great_expectations() -> None:
    """Import it before the warehouse is opened: for these seconds nobody else need wait."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import great_expectations.expectations  # noqa: F401


def _validate(warehouse: Warehouse, connection: Connection, chosen: str) -> tuple[int, tuple[Finding, ...]]:
    """Return how many expectations there are and which do not hold."""
    import great_expectations as gx

    suite = gx.ExpectationSuite(SUITE_NAME, expectations=_expectations())
    with _batch(warehouse, connection, chosen) as batch:
        # SUMMARY returns counts and some examples; COMPLETE would fetch every unexpected row.
        validated = batch.validate(suite, result_format="SUMMARY")
    findings = []
    for result in validated.results:
        if result.success:
            continue
        rule = next((each for each in _ROW_RULES if each.name == result.expectation_config.meta["name"]), None)
        findings.append(_finding(result) if rule is None else _row_finding(result, rule, connection, chosen))
    return len(suite.expectations), tuple(sorted(findings, key=lambda each: (each.expectation, each.column)))


@contextmanager
def _batch(warehouse: Warehouse, connection: Connection, chosen: str) -> Iterator[Any]:
    """Yield what is checked as Great Expectations sees it, with everything of its own in memory only."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from sqlalchemy.dialects import postgresql

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
            # Otherwise it makes a folder for a website of results.
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        ),
    )
    # Connections are made by a function: nothing stands in the URL that Great Expectations would take for a variable of
    # its configuration, or show, and nothing is open once they are closed. It takes some seventy of them, so where a
    # copy is looked at, which belongs to one session, all are that one.
    scheme, connect = _postgres(warehouse, chosen) if warehouse.dialect == "postgres" else _duckdb(connection, chosen)
    kept: list[Any] = []

    def only_one() -> Any:
        if not kept:
            kept.append(connect())
        return kept[0]

    source = context.data_sources.add_sql(
        name="warehouse",
        connection_string=f"{scheme}://",
        kwargs={"creator": only_one, "poolclass": sa.pool.StaticPool}
        if chosen
        else {"creator": connect, "poolclass": sa.pool.NullPool},
    )
    # Great Expectations has no regular expressions for DuckDB by name. Postgres' operator `~` does in DuckDB what
    # it does there, for patterns anchored at both ends.
    source.get_execution_engine().dialect_module = postgresql
    asset = source.add_table_asset(SUITE_NAME, table_name=CHOSEN if chosen else tables.test_execution.name)
    try:
        yield asset.add_batch_definition_whole_table("all").get_batch()
    finally:
        source.get_execution_engine().engine.dispose()
        for session in kept:
            session.close()


def _duckdb(connection: Connection, chosen: str) -> tuple[str, Callable[[], Any]]:
    """Return cursors of a connection that is open already: there is no second lock to wait for."""
    from duckdb_sqlalchemy import ConnectionWrapper

    sa.dialects.registry.register(_DUCKDB, _BUFFERED, "BufferedDuckDB")

    def connect() -> Any:
        cursor: duckdb.DuckDBPyConnection = cast("DuckDBConnection", connection).raw.cursor()
        cursor.execute("set timezone = 'UTC'")
        # Naming the schema in the asset is deprecated; a schema in a URL is not known to the generic SQL source.
        cursor.execute(f"set schema = '{tables.test_execution.schema}'")
        if chosen:
            cursor.execute(_choosing(chosen))
        return ConnectionWrapper(cursor)

    return _DUCKDB, connect


def _postgres(warehouse: Warehouse, chosen: str) -> tuple[str, Callable[[], Any]]:
    """Return sessions of the driver that Great Expectations knows."""
    from flakeguard_pipeline.warehouse.postgres_session import psycopg2_session

    sa.dialects.registry.register(_POSTGRES, _BUFFERED, "BufferedPostgres")

    def connect() -> Any:
        schema = str(tables.test_execution.schema)
        session = psycopg2_session(warehouse.url, search_path=schema, read_only=not chosen)
        if chosen:
            with session.cursor() as cursor:
                cursor.execute(_choosing(chosen))
            session.commit()
            session.set_session(readonly=True)
        return session

    return _POSTGRES, connect


def _choosing(chosen: str) -> str:
    """Return the statement that keeps what is chosen for one session: every expectation would choose it anew."""
    return f"create temporary table {CHOSEN} as {chosen}"


def _expectations() -> list[Any]:
    """Return the suite; every expectation bears the name that findings call it by."""
    import great_expectations.expectations as gxe

    table = tables.test_execution
    identifier = f"^[0-9a-f]{{{ID_HEX_DIGITS}}}$"
    made = [
        # a set: columns that a migration adds come last
        gxe.ExpectTableColumnsToMatchSet(column_set=[column.name for column in table.columns], exact_match=True),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column.name) for column in table.columns if not column.nullable),
        *(
            gxe.ExpectColumnValueLengthsToBeBetween(column=name, min_value=1)
            for name in ("org", "repository_id", "run_id")
        ),
        gxe.ExpectColumnValuesToBeInSet(column="outcome", value_set=[outcome.value for outcome in Outcome]),
        gxe.ExpectColumnValuesToBeBetween(column="run_attempt", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="ordinal", min_value=0),
        gxe.ExpectColumnValuesToBeBetween(column="retry_index", min_value=0),
        gxe.ExpectColumnValuesToBeBetween(
            column="duration_us", min_value=0, max_value=LONGEST_DURATION // timedelta(microseconds=1)
        ),
        gxe.ExpectColumnValuesToBeBetween(column="started_at", min_value=EARLIEST_START, max_value=LATEST_START),
        gxe.ExpectColumnValuesToMatchRegex(column="test_key", regex=identifier),
        gxe.ExpectColumnValuesToMatchRegex(column="report_id", regex=identifier),
        gxe.ExpectColumnValuesToMatchRegex(
            column="failure_signature", regex=f"^([0-9a-f]{{{SIGNATURE_HEX_DIGITS}}})?$"
        ),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=list(table.info["key"])),
    ]
    for expectation in made:
        expectation.meta = {"name": expectation.expectation_type}
    rules = [
        gxe.UnexpectedRowsExpectation(unexpected_rows_query=rule.query, meta={"name": rule.name}) for rule in _ROW_RULES
    ]
    return [*made, *rules]


def _finding(result: Any) -> Finding:
    """Return what a broken expectation of Great Expectations' own says."""
    kwargs: Mapping[str, Any] = result.expectation_config.kwargs
    found: Mapping[str, Any] = result.result
    column = kwargs.get("column") or ", ".join(kwargs.get("column_list", ()))
    name = str(result.expectation_config.meta["name"])
    if "unexpected_count" in found:
        examples = _examples(found.get("partial_unexpected_list", ()))
        return Finding(name, column, int(found["unexpected_count"]), examples)
    if "details" in found:
        columns = [f"{how}: {each}" for how, names in found["details"]["mismatched"].items() for each in names]
        return Finding(name, column, len(columns), _examples(columns))
    return Finding(name, column, 0, _not_evaluated(result))


def _row_finding(result: Any, rule: _RowRule, connection: Connection, chosen: str) -> Finding:
    """Return what a broken rule says, with some of the rows that break it."""
    if "observed_value" not in result.result:
        return Finding(rule.name, rule.column, 0, _not_evaluated(result))
    named = f"with {CHOSEN} as ({chosen}) " if chosen else ""
    broken = rule.query.format(batch=CHOSEN if chosen else SUITE_NAME)
    rows = connection.read(
        f"{named}select distinct * from ({broken}) as broken order by {rule.order} limit {MAX_EXAMPLES}"  # noqa: S608
    )
    return Finding(rule.name, rule.column, int(result.result["observed_value"]), _examples(rows.to_dicts()))


def _not_evaluated(result: Any) -> tuple[str, ...]:
    """Return why an expectation could not even be evaluated, such as a column that is not there."""
    info: Mapping[str, Any] = result.exception_info or {}
    causes = [info] if "exception_message" in info else list(info.values())
    messages = [str(cause["exception_message"]) for cause in causes if isinstance(cause, Mapping)]
    return _examples([f"could not be evaluated: {message}" for message in messages or ["no reason given"]])


def _examples(values: Iterable[Any]) -> tuple[str, ...]:
    """Return some distinct values as short texts, in order."""
    texts = {
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping) else str(value)
        for value in values
    }
    return tuple(text[:MAX_EXAMPLE_CHARACTERS] for text in sorted(texts)[:MAX_EXAMPLES])

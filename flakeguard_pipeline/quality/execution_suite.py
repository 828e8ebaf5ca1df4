"""What must hold of `core.test_execution` before anything is decided from it, as a Great Expectations suite.

Belongs here: the expectations and what a broken one says. Does not belong here: what follows from a broken one
(assets/checks), nor counts of broken files, which are normal.

Great Expectations costs seconds to import, so the functions that need it import it. It works on the warehouse's own
tables, through SQLAlchemy, and only counts and a few examples leave the database.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flakeguard_pipeline.domain.digests import ID_HEX_DIGITS, stable_id
from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.normalize.signatures import SIGNATURE_HEX_DIGITS
from flakeguard_pipeline.quality.batches import CHOSEN, batch_of
from flakeguard_pipeline.quality.checked_attempts import executions_of, record_sound, unchecked
from flakeguard_pipeline.warehouse import tables
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
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

MAX_EXAMPLES = 5
MAX_EXAMPLE_CHARACTERS = 300

ATTEMPT_IS_LOADED = "expect_run_attempt_to_be_loaded"
NO_SIGNATURE_WITHOUT_FAILURE = "expect_no_failure_signature_without_failure"


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
    with batch_of(warehouse, connection, chosen) as batch:
        # SUMMARY returns counts and some examples; COMPLETE would fetch every unexpected row.
        validated = batch.validate(suite, result_format="SUMMARY")
    findings = []
    for result in validated.results:
        if result.success:
            continue
        rule = next((each for each in _ROW_RULES if each.name == result.expectation_config.meta["name"]), None)
        findings.append(_finding(result) if rule is None else _row_finding(result, rule, connection, chosen))
    return len(suite.expectations), tuple(sorted(findings, key=lambda each: (each.expectation, each.column)))


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

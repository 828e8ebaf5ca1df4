"""Parsed reports as typed frames: one row per execution, as the warehouse takes it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl

from flakeguard_pipeline.domain.model import Outcome, ParsedReport, ReportContext
from flakeguard_pipeline.normalize.identity import normalise_name, test_key
from flakeguard_pipeline.normalize.redaction import redact
from flakeguard_pipeline.normalize.signatures import failure_signature

EXECUTION_SCHEMA: dict[str, pl.DataType] = {
    "org": pl.String(),
    "provider": pl.String(),
    "repository_id": pl.String(),
    "run_id": pl.String(),
    "run_attempt": pl.Int32(),
    "artifact": pl.String(),
    "report_id": pl.String(),
    "ordinal": pl.Int32(),
    "test_key": pl.String(),
    "variant": pl.String(),
    "suite": pl.String(),
    "classname": pl.String(),
    "name": pl.String(),
    "file": pl.String(),
    "raw_name": pl.String(),
    "outcome": pl.String(),
    "retry_index": pl.Int32(),
    "is_final": pl.Boolean(),
    "started_at": pl.Datetime("us", "UTC"),
    "duration_us": pl.Int64(),
    "job_id": pl.String(),
    "failure_type": pl.String(),
    "failure_message": pl.String(),
    "failure_signature": pl.String(),
    "failure_text": pl.String(),
    "output": pl.String(),
    "raw_classname": pl.String(),
}
"""Columns of an executions frame, in order. Grain: one execution, identified by report_id and ordinal.

`name` is normalised, `raw_name` as reported (redacted); absent text is '', and only `duration_us`
(microseconds) is ever null.
"""

_FAILED = frozenset({Outcome.FAILED, Outcome.ERRORED})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_INT32 = 2**31 - 1
_MAX_DURATION_US = 2**53
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with U+FFFD for what no database stores: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)


def _clean(text: str) -> str:
    return redact(storable(text)) if text else ""


def _micros(moment: datetime) -> int:
    """Return microseconds since 1970, clamped to the years 1970 to 9999; a time without a zone is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (min(max(aware, _EPOCH), _LAST_MOMENT) - _EPOCH) // _MICROSECOND


def executions_frame(report: ParsedReport, context: ReportContext) -> pl.DataFrame:
    """Return the executions of `report` with EXECUTION_SCHEMA, in the report's order.

    Free text is redacted before anything is derived from it, so every derived column can be computed again
    from the frame. An execution without a start of its own started with its run.
    """
    cases = report.cases
    # suites, classes and files repeat in each row of a report
    clean: Callable[[str], str] = cache(_clean)
    org, repository_id = storable(context.org), storable(context.repository_id)
    run_started = _micros(context.run_started_at)

    @cache
    def key(suite: str, classname: str, name: str, file: str) -> str:
        return test_key(org, repository_id, suite, classname, name, file)

    suites = [clean(case.suite) for case in cases]
    classnames = [clean(case.classname) for case in cases]
    raw_names = [clean(case.name) for case in cases]
    names = [normalise_name(name) for name in raw_names]
    files = [clean(case.file) for case in cases]
    types = [clean(case.failure_type) for case in cases]
    messages = [_clean(case.failure_message) for case in cases]
    texts = [_clean(case.failure_text) for case in cases]
    columns: dict[str, list[str] | list[int] | list[int | None] | list[bool]] = {
        "ordinal": [min(case.ordinal, _MAX_INT32) for case in cases],
        "test_key": list(map(key, suites, classnames, names, files)),
        "suite": suites,
        "classname": classnames,
        "name": names,
        "file": files,
        "raw_name": raw_names,
        "outcome": [case.outcome.value for case in cases],
        "retry_index": [min(case.retry_index, _MAX_INT32) for case in cases],
        "is_final": [case.is_final for case in cases],
        "started_at": [run_started if case.started_at is None else _micros(case.started_at) for case in cases],
        "duration_us": [_duration(case.duration_us) for case in cases],
        "failure_type": types,
        "failure_message": messages,
        "failure_signature": [
            failure_signature(kind, message, text) if case.outcome in _FAILED else ""
            for case, kind, message, text in zip(cases, types, messages, texts, strict=True)
        ],
        "failure_text": texts,
        "output": [_clean(case.output) for case in cases],
        "raw_classname": classnames,
    }
    constants: dict[str, str | int] = {
        "org": org,
        "provider": storable(context.provider),
        "repository_id": repository_id,
        "run_id": storable(context.run_id),
        "run_attempt": min(context.run_attempt, _MAX_INT32),
        "artifact": storable(context.artifact),
        "report_id": storable(context.report_id),
        "variant": storable(context.variant),
        "job_id": storable(context.job_id),
    }
    # moments go in as integers: building them from datetime objects is an order of magnitude slower
    typed = [
        pl.Series(name, values, dtype=pl.Int64()).cast(EXECUTION_SCHEMA[name])
        if name == "started_at"
        else pl.Series(name, values, dtype=EXECUTION_SCHEMA[name])
        for name, values in columns.items()
    ]
    return (
        pl.DataFrame(typed)
        .with_columns(pl.lit(value, dtype=EXECUTION_SCHEMA[name]).alias(name) for name, value in constants.items())
        .select(*EXECUTION_SCHEMA)
    )


def _duration(value: int | None) -> int | None:
    return None if value is None else min(max(value, 0), _MAX_DURATION_US)

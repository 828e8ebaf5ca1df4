"""Executions as their reports tell them -> typed rows, as the warehouse takes them.

Free text is redacted before anything is derived from it, so every derived column can be computed again from the frame.
Whole columns go through at once: what no rule can touch is told by one native scan, and only the rest is looked at one
by one.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial

import polars as pl

from flakeguard_pipeline.domain.digests import ID_HEX_DIGITS, MAX_LABEL_BYTES, bounded
from flakeguard_pipeline.domain.model import Outcome, ReportContext
from flakeguard_pipeline.normalize.identity import (
    DEFAULT_RULES,
    IdentityRules,
    discriminator,
    folded,
    normalise_classname,
    normalise_file,
    normalise_name,
)
from flakeguard_pipeline.normalize.identity_rules import NAME_TRIGGER
from flakeguard_pipeline.normalize.redaction import needles, redact
from flakeguard_pipeline.normalize.signatures import failure_signature
from flakeguard_pipeline.parsing.cases import micros, storable

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

`name`, `classname` and `file` are normalised but for parameters, `raw_name` and `raw_classname` as reported (redacted);
absent text is '', and only `duration_us` (microseconds) is ever null.
"""

_WORDS = ("classname", "name", "file")
"""What identifies a test within its repository and may have been changed by a rule."""

_TEXTS = (
    *("suite", "classname", "name", "file", "environment"),
    *("failure_type", "failure_message", "failure_text", "output"),
)
_FAILED = (Outcome.FAILED.value, Outcome.ERRORED.value)
_MAX_INT32 = 2**31 - 1
_NEEDS_ESCAPE = r"[^ !#-\[\]-~]"


def executions_frame(
    cases: pl.DataFrame,
    contexts: Sequence[ReportContext],
    *,
    rules: Sequence[IdentityRules] | None = None,
    emails: bool = False,
) -> pl.DataFrame:
    """Return executions with EXECUTION_SCHEMA, in the order of `cases`.

    Where the rules give different tests of one report one key, what they replaced is a parameter: those executions
    keep their own words. Reports are looked at as far as they are in `cases`: one that arrives in several frames
    (beyond `ROWS_A_FRAME` executions or `CHARACTERS_A_FRAME` characters, parsing/reports.py) is decided frame by frame,
    so tests whose parameters stand in different frames are not told apart.

    Args:
        cases: executions of one or more reports (CASE_SCHEMA).
        contexts: what is known of each report, by its `report` number.
        rules: the identity rules of each report; None means the default everywhere.
        emails: whether e-mail addresses are redacted, too.

    An execution without a start of its own started with its run.
    """
    ruled = rules or [DEFAULT_RULES] * len(contexts)
    groups: dict[tuple[str, str, IdentityRules], list[int]] = {}
    for number, (context, own) in enumerate(zip(contexts, ruled, strict=True)):
        groups.setdefault((storable(context.org), storable(context.repository_id), own), []).append(number)
    clean = cases.with_columns(_redacted(cases[name], emails=emails) for name in _TEXTS).with_columns(
        _of_context(cases["report"], contexts)
    )
    if len(groups) == 1:
        ((org, repository_id, own),) = groups
        identified = _identified(clean, org, repository_id, own)
    else:
        parts = [
            _identified(clean.filter(pl.col("report").is_in(numbers)), org, repository_id, own)
            for (org, repository_id, own), numbers in groups.items()
        ]
        identified = pl.concat(parts).sort("position") if parts else _identified(clean, "", "", DEFAULT_RULES)
    return identified.with_columns(
        pl.coalesce("started_at", "run_started_at").alias("started_at"),
        _labelled_variants(identified),
        _signatures(identified),
    ).select(pl.col(name).cast(kind) for name, kind in EXECUTION_SCHEMA.items())


def _of_context(reports: pl.Series, contexts: Sequence[ReportContext]) -> list[pl.Series]:
    """Return what is known of each execution's report, as columns."""
    columns = {
        name: pl.Series(name, [storable(getattr(context, name)) for context in contexts], dtype=pl.String())
        for name in ("org", "provider", "repository_id", "run_id", "artifact", "report_id", "variant", "job_id")
    }
    columns["run_attempt"] = pl.Series(
        "run_attempt", [min(context.run_attempt, _MAX_INT32) for context in contexts], dtype=pl.Int32()
    )
    columns["run_started_at"] = pl.Series(
        "run_started_at", [micros(context.run_started_at) for context in contexts], dtype=pl.Int64()
    ).cast(EXECUTION_SCHEMA["started_at"])
    position = pl.Series("position", range(len(reports)), dtype=pl.UInt32())
    return [*(column.gather(reports) for column in columns.values()), position]


def _labelled_variants(cases: pl.DataFrame) -> pl.Series:
    """Return the variants with the environment that the report itself names, as the label `project`."""
    if not (cases["environment"] != "").any():
        return cases["variant"]
    is_long = pl.col("environment").str.len_bytes() > MAX_LABEL_BYTES
    environment = pl.when(is_long).then(pl.col("environment").map_elements(bounded, pl.String)).otherwise("environment")
    label = pl.lit("project=") + environment
    joined = pl.when(pl.col("variant") == "").then(label).otherwise(pl.col("variant") + "," + label)
    labelled = pl.when(pl.col("environment") == "").then("variant").otherwise(joined)
    return cases.select(labelled.alias("variant")).to_series()


def _redacted(texts: pl.Series, *, emails: bool) -> pl.Series:
    suspected = texts.str.contains_any(list(needles(emails=emails)), ascii_case_insensitive=True)
    return _changed(texts, suspected, partial(redact, emails=emails))


def _identified(cases: pl.DataFrame, org: str, repository_id: str, rules: IdentityRules) -> pl.DataFrame:
    """Add test keys, and normalise what they are made of; the executions are of one repository."""
    classes = _mapped(cases["classname"], partial(normalise_classname, rules=rules))
    files = _mapped(cases["file"], partial(normalise_file, rules=rules))
    raw_names = cases["name"]
    suspected = (
        pl.Series([True], dtype=pl.Boolean()).new_from_index(0, len(raw_names))
        if rules.touches_every_name
        else raw_names.str.contains(NAME_TRIGGER)
    )
    names = _changed(raw_names, suspected, partial(normalise_name, rules=rules))
    frame = cases.with_columns(
        classes, files, names, raw_names.alias("raw_name"), cases["classname"].alias("raw_classname")
    )
    keyed = frame.with_columns(_keys(frame, org, repository_id, rules))
    return _told_apart(keyed, cases, org, repository_id, rules)


def _told_apart(
    frame: pl.DataFrame, cases: pl.DataFrame, org: str, repository_id: str, rules: IdentityRules
) -> pl.DataFrame:
    """Give executions their own words back where the rules merged different tests of one report.

    Only what a rule touched, and what shares a key with it, is looked at: mostly nothing.

    Args:
        frame: the executions with normalised words and their keys.
        cases: the same executions with their own words.
        org: the organisation.
        repository_id: the repository.
        rules: the rules that were applied.
    """
    names = _changed(cases["name"], frame["name"] != cases["name"], folded)
    own = cases.with_columns(names)
    touched = (frame["name"] != names) | (frame["classname"] != own["classname"]) | (frame["file"] != own["file"])
    if not touched.any():
        return frame
    test = ["report", "test_key"]
    numbered = frame.select(test).with_row_index("row")
    # the touched ones alone first: a key that none of them has needs no more than this look
    alike = numbered.join(numbered.filter(touched).select(test).unique(), on=test, how="semi").sort("row")
    alike = alike.filter(alike.select(test).is_duplicated())
    if not alike.height:
        return frame
    keys = _keys(own[alike["row"]], org, repository_id, rules)
    parameters = alike.with_columns(keys.alias("own_key")).filter(pl.col("own_key").n_unique().over(test) > 1)
    where = pl.Series([False], dtype=pl.Boolean()).new_from_index(0, frame.height)
    where = where.scatter(parameters["row"], values=True)
    return frame.with_columns(
        *(own[word].zip_with(where, frame[word]) for word in _WORDS),
        _placed(frame["test_key"], where, parameters["own_key"].to_list()),
    )


def _keys(cases: pl.DataFrame, org: str, repository_id: str, rules: IdentityRules) -> pl.Series:
    """Return the test keys: `identity.test_key` on whole columns, of words that stay as they are."""
    classes = cases.select("suite", "classname", "file").unique()
    middles = [
        f"{_json(discriminator(suite, classname, file, rules))},{_json(classname)},"
        for suite, classname, file in classes.iter_rows()
    ]
    if classes.height == 1:
        middle = pl.Series("middle", middles).new_from_index(0, cases.height)
    else:
        known = classes.with_columns(pl.Series("middle", middles, dtype=pl.String()))
        on = ["suite", "classname", "file"]
        middle = cases.select(on).join(known, on=on, how="left", maintain_order="left")["middle"]
    names = cases["name"]
    plain = pl.select(pl.concat_str(pl.lit('"'), names, pl.lit('"'))).to_series()
    odd = names.str.contains(_NEEDS_ESCAPE)
    quoted = _placed(plain, odd, [_json(name) for name in names.filter(odd).to_list()])
    prefix = json.dumps(["test", org, repository_id], separators=(",", ":"))[:-1] + ","
    framed = pl.select(pl.concat_str(pl.lit(prefix), middle, quoted, pl.lit("]"))).to_series()
    return _mapped(framed, _digest).alias("test_key")


def _json(text: str) -> str:
    return json.dumps(text)


def _digest(framed: str) -> str:
    return hashlib.sha256(framed.encode("ascii")).hexdigest()[:ID_HEX_DIGITS]


def _signatures(cases: pl.DataFrame) -> pl.Series:
    failed = cases["outcome"].is_in(_FAILED)
    rows = cases.filter(failed).select("failure_type", "failure_message", "failure_text").iter_rows()
    nothing = pl.Series("failure_signature", [""]).new_from_index(0, cases.height)
    return _placed(nothing, failed, [failure_signature(*row) for row in rows])


def _changed(texts: pl.Series, suspected: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """Return `texts` with `change` applied to those that are suspected to need it."""
    if not suspected.any():
        return texts
    some = texts.filter(suspected)
    return _placed(texts, suspected, _mapped(some, change).to_list())


def _mapped(texts: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """Return `change` of each text, computed once for equal ones where there are many of them."""
    unique = texts.unique(maintain_order=True)
    if 2 * len(unique) > len(texts):
        return pl.Series(texts.name, [change(text) for text in texts.to_list()], dtype=pl.String())
    changed = pl.Series("changed", [change(text) for text in unique.to_list()], dtype=pl.String())
    if changed.equals(unique):
        return texts
    known = pl.DataFrame([unique.alias("text"), changed])
    found = texts.alias("text").to_frame().join(known, on="text", how="left", maintain_order="left")
    return found["changed"].alias(texts.name)


def _placed(texts: pl.Series, where: pl.Series, values: list[str]) -> pl.Series:
    """Return `texts` with `values` in the places that are marked."""
    if not values:
        return texts
    numbers = pl.Series(range(len(texts)), dtype=pl.UInt32()).scatter(
        where.arg_true(), pl.Series(range(len(texts), len(texts) + len(values)), dtype=pl.UInt32())
    )
    return pl.concat([texts, pl.Series(texts.name, values, dtype=pl.String())]).gather(numbers)

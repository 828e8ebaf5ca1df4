"""What the results of each test variant on each code version say, and in which order code versions came.

- Passes and failures on the same code: the failures are flakes.
- Only passes: evidence that it does not flake.
- Only failures: cannot be told from broken code, so it is never evidence of a flake rate. Therefore the rate
  is a lower estimate where code is seldom executed twice.
"""

import polars as pl

from flakeguard_pipeline.stats.parameters import ScoringParameters


def by_code_version(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per (test, version) that was executed outside outages.

    `rows` has `test`, `version`, `is_default_branch`, and the counts `trusted` (executions) and
    `trusted_failures`, both without the failures of outages. Returned: the two counts, `on_default` (an
    execution of it was on the default branch), `mixed` (passes and failures) and `all_fail`.
    """
    failures, executions = pl.col("trusted_failures"), pl.col("trusted")
    return (
        rows.filter(executions > 0)
        .group_by("test", "version")
        .agg(executions.sum(), failures.sum(), on_default=pl.col("is_default_branch").any())
        .with_columns(
            mixed=(failures > 0) & (failures < executions),
            all_fail=failures == executions,
        )
    )


def default_branch_order(known: pl.DataFrame) -> pl.DataFrame:
    """Return `version` and `position` for the default branch: by first start there, ties by code version.

    The start is that of the repository's first run of the code, so a later rerun of an old commit, or a test
    that was first executed by one, keeps its place. Versions are numbered in their bytewise order.
    """
    return (
        known.filter("is_default_branch")
        .group_by("version")
        .agg(first=pl.col("run_started_at").min())
        .sort("first", "version")
        .with_row_index("position")
        .select("version", pl.col("position").cast(pl.Int64))
    )


def default_branch_failures(
    versions: pl.DataFrame, order: pl.DataFrame, *, parameters: ScoringParameters
) -> pl.DataFrame:
    """Return one row per test that has an all-fail code version on the default branch.

    `trailing_failures` counts the failing executions since the newest code version with a pass: 0 where the
    newest one has a pass. `possible_flakes` counts the spells of all-fail code versions that ended in a pass,
    less one if some spell has enough failing executions for a breakage: one breakage and repair in a window
    is ordinary, but a test that fails again and again on single commits may be flaky, even if no commit
    proves it.
    """
    failing = versions.filter("on_default", "all_fail").select("test").unique()
    history = (
        versions.filter("on_default")
        .join(failing, on="test", how="semi")
        .join(order, on="version")
        .sort("test", "position")
        .with_columns(previous=pl.col("all_fail").shift(1, fill_value=False).over("test"))
        .with_columns(spell=(pl.col("all_fail") & ~pl.col("previous")).cum_sum())
    )
    newest_pass = history.filter(~pl.col("all_fail")).group_by("test").agg(newest_pass=pl.col("position").max())
    spells = (
        history.filter("all_fail")
        .group_by("test", "spell")
        .agg(pl.col("trusted_failures").sum(), end=pl.col("position").max())
        .join(newest_pass, on="test", how="left")
        .with_columns(ended=pl.col("end") < pl.col("newest_pass").fill_null(-1))
    )
    failures, ended = pl.col("trusted_failures"), pl.col("ended")
    breakage = ended & (failures >= parameters.broken_min_failures)
    return spells.group_by("test").agg(
        trailing_failures=failures.filter(~ended).sum(),
        possible_flakes=ended.sum().cast(pl.Int64) - breakage.any().cast(pl.Int64),
    )

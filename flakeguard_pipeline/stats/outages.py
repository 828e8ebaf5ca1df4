"""Which run attempts were run-wide outages: mass failures that the same code contradicts.

A dead database or a full disk fails most tests of a run at once and says nothing about any of them. But so
does a build that does not work, which must not be excused. The two are told apart by the same code: a mass
failure counts as an outage only where another attempt on the same code version ran at least half of the tests
that failed and most of those passed. Without such an attempt nothing is said.
"""

import numpy as np
import polars as pl

from flakeguard_pipeline.stats.parameters import ScoringParameters


def outage_attempts(window: pl.DataFrame, known: pl.DataFrame, *, parameters: ScoringParameters) -> pl.DataFrame:
    """Return the `attempt` of each outage among the window's attempts, in no particular order.

    Both frames have the integer columns `test`, `version`, `attempt`, `executions` and `failures`. Attempts
    older than the window may contradict one inside it, so `known` has all rows.
    """
    executed = pl.col("executions") > 0
    suspects = (
        window.filter(executed)
        .group_by("version", "attempt")
        .agg(tests=pl.len(), failing=(pl.col("failures") > 0).sum())
        .filter(
            pl.col("tests") >= parameters.outage_min_tests,
            pl.col("failing") >= pl.col("tests") * parameters.outage_share,
        )
    )
    on_same_code = known.filter(executed).join(suspects.select("version").unique(), on="version", how="semi")
    repeated = (
        on_same_code.group_by("version").agg(attempts=pl.col("attempt").n_unique()).filter(pl.col("attempts") > 1)
    )
    candidates = on_same_code.join(repeated, on="version", how="semi")
    suspected = set(suspects.get_column("attempt").to_list())
    found: list[int] = []
    for rows in candidates.partition_by("version"):  # few: code versions with a mass failure and a second attempt
        found.extend(_contradicted(rows, suspected))
    return pl.DataFrame({"attempt": found}, schema={"attempt": known.schema["attempt"]})


def _contradicted(rows: pl.DataFrame, suspected: set[int]) -> list[int]:
    """Return the suspected attempts of one code version that another of its attempts contradicts."""
    attempts, attempt = np.unique(rows.get_column("attempt").to_numpy(), return_inverse=True)
    tests, test = np.unique(rows.get_column("test").to_numpy(), return_inverse=True)
    failed = rows.get_column("failures").to_numpy() > 0
    # attempts x tests; float32 counts exactly up to 2^24 tests and multiplies fast
    failing = np.zeros((len(attempts), len(tests)), dtype=np.float32)
    passing = np.zeros_like(failing)
    failing[attempt[failed], test[failed]] = 1
    passing[attempt[~failed], test[~failed]] = 1
    failures = failing.sum(axis=1, keepdims=True)
    # [i, j]: tests that failed in attempt i and passed (or ran at all) in attempt j
    passed_there = failing @ passing.T
    ran_there = passed_there + failing @ failing.T
    contradicts = (2 * ran_there >= failures) & (2 * passed_there > ran_there)
    return [
        int(number)
        for number, contradicted in zip(attempts, contradicts.any(axis=1), strict=True)
        if contradicted and int(number) in suspected
    ]

"""Short histories of CI runs as texts: `P` passed, `F` failed, `S` skipped; `FP` failed, then passed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from flakeguard_pipeline.stats.frames import INFERRED_SCHEMA, ROLLUP_SCHEMA, Scoring
from flakeguard_pipeline.stats.health import score
from flakeguard_pipeline.stats.parameters import ScoringParameters

START = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=60)


class History:
    """Collects runs, one an hour unless told otherwise; each is known half an hour after its start."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.inferred: list[dict[str, Any]] = []
        self.runs = 0

    def run(
        self,
        code: str,
        results: str | dict[str, str],
        *,
        default: bool = True,
        day: float | None = None,
        run_id: str | None = None,
        attempt: int = 1,
        variant: str = "",
    ) -> None:
        """Add one run attempt on `code`; a bare text is the result of the test `t`."""
        started = START + (timedelta(hours=self.runs) if day is None else timedelta(days=day))
        self.runs += 1
        for test, outcomes in ({"t": results} if isinstance(results, str) else results).items():
            self.rows.append(
                {
                    "org": "acme",
                    "repository_id": "7",
                    "test_key": test,
                    "variant": variant,
                    "test_id": f"{test}/{variant}",
                    "suite": "unit",
                    "classname": "pkg.Case",
                    "name": test,
                    "file": "",
                    "provider": "github",
                    "run_id": run_id or f"run-{self.runs:05d}",
                    "run_attempt": attempt,
                    "code_version": code,
                    "is_default_branch": default,
                    "run_started_at": started,
                    "known_at": started + timedelta(minutes=30),
                    "executions": outcomes.count("P") + outcomes.count("F"),
                    "failures": outcomes.count("F"),
                    "skips": outcomes.count("S"),
                }
            )

    def commits(self, results: str, prefix: str = "c", *, default: bool = True) -> None:
        """Add one run for each character, each on a commit of its own."""
        for result in results:
            self.run(f"{prefix}{self.runs:05d}", result, default=default)

    def infer(self, passes: int, test: str = "t", *, day: float | None = None, variant: str = "") -> None:
        """Add one run attempt each for a number of inferred passes of one test."""
        for _ in range(passes):
            started = START + (timedelta(hours=self.runs) if day is None else timedelta(days=day))
            self.runs += 1
            self.inferred.append(
                {
                    "test_key": test,
                    "variant": variant,
                    "run_id": f"run-{self.runs:05d}",
                    "run_attempt": 1,
                    "run_started_at": started,
                    "known_at": started + timedelta(minutes=30),
                    "inferred_passes": 1,
                }
            )

    @property
    def frame(self) -> pl.DataFrame:
        """The roll-up."""
        return pl.DataFrame(self.rows, schema=ROLLUP_SCHEMA)

    def score(self, as_of: datetime = AS_OF, **parameters: Any) -> Scoring:
        """Score it."""
        inferred = pl.DataFrame(self.inferred, schema=INFERRED_SCHEMA)
        return score(self.frame, as_of=as_of, parameters=ScoringParameters(**parameters), inferred=inferred)

    def health(self, test: str = "t", variant: str = "", as_of: datetime = AS_OF) -> dict[str, Any]:
        """Return what is said of one test."""
        rows = self.score(as_of).health.filter(pl.col("test_key") == test, pl.col("variant") == variant)
        return rows.row(0, named=True)

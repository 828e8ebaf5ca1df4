"""Short histories of a default branch: which tests ran on each commit, in which job. One run an hour."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from typing import Any

import polars as pl

from flakeguard_pipeline.stats.renames import (
    GROUP_RUN_SCHEMA,
    POSITION_SCHEMA,
    SIGHTING_SCHEMA,
    SPAN_SCHEMA,
    moved,
    propose,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """One execution of a test; `test` is `<classname>::<name>`."""

    test: str
    position: int
    group: str
    seconds: float
    failed: bool


@dataclass
class Branch:
    """Collects commits and gives the frames that the comparison reads."""

    seen: list[Seen] = field(default_factory=list)
    reports: dict[tuple[str, int], int] = field(default_factory=dict)
    commits: int = 0

    def commit(
        self,
        *jobs: Iterable[str] | Mapping[str, Iterable[str]],
        seconds: Mapping[str, float] | None = None,
        failed: Iterable[str] = (),
    ) -> None:
        """Add a commit on which these tests ran, in the job `all` unless jobs are named."""
        self.commits += 1
        failing = set(failed)
        for tests in jobs:
            for group, members in (tests if isinstance(tests, Mapping) else {"all": tests}).items():
                listed = list(members)
                self.reports[group, self.commits] = len(listed)
                self.seen += [
                    Seen(test, self.commits, group, (seconds or {}).get(test, 0.25), test in failing) for test in listed
                ]

    def proposals(self, shuffled: Random | None = None) -> pl.DataFrame:
        """Return what is proposed; `shuffled` brings every frame's rows into another order."""
        spans = _frame([self._span(test) for test in {each.test for each in self.seen}], SPAN_SCHEMA, shuffled)
        candidates = set(moved(spans)["test_key"])
        pairs = {(each.test, each.group) for each in self.seen if each.test in candidates}
        return propose(
            _frame(
                [{"code_version": f"c{n}", "head_sha": f"c{n}", "position": n} for n in range(1, self.commits + 1)],
                POSITION_SCHEMA,
                shuffled,
            ),
            spans,
            _frame([self._sighting(*pair) for pair in pairs], SIGHTING_SCHEMA, shuffled),
            _frame(
                [
                    {**_group(group), "position": n, "executions": count, "known_at": _known_at(n)}
                    for (group, n), count in self.reports.items()
                ],
                GROUP_RUN_SCHEMA,
                shuffled,
            ),
        )

    def pairs(self) -> dict[tuple[str, str], float]:
        """Return the proposed pairs with their confidence."""
        return {(row["old_test_key"], row["new_test_key"]): row["confidence"] for row in self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Return the proposals as mappings."""
        return self.proposals().to_dicts()

    def _span(self, test: str) -> dict[str, Any]:
        positions = [each.position for each in self.seen if each.test == test]
        classname, _, name = test.partition("::")
        return {
            "test_key": test,
            "suite": "suite",
            "classname": classname,
            "name": name,
            "file": "",
            "first_position": min(positions),
            "last_position": max(positions),
            "run_attempts": len(set(positions)),
        }

    def _sighting(self, test: str, group: str) -> dict[str, Any]:
        own = [each for each in self.seen if (each.test, each.group) == (test, group)]
        first = min(each.position for each in self.seen if each.test == test)
        positions = {each.position for each in own}
        return {
            "test_key": test,
            **_group(group),
            "first_position": min(positions),
            "last_position": max(positions),
            "positions": len(positions),
            "first_known_at": _known_at(first) if first in positions else None,
            "executions": len(own),
            "failures": sum(each.failed for each in own),
            "median_duration_us": median(each.seconds for each in own) * 1e6,
        }


def _known_at(position: int) -> datetime:
    return START + timedelta(hours=position)


def _group(group: str) -> dict[str, str]:
    return {"workflow": "CI", "artifact": group, "variant": ""}


def _frame(rows: list[dict[str, Any]], schema: dict[str, Any], shuffled: Random | None) -> pl.DataFrame:
    if shuffled is not None:
        shuffled.shuffle(rows)
    return pl.DataFrame(rows, schema=schema)

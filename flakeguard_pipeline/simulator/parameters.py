"""What a simulated CI history is made of: one documented struct, checked when it is made.

Belongs here: the knobs, the reason of each default, and the refusal of values that make no history.
Does not belong here: drawing anything.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta

MIN_DAYS = 10
"""Shortest history in which outage, repair and regression each find a default-branch commit of their own."""

MAX_SEED = 2**63 - 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationParameters:
    """Everything that `simulate` depends on; equal parameters give equal histories, byte for byte.

    Attributes:
        seed: Where all randomness comes from, 0 to 2**63 - 1. 20260901 is the first day of the default
            history.
        full_name: `owner/name` of the repository; `acme/shop` is plainly nobody's.
        repository_id: The provider's id of the repository; nine digits, as GitHub's are today.
        default_branch: Where commits land; `main`, as on most hosts.
        start: First day, UTC. Fixed, not "today": the demo must tell the same story whenever it is run.
        days: Length in days, at least `MIN_DAYS`. 45 cover a 30-day window and a good part of the one before.
        runs_per_day: Commits tested on a weekday, at weekends a third of it, at least one. 5 for six weeks
            gives about 200 tested commits, a small team's activity.
        tests: Test cases in the suite. 60 fit on a screen, and still leave most of them healthy.
        variants: Configurations that run the whole suite, each uploading one artifact. Two, on two operating
            systems, are the fewest that show a test that is flaky in only one of them.
        flake_rates: Chance that a try fails, per kind of flaky test. From 1 %, which is hard to tell from a
            healthy test in 45 days, to 20 %, which everybody has noticed.
        flaky_tests_per_rate: Tests per entry of `flake_rates`. Taking turns, one is flaky in all variants and
            the next in a single one. 1 keeps about half of the runs green.
        fixed_flake_rate: Rate of the one flaky test that is repaired half-way; 0 leaves it out. 12 % makes it
            evident before the repair and its absence evident after it.
        retried_tests: Tests reported in Surefire's style, whose runner tries a failing test twice more. 5 are
            one class. Only they have executions within one report that disagree.
        retried_flake_rate: Chance that one try of the first retried test fails. 25 % shows `flakyFailure`
            often and lets three failures in a row, 1.6 %, happen a few times.
        regression_tests: Tests that a commit on the default branch breaks; 0 leaves the regression out. 3 is
            what one bug in a shared function does.
        regression_commits: How many default-branch commits contain the regression, at most two fifths
            of `days`. 4 is a day or two, long enough to be told from a flake.
        always_failing_tests: Tests that have failed since ever and that CI tolerates. Each team has 1.
        skipped_tests: Skipped tests; taking turns, one in the last variant only, the next in all. 2 show
            both.
        pull_request_share: Share of tested commits that belong to pull requests. Half, as where reviews are
            usual.
        breaking_share: Share of pull requests whose first commits really break tests. A quarter: without
            genuine failures on pull requests, any failure that passes elsewhere would count as a flake.
        rerun_share: Share of failing runs that somebody re-runs, once. Half: people re-run when they suspect
            a flake.
        nightly_share: Share of nights with a scheduled run of the latest default-branch commit. Half, since
            nothing is tested again on a night without news.
        outage_share: Share of tests that the one outage of the infrastructure hits; 0 leaves it out. 90 %: a
            few tests never touch the network.
        imperfections: Whether to plant a truncated report, an empty one, an artifact that is no zip and a run
            that is in progress. True, because real histories have them.
    """

    seed: int = 20260901
    full_name: str = "acme/shop"
    repository_id: int = 482_117_093
    default_branch: str = "main"
    start: date = date(2026, 9, 1)
    days: int = 45
    runs_per_day: int = 5
    tests: int = 60
    variants: tuple[str, ...] = ("ubuntu-py311", "windows-py311")
    flake_rates: tuple[float, ...] = (0.01, 0.03, 0.08, 0.2)
    flaky_tests_per_rate: int = 1
    fixed_flake_rate: float = 0.12
    retried_tests: int = 5
    retried_flake_rate: float = 0.25
    regression_tests: int = 3
    regression_commits: int = 4
    always_failing_tests: int = 1
    skipped_tests: int = 2
    pull_request_share: float = 0.5
    breaking_share: float = 0.25
    rerun_share: float = 0.5
    nightly_share: float = 0.5
    outage_share: float = 0.9
    imperfections: bool = True

    def __post_init__(self) -> None:
        self._check_identity()
        self._check_counts()
        self._check_shares()
        if self.special_tests >= self.tests - self.retried_tests:
            raise ValueError(
                f"tests={self.tests} leaves no stable test: {self.special_tests} tests have a part to play "
                f"and {self.retried_tests} are retried; "
                f"ask for at least {self.special_tests + self.retried_tests + 1}"
            )

    @property
    def end(self) -> date:
        """The last day of the history, UTC, inclusive."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def special_tests(self) -> int:
        """How many of the tests that are not retried have a part to play."""
        flaky = len(self.flake_rates) * self.flaky_tests_per_rate
        repaired = 1 if self.fixed_flake_rate > 0 else 0
        return flaky + repaired + self.regression_tests + self.always_failing_tests + self.skipped_tests

    def _check_identity(self) -> None:
        parts = self.full_name.split("/")
        if len(parts) != 2 or not all(_NAME.fullmatch(part) for part in parts):
            raise ValueError(f"full_name must be 'owner/name' of letters, digits, . _ -: got {self.full_name!r}")
        if not _NAME.fullmatch(self.default_branch):
            raise ValueError(f"default_branch must consist of letters, digits, . _ -: got {self.default_branch!r}")
        if not self.variants:
            raise ValueError("variants must name at least one variant")
        for variant in self.variants:
            if not _NAME.fullmatch(variant):
                raise ValueError(f"variants must consist of letters, digits, . _ -: got {variant!r}")
        # folded: the artifacts of two variants are two files, also where file names ignore case
        if len({variant.lower() for variant in self.variants}) != len(self.variants):
            raise ValueError(f"variants must differ by more than case: got {self.variants!r}")
        if self.start.year < 2000 or self.start.year > 9000:
            raise ValueError(f"start must lie in the years 2000 to 9000: got {self.start}")

    def _check_counts(self) -> None:
        for name, value, least, most in (
            ("seed", self.seed, 0, MAX_SEED),
            ("repository_id", self.repository_id, 1, MAX_SEED),
            ("days", self.days, MIN_DAYS, 3650),
            ("runs_per_day", self.runs_per_day, 1, 500),
            ("tests", self.tests, 1, 100_000),
            ("flaky_tests_per_rate", self.flaky_tests_per_rate, 1, 100_000),
            ("retried_tests", self.retried_tests, 0, 100_000),
            ("regression_tests", self.regression_tests, 0, 100_000),
            ("regression_commits", self.regression_commits, 1, self.days * 2 // 5),
            ("always_failing_tests", self.always_failing_tests, 0, 100_000),
            ("skipped_tests", self.skipped_tests, 0, 100_000),
        ):
            if not least <= value <= most:
                raise ValueError(f"{name} must lie between {least} and {most}: got {value}")

    def _check_shares(self) -> None:
        shares = [
            ("fixed_flake_rate", self.fixed_flake_rate),
            ("retried_flake_rate", self.retried_flake_rate),
            ("pull_request_share", self.pull_request_share),
            ("breaking_share", self.breaking_share),
            ("rerun_share", self.rerun_share),
            ("nightly_share", self.nightly_share),
            ("outage_share", self.outage_share),
        ]
        for name, value in shares:
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1: got {value}")
        for rate in self.flake_rates:
            if not 0 < rate < 1:
                raise ValueError(f"flake_rates must lie strictly between 0 and 1: got {rate}")

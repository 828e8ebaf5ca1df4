"""Which test plays which part: the truth of a simulated history, drawn before any test has run."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from flakeguard_pipeline.simulator.model import PullRequest, TruthKind, VariantTruth
from flakeguard_pipeline.simulator.parameters import SimulationParameters
from flakeguard_pipeline.simulator.random_streams import pick, stream
from flakeguard_pipeline.simulator.timeline import Timeline

_MAX_BROKEN_BY_PULL_REQUEST = 4


@dataclass(frozen=True, slots=True)
class MainStory:
    """Turning points of the default branch, as counts of its commits from 0.

    Code with `regression_start <= commit < regression_end` holds the regression; code from `repair` on holds
    the repair of the flaky test; the run of commit `outage` meets the outage.
    """

    outage: int
    repair: int
    regression_start: int
    regression_end: int


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """The part of each test. Indices are sorted.

    `rates` (float64, shape (V, T)) holds the chance that a try fails on right code, before any repair;
    `skipped` (bool, shape (V, T)) the tests that don't run; `repaired` the flaky test that gets fixed (or
    nothing).
    """

    rates: NDArray[np.float64]
    skipped: NDArray[np.bool_]
    repaired: tuple[int, ...]
    regressed: tuple[int, ...]
    always_failing: tuple[int, ...]
    pull_requests: tuple[PullRequest, ...]


def main_story(parameters: SimulationParameters, timeline: Timeline) -> MainStory:
    """Spread the turning points so that none hides another: outage, then repair, then regression."""
    commits = len(timeline.main_pushes)
    start = commits * 55 // 100
    return MainStory(
        outage=commits * 3 // 10,
        repair=commits // 2,
        regression_start=start,
        regression_end=start + parameters.regression_commits,
    )


def cast_roles(parameters: SimulationParameters, timeline: Timeline) -> Roles:
    """Give each part to a test of its own; what pull requests break is drawn from the stable rest."""
    rng = stream(parameters.seed, "roles")
    variants, tests = len(parameters.variants), parameters.tests
    plain = list(range(tests - parameters.retried_tests))
    order = pick(rng, len(plain), plain)
    rates = np.zeros((variants, tests), dtype=np.float64)
    skipped = np.zeros((variants, tests), dtype=np.bool_)

    for turn in range(len(parameters.flake_rates) * parameters.flaky_tests_per_rate):
        lap, position = divmod(turn, len(parameters.flake_rates))
        rate = parameters.flake_rates[position]
        # each lap starts with the other kind, so that every rate gets both
        where = slice(None) if (position + lap) % 2 == 0 else turn // 2 % variants
        rates[where, order.pop()] = rate
    repaired = [order.pop()] if parameters.fixed_flake_rate > 0 else []
    rates[:, repaired] = parameters.fixed_flake_rate
    regressed = [order.pop() for _ in range(parameters.regression_tests)]
    always_failing = [order.pop() for _ in range(parameters.always_failing_tests)]
    for turn in range(parameters.skipped_tests):
        skipped[variants - 1 if turn % 2 == 0 else slice(None), order.pop()] = True
    if parameters.retried_tests:
        rates[:, tests - parameters.retried_tests] = parameters.retried_flake_rate

    stable = sorted(order)
    return Roles(
        rates=rates,
        skipped=skipped,
        repaired=tuple(repaired),
        regressed=tuple(sorted(regressed)),
        always_failing=tuple(sorted(always_failing)),
        pull_requests=tuple(_break(rng, pr, stable) for pr in timeline.pull_requests),
    )


def _break(rng: np.random.Generator, pull_request: PullRequest, stable: list[int]) -> PullRequest:
    count = int(rng.integers(1, _MAX_BROKEN_BY_PULL_REQUEST + 1))
    chosen = tuple(sorted(pick(rng, count, stable))) if pull_request.broken_commits else ()
    return PullRequest(
        pull_request.number, pull_request.branch, pull_request.title, pull_request.broken_commits, chosen
    )


def describe_truth(
    parameters: SimulationParameters, timeline: Timeline, roles: Roles, story: MainStory
) -> tuple[VariantTruth, ...]:
    """Return the truth of each test and variant; tests in order, within a test variants in order."""
    main = timeline.main_pushes
    broken_from = main[story.regression_start].at
    broken_until = main[story.regression_end].at
    all_days = tuple(parameters.start + timedelta(days=offset) for offset in range(parameters.days))
    breakers: dict[int, list[int]] = {}
    for pull_request in roles.pull_requests:
        for test in pull_request.broken_tests:
            breakers.setdefault(test, []).append(pull_request.number)

    truth = []
    for test in range(parameters.tests):
        for place, variant in enumerate(parameters.variants):
            kind = _kind(roles, place, test)
            is_regressed = kind is TruthKind.REGRESSED
            truth.append(
                VariantTruth(
                    test=test,
                    variant=variant,
                    kind=kind,
                    flake_rate=float(roles.rates[place, test]),
                    flaky_until=main[story.repair].at if kind is TruthKind.FIXED else None,
                    broken_from=broken_from if is_regressed else None,
                    broken_until=broken_until if is_regressed else None,
                    broken_days=_broken_days(kind, all_days, broken_from, broken_until),
                    broken_in_pull_requests=tuple(breakers.get(test, ())),
                )
            )
    return tuple(truth)


def _kind(roles: Roles, variant: int, test: int) -> TruthKind:
    if roles.skipped[variant, test]:
        return TruthKind.SKIPPED
    if test in roles.always_failing:
        return TruthKind.ALWAYS_FAILING
    if test in roles.regressed:
        return TruthKind.REGRESSED
    if test in roles.repaired:
        return TruthKind.FIXED
    return TruthKind.FLAKY if roles.rates[variant, test] > 0 else TruthKind.STABLE


def _broken_days(
    kind: TruthKind, all_days: tuple[date, ...], broken_from: datetime, broken_until: datetime
) -> tuple[date, ...]:
    if kind is TruthKind.ALWAYS_FAILING:
        return all_days
    if kind is TruthKind.REGRESSED:
        return tuple(day for day in all_days if broken_from.date() <= day <= broken_until.date())
    return ()

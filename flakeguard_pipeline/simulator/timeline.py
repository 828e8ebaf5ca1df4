"""When somebody pushed what: the commits of a simulated history, before any test has run.

Belongs here: pushes, pull requests and nightly runs in order of time.
Does not belong here: outcomes, re-runs.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from flakeguard_pipeline.simulator.model import PullRequest
from flakeguard_pipeline.simulator.parameters import SimulationParameters
from flakeguard_pipeline.simulator.random_streams import hex_digits, stream

_WORK_STARTS_S = 8 * 3600
_WORK_LASTS_S = 10 * 3600
_NIGHTLY_AT_S = 2 * 3600
_FOLLOW_UP_SHARE = 0.6
"""Share of pull request commits that go to an open pull request, where there is one to go on with."""

_TOPICS = (
    "guest-checkout",
    "faster-search",
    "invoice-layout",
    "stock-alerts",
    "address-book",
    "gift-cards",
    "image-sizes",
    "session-timeout",
    "refund-reasons",
    "coupon-limits",
    "dependency-updates",
    "dark-mode",
)


@dataclass(frozen=True, slots=True)
class Push:
    """A commit (or, at night, the clock) that makes CI test something.

    `main_commit` counts the default branch's commits from 0; it is the one pushed, or the one that the code
    of a pull request was merged with. `pull_request` is an index into `Timeline.pull_requests`, and
    `is_broken` tells that this commit of it breaks tests.
    """

    at: datetime
    event: str
    branch: str
    sha: str
    base_sha: str
    title: str
    main_commit: int
    pull_request: int | None
    is_broken: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Pushes in order of time, and the pull requests they belong to (their `broken_tests` still empty)."""

    pushes: tuple[Push, ...]
    pull_requests: tuple[PullRequest, ...]

    @property
    def main_pushes(self) -> tuple[Push, ...]:
        """The pushes to the default branch; the position of each is its `main_commit`."""
        return tuple(push for push in self.pushes if push.event == "push")


@dataclass(slots=True)
class _OpenPullRequest:
    index: int
    commits_left: int
    commits_done: int = 0


def plan_timeline(parameters: SimulationParameters) -> Timeline:
    """Return who pushed what and when; each day has at least one push to the default branch."""
    planner = _Planner(parameters)
    for offset in range(parameters.days):
        planner.add_day(parameters.start + timedelta(days=offset))
    return Timeline(tuple(planner.pushes), tuple(planner.pull_requests))


class _Planner:
    """Walks through the days and keeps the pull requests that are open."""

    def __init__(self, parameters: SimulationParameters) -> None:
        self.parameters = parameters
        self.rng = stream(parameters.seed, "timeline")
        self.pushes: list[Push] = []
        self.pull_requests: list[PullRequest] = []
        self._unfinished: list[_OpenPullRequest] = []
        self._mergeable: list[int] = []
        self._latest_main: Push | None = None
        self._main_commits = 0
        self._next_number = 1201

    def add_day(self, day: date) -> None:
        """Plan the night before `day` and its working hours."""
        midnight = datetime.combine(day, time(), UTC)
        is_night_tested = self.rng.random() < self.parameters.nightly_share
        delay = int(self.rng.integers(0, 600))
        if is_night_tested and self._latest_main is not None:
            at = midnight + timedelta(seconds=_NIGHTLY_AT_S + delay)
            self.pushes.append(replace(self._latest_main, at=at, event="schedule"))
        is_weekend = day.weekday() >= 5
        count = max(1, self.parameters.runs_per_day // 3) if is_weekend else self.parameters.runs_per_day
        seconds = np.sort(self.rng.integers(0, _WORK_LASTS_S, size=count), kind="stable")
        for slot, second in enumerate(seconds):
            at = midnight + timedelta(seconds=_WORK_STARTS_S + int(second))
            # the first one goes to the default branch, so that the story of its regression always has room
            belongs_to_pull_request = self.rng.random() < self.parameters.pull_request_share
            if slot > 0 and belongs_to_pull_request and self._latest_main is not None:
                self._push_to_pull_request(at, self._latest_main)
            else:
                self._push_to_main(at)

    def _sha(self) -> str:
        return hex_digits(self.parameters.seed, self.parameters.full_name, "commit", len(self.pushes))[:40]

    def _push_to_main(self, at: datetime) -> None:
        if self._mergeable:
            merged = self.pull_requests[self._mergeable.pop(0)]
            title = f"{merged.title} (#{merged.number})"
        else:
            title = f"Update {self._topic()}"
        branch = self.parameters.default_branch
        push = Push(at, "push", branch, self._sha(), "", title, self._main_commits, None, False)
        self._main_commits += 1
        self._latest_main = push
        self.pushes.append(push)

    def _push_to_pull_request(self, at: datetime, base: Push) -> None:
        follows_up = self.rng.random() < _FOLLOW_UP_SHARE
        if follows_up and self._unfinished:
            work = self._unfinished[int(self.rng.integers(0, len(self._unfinished)))]
        else:
            work = self._open_pull_request()
        pull_request = self.pull_requests[work.index]
        is_broken = work.commits_done < pull_request.broken_commits
        self.pushes.append(
            Push(
                at=at,
                event="pull_request",
                branch=pull_request.branch,
                sha=self._sha(),
                base_sha=base.sha,
                title=pull_request.title,
                main_commit=base.main_commit,
                pull_request=work.index,
                is_broken=is_broken,
            )
        )
        work.commits_done += 1
        work.commits_left -= 1
        if work.commits_left == 0:
            self._unfinished.remove(work)
            self._mergeable.append(work.index)

    def _open_pull_request(self) -> _OpenPullRequest:
        breaks = self.rng.random() < self.parameters.breaking_share
        broken_commits = int(self.rng.integers(1, 3)) if breaks else 0
        # the last commit never breaks anything: what is merged is green
        commits = broken_commits + int(self.rng.integers(1, 3))
        number = self._next_number
        self._next_number += int(self.rng.integers(1, 4))
        topic = self._topic()
        self.pull_requests.append(
            PullRequest(number, f"{topic}-{number}", f"Add {topic.replace('-', ' ')}", broken_commits, ())
        )
        work = _OpenPullRequest(index=len(self.pull_requests) - 1, commits_left=commits)
        self._unfinished.append(work)
        return work

    def _topic(self) -> str:
        return _TOPICS[int(self.rng.integers(0, len(_TOPICS)))]

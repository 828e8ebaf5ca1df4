"""A history in which each question finds what was planted for it: acme/planted, beside the demo's simulated one.

Two variants, linux and windows. All moments are UTC; `AS_OF` is the scoring that the answers are of, `EARLIER` one
before it.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flakeguard_pipeline.simulator.drop_folder import write_drop_folder
from flakeguard_pipeline.simulator.history import simulate
from flakeguard_pipeline.simulator.model import SimulatedHistory
from flakeguard_pipeline.simulator.parameters import SimulationParameters
from tests.support.drops import add_run, run_object

EARLIER = datetime(2026, 9, 5, tzinfo=UTC)
AS_OF = datetime(2026, 9, 15, tzinfo=UTC)

PLANTED = "acme/planted"
CLASS = "tests.planted"
REPOSITORY = {"id": 9, "full_name": PLANTED, "default_branch": "main"}
VARIANTS = ("linux", "windows")

PULL_REQUEST = 42
MASS_RUN = 1008
RERUN_SECONDS = 120
"""How long each of the two jobs of a run attempt takes."""

TESTS = ("a", "b", "c", "d", "flaky", "broken", "slow", "windows", "retried")
DOWN = ("a", "b", "c", "d", "flaky", "slow")
"""Tests that need the database, which is down in the first attempt of `MASS_RUN`."""

SIMULATED = SimulationParameters(start=date(2026, 9, 1), days=12, tests=30, runs_per_day=3)

Failing = Mapping[str, str]
"""Messages of the tests that fail, by `test` or `test@variant`."""

TIMED_OUT = "timed out waiting for the queue"
REFUSED = "connection to the database refused"
WRONG_TOTAL = "total is 12, not 13"
WRONG_PATH = "no such drive: c"


def write_asked_history(drop: Path) -> SimulatedHistory:
    """Write both repositories below `drop`; return the simulated one with its truth."""
    flaked: Failing = {"flaky@linux": TIMED_OUT}
    broken: Failing = {"broken": WRONG_TOTAL}
    _main(drop, 1001, "2026-08-25", {})
    _main(drop, 1002, "2026-08-27", flaked)
    _main(drop, 1002, "2026-08-27", {}, attempt=2)
    _main(drop, 1003, "2026-08-29", {})
    _main(drop, 1004, "2026-08-31", broken)
    _main(drop, 1005, "2026-09-02", broken)
    _main(drop, 1006, "2026-09-09", {"windows@windows": WRONG_PATH})
    _main(drop, 1007, "2026-09-10", flaked)
    _main(drop, 1007, "2026-09-10", {}, attempt=2)
    _main(drop, MASS_RUN, "2026-09-11", dict.fromkeys(DOWN, REFUSED))
    _main(drop, MASS_RUN, "2026-09-11", {}, attempt=2)
    for attempt, failing in ((1, flaked), (2, {})):
        _main(drop, 1009, "2026-09-12", failing, attempt=attempt, pull_request=PULL_REQUEST)
    _main(drop, 1010, "2026-09-13", {"windows@windows": WRONG_PATH}, retried=True)
    started = datetime(2026, 9, 13, 18, tzinfo=UTC)
    add_run(drop, _run(1011, started, name="lint"), folder="planted/1011-1")
    add_run(drop, _run(1012, started), {"empty.xml": b""}, folder="planted/1012-1")
    history = simulate(SIMULATED)
    write_drop_folder(history, drop)
    return history


def sha(run_id: int) -> str:
    """Return the commit that a planted run tests."""
    return f"{run_id:040x}"


def _run(run_id: int, started: datetime, **fields: object) -> dict[str, object]:
    head = {"id": 9, "full_name": PLANTED}
    return run_object(run_id, started=started, repository=REPOSITORY, head_repository=head, **fields)


def _main(
    drop: Path,
    run_id: int,
    day: str,
    failing: Failing,
    *,
    attempt: int = 1,
    retried: bool = False,
    pull_request: int | None = None,
) -> None:
    """Write an attempt of a run: of the default branch's, or of a pull request's."""
    started = datetime.fromisoformat(f"{day}T09:00:00+00:00") + timedelta(hours=attempt)
    is_recent = started > AS_OF - timedelta(days=7)
    fields: dict[str, object] = {"run_attempt": attempt, "name": "ci"}
    fields["conclusion"] = "failure" if failing else "success"
    if pull_request:
        fields |= {"event": "pull_request", "head_branch": "topic", "pull_requests": [{"number": pull_request}]}
    files = {}
    for variant in VARIANTS:
        told = {name: message for name, message in failing.items() if name.partition("@")[2] in ("", variant)}
        messages = {name.partition("@")[0]: message for name, message in told.items()}
        tests = [*TESTS, "new"] if is_recent else list(TESTS)
        cases = [_case(test, messages.get(test, ""), 3.0 if test == "slow" and is_recent else 1.0) for test in tests]
        if retried and variant == "linux":
            cases.insert(0, _case("retried", "flickers", 1.0))
        text = f'<testsuite name="planted">{"".join(cases)}</testsuite>'
        files[f"test-results-{variant}/r.xml"] = text.encode()
    jobs = [
        {
            "id": run_id * 100 + attempt * 10 + number,
            "name": f"Test results ({variant})",
            "conclusion": "success",
            "started_at": _stamp(started),
            "completed_at": _stamp(started + timedelta(seconds=RERUN_SECONDS)),
        }
        for number, variant in enumerate(VARIANTS)
    ]
    add_run(drop, _run(run_id, started, **fields), files, jobs, folder=f"planted/{run_id}-{attempt}")


def _case(test: str, message: str, seconds: float) -> str:
    failure = f'<failure message="{message}" type="AssertionError">at tests/{test}.py:10</failure>' if message else ""
    return f'<testcase classname="{CLASS}" name="test_{test}" time="{seconds}">{failure}</testcase>'


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

"""The last words of a run, from plain values: what a person reads, to the letter."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flakeguard_pipeline.cli.summary import LINES_SHOWN, NAME_CHARACTERS, render
from flakeguard_pipeline.operations.summary import Finding, Quarantined, Summary

AS_OF = datetime(2026, 3, 3, tzinfo=UTC)
OUT = Path(".flakeguard/quarantine")

FLAKY = Finding(
    repository="acme/shop",
    test="tests.shop.test_cart test_flaky",
    variant="os=linux",
    status="flaky",
    flake_rate=0.0915,
    flake_rate_low=0.0331,
    flake_rate_high=0.1722,
    failures=4,
    executions=24,
    same_commit_flips=4,
)
BROKEN = replace(FLAKY, test="test_broken", variant="", status="broken", failures=8, same_commit_flips=0)
QUARANTINED = Quarantined(
    repository="acme/shop",
    test="tests.shop.test_cart test_flaky",
    variant="os=linux",
    rationale="failed 4 of 24 executions",
    expires_at=datetime(2026, 4, 2, tzinfo=UTC),
)
EMPTY = Summary(
    repositories=0,
    run_attempts=0,
    unfinished=0,
    partial=0,
    reports=0,
    executions=0,
    inferred_passes=0,
    newest_known_at=None,
    rejected=(),
    issues=(),
    by_status={},
    findings=(),
    quarantined=(),
)
FULL = Summary(
    repositories=1,
    run_attempts=1025,
    unfinished=1,
    partial=2,
    reports=1024,
    executions=1_234_567,
    inferred_passes=0,
    newest_known_at=datetime(2026, 3, 2, 21, 30, tzinfo=UTC),
    rejected=(("empty_file", "is empty", 1200), ("not_a_zip", "is no zip archive", 1)),
    issues=(("repeated_name", "has tests of one name", 12),),
    by_status={"broken": 1, "flaky": 1, "insufficient_evidence": 2},
    findings=(BROKEN, FLAKY),
    quarantined=(QUARANTINED,),
)
NEW = {
    "core/run_attempt": {"run_attempts": 1000},
    "core/test_execution": {"reports": 999, "executions": 98_765},
}


def shown(summary: Summary, **changes: object) -> str:
    arguments: dict[str, object] = {"as_of": AS_OF, "new": {}, "out": OUT, "faults": (), **changes}
    return render(summary, **arguments)  # type: ignore[arg-type]


def test_a_full_summary() -> None:
    assert (
        shown(FULL, new=NEW)
        == """
As of 2026-03-03 00:00 UTC

  Runs            1,025  (1,000 new, 1 not finished yet, 2 rebuilt from job.json)
  Reports         1,024  (999 new)
  Executions  1,234,567  (98,765 new)
  Rejected        1,201  files, kept in the landing zone:
     1,200  empty_file: is empty
         1  not_a_zip: is no zip archive
  To mend in CI (marts.report_health says which):
        12  repeated_name: has tests of one name

Test variants: 1 broken, 1 flaky, 2 insufficient evidence

Flaky: 1
  tests.shop.test_cart test_flaky [os=linux]
    fails 9.2% of executions on good code (90 %: 3.3% to 17.2%); passed and failed on the same commit 4 times

Broken: 1
  test_broken
    fails throughout on the default branch's newest commits (8 of 24)

Quarantined: 1
  tests.shop.test_cart test_flaky [os=linux]
    failed 4 of 24 executions; until 2026-04-02

Exports for CI: .flakeguard/quarantine"""
    )


def test_a_summary_of_nothing() -> None:
    assert (
        shown(EMPTY)
        == """
As of 2026-03-03 00:00 UTC

  Runs                0  (0 new)
  Reports             0  (0 new)
  Executions          0  (0 new)
  Rejected            0

Test variants: none

Quarantined: nothing

Exports for CI: .flakeguard/quarantine"""
    )


def test_inferred_passes_have_a_line_of_their_own_where_there_are_any() -> None:
    text = shown(replace(FULL, inferred_passes=136_182))
    assert (
        "  Executions  1,234,567  (0 new)\n"
        "  Inferred      136,182  passes of jobs that succeeded without a report\n"
        "  Rejected        1,201  files" in text
    )
    assert "Inferred" not in shown(FULL)


def test_what_failed_comes_last() -> None:
    text = shown(EMPTY, faults=("acme: acme/shop: cannot write the export",))
    assert text.endswith(
        "Exports for CI: .flakeguard/quarantine\n\nNot everything worked:\n  acme: acme/shop: cannot write the export"
    )


def test_results_that_are_old_come_with_the_option_to_see_what_was_true_then() -> None:
    old = replace(FULL, newest_known_at=datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    assert "  The newest result is from 2026-01-31. To see what was true then, add --as-of 2026-02-01\n" in shown(old)
    assert "The newest result" not in shown(FULL)


def test_a_single_flip_is_once() -> None:
    once = replace(FULL, findings=(replace(FLAKY, same_commit_flips=1),))
    assert "passed and failed on the same commit once\n" in shown(once)


def test_long_lists_are_cut_and_say_so() -> None:
    findings = tuple(replace(FLAKY, test=f"test_{number}") for number in range(LINES_SHOWN))
    quarantined = tuple(replace(QUARANTINED, test=f"test_{number}") for number in range(LINES_SHOWN + 3))
    text = shown(replace(FULL, findings=findings, quarantined=quarantined, by_status={"flaky": LINES_SHOWN + 2}))
    assert "Flaky: 12\n" in text
    assert "  ... and 2 more\n" in text
    assert "Quarantined: 13\n" in text
    assert "  ... and 3 more\n" in text


def test_a_list_that_is_just_short_enough_is_whole() -> None:
    findings = tuple(replace(FLAKY, test=f"test_{number}") for number in range(LINES_SHOWN))
    assert "more" not in shown(replace(FULL, findings=findings, by_status={"flaky": LINES_SHOWN}))


def test_a_long_name_keeps_its_end_which_tells_tests_apart() -> None:
    long = "a" * 200 + " test_total"
    text = shown(replace(FULL, findings=(replace(FLAKY, test=long, variant=""),), quarantined=()))
    (line,) = [line for line in text.splitlines() if line.endswith("test_total")]
    assert line.startswith("  …")
    assert len(line) == NAME_CHARACTERS + 2

"""Progress where there is no terminal: plain lines on standard error, few enough for a log."""

import pytest

from flakeguard_pipeline.cli import progress as module
from flakeguard_pipeline.cli.progress import STAGES, PlainProgress, make_progress


def test_each_stage_is_a_line_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as progress:
        progress.stage("look", None)
        progress.stage("land", 3)
        progress.advance()
        progress.advance(2)
        progress.say("something worth a line")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "Looking for what is new\nLanding artifacts (3)\nsomething worth a line\n"


def test_a_stage_with_nothing_in_it_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress().stage("load", 0)
    assert capsys.readouterr().err == ""


def test_the_same_stage_again_is_not_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.stage("build", None)
    progress.stage("build", None)
    assert capsys.readouterr().err == "Building roll-ups and marts\n"


def test_a_stage_that_nobody_has_named_is_shown_by_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    PlainProgress().stage("polish", 2)
    assert capsys.readouterr().err == "polish (2)\n"


def test_a_stage_that_lasts_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_EVERY_SECONDS", 0.0)
    progress = PlainProgress()
    progress.stage("land", 4)
    progress.advance(3)
    progress.stage("look", None)
    progress.advance()
    assert capsys.readouterr().err == ("Landing artifacts (4)\n  3 of 4\nLooking for what is new\n  1 of ?\n")


def test_every_stage_has_a_name_of_its_own() -> None:
    assert len(set(STAGES.values())) == len(STAGES)


def test_plain_lines_are_chosen_where_there_is_no_terminal() -> None:
    assert isinstance(make_progress(), PlainProgress)

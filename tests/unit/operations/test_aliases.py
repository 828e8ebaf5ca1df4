"""Proposals from loaded rows: what the queries read, and when a repository is compared anew."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.operations import aliases
from flakeguard_pipeline.operations.aliases import Proposals, propose_aliases
from tests.support.drops import START, add_run, case, report, run_object
from tests.support.places import Place

OLD, NEW = "test_applies_coupon", "test_applies_coupon_once"
REST = ("test_add_item", "test_total", "test_login")
BLOG = {"id": 8, "full_name": "acme/blog", "default_branch": "main"}


def compare(place: Place) -> Proposals:
    """Load what is new and compare, with dbt's view made by hand."""
    place.ingest()
    model = (bundled("dbt") / "models" / "staging" / "stg_run_attempt.sql").read_text(encoding="utf-8")
    for table in ("run_attempt", "repository"):
        model = model.replace(f"{{{{ source('core', '{table}') }}}}", f"core.{table}")
    model = model.replace(
        "{{ utc_date('source.run_started_at') }}", "cast(source.run_started_at at time zone 'UTC' as date)"
    )
    with place.warehouse.connect() as connection:
        connection.execute("create schema if not exists staging")
        connection.execute(f"create or replace view staging.stg_run_attempt as {model}")
    return propose_aliases(place.warehouse)


def names(found: Proposals) -> list[tuple[str, str, str]]:
    return list(found.proposals.select("repository", "old_name", "new_name").iter_rows())


def add(drop: Path, number: int, *tests: str, **fields: Any) -> None:
    add_run(drop, run_object(number, **fields), {"r.xml": report(*map(case, (*REST, *tests)))})


def write_rename(drop: Path, first: int = 1, **fields: Any) -> None:
    """Write six runs with the old name and three with the new one."""
    for number in range(first, first + 9):
        add(drop, number, OLD if number < first + 6 else NEW, **fields)


def test_a_rename_is_found_in_what_was_loaded(place: Place):
    write_rename(place.source.path)
    found = compare(place)
    assert found.faults == ()
    (row,) = found.proposals.iter_rows(named=True)
    assert (row["repository"], row["old_name"], row["new_name"]) == ("acme/shop", OLD, NEW)
    assert (row["org"], row["repository_id"], row["head_sha"]) == ("acme", "github:7", f"{7:040x}")
    assert row["known_at"] == START + timedelta(hours=7, minutes=10)
    assert (row["old_suite"], row["new_classname"]) == ("shop", "tests.shop.test_cart")


def test_pull_requests_and_other_branches_show_tests_too_early_and_too_late(place: Place):
    write_rename(place.source.path)
    for number, test, fields in (
        (2, NEW, {"event": "pull_request", "head_branch": "coupons"}),
        (8, OLD, {"event": "pull_request", "head_branch": "old-work"}),
        (9, OLD, {"head_branch": "release-1"}),
    ):
        started = START + timedelta(hours=number, minutes=30)
        add(place.source.path, 100 + number, test, started=started, **fields)
    assert names(compare(place)) == [("acme/shop", OLD, NEW)]


def test_a_late_rerun_of_an_old_commit_keeps_that_commits_place(place: Place):
    write_rename(place.source.path)
    add(place.source.path, 3, OLD, run_attempt=2, started=START + timedelta(hours=20))
    assert names(compare(place)) == [("acme/shop", OLD, NEW)]


def test_a_repository_is_compared_anew_when_it_has_new_results(place: Place):
    blog = {"repository": BLOG, "head_repository": {"id": 8, "full_name": "acme/blog"}}
    write_rename(place.source.path)
    write_rename(place.source.path, 101, **blog)
    first = compare(place)
    assert first.renewed == 2
    assert names(first) == [("acme/blog", OLD, NEW), ("acme/shop", OLD, NEW)]
    assert compare(place).renewed == 0
    # the test is back: it had only been absent
    add(place.source.path, 110, OLD, NEW, **blog)
    again = compare(place)
    assert again.renewed == 1
    assert names(again) == [("acme/shop", OLD, NEW)]


def test_a_repository_that_fails_keeps_its_proposals_and_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch):
    write_rename(place.source.path)
    assert len(names(compare(place))) == 1
    add(place.source.path, 10, OLD, NEW)
    propose: Callable[..., Any] = aliases.propose
    with monkeypatch.context() as patch:
        patch.setattr(aliases, "propose", _raise)
        failed = compare(place)
    assert failed.faults == ("acme: acme/shop: no such commit",)
    assert len(names(failed)) == 1
    assert aliases.propose is propose
    assert names(compare(place)) == []


def _raise(*_: object) -> None:
    raise ArithmeticError("no such commit")


def test_a_repository_that_is_gone_takes_its_proposals_along(place: Place):
    write_rename(place.source.path)
    compare(place)
    with place.warehouse.connect() as connection:
        for table in ("run_attempt", "repository", "test_execution"):
            connection.execute(f"delete from core.{table}")
    assert propose_aliases(place.warehouse).proposals.is_empty()
    assert place.rows("select count(*) from core.alias_proposal") == [(0,)]

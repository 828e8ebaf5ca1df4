"""Stories of tests that disappear and appear, and what is proposed of them."""

import json
from collections.abc import Iterable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flakeguard_pipeline.stats import renames
from flakeguard_pipeline.stats.renames import MIN_CONFIDENCE, MIN_SEEN, PROPOSAL_SCHEMA
from tests.unit.stats.branch import START, Branch

CART = [f"shop.CartTest::{name}" for name in ("test_add_item", "test_remove_item", "test_total", "test_applies_coupon")]
USER = [f"shop.UserTest::{name}" for name in ("test_login", "test_logout", "test_password_reset")]
MAIL = [f"post.MailTest::{name}" for name in ("test_sends_receipt", "test_bounces", "test_unsubscribe")]
ALL = CART + USER + MAIL


def renamed(before: Iterable[str], after: Iterable[str], *, commits: int = 10) -> Branch:
    """Ten commits with these tests and ten with those."""
    branch = Branch()
    for tests in (list(before), list(after)):
        for _ in range(commits):
            branch.commit(tests)
    return branch


def without(tests: Iterable[str], *gone: str) -> list[str]:
    return [test for test in tests if test not in gone]


def move(test: str, classname: str) -> str:
    return f"{classname}::{test.partition('::')[2]}"


def test_a_test_that_moves_to_another_class_is_proposed():
    old, new = CART[3], move(CART[3], "shop.CouponTest")
    branch = renamed(ALL, [*without(ALL, old), new])
    (row,) = branch.rows()
    assert (row["old_test_key"], row["new_test_key"]) == (old, new)
    assert row["confidence"] > 0.7
    assert (row["head_sha"], row["known_at"]) == ("c11", START + timedelta(hours=11))
    assert (row["old_classname"], row["old_name"], row["old_suite"]) == (
        "shop.CartTest",
        "test_applies_coupon",
        "suite",
    )
    evidence = json.loads(row["evidence"])
    assert (evidence["kind"], evidence["rivals"], evidence["together"]) == ("move", 0, 1)
    assert (evidence["old_run_attempts"], evidence["new_run_attempts"]) == (10, 10)


def test_a_class_that_is_renamed_takes_all_its_tests_along_and_they_support_each_other():
    many = [f"shop.OrderTest::test_{verb}_{noun}" for verb in ("adds", "drops", "finds", "lists") for noun in "abcde"]
    moved = [move(test, "shop.PurchaseTest") for test in many]
    alone = renamed(ALL + many, ALL + many[1:] + moved[:1]).pairs()
    together = renamed(ALL + many, ALL + moved).pairs()
    assert set(together) == set(zip(many, moved, strict=True))
    assert min(together.values()) > 0.85 > max(alone.values())


def test_tests_with_names_that_every_class_has_are_told_apart_by_the_rest_of_their_class():
    common = ("init", "close", "get", "put")
    classes = [f"org.acme.part{number}.Thing{number}Test" for number in range(30)]
    everywhere = [f"{classname}::{name}" for classname in classes for name in common]
    old = [test for test in everywhere if ".part7." in test]
    kept = without(everywhere, *old)
    whole = renamed(everywhere, [*kept, *(move(test, "org.acme.other.GadgetTest") for test in old)]).pairs()
    assert len(whole) == 4
    # one of them says nothing: some class was deleted, another added
    single = renamed(everywhere, [*without(everywhere, old[0]), "org.acme.other.GadgetTest::init"])
    assert single.pairs() == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shop.CartTest::test_applies_coupon", "shop.CartTest::test_applies_coupon_once"),
        ("shop.CartTest::test_applies_coupon", "shop.CartTest::test_coupon_is_applied"),
        ("shop.CartTest::testAppliesCoupon", "shop.CartTest::shouldApplyCoupon"),
        ("shop.CartTest::test_aplies_cupon", "shop.CartTest::test_applies_coupon"),
    ],
)
def test_one_test_among_many_that_gets_another_name_is_proposed(old: str, new: str):
    rest = CART[:3] + USER + MAIL
    assert set(renamed([*rest, old], [*rest, new]).pairs()) == {(old, new)}


def test_a_deleted_test_and_an_unrelated_new_one_are_not_proposed():
    new = "shop.CartTest::test_exports_spreadsheet"
    assert renamed(ALL, [*without(ALL, CART[3]), new]).pairs() == {}
    elsewhere = "report.LedgerTest::test_exports_spreadsheet"
    assert renamed(ALL, [*without(ALL, CART[3]), elsewhere]).pairs() == {}


def test_a_class_that_is_split_into_two_leaves_each_test_one_successor():
    first = [move(test, "shop.CartItemsTest") for test in CART[:2]]
    second = [move(test, "shop.CartPriceTest") for test in CART[2:]]
    pairs = renamed(ALL, USER + MAIL + first + second).pairs()
    assert set(pairs) == set(zip(CART, first + second, strict=True))


def test_a_test_that_is_split_into_two_alike_has_no_successor():
    old = "shop.UserTest::test_login"
    new = ["shop.UserTest::test_login_works", "shop.UserTest::test_login_fails"]
    assert renamed(ALL, [*without(ALL, old), *new]).pairs() == {}


def test_rivals_lower_the_confidence_and_the_better_pair_wins():
    old, new, rival = CART[3], "shop.CartTest::test_applies_coupon_once", "shop.CartTest::test_coupon_limit"
    alone = renamed(ALL, [*without(ALL, old), new]).pairs()
    contested = renamed(ALL, [*without(ALL, old), new, rival]).pairs()
    assert set(alone) == set(contested) == {(old, new)}
    assert contested[old, new] < alone[old, new]


def test_a_test_that_is_absent_for_some_commits_is_proposed_only_until_it_is_back():
    old, new = CART[3], "shop.CartTest::test_applies_coupon_once"
    branch = renamed(ALL, [*without(ALL, old), new])
    assert set(branch.pairs()) == {(old, new)}
    branch.commit([*ALL, new])
    assert branch.pairs() == {}


def test_a_test_that_ran_now_and_then_is_not_gone_because_it_is_absent_once():
    old, new = CART[3], "shop.CartTest::test_applies_coupon_once"
    branch = Branch()
    for number in range(40):
        branch.commit(ALL if number % 8 == 0 else without(ALL, old))
    branch.commit([*without(ALL, old), new])
    assert branch.pairs() == {}


def test_a_shard_that_did_not_run_says_nothing():
    branch = Branch()
    for _ in range(10):
        branch.commit({"one": CART, "two": USER + MAIL})
    appeared = move(CART[3], "post.CouponTest")
    branch.commit({"two": [*USER, *MAIL, appeared]})
    assert branch.pairs() == {}
    # with the shard's next report it is seen that the test had not disappeared, or had at another commit
    branch.commit({"one": CART, "two": [*USER, *MAIL, appeared]})
    assert branch.pairs() == {}


def test_a_report_that_broke_off_says_nothing():
    appeared = move(CART[3], "post.CouponTest")
    branch = Branch()
    for _ in range(10):
        branch.commit(ALL)
    branch.commit([*CART[:1], appeared])
    assert branch.pairs() == {}


def test_a_test_that_moves_to_another_job_is_proposed():
    branch = Branch()
    moved = move(CART[3], "shop.CouponTest")
    for _ in range(10):
        branch.commit({"one": CART, "two": USER + MAIL})
    for _ in range(5):
        branch.commit({"one": CART[:3], "two": [*USER, *MAIL, moved]})
    assert set(branch.pairs()) == {(CART[3], moved)}


def test_a_test_with_hardly_any_history_is_not_proposed():
    old, new = CART[3], "shop.CartTest::test_applies_coupon_once"
    for seen in (MIN_SEEN - 1, MIN_SEEN):
        branch = Branch()
        for _ in range(10):
            branch.commit(without(ALL, old))
        for _ in range(seen):
            branch.commit(ALL)
        for _ in range(5):
            branch.commit([*without(ALL, old), new])
        assert bool(branch.pairs()) is (seen == MIN_SEEN)


def test_other_parameters_are_a_rename_of_lower_confidence():
    def cases(*values: str) -> list[str]:
        return [f"shop.CartTest::test_tax[{value}]" for value in values]

    pairs = renamed(ALL + cases("de-19", "fr-20"), ALL + cases("de-19", "fr-21")).pairs()
    ((pair, confidence),) = pairs.items()
    assert pair == ("shop.CartTest::test_tax[fr-20]", "shop.CartTest::test_tax[fr-21]")
    assert MIN_CONFIDENCE <= confidence < 0.85


def test_a_parametrised_function_that_is_renamed_takes_its_cases_along():
    values = ["de-19", "fr-20", "it-22", "es-21", "nl-21"]
    old = [f"shop.CartTest::test_tax[{value}]" for value in values]
    new = [f"shop.CartTest::test_levy[{value}]" for value in values]
    assert set(renamed(ALL + old, ALL + new).pairs()) == set(zip(old, new, strict=True))


def test_another_duration_and_other_outcomes_lower_the_confidence():
    old, new = CART[3], "shop.CartTest::test_applies_coupon_once"

    def confidence(seconds: float, failed: bool) -> float:
        branch = Branch()
        for _ in range(10):
            branch.commit(ALL)
        for _ in range(10):
            branch.commit([*without(ALL, old), new], seconds={new: seconds}, failed=[new] if failed else [])
        return branch.pairs()[old, new]

    same = confidence(0.25, failed=False)
    assert confidence(0.26, failed=False) > 0.98 * same
    assert confidence(5.0, failed=False) < 0.8 * same
    assert confidence(0.25, failed=True) < 0.95 * same


def test_a_rename_and_another_at_a_later_commit_are_two_proposals():
    names = ["test_applies_coupon", "test_applies_coupon_once", "test_applies_coupon_only_once"]
    tests = [f"shop.CartTest::{name}" for name in names]
    branch = Branch()
    for test in tests:
        for _ in range(5):
            branch.commit([*CART[:3], *USER, *MAIL, test])
    assert set(branch.pairs()) == {(tests[0], tests[1]), (tests[1], tests[2])}
    assert {row["head_sha"] for row in branch.rows()} == {"c6", "c11"}


def test_no_more_than_the_limit_are_proposed_and_those_are_the_surest(monkeypatch: pytest.MonkeyPatch):
    moved = [move(test, "shop.BasketTest") for test in CART]
    branch = renamed([*ALL, "x.Y::test_a[1]"], [*USER, *MAIL, *moved, "x.Y::test_a[2]"])
    every = branch.pairs()
    assert len(every) == 5
    monkeypatch.setattr(renames, "MAX_PROPOSALS", 4)
    assert set(branch.pairs()) == set(every) - {("x.Y::test_a[1]", "x.Y::test_a[2]")}


def test_blocks_of_names_that_cannot_be_told_apart_are_passed_over(monkeypatch: pytest.MonkeyPatch):
    old = [f"a.Many::test_case[{number}]" for number in range(12)]
    new = [f"a.Many::test_case[{number}]" for number in range(100, 112)]
    monkeypatch.setattr(renames, "MAX_BLOCK_PAIRS", 100)
    moved = move(CART[3], "shop.CouponTest")
    branch = renamed(ALL + old, [*without(ALL, CART[3]), moved, *new])
    assert set(branch.pairs()) == {(CART[3], moved)}


def test_an_empty_history_has_no_proposals():
    found = Branch().proposals()
    assert found.is_empty()
    assert found.schema == PROPOSAL_SCHEMA


TESTS = [f"{place}::{name}" for place in ("a.One", "a.Two", "b.One") for name in ("x_y", "x_z", "y", "w[1]", "w[2]")]


@st.composite
def branches(draw: st.DrawFn) -> Branch:
    branch = Branch()
    for _ in range(draw(st.integers(2, 4))):
        jobs = {group: sorted(draw(st.sets(st.sampled_from(TESTS)))) for group in ("one", "two")}
        for _ in range(draw(st.integers(1, 4))):
            branch.commit({group: tests for group, tests in jobs.items() if tests})
    return branch


@given(branches(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter_and_each_test_has_one_partner(branch: Branch, random: Random):
    expected = branch.proposals()
    assert_frame_equal(branch.proposals(random), expected, check_exact=True)
    assert expected.schema == PROPOSAL_SCHEMA
    assert expected["old_test_key"].is_unique().all()
    assert expected["new_test_key"].is_unique().all()
    assert expected["confidence"].is_between(MIN_CONFIDENCE, 1.0).all()
    keys = [tuple(text.encode() for text in row) for row in expected.select("old_test_key", "new_test_key").iter_rows()]
    assert keys == sorted(keys)
    for row in expected.iter_rows(named=True):
        last = max(each.position for each in branch.seen if each.test == row["old_test_key"])
        first = min(each.position for each in branch.seen if each.test == row["new_test_key"])
        assert last < first
        assert row["head_sha"] == f"c{first}"

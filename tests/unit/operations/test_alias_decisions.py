"""Deciding on aliases, from the rows and from the command line."""

from datetime import UTC, datetime

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.cli import cli
from flakeguard_pipeline.domain.aliases import AliasDecision, AliasState, accepted, alias_id, final_keys
from flakeguard_pipeline.domain.errors import FlakeGuardError, UsageError
from flakeguard_pipeline.operations.alias_decisions import (
    Alias,
    Decided,
    decide_aliases,
    find_aliases,
    known_aliases,
    pair_of,
)
from flakeguard_pipeline.warehouse import load, tables
from flakeguard_pipeline.warehouse.queries import query
from tests.support.drops import add_run, case, report, run_object
from tests.support.places import Place

NOW = datetime(2026, 3, 4, tzinfo=UTC)
TESTS = ("test_a", "test_b", "test_c", "test_d")
PROPOSED = (("test_a", "test_b", 0.9), ("test_b", "test_c", 0.8), ("test_c", "test_a", 0.7), ("test_a", "test_d", 0.6))


@pytest.fixture
def loaded(place: Place) -> Place:
    """One run with four tests, and proposals among them that no real history would lead to."""
    add_run(place.source.path, run_object(1), {"r.xml": report(*map(case, TESTS))})
    place.ingest()
    keys = keys_of(place)
    rows = [
        {
            "alias_id": alias_id("acme", "github:7", keys[old], keys[new]),
            "org": "acme",
            "repository_id": "github:7",
            "old_test_key": keys[old],
            "old_suite": "shop",
            "old_classname": "tests.shop.test_cart",
            "old_name": old,
            "old_file": "",
            "new_test_key": keys[new],
            "new_suite": "shop",
            "new_classname": "tests.shop.test_cart",
            "new_name": new,
            "new_file": "",
            "head_sha": f"{1:040x}",
            "confidence": confidence,
            "evidence": '{"kind":"rename","together":1,"rivals":0,"old_run_attempts":9,"new_run_attempts":4,'
            '"old_median_duration_us":null,"new_median_duration_us":null}',
            "known_at": NOW,
        }
        for old, new, confidence in PROPOSED
    ]
    with place.warehouse.connect() as connection:
        connection.insert("core.alias_proposal", load.frame_of(tables.alias_proposal, rows))
    return place


def keys_of(place: Place) -> dict[str, str]:
    return {str(name): str(key) for name, key in place.rows("select name, test_key from core.test_execution")}


def pair(place: Place, old: str, new: str) -> Alias:
    (found,) = (each for each in known_aliases(place.warehouse) if (each.old.name, each.new.name) == (old, new))
    return found


def decide(place: Place, *pairs: tuple[str, str], accept: bool = True, reason: str = "why") -> list[Decided]:
    chosen = [pair(place, *each) for each in pairs]
    return decide_aliases(place.warehouse, chosen, is_accepted=accept, actor="ada", reason=reason, decided_at=NOW)


def rows(place: Place) -> list[tuple[object, ...]]:
    names = {key: name for name, key in keys_of(place).items()}
    found = place.rows(
        "select old_test_key, sequence, new_test_key, decision, actor, reason, decided_at from core.alias_decision"
    )
    return sorted((names[str(old)], count, names[str(new)], *rest) for old, count, new, *rest in found)


def test_proposals_are_listed_the_surest_first(loaded: Place):
    known = known_aliases(loaded.warehouse)
    assert [(each.old.name, each.new.name, each.confidence) for each in known] == list(PROPOSED)
    assert {each.state for each in known} == {AliasState.PROPOSED}


def test_a_decision_is_a_row_and_the_same_again_is_none(loaded: Place):
    (made,) = decide(loaded, ("test_a", "test_b"))
    assert (made.is_new, made.alias.state, made.replaced) == (True, AliasState.ACCEPTED, None)
    assert rows(loaded) == [("test_a", 0, "test_b", "accepted", "ada", "why", NOW)]
    (again,) = decide(loaded, ("test_a", "test_b"), reason="another")
    assert (again.is_new, again.alias.decision.reason if again.alias.decision else "") == (False, "why")
    assert len(rows(loaded)) == 1


def test_a_reason_is_kept_without_its_secrets(loaded: Place):
    (made,) = decide(loaded, ("test_a", "test_b"), reason="see https://joe:hunter2@wiki/renames")
    assert made.alias.decision is not None
    assert made.alias.decision.reason == "see https://joe:[redacted:password]@wiki/renames"
    assert [row[5] for row in rows(loaded)] == [made.alias.decision.reason]


def test_an_acceptance_can_be_taken_back_and_given_again(loaded: Place):
    for accept in (True, False, True):
        (made,) = decide(loaded, ("test_a", "test_b"), accept=accept)
        assert made.is_new
    assert [row[1:4] for row in rows(loaded)] == [
        (0, "test_b", "accepted"),
        (1, "test_b", "rejected"),
        (2, "test_b", "accepted"),
    ]
    assert pair(loaded, "test_a", "test_b").state is AliasState.ACCEPTED


def test_a_second_new_name_replaces_the_first(loaded: Place):
    decide(loaded, ("test_a", "test_b"))
    (made,) = decide(loaded, ("test_a", "test_d"))
    assert made.replaced is not None
    assert (made.replaced.new.name, made.replaced.state) == ("test_b", AliasState.REPLACED)
    assert pair(loaded, "test_a", "test_d").state is AliasState.ACCEPTED
    decide(loaded, ("test_a", "test_b"), accept=False)
    assert pair(loaded, "test_a", "test_d").state is AliasState.ACCEPTED


def test_a_chain_is_accepted_and_a_circle_is_not(loaded: Place):
    decide(loaded, ("test_a", "test_b"), ("test_b", "test_c"))
    with pytest.raises(UsageError, match="would close a circle"):
        decide(loaded, ("test_c", "test_a"))
    assert len(rows(loaded)) == 2
    decide(loaded, ("test_a", "test_b"), accept=False)
    decide(loaded, ("test_c", "test_a"))


def test_all_are_decided_or_none(loaded: Place):
    with pytest.raises(UsageError, match="would close a circle"):
        decide(loaded, ("test_a", "test_b"), ("test_b", "test_c"), ("test_c", "test_a"))
    assert rows(loaded) == []


def test_what_is_accepted_is_part_of_the_state_of_core(loaded: Place):
    def version() -> str:
        with loaded.warehouse.connect() as connection:
            return load.core_version(connection)

    before = version()
    decide(loaded, ("test_c", "test_a"), accept=False)
    assert version() == before  # refusing a proposal changes no history
    decide(loaded, ("test_a", "test_b"))
    first = version()
    decide(loaded, ("test_a", "test_d"))
    second = version()
    assert len({before, first, second}) == 3
    decide(loaded, ("test_a", "test_b"), accept=False)
    assert version() == second
    decide(loaded, ("test_a", "test_d"), accept=False)
    assert version() == before


def test_a_pair_that_nobody_proposed_can_be_accepted_and_is_listed(loaded: Place):
    keys = keys_of(loaded)
    chosen = pair_of(loaded.warehouse, repository="acme/shop", old=keys["test_d"], new=keys["test_b"])
    assert (chosen.old.name, chosen.new.name, chosen.confidence) == ("test_d", "test_b", None)
    decide_aliases(loaded.warehouse, [chosen], is_accepted=True, actor="ada", reason="", decided_at=NOW)
    assert pair(loaded, "test_d", "test_b").state is AliasState.ACCEPTED


def test_a_decision_outlives_its_proposal(loaded: Place):
    decide(loaded, ("test_a", "test_b"))
    with loaded.warehouse.connect() as connection:
        connection.execute("delete from core.alias_proposal")
    (left,) = known_aliases(loaded.warehouse)
    assert (left.old.name, left.state, left.confidence) == ("test_a", AliasState.ACCEPTED, None)


@pytest.mark.parametrize("digits", [12, 11])
def test_an_id_may_be_cut_short(loaded: Place, digits: int):
    known = known_aliases(loaded.warehouse)
    assert find_aliases(known, [known[0].alias_id[:digits].upper()]) == [known[0]]
    assert find_aliases(known, [known[0].alias_id, known[0].alias_id[:digits]]) == [known[0]]


def command(place: Place, *arguments: str) -> Result:
    config = place.source.path.parent / "flakeguard.yml"
    where = ["--warehouse", place.settings.warehouse, "--config", str(config)]
    return CliRunner().invoke(cli, ["alias", *arguments, *where])


def fault(place: Place, *arguments: str) -> str:
    """Return what a command says that is refused as wrong usage."""
    result = command(place, *arguments)
    if isinstance(result.exception, FlakeGuardError):
        assert result.exception.exit_status == 2
        return str(result.exception)
    assert result.exit_code == 2, result.output
    return result.output


def test_the_command_says_what_was_decided_and_when_it_takes_effect(loaded: Place):
    known = known_aliases(loaded.warehouse)
    said = command(loaded, "accept", known[0].alias_id, "--reason", "renamed", "--actor", "ada").output
    shown = "tests.shop.test_cart test_a -> tests.shop.test_cart test_b"
    assert said == (f"{known[0].alias_id} accepted: {shown}\nThe next `flakeguard run` carries the history over.\n")
    again = command(loaded, "accept", known[0].alias_id, "--reason", "renamed", "--actor", "bob").output
    assert again.startswith(f"{known[0].alias_id} accepted already, by ada on ")
    assert again.endswith("\nNothing changes.\n")
    replaced = command(loaded, "accept", known[3].alias_id, "--reason", "no, that", "--actor", "ada").output
    assert f"  It replaces {known[0].alias_id}: {shown}\n" in replaced
    taken_back = command(loaded, "reject", known[3].alias_id, "--reason", "two tests", "--actor", "ada").output
    assert taken_back.splitlines()[-1] == "The next `flakeguard run` gives each test its own history again."
    refused = command(loaded, "reject", known[1].alias_id, "--reason", "two tests", "--actor", "ada").output
    assert refused.splitlines()[-1] == "It is not proposed again."


def test_the_command_takes_a_pair_by_its_keys(loaded: Place):
    keys = keys_of(loaded)
    names = ["--old", keys["test_d"], "--new", keys["test_b"], "--repository", "acme/shop"]
    said = command(loaded, "accept", *names, "--reason", "mine", "--actor", "ada")
    assert said.exit_code == 0, said.output
    assert rows(loaded) == [("test_d", 0, "test_b", "accepted", "ada", "mine", rows(loaded)[0][-1])]


def test_the_list_shows_state_confidence_names_and_why(loaded: Place):
    known = known_aliases(loaded.warehouse)
    decide(loaded, ("test_a", "test_b"))
    listed = command(loaded, "list").output
    assert listed.splitlines()[:3] == [
        "acme/shop",
        f"  {known[1].alias_id}  proposed  0.80  tests.shop.test_cart test_b -> tests.shop.test_cart test_c",
        "                renamed at 000000000000; in 9 run attempts before, 4 since",
    ]
    assert listed.splitlines()[-1] == "Not shown: 1 decided; `flakeguard alias list --all` shows them."
    everything = command(loaded, "list", "--all").output
    assert f"{known[0].alias_id}  accepted  0.90" in everything
    assert "accepted by ada on 2026-03-04: why\n" in everything


def test_an_empty_list_says_so(place: Place):
    place.load()
    assert command(place, "list").output == "No alias is waiting for a decision.\n"


def test_what_is_refused_as_wrong_usage_and_why(loaded: Place):
    keys = keys_of(loaded)
    ids = [each.alias_id for each in known_aliases(loaded.warehouse)]
    why = ("--reason", "x", "--actor", "ada")
    by_key = ("--repository", "acme/shop", *why)
    assert "there is no alias 'zzz'" in fault(loaded, "accept", "zzz", *why)
    assert "there is no alias ''" in fault(loaded, "reject", "", *why)
    assert "Missing option '--reason'" in fault(loaded, "accept", ids[0])
    assert "Name aliases by their ids, or one pair" in fault(loaded, "accept", *why)
    assert "Name aliases by their ids, or one pair" in fault(loaded, "accept", ids[0], "--old", "a", *why)
    assert "has no test 'nope' (--old)" in fault(loaded, "accept", "--old", "nope", "--new", keys["test_b"], *by_key)
    same = keys["test_a"]
    assert "name the same test" in fault(loaded, "accept", "--old", same, "--new", same, *by_key)
    assert "has no repository 'acme/none'; it has: acme/shop" in fault(loaded, "list", "--repository", "acme/none")
    assert rows(loaded) == []


def test_an_id_that_may_mean_several_is_refused(loaded: Place):
    known = known_aliases(loaded.warehouse)
    alike = [Alias(**{name: getattr(known[0], name) for name in Alias.__slots__} | {"alias_id": text})
             for text in ("ab12", "ab34")]  # fmt: skip
    with pytest.raises(UsageError, match=r"'ab' may mean 2 aliases \(ab12, ab34\); write more of the id"):
        find_aliases(alike, ["ab"])


def test_no_warehouse_is_made_by_looking(place: Place):
    assert "there is no warehouse at " in fault(place, "list")
    assert not place.warehouse.exists


STEPS = st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"), st.booleans()), max_size=12)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_dbt_follows_the_decisions_as_the_command_does(steps: list[tuple[str, str, bool]]):
    made: list[AliasDecision] = []
    for old, new, accept in steps:
        tried = [*made, AliasDecision(old, new, accept, "ada", "", NOW)]
        try:
            final_keys({key: each.new_test_key for key, each in accepted(tried).items()})
        except ValueError:
            continue  # the command refuses it
        made = tried
    expected = final_keys({key: each.new_test_key for key, each in accepted(made).items()})
    model = (bundled("dbt") / "models" / "staging" / "stg_test_alias.sql").read_text(encoding="utf-8")
    holding = query("accepted_aliases").replace("core.alias_decision", "alias_rows")
    frame = pl.DataFrame(
        [
            {
                "org": "acme",
                "repository_id": "github:7",
                "old_test_key": each.old_test_key,
                "sequence": number,
                "new_test_key": each.new_test_key,
                "decision": "accepted" if each.is_accepted else "rejected",
            }
            for number, each in enumerate(made)
        ],
        schema={"org": pl.String, "repository_id": pl.String, "old_test_key": pl.String, "sequence": pl.Int32,
                "new_test_key": pl.String, "decision": pl.String},
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("alias_rows", frame.to_arrow())
        found = connection.execute(model.replace("{{ source('core', 'alias_decision') }}", "alias_rows")).fetchall()
        held = connection.execute(holding).fetchall()
    assert {old: new for _, _, old, new in held} == {old: each.new_test_key for old, each in accepted(made).items()}
    assert {old: new for _, _, old, new in found} == expected
    assert len(found) == len(expected)

"""`flakeguard alias`: one test under two names. People decide on what was proposed, and on pairs of their own."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flakeguard_pipeline.cli.options import config_option, warehouse_option

if TYPE_CHECKING:
    from flakeguard_pipeline.operations.alias_decisions import Alias, Decided, TestName
    from flakeguard_pipeline.warehouse.connection import Warehouse

COMMIT_DIGITS = 12
"""Digits of a commit that are shown: enough for git to know it."""

KINDS = {
    "move": "moved",
    "rename": "renamed",
    "parameters": "other parameters",
    "move_and_rename": "moved and renamed",
    "move_and_parameters": "moved, with other parameters",
}

reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the decision.")
actor_option = click.option("--actor", metavar="NAME", help="Who decides. [default: your login name]")


@click.group(short_help="Decide which tests are one test under two names.")
def alias() -> None:
    """Carry a test's history over to its new name.

    When tests disappear and others appear at the same commit, those that look like one test under two names are
    proposed as aliases, each with a confidence. Nothing happens until a person accepts one.

    \b
    flakeguard alias list
    flakeguard alias accept 3f2a91c04d7e --reason "renamed in #4711"
    flakeguard alias reject 3f2a91c04d7e --reason "another test"
    """


@alias.command("list", short_help="Show what is proposed.")
@click.option("--all", "show_all", is_flag=True, help="Also what was decided already.")
@click.option("--repository", metavar="NAME", help="Only this repository: its full name or its id.")
@warehouse_option
@config_option
def list_(*, show_all: bool, repository: str | None, warehouse: str | None, config: Path | None) -> None:
    """List the proposed aliases, the surest first.

    \b
    flakeguard alias list --repository acme/shop
    flakeguard alias list --all
    """
    from flakeguard_pipeline.domain.aliases import AliasState
    from flakeguard_pipeline.operations.alias_decisions import known_aliases

    known = known_aliases(_opened(warehouse, config), repository=repository)
    shown = [each for each in known if show_all or each.state is AliasState.PROPOSED]
    click.echo("\n".join(_lines(shown)))
    decided = len(known) - len(shown)
    if decided:
        click.echo(f"Not shown: {decided} decided; `flakeguard alias list --all` shows them.")


@alias.command(short_help="Carry the history of a test over to its new name.")
@click.argument("alias_ids", nargs=-1, metavar="[ALIAS_ID]...")
@click.option("--old", metavar="TEST_KEY", help="Instead of an id: the test whose history is carried over.")
@click.option("--new", metavar="TEST_KEY", help="Instead of an id: the test that it is carried over to.")
@click.option("--repository", metavar="NAME", help="With --old and --new: the repository of both.")
@reason_option
@actor_option
@warehouse_option
@config_option
def accept(
    *,
    alias_ids: tuple[str, ...],
    old: str | None,
    new: str | None,
    repository: str | None,
    reason: str,
    actor: str | None,
    warehouse: str | None,
    config: Path | None,
) -> None:
    """Accept proposed aliases by their ids, which may be cut short, or a pair of tests that nobody proposed.

    The next `flakeguard run` carries the history over: executions, scores and quarantine go on under the new name.
    `flakeguard alias reject` takes it back.

    \b
    flakeguard alias accept 3f2a91c04d7e 9b1c --reason "renamed in #4711"
    flakeguard alias accept --old KEY --new KEY --repository acme/shop --reason "renamed in #4711"
    """
    from flakeguard_pipeline.operations.alias_decisions import find_aliases, known_aliases, pair_of

    place = _opened(warehouse, config)
    if old and new and repository and not alias_ids:
        chosen = [pair_of(place, repository=repository, old=old, new=new)]
    elif alias_ids and not (old or new or repository):
        chosen = find_aliases(known_aliases(place), alias_ids)
    else:
        raise click.UsageError("Name aliases by their ids, or one pair by --old, --new and --repository.")
    _decide(place, chosen, is_accepted=True, actor=actor, reason=reason)


@alias.command(short_help="Refuse a proposed alias, or take an accepted one back.")
@click.argument("alias_ids", nargs=-1, required=True, metavar="ALIAS_ID...")
@reason_option
@actor_option
@warehouse_option
@config_option
def reject(
    *, alias_ids: tuple[str, ...], reason: str, actor: str | None, warehouse: str | None, config: Path | None
) -> None:
    """Reject aliases by their ids, which may be cut short.

    A rejected proposal is not listed again. Rejecting an accepted alias takes it back: the next `flakeguard run` gives
    each test its own history again.

    \b
    flakeguard alias reject --reason "two tests" 3f2a91c04d7e
    """
    from flakeguard_pipeline.operations.alias_decisions import find_aliases, known_aliases

    place = _opened(warehouse, config)
    _decide(place, find_aliases(known_aliases(place), alias_ids), is_accepted=False, actor=actor, reason=reason)


def _opened(warehouse: str | None, config: Path | None) -> "Warehouse":
    """Return the warehouse, its tables up to date.

    Raises:
        UsageError: there is none yet.
    """
    from flakeguard_pipeline.domain.errors import UsageError
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse
    from flakeguard_pipeline.warehouse.migrate import upgrade

    place = Warehouse(load_settings(config, {"warehouse": warehouse}).warehouse)
    if not place.exists:
        raise UsageError(f"there is no warehouse at {place.path}; `flakeguard run` makes it, or name it: --warehouse")
    upgrade(place)
    return place


def _decide(place: "Warehouse", chosen: "list[Alias]", *, is_accepted: bool, actor: str | None, reason: str) -> None:
    from datetime import UTC, datetime

    from flakeguard_pipeline.operations.alias_decisions import decide_aliases

    made = decide_aliases(
        place,
        chosen,
        is_accepted=is_accepted,
        actor=actor or _login_name(),
        reason=reason,
        decided_at=datetime.now(UTC),
    )
    for line in _outcome(made, is_accepted=is_accepted):
        click.echo(line)


def _login_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # a container's user may have no name
        raise click.UsageError("Your login name cannot be found out; say who decides with --actor.") from error


def _outcome(made: "list[Decided]", *, is_accepted: bool) -> Iterator[str]:
    from flakeguard_pipeline.domain.aliases import AliasState

    word = "accepted" if is_accepted else "rejected"
    for each in made:
        decision = each.alias.decision
        assert decision is not None  # noqa: S101 - it was just decided, or had been before
        already = "" if each.is_new else f" already, by {decision.actor} on {decision.decided_at:%Y-%m-%d}"
        yield f"{each.alias.alias_id} {word}{already}: {_pair(each.alias)}"
        if each.replaced is not None:
            yield f"  It replaces {each.replaced.alias_id}: {_pair(each.replaced)}"
    if not any(each.is_new for each in made):
        yield "Nothing changes."
    elif is_accepted:
        yield "The next `flakeguard run` carries the history over."
    elif any(each.was is AliasState.ACCEPTED for each in made):
        yield "The next `flakeguard run` gives each test its own history again."
    else:
        yield "It is not proposed again." if len(made) == 1 else "They are not proposed again."


def _lines(shown: "Iterable[Alias]") -> Iterator[str]:
    repository = None
    for each in shown:
        if each.repository != repository:
            repository = each.repository
            yield repository.full_name
        sure = "    " if each.confidence is None else f"{each.confidence:.2f}"
        yield f"  {each.alias_id}  {each.state.value:<8}  {sure}  {_pair(each)}"
        facts = [_evidence(each.evidence, each.head_sha)] if each.evidence else []
        if each.decision:
            word = "accepted" if each.decision.is_accepted else "rejected"
            facts.append(
                f"{word} by {each.decision.actor} on {each.decision.decided_at:%Y-%m-%d}: {each.decision.reason}"
            )
        yield from (f"{'':16}{fact}" for fact in facts)
    if repository is None:
        yield "No alias is waiting for a decision."


def _evidence(facts: Mapping[str, Any], head_sha: str) -> str:
    """Return in a line what a proposal rests on."""
    at = f" at {head_sha[:COMMIT_DIGITS]}" if head_sha else ""
    parts = [f"{KINDS.get(facts['kind'], facts['kind'])}{at}"]
    if facts["together"] > 1:
        parts.append(f"{facts['together']} tests together")
    parts.append(f"in {facts['old_run_attempts']} run attempts before, {facts['new_run_attempts']} since")
    durations = (facts["old_median_duration_us"], facts["new_median_duration_us"])
    if None not in durations:
        parts.append("took {:.2f} s, takes {:.2f} s".format(*(each / 1e6 for each in durations)))
    if facts["rivals"]:
        parts.append(f"{facts['rivals']} other likely pairs")
    return "; ".join(parts)


def _pair(each: "Alias") -> str:
    return f"{_named(each.old, each.old_test_key)} -> {_named(each.new, each.new_test_key)}"


def _named(test: "TestName", key: str) -> str:
    """Return what a test is called, with its file where the class name leaves it out."""
    where = test.classname or test.file or test.suite
    return f"{where} {test.name}".strip() or key

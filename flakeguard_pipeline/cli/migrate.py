"""`flakeguard migrate`: which revision the warehouse is at, bringing it elsewhere, and whether its tables are right."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flakeguard_pipeline.cli.options import config_option, warehouse_option, workspace_options

if TYPE_CHECKING:
    from flakeguard_pipeline.warehouse.connection import Warehouse

DIFFERS = 1
"""Exit status of `check` where something is pending or differs."""


@click.group(invoke_without_command=True, short_help="Bring the warehouse's tables up to date, or look at them.")
@workspace_options
@click.pass_context
def migrate(context: click.Context, warehouse: str | None, out: str | None, config: Path | None) -> None:
    """Bring the warehouse to this version's tables, on DuckDB and on Postgres. `flakeguard run` does so by itself.

    Without a command of its own it does what `up` does. Exit status: 0 when it is done, 1 when it could not be done,
    2 for wrong usage.

    \b
    flakeguard migrate --warehouse duckdb:///ci/warehouse.duckdb
    flakeguard migrate status
    flakeguard migrate check --warehouse postgresql://flakeguard@db.example/ci
    """
    context.obj = {"warehouse": warehouse, "config": config}
    if context.invoked_subcommand is None:
        _up(_place(context, None, None, out=out), None)


@migrate.command(short_help="Show the revisions, and which the warehouse has.")
@warehouse_option
@config_option
@click.pass_context
def status(context: click.Context, warehouse: str | None, config: Path | None) -> None:
    """List the revisions with what each does, and whether the warehouse has it. It changes nothing.

    Exit status: 0, also when revisions are pending; `flakeguard migrate check` is for scripts.

    \b
    flakeguard migrate status --warehouse duckdb:///ci/warehouse.duckdb
    """
    from flakeguard_pipeline.warehouse.migrate import pending
    from flakeguard_pipeline.warehouse.revisions import history

    place = _place(context, warehouse, config)
    now, missing = pending(place)
    ids = {each.id for each in missing}
    rows = [(each.id, "pending" if each.id in ids else "applied", each.title) for each in history().revisions]
    _table(("revision", "state", "what it does"), rows)
    click.echo(f"{place.shown}: {_where(place, now)}{_count(len(ids))}")


@migrate.command(short_help="Bring the tables forward.")
@click.option("--to", "revision", metavar="REVISION", help="Stop at this revision. [default: the newest]")
@warehouse_option
@config_option
@click.pass_context
def up(context: click.Context, revision: str | None, warehouse: str | None, config: Path | None) -> None:
    """Bring the warehouse to the newest revision, and write what tables and columns mean into the database.

    Each revision is one transaction: one that fails or is killed changes nothing, and the same command goes on from
    there. Nothing is ever lost.

    \b
    flakeguard migrate up
    flakeguard migrate up --to 0002
    """
    _up(_place(context, warehouse, config), revision)


@migrate.command(short_help="Take the tables back.")
@click.option(
    "--to", "revision", metavar="REVISION", required=True, help="Back to this revision; `base` is before all."
)
@click.option("--yes", is_flag=True, help="Also where tables or columns that hold rows are dropped.")
@warehouse_option
@config_option
@click.pass_context
def down(context: click.Context, *, revision: str, yes: bool, warehouse: str | None, config: Path | None) -> None:
    """Take the warehouse back to an earlier revision, for an earlier FlakeGuard, in one transaction.

    Where that drops tables or columns that hold rows it names them and changes nothing, unless --yes is given.

    \b
    flakeguard migrate down --to 0002
    flakeguard migrate down --to 0001 --yes
    """
    from flakeguard_pipeline.domain.errors import UsageError
    from flakeguard_pipeline.warehouse.migrate import current, downgrade

    place = _place(context, warehouse, config)
    if not place.exists:
        raise UsageError(f"there is no warehouse at {place.shown}; name it with --warehouse")
    lost = downgrade(place, to=revision, lose_rows=yes)
    for each in lost:
        click.echo(f"dropped {each}")
    click.echo(f"{place.shown}: taken back to {_revision(current(place))}")


@migrate.command(short_help="Say whether the tables are as this version needs them.")
@click.option("--data", is_flag=True, help="Also check the executions themselves, with the suite that each run uses.")
@warehouse_option
@config_option
@click.pass_context
def check(context: click.Context, *, data: bool, warehouse: str | None, config: Path | None) -> None:
    """Compare the tables with what this version needs: columns, types, collations, keys, indexes and comments.

    It changes nothing. Exit status: 0 when all is well, 1 when a revision is pending, something differs, or the
    warehouse cannot be read, 2 for wrong usage.

    \b
    flakeguard migrate check
    flakeguard migrate check --data
    """
    from flakeguard_pipeline.warehouse.migrate import pending

    place = _place(context, warehouse, config)
    now, missing = pending(place)
    if missing:
        names = ", ".join(each.id for each in missing)
        click.echo(f"{place.shown}: {_where(place, now)}{_count(len(missing))} ({names}); `flakeguard migrate up`")
        raise click.exceptions.Exit(DIFFERS)
    is_well = _check_tables(place)
    if data and is_well:
        is_well = _check_data(place)
    raise click.exceptions.Exit(0 if is_well else DIFFERS)


def _place(
    context: click.Context, warehouse: str | None, config: Path | None, *, out: str | None = None
) -> "Warehouse":
    """Return the warehouse that the command, or else `flakeguard migrate` before it, names."""
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse

    before: dict[str, Any] = context.obj
    settings = load_settings(config or before["config"], {"warehouse": warehouse or before["warehouse"], "out": out})
    return Warehouse(settings.warehouse)


def _up(place: "Warehouse", revision: str | None) -> None:
    from flakeguard_pipeline.warehouse.migrate import current, upgrade

    changed = upgrade(place, to=revision)
    written = "" if changed or revision is not None else _refresh_comments(place)
    click.echo(f"{place.shown}: {'brought to' if changed else 'is at'} {_revision(current(place))}{written}")


def _refresh_comments(place: "Warehouse") -> str:
    """Write comments where this version words them otherwise; a changed word is no revision."""
    from flakeguard_pipeline.warehouse.table_differences import differences

    with place.connect(read_only=True) as connection:
        if not any(each.is_comment for each in differences(connection)):
            return ""
    from flakeguard_pipeline.warehouse.migration_session import write_comments

    write_comments(place)
    return "; comments written anew"


def _check_tables(place: "Warehouse") -> bool:
    from flakeguard_pipeline.warehouse.migrate import current
    from flakeguard_pipeline.warehouse.table_differences import differences

    with place.connect(read_only=True) as connection:
        found = differences(connection)
    if not found:
        click.echo(f"{place.shown}: {_revision(current(place, read_only=True))}, every table as it should be")
        return True
    _table(("table", "column", "found", "what to do"), [(e.table, e.column, e.found, e.remedy) for e in found])
    click.echo(f"{place.shown}: {len(found)} difference{'s' if len(found) > 1 else ''} from what FlakeGuard needs")
    return False


def _check_data(place: "Warehouse") -> bool:
    from flakeguard_pipeline.quality.execution_suite import SUITE_NAME, check_executions

    result = check_executions(place)
    rows = [(e.expectation, e.column, e.unexpected_count, "; ".join(e.examples)) for e in result.findings]
    if rows:
        _table(("expectation", "column", "rows", "examples"), rows)
    held = "all hold" if result.is_passed else f"{len(rows)} do not hold"
    click.echo(f"{SUITE_NAME}: {result.rows} rows, {result.expectations} expectations, {held}")
    return result.is_passed


def _where(place: "Warehouse", now: str | None) -> str:
    return f"at {_revision(now)}" if place.exists else "there is no warehouse yet"


def _revision(now: str | None) -> str:
    return f"revision {now}" if now else "no revision"


def _count(pending: int) -> str:
    return f", {pending} pending" if pending else ", nothing pending"


def _table(columns: tuple[str, ...], rows: "list[tuple[Any, ...]]") -> None:
    import shutil
    import sys

    from flakeguard_pipeline.cli.table import render_table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(render_table(columns, rows, width=width))

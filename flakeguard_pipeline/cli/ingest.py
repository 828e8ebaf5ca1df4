"""`flakeguard ingest`: bring in what CI has, for people and cron."""

from datetime import date
from pathlib import Path

import click

from flakeguard_pipeline.cli.options import Day, config_option, warehouse_option

SOME_FAILED = 1


@click.command(short_help="Land and load what is new at CI.")
@click.option("--source", "names", multiple=True, metavar="NAME", help="Only this source; may be given several times.")
@click.option("--since", type=Day(), metavar="DAY", help="The first UTC day of a backfill. [default: what is due]")
@click.option("--until", type=Day(), metavar="DAY", help="The last UTC day of a backfill. [default: today]")
@warehouse_option
@config_option
def ingest(
    names: tuple[str, ...], since: date | None, until: date | None, warehouse: str | None, config: Path | None
) -> None:
    """Ask the configured sources for what is new, land it, and load it into the warehouse.

    Without days, each source is asked from some days before its last complete listing on, because re-runs appear days
    later. It can be stopped at any moment; running it again completes the work. A source that fails stops no other.
    Exit status: 0 when all sources were listed to their end; 1 when one was not; 2 for wrong usage or configuration.

    \b
    flakeguard ingest
    flakeguard ingest --source hub --since 2026-01-01 --until 2026-03-31
    """
    from flakeguard_pipeline.cli.options import publish_warehouse, require_connection
    from flakeguard_pipeline.cli.progress import make_progress
    from flakeguard_pipeline.cli.sources import require_names
    from flakeguard_pipeline.cli.summary import render_ingestion
    from flakeguard_pipeline.domain.errors import UsageError
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse

    if since and until and since > until:
        raise UsageError(f"--since {since} is after --until {until}; no day lies between them")
    settings = load_settings(config, {"warehouse": warehouse})
    chosen = require_names(settings, names)
    require_connection(Warehouse(settings.warehouse))  # a wrong path is said at once, before Dagster is imported

    from assets.launch import Request, run_ingestion
    from assets.resources import WorkspaceResource

    resource = WorkspaceResource(
        config=str(config) if config else "",
        warehouse=publish_warehouse(settings.warehouse),
        landing=settings.landing,
        out=str(settings.out),
    )
    request = Request(
        names=tuple(each.name for each in chosen) if names else (),
        since=since.isoformat() if since else None,
        until=until.isoformat() if until else None,
    )
    with make_progress() as progress:
        launched = run_ingestion(resource, request, progress=progress)
    click.echo(render_ingestion(new=launched.metadata, faults=launched.faults))
    raise click.exceptions.Exit(SOME_FAILED if launched.faults else 0)

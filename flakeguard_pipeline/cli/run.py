"""`flakeguard run`: the main job."""

from datetime import datetime
from pathlib import Path

import click

from flakeguard_pipeline.cli.options import as_of_option, workspace_options

SOME_FAILED = 1


@click.command(short_help="Ingest what is new, score, decide and export.")
@click.option(
    "--drop", metavar="DIR", help="The drop folder with the CI results: a folder or a URL. [default: as configured]"
)
@workspace_options
@as_of_option
def run(drop: str | None, warehouse: str | None, out: str | None, as_of: datetime | None, config: Path | None) -> None:
    """Ingest what is new in the drop folder DIR and the configured sources, compute statistics, decide and export.

    Runs the same assets as the Dagster UI, in this process. It can be stopped at any moment; running it again completes
    the work. Exit status: 0 when all of it succeeded, also when some reports were rejected; 2 for wrong usage or
    configuration; 1 for a failure.

    \b
    flakeguard run --drop ./ci
    flakeguard run --drop ./ci --as-of 2026-03-01T00:00:00Z
    """
    status = run_main_job(drop=drop, warehouse=warehouse, out=out, as_of=as_of, config=config)
    raise click.exceptions.Exit(status)


def run_main_job(
    *, drop: str | None, warehouse: str | None, out: str | None, as_of: datetime | None, config: Path | None
) -> int:
    """Run the main job, print its summary and return the exit status."""
    from flakeguard_pipeline.cli.options import publish_warehouse, require_connection
    from flakeguard_pipeline.cli.progress import make_progress
    from flakeguard_pipeline.cli.summary import render
    from flakeguard_pipeline.domain.errors import UsageError
    from flakeguard_pipeline.operations.summary import summarise
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse

    settings = load_settings(config, {"drop": drop, "warehouse": warehouse, "out": out})
    place = Warehouse(settings.warehouse)
    if not any(each.enabled for each in settings.all_sources):
        raise UsageError(
            "nothing says where CI results are; name a drop folder with --drop, or list `sources` in flakeguard.yml "
            "(docs/reference/sources.md)"
        )
    # A wrong path is said at once, before Dagster is imported.
    if settings.drop is not None:
        from flakeguard_pipeline.providers.drop_folder import DropFolder

        DropFolder(settings.drop).require()
    require_connection(place)

    from assets.launch import run_main_job as launch
    from assets.resources import WorkspaceResource

    resource = WorkspaceResource(
        config=str(config) if config else "",
        drop=settings.drop or "",
        warehouse=publish_warehouse(settings.warehouse),
        landing=settings.landing,
        out=str(settings.out),
    )
    with make_progress() as progress:
        launched = launch(resource, as_of=as_of, progress=progress)
    summary = summarise(place)
    click.echo(render(summary, as_of=launched.as_of, new=launched.metadata, out=settings.out, faults=launched.faults))
    return SOME_FAILED if launched.faults else 0

"""`flakeguard migrate`: bring the warehouse's tables up to date."""

from pathlib import Path

import click

from flakeguard_pipeline.cli.options import workspace_options


@click.command(short_help="Bring the warehouse's tables up to date.")
@workspace_options
def migrate(warehouse: str | None, out: str | None, config: Path | None) -> None:
    r"""Bring the warehouse to this version's tables. `flakeguard run` does so by itself.

    \b
    flakeguard migrate --warehouse duckdb:///ci/warehouse.duckdb
    """
    from flakeguard_pipeline.settings import load_settings
    from flakeguard_pipeline.warehouse.connection import Warehouse
    from flakeguard_pipeline.warehouse.migrate import current, upgrade

    place = Warehouse(load_settings(config, {"warehouse": warehouse, "out": out}).warehouse)
    changed = upgrade(place)
    click.echo(f"{place.path}: {'brought to' if changed else 'is at'} revision {current(place)}")

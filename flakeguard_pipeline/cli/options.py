"""Options that several commands share, and how their texts become values."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from flakeguard_pipeline.postgres_address import POSTGRES_SCHEMES

if TYPE_CHECKING:
    from flakeguard_pipeline.warehouse.connection import Warehouse

Command = TypeVar("Command", bound=Callable[..., Any])

WAREHOUSE_VARIABLE = "FLAKEGUARD_WAREHOUSE"

YEARS = range(1970, 9000)
"""Years that windows and expiry can be reckoned from without leaving the calendar."""


class Timestamp(click.ParamType[datetime]):
    """A moment in ISO 8601; without a zone it is UTC."""

    name = "timestamp"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware datetime in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment; write it like 2026-03-01T12:00:00Z", param, ctx)
        if aware.year not in YEARS:
            self.fail(f"{value!r} is no moment that results can be known at; check the year", param, ctx)
        return aware


class Day(click.ParamType[date]):
    """A UTC day in ISO 8601."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it like 2026-03-01", param, ctx)
        if day.year not in YEARS:
            self.fail(f"{value!r} is no day that results can be of; check the year", param, ctx)
        return day


config_option = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Configuration. [default: flakeguard.yml]"
)

warehouse_option = click.option(
    "--warehouse", metavar="URL", help="The warehouse. [default: duckdb:///.flakeguard/warehouse.duckdb]"
)

out_option = click.option("--out", metavar="DIR", help="Where exports go. [default: quarantine/ beside the warehouse]")


def workspace_options(command: Command) -> Command:
    """Add --warehouse, --out and --config."""
    for option in (config_option, out_option, warehouse_option):
        command = option(command)
    return command


def require_connection(warehouse: "Warehouse") -> None:
    """Say at once when the warehouse cannot be opened, before Dagster is imported."""
    from flakeguard_pipeline.warehouse.repeating import repeated

    def probe() -> None:
        with warehouse.connect():
            pass

    repeated(probe)


def publish_warehouse(url: str) -> str:
    """Return what Dagster's resource is told of the warehouse, for this process and those it starts.

    Dagster keeps what a resource is configured with, also in its storage. So an address, which may hold a password,
    goes through the environment, and the resource is told nothing.
    """
    if url.startswith(POSTGRES_SCHEMES):
        os.environ[WAREHOUSE_VARIABLE] = url
        return ""
    return url


as_of_option = click.option(
    "--as-of",
    type=Timestamp(),
    metavar="TIMESTAMP",
    help="The cut in knowledge: what became known later does not exist. [default: now]",
)

"""Resources: thin shells that turn configuration into plain objects of the library.

Belongs here: what differs between machines and tests. Does not belong here: work.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import dagster as dg

from flakeguard_pipeline.landing.zone import LandingZone
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.providers.registry import build_source
from flakeguard_pipeline.providers.source import ArtifactSource
from flakeguard_pipeline.settings import Settings, load_settings
from flakeguard_pipeline.source_sections import DROP
from flakeguard_pipeline.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Workspace:
    """The plain objects that every asset works with."""

    settings: Settings
    progress: Progress

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse."""
        return Warehouse(self.settings.warehouse)

    @cached_property
    def zone(self) -> LandingZone:
        """The landing zone."""
        return LandingZone(self.settings.landing)

    @cached_property
    def drops(self) -> list[ArtifactSource]:
        """The drop folders that are switched on."""
        return [build_source(section) for section in self.settings.sources_of(DROP)]

    def is_alone(self, source: ArtifactSource) -> bool:
        """Say whether a source is the only one: then its failure need not be kept from others."""
        return [each.name for each in self.settings.all_sources if each.enabled] == [source.name]

    def cache_dir(self, source: str) -> Path:
        """The folder of answers that a source may validate again instead of asking for them."""
        return self.settings.home / "cache" / source


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Where FlakeGuard reads and writes. Empty fields follow flakeguard.yml, the environment and the defaults."""

    config: str = ""
    drop: str = ""
    warehouse: str = ""
    landing: str = ""
    out: str = ""

    def open(self) -> Workspace:
        """Return the workspace that this configuration names."""
        settings = load_settings(
            Path(self.config) if self.config else None,
            {"drop": self.drop, "warehouse": self.warehouse, "landing": self.landing, "out": self.out},
        )
        # Dagster's processes start in folders of their own: what the settings name must not depend on them.
        drop = settings.drop
        if drop and "://" not in drop:
            drop = str(Path(drop).absolute())
        return Workspace(replace(settings, drop=drop, out=settings.out.absolute()), _TELLER.progress)


@dataclass
class _Teller:
    progress: Progress


_TELLER = _Teller(Silent())
"""Who is told how far the work is: nobody in the UI, the terminal under `flakeguard run`."""


def tell(progress: Progress) -> None:
    """Tell `progress` how far the work of this process is, from now on."""
    _TELLER.progress = progress


class ClockResource(dg.ConfigurableResource[None]):
    """The moment that a run knows the world at. Empty: the moment at which the run was created."""

    as_of: str = ""

    def read(self, context: dg.AssetExecutionContext) -> datetime:
        """Return the run's `as_of`, the same in every step of a run."""
        if self.as_of:
            return datetime.fromisoformat(self.as_of).astimezone(UTC)
        record = context.instance.get_run_record_by_id(context.run_id)
        if record is None:
            raise dg.Failure(f"run {context.run_id} is not in the instance's storage; set clock.as_of")
        created: datetime = record.create_timestamp
        return created.astimezone(UTC).replace(microsecond=0)

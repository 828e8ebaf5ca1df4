"""Settings, landing zone and warehouse in a temporary folder, and the ingestion on them."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flakeguard_pipeline.ingest import landing, loading
from flakeguard_pipeline.landing.zone import LandingZone
from flakeguard_pipeline.providers.drop_folder import DropFolder
from flakeguard_pipeline.settings import HOME_VARIABLE, Settings, load_settings
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import upgrade


@dataclass(frozen=True)
class Place:
    settings: Settings
    source: DropFolder
    zone: LandingZone
    warehouse: Warehouse

    def land(self) -> landing.LandingCounts:
        pending = landing.find_pending(self.source, self.zone)
        return landing.land(self.source, self.zone, pending)

    def load(self) -> loading.LoadCounts:
        upgrade(self.warehouse)
        wanted = loading.attempts_to_load(self.settings, self.zone, self.warehouse)
        counts = loading.load_attempts(self.settings, self.zone, self.warehouse, wanted)
        if loading.unattributed_is_stale(self.settings, self.zone, self.warehouse):
            counts.rejected += loading.load_unattributed(self.settings, self.zone, self.warehouse)
        return counts

    def ingest(self) -> loading.LoadCounts:
        self.land()
        return self.load()

    def read(self, sql: str) -> pl.DataFrame:
        with self.warehouse.connect() as connection:
            return connection.read(sql)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return self.read(sql).rows()


def make_place(folder: Path, config: str = "", warehouse: str = "") -> Place:
    drop = folder / "drop"
    drop.mkdir(parents=True, exist_ok=True)
    file = folder / "flakeguard.yml"
    file.write_text(config)
    overrides = {"drop": str(drop), "warehouse": warehouse or f"duckdb:///{folder / 'home' / 'warehouse.duckdb'}"}
    settings = load_settings(file, overrides, environment={HOME_VARIABLE: str(folder / "home")} if warehouse else {})
    return Place(settings, DropFolder(drop), LandingZone(settings.landing), Warehouse(settings.warehouse))

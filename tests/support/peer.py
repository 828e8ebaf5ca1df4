"""The same data in a warehouse of the other engine: what Python wrote is copied, what dbt builds is built there."""

from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.load import name_of
from flakeguard_pipeline.warehouse.migrate import upgrade
from flakeguard_pipeline.warehouse.tables import metadata
from tests.support.rolled_up import project


def copy_warehouse(source: Warehouse, target: Warehouse) -> None:
    """Make `target` a warehouse of the same rows as `source`."""
    upgrade(target)
    with source.connect(read_only=True) as theirs, target.connect() as mine:
        for table in metadata.tables.values():
            mine.insert(name_of(table), theirs.read(f"select * from {name_of(table)}"))
    with project() as dbt:
        dbt.run(target, "run", "--full-refresh")

"""Migrations of the schemas that FlakeGuard owns, by Alembic."""

import logging
from typing import TYPE_CHECKING

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import WarehouseError
from flakeguard_pipeline.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "alembic_version"


def _config(warehouse: Warehouse) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - a second's import that most commands never need

    config = Config()
    config.set_main_option("script_location", str(bundled("sql") / "migrations"))
    config.attributes["warehouse_path"] = str(warehouse.path)
    return config


def head(warehouse: Warehouse) -> str:
    """Return the revision that this code needs."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    revision = ScriptDirectory.from_config(_config(warehouse)).get_current_head()
    if revision is None:
        raise WarehouseError("this installation of FlakeGuard has no migrations; install it again")
    return revision


def current(warehouse: Warehouse) -> str | None:
    """Return the revision that the warehouse is at, or None where it is empty."""
    with warehouse.connect() as connection:
        known = connection.value(
            "select count(*) from information_schema.tables where table_schema = 'core' and table_name = $name",
            {"name": VERSION_TABLE},
        )
        if not known:
            return None
        revision = connection.value(f"select version_num from core.{VERSION_TABLE}")  # noqa: S608 - a constant
    return None if revision is None else str(revision)


def upgrade(warehouse: Warehouse) -> bool:
    """Bring the warehouse to this code's revision; return whether anything had to be done.

    Raises:
        WarehouseError: the warehouse is newer than this code, or a migration failed (nothing is changed then).
    """
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    now = current(warehouse)
    config = _config(warehouse)
    script = ScriptDirectory.from_config(config)
    if now == script.get_current_head():
        return False
    known = {revision.revision for revision in script.walk_revisions()}
    if now is not None and now not in known:
        raise WarehouseError(
            f"the warehouse {warehouse.path} was made by a newer FlakeGuard (revision {now}); update FlakeGuard"
        )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        command.upgrade(config, "head")
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WarehouseError(
            f"the warehouse {warehouse.path} could not be brought up to date: {first}; nothing was changed"
        ) from error
    return True

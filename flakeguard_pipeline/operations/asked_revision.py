"""Why a statement fails that should not: the warehouse is of a newer FlakeGuard.

Belongs here: looking for that reason. What can be answered is answered, whatever made the warehouse.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flakeguard_pipeline.domain.errors import UsageError
from flakeguard_pipeline.operations.asking import ask
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.migrate import VERSION_TABLE, require_known
from flakeguard_pipeline.warehouse.revisions import history


@contextmanager
def explained_by_revision(warehouse: Warehouse) -> Iterator[None]:
    """Say of a statement that fails in the block that the warehouse is newer than this code, where it is.

    Raises:
        WarehouseError: the statement failed, and the warehouse is of a newer FlakeGuard.
        UsageError: the statement failed for another reason.
    """
    try:
        yield
    except UsageError:
        revision = None
        # without that table it is no warehouse yet, and the first error says all
        with (
            suppress(UsageError),
            ask(warehouse, f"select max(version_num) as revision from core.{VERSION_TABLE}") as answer,  # noqa: S608 - a constant
        ):
            revision = answer.frame().item(0, 0)
        require_known(warehouse, revision, history())
        raise

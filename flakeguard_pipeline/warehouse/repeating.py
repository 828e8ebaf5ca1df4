"""Doing again what was undone for a reason that passes: the one place where the warehouse is tried again.

Only whole units of work that may be done twice come here: a batch of the loader, which replaces run attempts; one
repository's inference, comparison, scoring, decisions or export. Each reads what it needs anew.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from flakeguard_pipeline.domain.errors import WarehouseInterruptedError, WarehouseUnreachableError

logger = logging.getLogger(__name__)

TRIES = 5
"""How often in all: with the waits below a server that restarts within some seconds is back before the last."""

FIRST_WAIT_SECONDS = 0.25
"""Mean wait before the second try, doubled for each one after: 4 seconds in all."""

Result = TypeVar("Result")


def repeated(work: Callable[[], Result], sleep: Callable[[float], None] = time.sleep) -> Result:
    """Do `work`, again where the warehouse undid it for a reason that passes.

    Raises:
        WarehouseInterruptedError: it was undone `TRIES` times.
        Exception: whatever else `work` raises.
    """
    for number in range(TRIES):
        try:
            return work()
        except (WarehouseInterruptedError, WarehouseUnreachableError) as error:
            # once the connection was lost, a server that cannot be reached is one that restarts
            is_passing = isinstance(error, WarehouseInterruptedError) or number > 0
            if not is_passing or number == TRIES - 1:
                raise
            logger.info("trying again: %s", error)
        # waits differ, so that two that were in each other's way are not again
        sleep(FIRST_WAIT_SECONDS * 2**number * (0.5 + random.random()))  # noqa: S311 - spreads waiters
    raise AssertionError("unreachable")

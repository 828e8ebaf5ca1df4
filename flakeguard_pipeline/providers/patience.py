"""How often to try, how long to wait, and by which clock: the same for every source."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_TRIES = 6
"""Requests for one thing before giving up: the waits between them are half a minute at most, which outlasts a restart.
"""

BACKOFF_SECONDS = 0.5
"""The first wait between two tries; each further one is twice as long. What follows an answer is a random part of twice
that, so that clients that were refused together do not come back together."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's clock, and waiting; tests pass their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

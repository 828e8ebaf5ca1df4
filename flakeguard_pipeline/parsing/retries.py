"""Retries within a report: which execution is another attempt at which.

The rule, for all dialects: an execution whose test last failed in this report is its retry. A repeat of a test
that passed is no retry but a second test of the same name (parametrised tests often share one), and a skip is no
attempt at all. Executions are one test when suite, class name, name and file are equal, in one suite element: two
suites of one name are two environments, or reports that somebody has merged. Those without a name are never taken for
each other, and neither are those of a writer that never repeats a test to retry it (`Execution.may_repeat`).

Only what failed can be retried, so only failures wait for the end of the report, and memory stays bounded
whatever its length.
"""

from collections import deque
from collections.abc import Iterable

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import Execution, Key

MAX_WAITING_CHARACTERS = 32 * 1024**2
"""Characters of failed executions that wait for a retry: some 1,500 failures with all their text. Beyond it the
oldest go on as final, and what repeats them later starts anew."""

_NAME = 3
"""Where the name stands in a key."""


class RetryChains:
    """Numbers the retries of a report's executions as they come, and hands on those that are settled."""

    __slots__ = ("_count", "_failed", "_room", "_settled", "_waiting")

    def __init__(self) -> None:
        self._count = 0
        self._failed: dict[Key, Execution] = {}
        self._waiting: deque[tuple[int, Execution]] = deque()
        self._room = MAX_WAITING_CHARACTERS
        self._settled: list[Execution] = []

    @property
    def count(self) -> int:
        """Executions added so far."""
        return self._count

    def add(self, execution: Execution, retry_of: Execution | None = None) -> None:
        """Take the next execution in document order; `retry_of` is named where the report itself tells it."""
        execution.ordinal = self._count
        self._count += 1
        key = execution.key
        earlier = retry_of
        # a skip that its report calls a retry is one: nothing can be a retry of the failure any more
        if self._failed and execution.name and (execution.outcome is not Outcome.SKIPPED or retry_of is not None):
            last = self._failed.pop(key, None)
            earlier = retry_of or (last if execution.may_repeat else None)
        if earlier is not None:
            earlier.is_final = False
            execution.retry_index = earlier.retry_index + 1
        if not execution.has_failed:
            self._settled.append(execution)
            return
        if execution.name:
            self._failed[key] = execution
        size = execution.characters
        self._waiting.append((size, execution))
        self._room -= size
        while self._room < 0:
            self._release()

    def settled(self) -> list[Execution]:
        """Return what is settled since the last call."""
        settled, self._settled = self._settled, []
        return settled

    def finish(self) -> None:
        """Settle all that waits: the report has ended."""
        while self._waiting:
            self._release()

    def _release(self) -> None:
        size, execution = self._waiting.popleft()
        self._room += size
        self._settled.append(execution)
        if self._failed.get(execution.key) is execution:
            del self._failed[execution.key]


def number_retries(executions: Iterable[tuple[int, Key, str]]) -> dict[int, tuple[int, bool]]:
    """Number the retries of executions that are known at once, by the same rule.

    Args:
        executions: position, key and outcome of each, in document order.

    Returns:
        Retry index and whether it is final, by position, for those that are retries or have one.
    """
    failed: dict[Key, tuple[int, int]] = {}
    numbered: dict[int, tuple[int, bool]] = {}
    for position, key, outcome in executions:
        if outcome == Outcome.SKIPPED or not key[_NAME]:
            continue
        earlier = failed.pop(key, None)
        index = 0
        if earlier is not None:
            numbered[earlier[0]] = (earlier[1], False)
            index = earlier[1] + 1
            numbered[position] = (index, True)
        if outcome != Outcome.PASSED:
            failed[key] = (position, index)
    return numbered

"""pytest's repeated test cases: which of them are attempts that were retried, and which are one attempt told twice.

pytest writes a test once. pytest-rerunfailures and flaky write each attempt that they retry as a test case without a
result, which looks like a pass; and a test whose fixtures fail after it is written twice.
"""

from collections import deque
from collections.abc import Callable

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import Execution, Key
from flakeguard_pipeline.parsing.text import MAX_OUTPUT_HEAD, MAX_OUTPUT_TAIL, HeadTail, failure_text_buffer

MAX_HELD = 10_000
"""Executions between two attempts at one test: those of parallel workers and, where retries wait, of some seconds."""

MAX_HELD_CHARACTERS = 16 * 1024**2
"""Characters of executions that are held: of a mass failure with long logs fewer are held."""

TEARDOWN = ("failed on teardown", "test teardown failure")
"""What the message of an error after the test itself begins with, in current and in older versions."""


class RepeatedCases:
    """Holds the last executions of a report of pytest's until no repeat of them is near."""

    def __init__(self, add: Callable[[Execution, Execution | None], None]) -> None:
        self._add = add
        self._held: deque[tuple[int, Key, Execution, Execution | None]] = deque()
        self._latest: dict[Key, Execution] = {}
        self._room = MAX_HELD_CHARACTERS

    def add(self, execution: Execution) -> None:
        """Take the next execution in document order."""
        key = execution.key
        earlier = self._latest.get(key) if execution.name else None
        if earlier is not None:
            if execution.has_failed and execution.failure_message.startswith(TEARDOWN):
                _merge(earlier, execution)
                return
            if earlier.outcome is Outcome.PASSED:
                earlier.outcome = Outcome.FAILED
        self._latest[key] = execution
        self._hold(key, execution, None)

    def add_told(self, execution: Execution, retry_of: Execution | None) -> None:
        """Take the next execution of a test whose attempts the report tells itself: nothing is to be found out."""
        key = execution.key
        self._latest.pop(key, None)
        self._hold(key, execution, retry_of)

    def finish(self) -> None:
        """Hand on all that is held."""
        while self._held:
            self._release()

    def _hold(self, key: Key, execution: Execution, retry_of: Execution | None) -> None:
        size = execution.characters
        self._held.append((size, key, execution, retry_of))
        self._room -= size
        while len(self._held) > MAX_HELD or self._room < 0:
            self._release()

    def _release(self) -> None:
        size, key, execution, retry_of = self._held.popleft()
        self._room += size
        if self._latest.get(key) is execution:
            del self._latest[key]
        self._add(execution, retry_of)


def _merge(failed: Execution, teardown: Execution) -> None:
    failed.outcome = teardown.outcome
    failed.failure_type = teardown.failure_type
    failed.failure_message = teardown.failure_message
    text, output = failure_text_buffer(), HeadTail(2 * MAX_OUTPUT_HEAD, 2 * MAX_OUTPUT_TAIL)
    text.add(f"{failed.failure_text}\n\n{teardown.failure_text}")
    output.add("\n".join(one for one in (failed.output, teardown.output) if one))
    failed.failure_text, failed.output = text.text(), output.text()

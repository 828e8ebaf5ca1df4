"""pytest's repeated test cases: which of them are attempts that were retried, and which are one attempt told twice.

pytest writes a test once. pytest-rerunfailures and flaky write each attempt that they retry as a test case without a
result, which looks like a pass; and a test that fails and whose fixtures fail afterwards is written twice.
"""

from collections import deque
from collections.abc import Callable

from flakeguard_pipeline.domain.model import Outcome
from flakeguard_pipeline.parsing.elements import Execution

MAX_HELD = 10_000
"""Executions between two attempts at one test: those of parallel workers and, where retries wait, of some seconds."""

TEARDOWN = ("failed on teardown", "test teardown failure")
"""What the message of an error after the test itself begins with, in current and in older versions."""

Key = tuple[str, str, str, str]


class RepeatedCases:
    """Holds the last executions of a report of pytest's until no repeat of them is near."""

    def __init__(self, add: Callable[[Execution], None]) -> None:
        self._add = add
        self._held: deque[tuple[Key, Execution]] = deque()
        self._latest: dict[Key, Execution] = {}

    def add(self, execution: Execution) -> None:
        """Take the next execution in document order."""
        key = (execution.suite, execution.classname, execution.name, execution.file)
        earlier = self._latest.get(key) if execution.name else None
        if earlier is not None:
            if earlier.has_failed and execution.has_failed and execution.failure_message.startswith(TEARDOWN):
                _merge(earlier, execution)
                return
            if earlier.outcome is Outcome.PASSED:
                earlier.outcome = Outcome.FAILED
        self._latest[key] = execution
        self._held.append((key, execution))
        if len(self._held) > MAX_HELD:
            self._release()

    def finish(self) -> None:
        """Hand on all that is held."""
        while self._held:
            self._release()

    def _release(self) -> None:
        key, execution = self._held.popleft()
        if self._latest.get(key) is execution:
            del self._latest[key]
        self._add(execution)


def _merge(failed: Execution, teardown: Execution) -> None:
    failed.outcome = teardown.outcome
    failed.failure_type = teardown.failure_type
    failed.failure_message = teardown.failure_message
    failed.failure_text = f"{failed.failure_text}\n\n{teardown.failure_text}".strip()
    failed.output = "\n".join(text for text in (failed.output, teardown.output) if text)

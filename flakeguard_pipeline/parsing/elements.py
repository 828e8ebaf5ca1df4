"""What the readers of all dialects share: the execution that is being read, and the report it goes to.

A reader is given a `Report` and the start and end of every element of a document; it tells the report which
text it wants (`capture`) and which executions it has found (`add`). It never holds what it has added.

Belongs here: the interface between a document and the reader of its dialect.
Does not belong here: element names and what they mean (junit.py, trx.py, nunit.py, xunit_net.py), XML itself
(document.py).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, Protocol

from flakeguard_pipeline.domain.model import Outcome, ReasonCode
from flakeguard_pipeline.parsing.text import HeadTail, failure_text_buffer, first_line, output_buffer

MAX_FAILURES_PER_CASE = 20
"""Failure elements of one case whose text is kept; the rest only count for the outcome."""

SUITE_FAILURE_NAME = "<init>"
"""Name of the case that stands for a suite that failed itself (its class did not load), as in Jenkins."""


FIXED_CHARACTERS = 512
"""What an execution without any text takes."""

LARGEST_CHARACTER = 4
"""Bytes of each character of a text that has a character beyond the basic plane."""


Key = tuple[int, str, str, str, str]
"""Suite element, suite, class name, name and file of a test."""


@dataclass(slots=True)
class Execution:
    """One execution as its report tells it, in the making. Absent text is ''; see `ReportCase` for the fields.

    `environment` is the label of the environment that the report itself names; `suite_number` tells suite elements of
    one name apart; `may_repeat` is False where a repeat of the test cannot be its retry. `ordinal`, `retry_index` and
    `is_final` are set by the report when the execution is added.
    """

    suite: str
    classname: str
    name: str
    file: str = ""
    line: int | None = None
    outcome: Outcome = Outcome.PASSED
    duration_us: int | None = None
    started_at: datetime | None = None
    failure_type: str = ""
    failure_message: str = ""
    failure_text: str = ""
    output: str = ""
    environment: str = ""
    suite_number: int = 0
    may_repeat: bool = True
    ordinal: int = 0
    retry_index: int = 0
    is_final: bool = True

    @property
    def key(self) -> "Key":
        """What is equal for the attempts at one test: its words, in one suite element."""
        return self.suite_number, self.suite, self.classname, self.name, self.file

    @property
    def has_failed(self) -> bool:
        """Whether the outcome is failed or errored."""
        return self.outcome is Outcome.FAILED or self.outcome is Outcome.ERRORED

    @property
    def characters(self) -> int:
        """The memory that it takes, in characters of one byte; the suite's name is shared and not counted."""
        names = len(self.classname) + len(self.name) + len(self.file)
        said = len(self.failure_type) + len(self.failure_message) + len(self.failure_text) + len(self.output)
        size = names + said
        if size > FIXED_CHARACTERS:
            told = (self.failure_type, self.failure_message, self.failure_text, self.output)
            texts = (self.classname, self.name, self.file, *told)
            size = sum(len(text) if text.isascii() else LARGEST_CHARACTER * len(text) for text in texts)
        return FIXED_CHARACTERS + size


@dataclass(slots=True)
class Failure:
    """One failure, error, skip or retry element while it is open."""

    outcome: Outcome
    message: str = ""
    type: str = ""
    duration_us: int | None = None
    started_at: datetime | None = None
    text: HeadTail = field(default_factory=failure_text_buffer)
    outputs: list[HeadTail] = field(default_factory=list)

    def describe(self, execution: Execution) -> None:
        """Put message, type and text into `execution`."""
        describe(execution, [self])


class Report(Protocol):
    """What a reader may ask of the document it reads."""

    depth: int
    """Levels of open elements: 1 while the root's start or end is told."""

    def capture(self, sink: HeadTail) -> None:
        """Send the text that follows directly inside the element just started to `sink`, until it ends.

        Text inside its child elements is not sent, unless these capture it themselves.
        """

    def add(self, execution: Execution, retry_of: Execution | None = None) -> None:
        """Hand over the next execution in document order.

        Repeats are recognised as retries by the report; `retry_of` is for a retry that the document itself calls so.
        """

    def stop(self, code: ReasonCode, detail: str) -> NoReturn:
        """End the reading with a fault; what was added stays."""


class DialectReader(Protocol):
    """Reads one document of a dialect. Constructed with (report, root tag, root attributes)."""

    @property
    def dialect(self) -> str:
        """Which dialect it is, as far as it is known by now."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take the start of an element below the root; `tag` has no namespace prefix."""

    def end(self, tag: str) -> None:
        """Take the end of an element below the root; `Report.depth` still counts it."""

    def finish(self) -> None:
        """Take the end of the document, also where a fault has left elements open."""


def describe(execution: Execution, failures: list[Failure]) -> None:
    """Put type, message and text of `failures` into the execution; the first of the outcome's kind speaks."""
    leading = next((one for one in failures if one.outcome is execution.outcome), failures[0])
    text = leading.text.text()
    execution.failure_type = leading.type
    execution.failure_message = leading.message or first_line(text)
    if len(failures) > 1:
        together = failure_text_buffer()
        for number, failure in enumerate(failures):
            together.add("\n\n" if number else "")
            together.add(failure.text.text())
        text = together.text()
    execution.failure_text = text


def joined_outputs(outputs: list[HeadTail]) -> str:
    """Return what is kept of several captured outputs, one below the other."""
    return "\n".join(text for text in (output.text() for output in outputs) if text)


def new_output(outputs: list[HeadTail]) -> HeadTail:
    """Return the buffer for one more captured output; from the third on they share the second one's."""
    if len(outputs) < 2:
        outputs.append(output_buffer())
    return outputs[-1]

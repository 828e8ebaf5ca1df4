"""The questions in sql/queries/questions: one statement a file, whose header says what it answers and what it takes.

Belongs here: reading the headers, and turning the texts that a person gives into bound values. Does not belong here:
asking the warehouse.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal, cast

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import UsageError

Kind = Literal["text", "integer", "day", "moment"]
Value = str | int | date | datetime | None

INTEGERS = range(-(2**31), 2**31)
"""Integers that a parameter may have: the queries cast them to `integer`."""

_PARAMETER = re.compile(r"\$(\w+) \((text|integer|day|moment), (?:default (.+?)|(required))\): (.+)")
_COLUMN = re.compile(r"(\w+): (.+)")
_EXAMPLES = {"integer": "7", "day": "2026-03-06", "moment": "2026-03-06T12:00:00Z"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a question may be told. `default` is its text; None where a value has to be given."""

    name: str
    kind: Kind
    default: str | None
    meaning: str

    def value_of(self, text: str) -> Value:
        """Return the value that a text stands for; `none` is no value where that is the default.

        Raises:
            UsageError: the text is none of this kind.
        """
        if text == "none" and self.default == "none":
            return None
        try:
            return self._converted(text)
        except (ValueError, OverflowError):
            raise UsageError(
                f"{self.name}={text!r} is no {self.kind}; write it like --param {self.name}={_EXAMPLES[self.kind]}"
            ) from None

    def _converted(self, text: str) -> Value:
        if self.kind == "integer":
            number = int(text)
            if number not in INTEGERS:
                raise ValueError(text)
            return number
        if self.kind == "day":
            return date.fromisoformat(text)
        if self.kind == "moment":
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return "" if text == "''" else text


@dataclass(frozen=True, slots=True)
class Question:
    """A question: what it asks, what one row of the answer is, what the columns mean, and what it takes."""

    name: str
    asks: str
    grain: str
    columns: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    sql: str

    def bind(self, given: Mapping[str, str]) -> dict[str, Value]:
        """Return the values of all parameters; what is not given has its default.

        Raises:
            UsageError: a parameter is unknown, missing or of another kind.
        """
        known = {each.name: each for each in self.parameters}
        for name in given:
            if name not in known:
                takes = ", ".join(known) or "no parameters"
                raise UsageError(f"the question {self.name} has no parameter {name!r}; it takes {takes}")
        values: dict[str, Value] = {}
        for name, each in known.items():
            text = given.get(name, each.default)
            if text is None:
                raise UsageError(f"the question {self.name} needs {name}: {each.meaning}; add --param {name}=VALUE")
            values[name] = each.value_of(text)
        return values


def questions() -> tuple[Question, ...]:
    """Return all questions by name."""
    return tuple(read_question(path.stem) for path in sorted(_folder().glob("*.sql")))


def find_question(name: str) -> Question:
    """Return the question of that name.

    Raises:
        UsageError: there is none.
    """
    known = [path.stem for path in sorted(_folder().glob("*.sql"))]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no question {name!r}; {hint}`flakeguard sql --list` lists all")
    return read_question(name)


@cache
def read_question(name: str) -> Question:
    """Return one question as its file says it.

    Raises:
        ValueError: the header is not written as the others are; a test reads them all.
    """
    text = (_folder() / f"{name}.sql").read_text(encoding="utf-8")
    entries = list(_entries(text))
    grain = next((index for index, entry in enumerate(entries) if entry.startswith("Grain: one row per ")), None)
    if grain is None or "Columns:" not in entries or not any(each.startswith("Parameters:") for each in entries):
        raise ValueError(f"{name}.sql: the header needs a question, Grain, Columns and Parameters")
    columns_at = entries.index("Columns:")
    parameters_at = next(index for index, entry in enumerate(entries) if entry.startswith("Parameters:"))
    return Question(
        name=name,
        asks=" ".join(entries[:grain]),
        grain=entries[grain].removeprefix("Grain: one row per ").removesuffix("."),
        columns=dict(_column(name, entry) for entry in entries[columns_at + 1 : parameters_at]),
        parameters=tuple(_parameter(name, entry) for entry in entries[parameters_at + 1 :]),
        sql=text,
    )


def _folder() -> Path:
    return bundled("sql") / "queries" / "questions"


def _entries(text: str) -> Iterator[str]:
    """Yield what the header says, a line that is indented further than the one before joined to it."""
    entry, indent = "", 0
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        said = line.removeprefix("-- ")
        depth = len(said) - len(said.lstrip())
        if entry and depth > indent and entry != "Columns:" and not entry.startswith("Parameters:"):
            entry += f" {said.strip()}"
            continue
        if entry:
            yield entry
        entry, indent = said.strip(), depth
    if entry:
        yield entry


def _column(name: str, entry: str) -> tuple[str, str]:
    found = _COLUMN.fullmatch(entry)
    if found is None:
        raise ValueError(f"{name}.sql: a column is written `name: meaning.`, not {entry!r}")
    return found[1], found[2].removesuffix(".")


def _parameter(name: str, entry: str) -> Parameter:
    found = _PARAMETER.fullmatch(entry)
    if found is None:
        raise ValueError(f"{name}.sql: a parameter is written `$name (kind, default value): meaning.`, not {entry!r}")
    return Parameter(found[1], cast("Kind", found[2]), found[3], found[5].removesuffix("."))

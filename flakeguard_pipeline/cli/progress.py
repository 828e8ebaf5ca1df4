"""Progress on the command line: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

STAGES = {
    "simulate": "Making a sample history",
    "look": "Looking for what is new",
    "land": "Landing artifacts",
    "load": "Reading and loading reports",
    "check": "Checking what was loaded",
    "infer": "Inferring passes that were not uploaded",
    "build": "Building roll-ups and marts",
    "compare": "Looking for renamed tests",
    "score": "Scoring test variants",
    "decide": "Deciding",
    "export": "Writing exports",
    "copy": "Refreshing the read-only copy",
}

LINE_EVERY_SECONDS = 10.0
"""Where there is no terminal, a stage that lasts says how far it is this often: a log should stay readable."""


class PlainProgress:
    """Plain lines, for logs."""

    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._said_at = 0.0

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to clean up."""

    def stage(self, name: str, total: int | None) -> None:
        """Say that a stage begins, unless there is nothing in it."""
        if name == self._name and total is None:
            return
        self._name, self._total, self._done, self._said_at = name, total, 0, time.monotonic()
        if total != 0:
            click.echo(f"{STAGES.get(name, name)}{f' ({total})' if total else ''}", err=True)

    def advance(self, steps: int = 1) -> None:
        """Say now and then how far the stage is."""
        self._done += steps
        now = time.monotonic()
        if now - self._said_at >= LINE_EVERY_SECONDS:
            self._said_at = now
            click.echo(f"  {self._done} of {self._total if self._total is not None else '?'}", err=True)

    def say(self, line: str) -> None:
        """Print a line."""
        click.echo(line, err=True)


class BarProgress:
    """A bar, for people who watch."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar: RichProgress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._name = ""

    def __enter__(self) -> "BarProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if kind is None:
            self._finish()
        self._bar.stop()

    def stage(self, name: str, total: int | None) -> None:
        """Start a new bar; the one before is done."""
        if name == self._name and total is None:
            return
        self._finish()
        self._name = name
        self._task = None if total == 0 else self._bar.add_task(STAGES.get(name, name), total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.advance(self._task, steps)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, markup=False, highlight=False)

    def _finish(self) -> None:
        if self._task is not None:
            task = self._bar.tasks[self._task]
            total = task.total if task.total is not None else max(task.completed, 1)
            self._bar.update(self._task, total=total, completed=total)


def make_progress() -> PlainProgress | BarProgress:
    """Return what fits standard error."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()

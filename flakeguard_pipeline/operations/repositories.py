"""Work that is done repository by repository, where one that fails does not stop the others."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from flakeguard_pipeline.domain.errors import FlakeGuardError
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.warehouse.connection import Warehouse
from flakeguard_pipeline.warehouse.queries import query

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository as the warehouse knows it."""

    org: str
    repository_id: str
    full_name: str
    last_run_at: datetime


@dataclass
class Done(Generic[Result]):
    """What became of each repository: results by repository, and one line for each that failed."""

    results: dict[Repository, Result] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def repositories(warehouse: Warehouse) -> list[Repository]:
    """Return all repositories in a fixed order."""
    with warehouse.connect() as connection:
        frame = connection.read(query("repositories"))
    return [Repository(*row) for row in frame.iter_rows()]


def for_each(
    members: Iterable[Repository], work: Callable[[Repository], Result], progress: Progress | None = None
) -> Done[Result]:
    """Do `work` for each repository; keep what failed as a line and go on with the next."""
    teller = progress or Silent()
    done: Done[Result] = Done()
    for repository in members:
        try:
            done.results[repository] = work(repository)
        except Exception as error:
            # What is meant for a person needs no trace: the line says all there is to know.
            is_foreseen = isinstance(error, FlakeGuardError)
            logger.warning("repository %s failed", repository.full_name, exc_info=not is_foreseen)
            done.faults.append(f"{repository.org}: {repository.full_name}: {str(error) or type(error).__name__}")
        teller.advance()
    return done

"""Work that is done repository by repository, where one that fails does not stop the others."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from flakeguard_pipeline.domain.errors import FlakeGuardError, WarehouseUnreachableError
from flakeguard_pipeline.progress import Progress, Silent
from flakeguard_pipeline.warehouse import builds
from flakeguard_pipeline.warehouse.connection import Connection, Warehouse
from flakeguard_pipeline.warehouse.queries import query
from flakeguard_pipeline.warehouse.repeating import repeated

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository as the warehouse knows it."""

    org: str
    repository_id: str
    full_name: str
    last_run_at: datetime

    @property
    def key(self) -> builds.Repository:
        """Org and repository id: what rows of the warehouse name a repository by."""
        return self.org, self.repository_id


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


def outdated(
    warehouse: Warehouse, part: builds.Part, digest: str, forget: Callable[[Connection, builds.Repository], None]
) -> dict[Repository, builds.State]:
    """Return the repositories for which a part has to be made anew, in a fixed order, each with what it follows from.

    Args:
        warehouse: the warehouse.
        part: what is made repository by repository.
        digest: a digest of the rules that the part follows.
        forget: removes the part of a repository that is known under another id or org now.
    """
    members = repositories(warehouse)
    with warehouse.connect() as connection:
        versions = {
            (row[0], row[1]): row[2]
            for row in connection.read(query("core_version_of_repositories", connection.dialect)).rows()
        }
        made = builds.repository_builds(connection, part)
        for gone in sorted(made.keys() - versions.keys()):
            forget(connection, gone)
    # repositories are described from their run attempts, so each has a version
    states = {each: (digest, versions[each.key]) for each in members}
    return {each: state for each, state in states.items() if made.get(each.key) != state}


def for_each(
    members: Iterable[Repository], work: Callable[[Repository], Result], progress: Progress | None = None
) -> Done[Result]:
    """Do `work`, which can be done twice, for each repository; keep what failed as a line and go on with the next.

    Raises:
        WarehouseUnreachableError: the warehouse is gone; no other repository would fare better.
    """
    teller = progress or Silent()
    done: Done[Result] = Done()
    for repository in members:
        try:
            done.results[repository] = repeated(lambda each=repository: work(each))  # type: ignore[misc]
        except WarehouseUnreachableError:
            raise
        except Exception as error:
            # What is meant for a person needs no trace: the line says all there is to know.
            is_foreseen = isinstance(error, FlakeGuardError)
            logger.warning("repository %s failed", repository.full_name, exc_info=not is_foreseen)
            done.faults.append(f"{repository.org}: {repository.full_name}: {str(error) or type(error).__name__}")
        teller.advance()
    return done

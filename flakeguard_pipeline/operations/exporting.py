"""Write the quarantine export of each repository."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flakeguard_pipeline.domain.errors import OperationError
from flakeguard_pipeline.exports.files import export_path, name_without_owner, write_atomically
from flakeguard_pipeline.exports.quarantine_json import export_entry, render_export
from flakeguard_pipeline.operations.decisions import read_events
from flakeguard_pipeline.operations.repositories import Repository
from flakeguard_pipeline.policy.events import Entry, fold
from flakeguard_pipeline.policy.policy import Policy
from flakeguard_pipeline.policy.states import QuarantineState
from flakeguard_pipeline.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class Export:
    """One repository's export as it was written."""

    path: Path
    entries: tuple[Entry, ...]
    is_changed: bool


def export_repository(
    warehouse: Warehouse,
    repository: Repository,
    *,
    path: Path,
    policy: Policy,
    as_of: datetime,
    valid_for_hours: int,
) -> Export:
    """Write what is quarantined at `as_of` to `path`, in one step.

    Raises:
        OperationError: the file cannot be written.
    """
    with warehouse.connect() as connection:
        events = read_events(connection, repository)
    entries = quarantined(fold(events, as_of=as_of).values(), as_of) if policy.enabled else ()
    data = render_export(
        repository.org,
        repository.full_name,
        as_of=as_of,
        valid_until=as_of + timedelta(hours=valid_for_hours),
        policy=policy,
        entries=[export_entry(entry) for entry in entries],
    )
    try:
        is_changed = write_atomically(path, data)
    except OSError as error:
        raise OperationError(
            f"cannot write the export {path}: {error.strerror}; choose another place with --out"
        ) from error
    return Export(path, entries, is_changed)


def quarantined(entries: Iterable[Entry], as_of: datetime) -> tuple[Entry, ...]:
    """Return the entries that excuse failures at `as_of`."""
    return tuple(
        entry
        for entry in entries
        if entry.state is QuarantineState.QUARANTINED and entry.expires_at is not None and entry.expires_at > as_of
    )


def export_paths(members: Iterable[Repository], out: Path) -> dict[Repository, Path]:
    """Return where each repository's export goes: `<org>/<name>`, so that none overwrites another's.

    Where two owners' repositories of one org share a name, each goes under its full name, percent-encoded. Where two
    ids had one full name (a repository was deleted and made again), the name belongs to the one that ran last, and
    the other has its id added.
    """
    known = sorted(members, key=lambda each: (each.last_run_at, each.repository_id), reverse=True)
    owners: dict[tuple[str, str], set[str]] = {}
    for each in known:
        owners.setdefault((each.org, name_without_owner(each.full_name)), set()).add(each.full_name)
    paths: dict[Repository, Path] = {}
    taken: set[Path] = set()
    for each in known:
        short = name_without_owner(each.full_name)
        shown = short if len(owners[each.org, short]) == 1 else each.full_name
        path = export_path(out, each.org, shown)
        if path in taken:
            path = export_path(out, each.org, f"{each.full_name}@{each.repository_id}")
        taken.add(path)
        paths[each] = path
    return paths

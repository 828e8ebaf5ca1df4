"""Which run attempts the landing zone holds, whose they are, and which the warehouse lacks.

The landing zone says what should be in `core`; the warehouse says what is. The difference is the work, so a run
that was killed, a new version of the reader and a changed configuration are all the same case.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.landing.zone import LandedFolder

READER_VERSION = 4
"""Raise it when the same bytes yield other rows: every run attempt is then loaded again from the landing zone."""

NAME_PREFIX = "name:"


Identity = tuple[str, str, int]
"""Repository id, run id and run attempt: what one row of `core.run_attempt` stands for, whatever its org."""


@dataclass(frozen=True, slots=True)
class WantedAttempt:
    """One run attempt as the landing zone has it.

    `former` are identities that it is loaded under from before its repository's id was known; `attempts_to_load`
    fills them in.
    """

    org: str
    provider: str
    repository_id: str
    run_id: str
    run_attempt: int
    day: str
    folders: tuple[LandedFolder, ...]
    load_digest: str
    former: tuple[Identity, ...] = ()

    @property
    def identity(self) -> Identity:
        """What the attempt is loaded under."""
        return self.repository_id, self.run_id, self.run_attempt


def wanted_attempts(
    folders: Iterable[LandedFolder],
    *,
    configured_org: str | None,
    known_orgs: Mapping[str, str],
    loading_digest: str,
) -> list[WantedAttempt]:
    """Group landed folders into run attempts, and settle whose each is.

    A repository is its provider's id; a run that knows only a full name belongs to the id that carried the name
    last. Its org is configured, else the one it has in the warehouse (`known_orgs`, by repository id), else the
    owner in its earliest known full name (else the provider, where no run knows a name): so a repository that moves
    keeps its org.
    """
    attributed = sorted(
        (folder for folder in folders if folder.run_id),
        key=lambda folder: (folder.run_started_at, folder.run_id, folder.run_attempt, folder.source, folder.folder),
    )
    ids_by_name = {
        (folder.provider, folder.full_name): folder.repository_ref
        for folder in attributed
        if not folder.repository_ref.startswith(NAME_PREFIX)
    }
    groups: dict[tuple[str, str, str, int], list[LandedFolder]] = defaultdict(list)
    first_names: dict[str, str] = {}
    for folder in attributed:
        ref = folder.repository_ref
        if ref.startswith(NAME_PREFIX):
            ref = ids_by_name.get((folder.provider, folder.full_name), ref)
        repository_id = f"{folder.provider}:{ref}"
        if folder.full_name:
            first_names.setdefault(repository_id, folder.full_name)
        groups[folder.provider, repository_id, folder.run_id, folder.run_attempt].append(folder)
    wanted = []
    for (provider, repository_id, run_id, run_attempt), members in groups.items():
        owner = owner_of(first_names.get(repository_id, ""))
        org = configured_org or known_orgs.get(repository_id) or owner or provider
        ordered = tuple(sorted(members, key=lambda folder: folder.identity))
        wanted.append(
            WantedAttempt(
                org=org,
                provider=provider,
                repository_id=repository_id,
                run_id=run_id,
                run_attempt=run_attempt,
                day=members[0].day,
                folders=ordered,
                load_digest=_load_digest(ordered, org, repository_id, loading_digest),
            )
        )
    return sorted(wanted, key=lambda each: (each.day, each.identity))


def owner_of(full_name: str) -> str:
    """Return the owner in `<owner>/<name>`; the whole text where there is no slash."""
    return full_name.partition("/")[0]


def _load_digest(folders: Iterable[LandedFolder], org: str, repository_id: str, loading_digest: str) -> str:
    parts: list[str | int] = [READER_VERSION, loading_digest, org, repository_id]
    for folder in folders:
        parts += [folder.source, folder.folder]
        for file in sorted(folder.files):
            parts += [file.artifact, file.path, file.kind, file.digest, file.error]
    return stable_id(parts)

"""The revisions that this code knows, read from the names of the migrations' files.

Alembic reads the same from the files' contents, and costs most of a second to import: too much for a run that has
nothing to migrate. A test holds both equal.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flakeguard_pipeline.bundled import bundled
from flakeguard_pipeline.domain.errors import UsageError, WarehouseError

BASE = "base"
"""What Alembic calls the state before the first revision."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the tables' history. `id` is the number that its file's name begins with."""

    id: str
    path: Path

    @property
    def title(self) -> str:
        """What the migration does: the first line of its docstring."""
        text = ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or ""
        return text.partition("\n")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class History:
    """All revisions in a folder of migrations, oldest first: one line, without branches."""

    folder: Path
    revisions: Sequence[Revision]

    @property
    def head(self) -> str:
        """The revision that this code needs."""
        return self.revisions[-1].id

    def knows(self, revision: str) -> bool:
        """Say whether a revision is one of ours."""
        return any(each.id == revision for each in self.revisions)

    def place(self, revision: str | None) -> int:
        """Return how many revisions a warehouse at `revision` (None: an empty one) has behind it."""
        return 0 if revision is None else 1 + [each.id for each in self.revisions].index(revision)

    def after(self, revision: str | None) -> Sequence[Revision]:
        """Return what a warehouse at `revision` (None: an empty one) still needs."""
        return self.revisions[self.place(revision) :]

    def require(self, revision: str) -> str:
        """Return `revision` if there is one of that name.

        Raises:
            UsageError: there is none.
        """
        if not self.knows(revision):
            known = ", ".join(each.id for each in self.revisions)
            raise UsageError(f"there is no revision {revision!r}; there are: {known}")
        return revision


def history(folder: Path | None = None) -> History:
    """Return the revisions in `folder` (default: those that FlakeGuard came with).

    Raises:
        WarehouseError: there are none.
    """
    folder = folder or bundled("sql") / "migrations"
    files = sorted((folder / "versions").glob("[0-9]*_*.py"))
    if not files:
        raise WarehouseError(f"this installation of FlakeGuard has no migrations in {folder}; install it again")
    return History(folder, [Revision(path.name.partition("_")[0], path) for path in files])

"""Where the SQL and the dbt project are: beside the package in a checkout, inside it in a wheel."""

import hashlib
from collections.abc import Collection
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

_GENERATED = ("target", "logs", "dbt_packages")


def bundled(name: str) -> Path:
    """Return the folder `sql` or `dbt`.

    Raises:
        FileNotFoundError: the installation lacks the folder.
    """
    for candidate in (_PACKAGE.parent / name, _PACKAGE / "_bundled" / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"this installation of FlakeGuard has no folder {name!r}; install it again")


def dbt_models() -> dict[str, str]:
    """Return the schema of each dbt model by its name: the folder that it lies in."""
    return {path.stem: path.parent.name for path in (bundled("dbt") / "models").glob("*/*.sql")}


def folder_digest(root: Path, suffixes: Collection[str]) -> str:
    """Return a digest of the files below `root` with one of `suffixes`: their paths and their bytes."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and path.suffix in suffixes and inside.parts[0] not in _GENERATED:
            digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()

"""The dbt project as Dagster needs it: its manifest, its variables, its command. Imports nothing of dbt."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from flakeguard_pipeline.bundled import bundled, folder_digest
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import ConfigurationError, OperationError
from flakeguard_pipeline.operations.inference import inference_digest
from flakeguard_pipeline.postgres_address import libpq_variables, read_address
from flakeguard_pipeline.settings import Settings
from flakeguard_pipeline.warehouse.connection import Warehouse

DBT_EXECUTABLE = str(Path(sys.executable).with_name("dbt"))
"""dbt of this very environment, whatever PATH says."""

PARTIAL_PARSE = "partial_parse.msgpack"
"""Where dbt keeps what it parsed, in the folder that it writes to."""

PASSWORD_VARIABLE = "DBT_ENV_SECRET_POSTGRES_PASSWORD"  # noqa: S105 - a name, no password
"""How dbt gets the password: it shows no variable whose name begins so, neither in logs nor in what it leaves."""


def variables(settings: Settings, warehouse: Warehouse, *, build_session: str = "") -> str:
    """Return what `dbt --vars` is given. Other users of the machine can read it, so no address of a server is in it.

    Args:
        settings: what is built, and how.
        warehouse: where.
        build_session: what `Warehouse.build_alone` says; without it dbt builds whoever else does.
    """
    told = {"workflow_label": settings.workflow_label, "tested_rows": "changed", "build_session": build_session}
    if warehouse.dialect == "duckdb":
        told["duckdb_path"] = str(warehouse.path.absolute())
    return json.dumps(told)


def environment(warehouse: Warehouse) -> dict[str, str]:
    """Return the environment variables by which dbt finds a warehouse; none where it is a file.

    The password goes this way alone: neither in arguments, which others can read, nor into what dbt writes.

    Raises:
        ConfigurationError: the address cannot be read.
    """
    if warehouse.dialect == "duckdb":
        return {}
    password = read_address(warehouse.url).password
    try:
        found = libpq_variables(warehouse.url)
    except ValueError:
        raise ConfigurationError(f"the address of the warehouse {warehouse.shown} cannot be read") from None
    return {**found, **({PASSWORD_VARIABLE: password} if password else {}), "PGTZ": "UTC"}


@contextmanager
def known_to_dbt(warehouse: Warehouse) -> Iterator[None]:
    """Let processes that are started in the block find the warehouse."""
    told = environment(warehouse)
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def target_path(settings: Settings) -> Path:
    """Return the folder that dbt writes to."""
    return _build_folder(settings) / "target"


def _build_folder(settings: Settings) -> Path:
    return (settings.home / "dbt-build").absolute()


def prepared_manifest(settings: Settings, warehouse: Warehouse) -> Path:
    """Return the manifest of the dbt project, parsed anew when the project or dbt has changed.

    What dbt learned on the way is left where the first build looks for it, which need not parse a second time then.

    Raises:
        OperationError: dbt cannot parse the project.
    """
    folder = _build_folder(settings)
    manifest = folder / f"manifest-{source_digest()[:16]}.json"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        project = str(bundled("dbt"))
        command = [DBT_EXECUTABLE, "--quiet", "parse", "--project-dir", project, "--profiles-dir", project]
        command += ["--target", warehouse.dialect, "--vars", variables(settings, warehouse)]
        command += ["--target-path", scratch, "--log-path", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        parsed = Path(scratch) / "manifest.json"
        if done.returncode != 0 or not parsed.exists():
            raise OperationError(f"dbt cannot parse the project {project}: {(done.stdout + done.stderr).strip()}")
        target_path(settings).mkdir(exist_ok=True)
        Path(scratch, PARTIAL_PARSE).replace(target_path(settings) / PARTIAL_PARSE)
        parsed.replace(manifest)
    return manifest


def project_digest(settings: Settings, warehouse: Warehouse) -> str:
    """Return a digest of all that decides what dbt builds, but for the rows of `core` that are loaded.

    DuckDB's views name the database, which is the file's stem: a renamed warehouse has to be built anew.
    """
    inferred = inference_digest(settings.inference)
    place = warehouse.path.stem if warehouse.dialect == "duckdb" else warehouse.dialect
    return stable_id(["dbt", source_digest(), settings.workflow_label, place, inferred])


def tables_digest(settings: Settings) -> str:
    """Return a digest of what decides the rows that incremental models keep: another one means a full refresh.

    Descriptions, tests, marts and the place of the warehouse change none of them.
    """
    project = bundled("dbt")
    files = [project / "dbt_project.yml", *sorted((project / "macros").glob("*.sql"))]
    files += [
        file for folder in ("staging", "intermediate") for file in sorted((project / "models" / folder).glob("*.sql"))
    ]
    texts = [f"{file.name}\n{file.read_text(encoding='utf-8')}" for file in files]
    return stable_id(["tables", version("dbt-core"), settings.workflow_label, *texts])


def source_digest() -> str:
    """Return a digest of the dbt project's files and of the versions of dbt and its adapters."""
    versions = [version(each) for each in ("dbt-core", "dbt-duckdb", "dbt-postgres")]
    return stable_id([*versions, folder_digest(bundled("dbt"), (".sql", ".yml"))])

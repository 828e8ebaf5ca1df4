"""The dbt project as Dagster needs it: its manifest, its variables, its command. Imports nothing of dbt."""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from flakeguard_pipeline.bundled import bundled, folder_digest
from flakeguard_pipeline.domain.digests import stable_id
from flakeguard_pipeline.domain.errors import OperationError
from flakeguard_pipeline.operations.inference import inference_digest
from flakeguard_pipeline.settings import Settings

DBT_EXECUTABLE = str(Path(sys.executable).with_name("dbt"))
"""dbt of this very environment, whatever PATH says."""


def variables(settings: Settings, duckdb_path: Path) -> str:
    """Return what `dbt --vars` is given."""
    return json.dumps({"duckdb_path": str(duckdb_path.absolute()), "workflow_label": settings.workflow_label})


def target_path(settings: Settings) -> Path:
    """Return the folder that dbt writes to."""
    return _build_folder(settings) / "target"


def _build_folder(settings: Settings) -> Path:
    return (settings.home / "dbt-build").absolute()


def prepared_manifest(settings: Settings) -> Path:
    """Return the manifest of the dbt project, parsed anew when the project or dbt has changed.

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
        command += ["--target-path", scratch, "--log-path", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        parsed = Path(scratch) / "manifest.json"
        if done.returncode != 0 or not parsed.exists():
            raise OperationError(f"dbt cannot parse the project {project}: {(done.stdout + done.stderr).strip()}")
        parsed.replace(manifest)
    return manifest


def project_digest(settings: Settings) -> str:
    """Return a digest of all that decides what dbt builds, but for the rows of `core` that are loaded.

    DuckDB's views name the database, which is the file's stem: a renamed warehouse has to be built anew.
    """
    inferred = inference_digest(settings.inference)
    return stable_id(["dbt", source_digest(), settings.workflow_label, Path(settings.warehouse).stem, inferred])


def source_digest() -> str:
    """Return a digest of the dbt project's files and of dbt's version."""
    return stable_id([version("dbt-core"), version("dbt-duckdb"), folder_digest(bundled("dbt"), (".sql", ".yml"))])

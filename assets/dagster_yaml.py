"""The files that Dagster reads in its folder: dagster.yaml, for either storage, and workspace.yaml.

Belongs here: what they say and why, and when they are written anew. Does not belong here: opening the instance.
"""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from flakeguard_pipeline.dagster_storage import DagsterStorage
from flakeguard_pipeline.domain.errors import ConfigurationError, OperationError
from flakeguard_pipeline.postgres_address import bracketed

PASSWORD_VARIABLE = "FLAKEGUARD_DAGSTER_PASSWORD"  # noqa: S105 - where it is, not what it is
"""Where dagster.yaml says that the storage's password is. `flakeguard run` and `flakeguard ui` set it themselves."""

SCHEME = "postgresql+psycopg2"
"""What SQLAlchemy reads as PostgreSQL through psycopg2."""

CONNECT_SECONDS = 10
"""How long a connection to the storage may take: a server that answers at all does so in less. Every process of Dagster
tries several times."""

MONITORING_POLL_SECONDS = 15
"""Between two looks at the runs that are at work: some small queries. Dagster's own 120 leave a run that lost its
machine, and the pools that it held, for two minutes."""

FREE_PLACES_SECONDS = 10
"""After a run has ended its places in pools are taken from it: what still winds down then has been told to end. The
retry of a killed run waits for as long."""

START_SECONDS = 180
"""A run that has not begun by then never will: importing everything takes seconds, a busy machine some more."""

CANCEL_SECONDS = 180
"""A step that is asked to end does so between two files or queries; one that has not done so by then is stuck."""

SCHEDULE_TICK_DAYS = 90
"""Schedules tick some thirty times a day; a quarter of a year shows since when one has been failing."""

SKIPPED_SENSOR_TICK_DAYS = 7
"""Sensors look every minute or so and mostly find nothing, which is of interest for as long as somebody debugs."""

FAILED_SENSOR_TICK_DAYS = 30
"""A sensor whose provider is down fails at every look; a month is enough to see how often that happens."""

ASKED_SENSOR_TICK_DAYS = 90
"""Ticks that asked for runs are few, and say why a run was."""

POOLS = """\
concurrency:
  pools:
    granularity: op
    # DuckDB lets one process at a time into the warehouse's file, and one at a time may write the landing zone's
    # manifests: the pools `warehouse` and `landing` have one place each.
    default_limit: 1
"""

FORMER_DIGESTS = ("d0625f291a67db40",)
"""Of files that were written before they carried a digest."""

MARK = "# Written by FlakeGuard, and kept up to date until you change it: "

WORKSPACE_YAML = """\
load_from:
  - python_module:
      module_name: assets.definitions
      location_name: flakeguard
"""


def dagster_yaml(storage: DagsterStorage | None = None, *, poll_seconds: int = MONITORING_POLL_SECONDS) -> str:
    """Return dagster.yaml for a storage; None: SQLite files beside it.

    Args:
        storage: where runs, events and schedules are kept. Its password is not in the text.
        poll_seconds: seconds between two looks at the runs that are at work.
    """
    body = f"""\
telemetry:
  enabled: false

{_storage_yaml(storage)}{POOLS}
run_retries:
  enabled: true
  max_retries: 0   # jobs ask for theirs by tag

# Dagster's launcher, and one more: it can say whether a run's process still lives. Without that, a run whose code
# server died with it would count as started for ever.
run_launcher:
  module: assets.run_launcher
  class: WatchedRunLauncher

run_monitoring:
  enabled: true
  poll_interval_seconds: {poll_seconds}
  start_timeout_seconds: {START_SECONDS}
  cancel_timeout_seconds: {CANCEL_SECONDS}
  # no max_runtime_seconds: the first load of a long history may take hours
  max_resume_run_attempts: 0   # a run is not resumed but retried: every step completes what was begun
  free_slots_after_run_end_seconds: {min(FREE_PLACES_SECONDS, poll_seconds)}

retention:
  schedule:
    purge_after_days: {SCHEDULE_TICK_DAYS}
  sensor:
    purge_after_days:
      skipped: {SKIPPED_SENSOR_TICK_DAYS}
      failure: {FAILED_SENSOR_TICK_DAYS}
      success: {ASKED_SENSOR_TICK_DAYS}
"""
    return f"{MARK}{_digest(body)}\n{body}"


def write_files(home: Path, storage: DagsterStorage | None) -> None:
    """Write both files where there are none, and dagster.yaml anew where it is as FlakeGuard left it.

    Raises:
        ConfigurationError: somebody has changed dagster.yaml, and it names another storage.
        OperationError: a file cannot be written.
    """
    try:
        _write(home / "workspace.yaml", WORKSPACE_YAML, overwrite=False)
        path = home / "dagster.yaml"
        is_ours = not path.exists() or _is_ours(path.read_text(encoding="utf-8"))
        _write(path, dagster_yaml(storage), overwrite=is_ours)
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"cannot write Dagster's files in {home}: {error}; check the rights there") from error
    if not is_ours:
        _require_same_storage(path, storage)


def storage_config(storage: DagsterStorage) -> dict[str, Any]:
    """Return what dagster.yaml says of a storage on Postgres."""
    # Dagster keeps moments without a zone and lets the server fill some in, so that the session's zone must be UTC
    session = f"-csearch_path={storage.schema} -ctimezone=UTC"
    options = " ".join(filter(None, [storage.options.get("options"), session]))
    parameters = {"connect_timeout": str(CONNECT_SECONDS), **storage.options, "options": options}
    has_password = storage.password is not None or storage.reference is not None
    return {
        "postgres_db": {
            "username": storage.user,
            **({"password": {"env": PASSWORD_VARIABLE}} if has_password else {}),
            "hostname": bracketed(storage.host),
            "port": storage.port,
            "db_name": storage.database,
            # SQLAlchemy would otherwise take psycopg 3 from its 2.1 on, where Dagster has psycopg2
            "scheme": SCHEME,
            "params": parameters,
        }
    }


def _storage_yaml(storage: DagsterStorage | None) -> str:
    if storage is None:
        return ""
    text = yaml.safe_dump({"storage": {"postgres": storage_config(storage)}}, sort_keys=False, width=1000)
    return f"# Runs, events and schedules. The password is in the environment, never in this file.\n{text}\n"


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    if path.exists() and (not overwrite or path.read_text(encoding="utf-8") == text):
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _is_ours(text: str) -> bool:
    first, _, body = text.partition("\n")
    return first == MARK + _digest(body) or _digest(text) in FORMER_DIGESTS


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _require_same_storage(path: Path, storage: DagsterStorage | None) -> None:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError:
        # without the error itself, which quotes the file
        raise ConfigurationError(f"{path} is no YAML; mend it, or remove it to have it written anew") from None
    told = content.get("storage") if isinstance(content, dict) else None
    wanted = None if storage is None else storage.shown
    if storage is not None and (not isinstance(told, dict) or "postgres" not in told):
        raise ConfigurationError(
            f"{path} was changed by hand and does not keep Dagster's history in {wanted}, which `dagster_storage` "
            "names; remove it to have it written anew, or take `dagster_storage` out"
        )
    if storage is None and isinstance(told, dict) and told:
        raise ConfigurationError(
            f"{path} was changed by hand and names a storage, which FlakeGuard has to know too; name it by "
            "`dagster_storage`, or remove the file to have it written anew"
        )

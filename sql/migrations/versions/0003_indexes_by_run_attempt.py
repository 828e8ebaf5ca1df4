"""On Postgres: indexes by run attempt, and keys that take paths of any length; comments on both engines.

The loader replaces run attempts: it deletes by repository, run and attempt, whatever the org. DuckDB scans those three
columns faster than any index helps. Postgres would read the whole table for each batch, so each replaced table gets an
index on exactly these columns. On `core.test_execution` that is enough, and a primary key would not be: it begins with
the org, which the loader does not name, and its six columns take many times the room of three that all executions of an
attempt share, since Postgres keeps equal keys once. Uniqueness is held there as on DuckDB (docs/adr/0004).

An entry of a Postgres index holds at most 2704 bytes, and paths in archives are longer where somebody wants them to be.
So the two keys with a path become unique indexes over hashes of it and of the other texts that a file system or an
archive decides. All other texts in keys are bounded when they are read (parsing/github_run.py, domain/digests.py).

Comments are written whenever the newest revision is reached (env.py); this revision makes that happen the first time.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from flakeguard_pipeline.warehouse.migration_steps import is_postgres

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REPLACED = (
    "run_attempt",
    "job",
    "raw_artifact",
    "report",
    "report_issue",
    "rejected_artifact",
    "test_execution",
)

WITH_PATHS = {
    "raw_artifact": ("artifact", "path", "kind", "source", "source_folder"),
    "rejected_artifact": ("artifact", "path", "reason_code", "digest"),
}

HASHED = {"artifact", "path", "source_folder"}

ATTEMPT = ("org", "repository_id", "run_id", "run_attempt")


def upgrade() -> None:
    if not is_postgres():
        return
    for table, columns in WITH_PATHS.items():
        hashed = [f"hashtextextended({each}, 0)" if each in HASHED else each for each in (*ATTEMPT, *columns)]
        op.execute(f"alter table core.{table} drop constraint {table}_pkey")
        op.execute(f"create unique index {table}_key on core.{table} ({', '.join(hashed)})")
    for table in REPLACED:
        op.create_index(f"{table}_run_attempt", table, ["repository_id", "run_id", "run_attempt"], schema="core")


def downgrade() -> None:
    if not is_postgres():
        return
    for table in REPLACED:
        op.drop_index(f"{table}_run_attempt", table, schema="core")
    for table, columns in WITH_PATHS.items():
        op.execute(f"drop index core.{table}_key")
        op.execute(f"alter table core.{table} add primary key ({', '.join((*ATTEMPT, *columns))})")

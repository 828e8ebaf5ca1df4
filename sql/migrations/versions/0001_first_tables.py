"""The first tables of core, flakiness and quarantine.

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from flakeguard_pipeline.warehouse.migration_steps import release_views

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# bytewise on Postgres, too, whatever collation the database was made with
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

TABLES = (
    "quarantine.quarantine_event",
    "flakiness.current_scoring",
    "flakiness.flake_evidence",
    "flakiness.health_snapshot",
    "flakiness.dbt_build",
    "core.data_check_result",
    "core.inferred_pass",
    "core.test_execution",
    "core.rejected_artifact",
    "core.report",
    "core.raw_artifact",
    "core.job",
    "core.run_attempt",
    "core.repository",
)


def upgrade() -> None:
    op.create_table(
        "repository",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("provider", TEXT, nullable=False),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("default_branch", TEXT, nullable=False),
        sa.Column("first_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id"),
        schema="core",
    )
    op.create_table(
        "run_attempt",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("provider", TEXT, nullable=False),
        sa.Column("full_name", TEXT, nullable=False),
        sa.Column("workflow", TEXT, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("conclusion", TEXT, nullable=False),
        sa.Column("branch", TEXT, nullable=False),
        sa.Column("head_sha", TEXT, nullable=False),
        sa.Column("head_repository_id", TEXT, nullable=False),
        sa.Column("declared_default_branch", TEXT, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_url", TEXT, nullable=False),
        sa.Column("pr_number", sa.Integer(), nullable=True),
        sa.Column("is_partial", sa.Boolean(), nullable=False),
        sa.Column("passed_over_files", sa.BigInteger(), nullable=False),
        sa.Column("load_digest", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt"),
        schema="core",
    )
    op.create_table(
        "job",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("conclusion", TEXT, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("labels", TEXT, nullable=False),
        sa.Column("runner_name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "job_id"),
        schema="core",
    )
    op.create_table(
        "raw_artifact",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("artifact", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("source_folder", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(
            "org", "repository_id", "run_id", "run_attempt", "artifact", "path", "kind", "source", "source_folder"
        ),
        schema="core",
    )
    op.create_table(
        "report",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("report_id", TEXT, nullable=False),
        sa.Column("artifact", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("dialect", TEXT, nullable=False),
        sa.Column("executions", sa.BigInteger(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "report_id"),
        schema="core",
    )
    op.create_table(
        "rejected_artifact",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("artifact", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("reason_code", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kept_executions", sa.BigInteger(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(
            "org", "repository_id", "run_id", "run_attempt", "artifact", "path", "reason_code", "digest"
        ),
        schema="core",
    )
    op.create_table(
        "test_execution",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("provider", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("artifact", TEXT, nullable=False),
        sa.Column("report_id", TEXT, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("test_key", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("suite", TEXT, nullable=False),
        sa.Column("classname", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("raw_name", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("retry_index", sa.Integer(), nullable=False),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("failure_type", TEXT, nullable=False),
        sa.Column("failure_message", TEXT, nullable=False),
        sa.Column("failure_signature", TEXT, nullable=False),
        sa.Column("failure_text", TEXT, nullable=False),
        sa.Column("output", TEXT, nullable=False),
        schema="core",
    )
    op.create_table(
        "inferred_pass",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("test_key", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "job_id", "test_key", "variant"),
        schema="core",
    )
    op.create_table(
        "data_check_result",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("suite_name", TEXT, nullable=False),
        sa.Column("core_version", TEXT, nullable=False),
        sa.Column("is_passed", sa.Boolean(), nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "suite_name"),
        schema="core",
    )
    op.create_table(
        "dbt_build",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("part", TEXT, nullable=False),
        sa.Column("project_digest", TEXT, nullable=False),
        sa.Column("core_version", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "part"),
        schema="flakiness",
    )
    op.create_table(
        "health_snapshot",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("test_key", TEXT, nullable=False),
        sa.Column("test_id", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("suite", TEXT, nullable=False),
        sa.Column("classname", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("p_flaky", sa.Double(), nullable=False),
        sa.Column("p_broken", sa.Double(), nullable=False),
        sa.Column("flake_rate", sa.Double(), nullable=False),
        sa.Column("flake_rate_low", sa.Double(), nullable=False),
        sa.Column("flake_rate_high", sa.Double(), nullable=False),
        sa.Column("executions", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("same_commit_flips", sa.BigInteger(), nullable=False),
        sa.Column("inferred_passes", sa.BigInteger(), nullable=False),
        sa.Column("infra_failures", sa.BigInteger(), nullable=False),
        sa.Column("clean_executions", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prior_version", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "as_of", "test_key", "variant"),
        schema="flakiness",
    )
    op.create_table(
        "flake_evidence",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("test_key", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("code_version", TEXT, nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "as_of", "test_key", "variant", "run_id", "run_attempt"),
        schema="flakiness",
    )
    op.create_table(
        "current_scoring",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id"),
        schema="flakiness",
    )
    op.create_table(
        "quarantine_event",
        sa.Column("decision_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("test_key", TEXT, nullable=False),
        sa.Column("variant", TEXT, nullable=False),
        sa.Column("test_id", TEXT, nullable=False),
        sa.Column("suite", TEXT, nullable=False),
        sa.Column("classname", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("from_state", TEXT, nullable=False),
        sa.Column("to_state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("rationale", TEXT, nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("flake_rate", sa.Double(), nullable=False),
        sa.Column("flake_rate_low", sa.Double(), nullable=False),
        sa.Column("flake_rate_high", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", TEXT, nullable=False),
        sa.Column("code_version", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "decision_id"),
        schema="quarantine",
    )


def downgrade() -> None:
    release_views(*TABLES)
    for table in TABLES:
        schema, _, name = table.partition(".")
        op.drop_table(name, schema=schema)

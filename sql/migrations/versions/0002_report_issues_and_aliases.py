"""What was odd about each report, raw class names, and aliases of renamed tests.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from flakeguard_pipeline.warehouse.migration_steps import is_postgres, release_views

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# bytewise on Postgres, too, whatever collation the database was made with
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    # DuckDB adds no column with a constraint, so the constraint follows
    text = 'text collate "C"' if is_postgres() else "text"
    op.execute(f"alter table core.test_execution add column raw_classname {text} default ''")
    op.execute("alter table core.test_execution alter column raw_classname set not null")
    op.execute("alter table core.test_execution alter column raw_classname drop default")
    op.create_table(
        "report_issue",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("report_id", TEXT, nullable=False),
        sa.Column("issue_code", TEXT, nullable=False),
        sa.Column("issue", TEXT, nullable=False),
        sa.Column("occurrences", sa.BigInteger(), nullable=False),
        sa.Column("example", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "report_id", "issue_code"),
        schema="core",
    )
    op.create_table(
        "alias_proposal",
        sa.Column("alias_id", TEXT, nullable=False),
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("old_test_key", TEXT, nullable=False),
        sa.Column("old_suite", TEXT, nullable=False),
        sa.Column("old_classname", TEXT, nullable=False),
        sa.Column("old_name", TEXT, nullable=False),
        sa.Column("old_file", TEXT, nullable=False),
        sa.Column("new_test_key", TEXT, nullable=False),
        sa.Column("new_suite", TEXT, nullable=False),
        sa.Column("new_classname", TEXT, nullable=False),
        sa.Column("new_name", TEXT, nullable=False),
        sa.Column("new_file", TEXT, nullable=False),
        sa.Column("head_sha", TEXT, nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "old_test_key", "new_test_key"),
        schema="core",
    )
    op.create_table(
        "alias_decision",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("old_test_key", TEXT, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("new_test_key", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "old_test_key", "sequence"),
        schema="core",
    )


def downgrade() -> None:
    release_views("core.alias_decision", "core.alias_proposal", "core.report_issue", "core.test_execution")
    op.drop_table("alias_decision", schema="core")
    op.drop_table("alias_proposal", schema="core")
    op.drop_table("report_issue", schema="core")
    op.execute("alter table core.test_execution drop column raw_classname")

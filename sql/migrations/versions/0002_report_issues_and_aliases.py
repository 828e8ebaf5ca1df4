"""What was odd about each report, raw class names, and aliases of renamed tests.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # DuckDB adds no column with a constraint, so the constraint follows
    op.execute("alter table core.test_execution add column raw_classname text default ''")
    op.execute("alter table core.test_execution alter column raw_classname set not null")
    op.execute("alter table core.test_execution alter column raw_classname drop default")
    op.create_table(
        "report_issue",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("issue_code", sa.Text(), nullable=False),
        sa.Column("issue", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.BigInteger(), nullable=False),
        sa.Column("example", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "report_id", "issue_code"),
        schema="core",
    )
    op.create_table(
        "alias_proposal",
        sa.Column("alias_id", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("old_test_key", sa.Text(), nullable=False),
        sa.Column("old_suite", sa.Text(), nullable=False),
        sa.Column("old_classname", sa.Text(), nullable=False),
        sa.Column("old_name", sa.Text(), nullable=False),
        sa.Column("old_file", sa.Text(), nullable=False),
        sa.Column("new_test_key", sa.Text(), nullable=False),
        sa.Column("new_suite", sa.Text(), nullable=False),
        sa.Column("new_classname", sa.Text(), nullable=False),
        sa.Column("new_name", sa.Text(), nullable=False),
        sa.Column("new_file", sa.Text(), nullable=False),
        sa.Column("head_sha", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "old_test_key", "new_test_key"),
        schema="core",
    )
    op.create_table(
        "alias_decision",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("old_test_key", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("new_test_key", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "old_test_key", "sequence"),
        schema="core",
    )


def downgrade() -> None:
    op.drop_table("alias_decision", schema="core")
    op.drop_table("alias_proposal", schema="core")
    op.drop_table("report_issue", schema="core")
    op.execute("alter table core.test_execution drop column raw_classname")

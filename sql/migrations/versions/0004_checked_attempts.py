"""Which run attempts were found sound, so that a check looks at what has changed and not at all of history.

Nothing is known to be sound at first: the next check looks at everything once.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from flakeguard_pipeline.warehouse.migration_steps import release_views

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# bytewise on Postgres, too, whatever collation the database was made with
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "checked_attempt",
        sa.Column("org", TEXT, nullable=False),
        sa.Column("repository_id", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("run_attempt", sa.Integer(), nullable=False),
        sa.Column("suite_name", TEXT, nullable=False),
        sa.Column("suite_digest", TEXT, nullable=False),
        sa.Column("load_digest", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("org", "repository_id", "run_id", "run_attempt", "suite_name"),
        schema="core",
    )


def downgrade() -> None:
    release_views("core.checked_attempt")
    op.drop_table("checked_attempt", schema="core")

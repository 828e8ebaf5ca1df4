"""Alembic's entry: runs migrations in the session that flakeguard_pipeline.warehouse.migration_session has opened."""

from typing import Any

from alembic import context

from flakeguard_pipeline.warehouse.migration_session import comment_on_tables
from flakeguard_pipeline.warehouse.tables import metadata

attributes = context.config.attributes


def comment_at_head(*, ctx: Any, step: Any, heads: set[str], **_: object) -> None:
    """Write comments in the newest migration's own transaction, so that none is without them."""
    if step.is_upgrade and heads == {attributes["head"]}:
        comment_on_tables(ctx.connection)


context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    version_table_schema="core",
    include_schemas=True,
    # an upgrade commits each migration; a downgrade runs in the caller's one transaction, which Alembic respects
    transaction_per_migration=True,
    on_version_apply=comment_at_head,
)
with context.begin_transaction():
    context.run_migrations()

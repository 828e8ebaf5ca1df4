"""Alembic's entry: runs the migrations on the warehouse that flakeguard_pipeline.warehouse.migrate names."""

import sqlalchemy as sa
from alembic import context

from flakeguard_pipeline.warehouse.tables import SCHEMAS, metadata

engine = sa.create_engine(
    sa.URL.create("duckdb", database=context.config.attributes["warehouse_path"]), poolclass=sa.pool.NullPool
)

with engine.connect() as connection:
    # The version table lives in `core`, so that schema comes before the first revision.
    for schema in SCHEMAS:
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema="core",
        include_schemas=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()

"""The warehouse: connections, tables, migrations, loading."""

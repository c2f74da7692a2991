"""Alembic's entry: runs the migrations on the connection that `service.db.schema` hands over."""

from alembic import context

from service.db.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
